/* attr.def as a constant table, and the index that finds a row from a code in one load. Used by
 * decode.c and encode.c, so that both agree on what an attribute is. */
#include "stun/core/attr.h"

#include "stun/core/decode.h"

static const struct stun_attr_row rows[STUN_ATTR_COUNT] = {
#define ATTR(attr_code, id, text, attr_kind, min, max, section)                                    \
  {.code = attr_code,                                                                              \
   .name = text,                                                                                   \
   .kind = STUN_KIND_##attr_kind,                                                                  \
   .least = min,                                                                                   \
   .most = max,                                                                                    \
   .rfc = section},
#include "stun/core/attr.def"
#undef ATTR
};

/* The known codes lie in two runs of 64, from 0x0000 and from 0x8000: six low bits and the top bit
 * make a slot of 0 to 127. A row elsewhere stops the build; so does a code that two rows claim
 * (gcc's -Woverride-init). */
enum { SLOT_COUNT = 128, SLOT_MASK = 0x803F };
#define SLOT(code) (((code)&0x3F) | (((code) >> 15) << 6))

#define ATTR(code, name, text, kind, least, most, rfc)                                             \
  _Static_assert(((code) & ~SLOT_MASK) == 0, text " lies outside the index");                      \
  _Static_assert((least) <= (most), text " has no length");
#include "stun/core/attr.def"
#undef ATTR
_Static_assert(STUN_ATTR_COUNT < UINT8_MAX, "row numbers no longer fit a byte");

/* Row number + 1; 0 says that no row has the code. */
static const uint8_t slots[SLOT_COUNT] = {
#define ATTR(code, name, text, kind, least, most, rfc) [SLOT(code)] = STUN_ATTR_##name + 1,
#include "stun/core/attr.def"
#undef ATTR
};

const struct stun_attr_row *stun_attr_row(enum stun_attr a)
{
  return &rows[a];
}

enum stun_attr stun__attr_find(uint16_t code)
{
  if (code & ~SLOT_MASK)
    return STUN_ATTR_COUNT;
  uint8_t slot = slots[SLOT(code)];
  return slot ? (enum stun_attr)(slot - 1) : STUN_ATTR_COUNT;
}

bool stun__attr_fits(enum stun_attr a, size_t len)
{
  const struct stun_attr_row *row = &rows[a];
  if (len < row->least || len > row->most)
    return false;
  /* RFC 8489 14.1: "If the address family is IPv4, the address MUST be 32 bits. If the address
   * family is IPv6, the address MUST be 128 bits." */
  if (row->kind == STUN_KIND_ADDR || row->kind == STUN_KIND_XADDR)
    return len == 8 || len == 20;
  if (row->kind == STUN_KIND_LIST16)
    return len % 2 == 0;
  /* RFC 8489 14.6 on MESSAGE-INTEGRITY-SHA256: "The value will be at most 32 bytes, but it MUST be
   * at least 16 bytes and MUST be a multiple of 4 bytes." The other MACs have one length each. */
  if (row->kind == STUN_KIND_MAC)
    return len % 4 == 0;
  return true;
}

void stun__xor_ip(const uint8_t *message, uint8_t *ip, size_t ip_len)
{
  uint8_t mask[16];
  store_be32(mask, STUN_COOKIE);
  for (size_t i = 4; i < sizeof mask; i++)
    mask[i] = message[4 + i];
  for (size_t i = 0; i < ip_len; i++)
    ip[i] ^= mask[i];
}
