/* The decoder: one pass over the attributes, which notes where each known one stands and never
 * copies or allocates. Called for everything that arrives, so every byte is hostile here. */
#include "stun/core/decode.h"

#include <string.h>

#include "base/err.h"
#include "stun/core/attr.h"

/* One attribute as it stands in the message. */
struct attr_at {
  uint16_t code, len;
  size_t value; /* offset of the value, from the message's start */
  size_t next;  /* offset of the next attribute's header */
};

bool stun_is_message(const uint8_t *p, size_t len)
{
  /* RFC 8489 section 5: "The most significant 2 bits of every STUN message MUST be zeroes." */
  if (len < STUN_HEADER_LEN || (p[0] & 0xC0))
    return false;
  /* "The message length MUST contain the size of the message in bytes, not including the 20-byte
   * STUN header. Since all STUN attributes are padded to a multiple of 4 bytes, the last 2 bits of
   * this field are always zero." */
  size_t body_len = load_be16(p + 2);
  return body_len % 4 == 0 && body_len == len - STUN_HEADER_LEN;
}

/* The attribute at `pos`, or 400 for one that overruns the message. `pos` is a multiple of four
 * below `len`, so that four bytes of header are there. */
static int attr_read(const uint8_t *p, size_t len, size_t pos, struct attr_at *out)
{
  size_t value_len = load_be16(p + pos + 2);
  size_t value = pos + STUN__ATTR_HEADER_LEN;
  if (stun__padded(value_len) > len - value)
    return 400;
  *out = (struct attr_at){load_be16(p + pos), (uint16_t)value_len, value,
                          value + stun__padded(value_len)};
  return 0;
}

/* Whether an attribute counts where it stands: what is not covered by the integrity attribute
 * before it could have been added by anyone on the path. */
static bool attr_counts(const struct stun_view *v, enum stun_attr a)
{
  /* RFC 8489 section 9: "agents MUST ignore all attributes that follow the MESSAGE-INTEGRITY-SHA256
   * attribute if the MESSAGE-INTEGRITY attribute is not present, with the exception of the
   * FINGERPRINT attribute." With both present, the next rule leaves nothing else either. */
  if (v->offset[STUN_ATTR_MESSAGE_INTEGRITY_SHA256])
    return a == STUN_ATTR_FINGERPRINT;
  /* "agents MUST ignore all attributes that follow MESSAGE-INTEGRITY, with the exception of the
   * MESSAGE-INTEGRITY-SHA256 and FINGERPRINT attributes." */
  if (v->offset[STUN_ATTR_MESSAGE_INTEGRITY])
    return a == STUN_ATTR_MESSAGE_INTEGRITY_SHA256 || a == STUN_ATTR_FINGERPRINT;
  return true;
}

/* RFC 8489 section 14: types below 0x8000 are comprehension-required. Each code is noted once. */
static void note_unknown(struct stun_view *v, uint16_t code)
{
  if (code >= 0x8000 || v->unknown_count == STUN_UNKNOWN_MAX)
    return;
  for (size_t i = 0; i < v->unknown_count; i++) {
    if (v->unknown[i] == code)
      return;
  }
  v->unknown[v->unknown_count++] = code;
}

static int take_attr(struct stun_view *v, const struct attr_at *at)
{
  enum stun_attr a = stun__attr_find(at->code);
  if (!attr_counts(v, a))
    return 0;
  if (a == STUN_ATTR_COUNT) {
    note_unknown(v, at->code);
    return 0;
  }
  /* Section 14: "Any attribute type MAY appear more than once in a STUN message. Unless specified
   * otherwise, the order of appearance is significant: only the first occurrence needs to be
   * processed by a receiver". */
  if (v->offset[a])
    return 0;
  /* A message may end a few bytes behind what 16 bits can name (20 + 65532 bytes). */
  if (!stun__attr_fits(a, at->len) || at->value > UINT16_MAX)
    return 400;
  v->offset[a] = (uint16_t)at->value;
  v->value_len[a] = at->len;
  return 0;
}

int stun_decode(const uint8_t *p, size_t len, struct stun_view *out)
{
  if (!stun_is_message(p, len))
    return -ERR_BAD;
  /* Section 5: the class bits C1 and C0 stand among the method's bits, M11-M7 C1 M6-M4 C0 M3-M0. */
  uint16_t type = load_be16(p);
  *out = (struct stun_view){
      .at = p,
      .len = len,
      .method = (uint16_t)((type & 0x000F) | ((type & 0x00E0) >> 1) | ((type & 0x3E00) >> 2)),
      .class = (enum stun_class)(((type & 0x0010) >> 4) | ((type & 0x0100) >> 7)),
      .classic = load_be32(p + 4) != STUN_COOKIE,
  };
  for (size_t pos = STUN_HEADER_LEN; pos < len;) {
    struct attr_at at;
    int err = attr_read(p, len, pos, &at);
    if (!err)
      err = take_attr(out, &at);
    if (err)
      return err;
    pos = at.next;
  }
  return 0;
}

const uint8_t *stun_txid(const struct stun_view *v)
{
  return v->at + STUN_HEADER_LEN - STUN_TXID_LEN;
}

bool stun_has(const struct stun_view *v, enum stun_attr a)
{
  return v->offset[a] != 0;
}

struct bytes stun_get_bytes(const struct stun_view *v, enum stun_attr a)
{
  if (!stun_has(v, a))
    return (struct bytes){NULL, 0};
  return (struct bytes){v->at + v->offset[a], v->value_len[a]};
}

bool stun_get_uint(const struct stun_view *v, enum stun_attr a, uint32_t *out)
{
  struct bytes value = stun_get_bytes(v, a);
  if (value.len < 4)
    return false;
  enum stun_kind kind = stun_attr_row(a)->kind;
  if (kind == STUN_KIND_U32)
    *out = load_be32(value.at);
  else if (kind == STUN_KIND_U16X)
    *out = load_be16(value.at);
  else if (kind == STUN_KIND_U8X)
    *out = value.at[0];
  else
    return false;
  return true;
}

/*  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |0 0 0 0 0 0 0 0|    Family     |           Port                |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                 Address (32 bits or 128 bits)                 |
 * RFC 8489 14.1; "The first 8 bits [...] MUST be ignored by receivers." */
static int addr_read(const uint8_t *message, enum stun_kind kind, struct bytes value,
                     struct addr *out)
{
  size_t ip_len = value.len < 4 ? 0 : value.len - 4;
  uint8_t family = ip_len ? value.at[1] : 0;
  if (!(family == 1 && ip_len == 4) && !(family == 2 && ip_len == 16))
    return 400;
  uint16_t port = load_be16(value.at + 2);
  uint8_t ip[16];
  memcpy(ip, value.at + 4, ip_len);
  if (kind == STUN_KIND_XADDR) {
    port ^= STUN_COOKIE >> 16;
    stun__xor_ip(message, ip, ip_len);
  } else if (kind != STUN_KIND_ADDR) {
    return 400;
  }
  *out = addr_from_ip(ip, ip_len, port);
  return 0;
}

int stun_get_addr(const struct stun_view *v, enum stun_attr a, struct addr *out)
{
  if (!stun_has(v, a))
    return -ERR_MISSING;
  return addr_read(v->at, stun_attr_row(a)->kind, stun_get_bytes(v, a), out);
}

int stun_get_error(const struct stun_view *v)
{
  struct bytes value = stun_get_bytes(v, STUN_ATTR_ERROR_CODE);
  if (value.len < 4)
    return 0;
  /* RFC 8489 14.8: "The Class represents the hundreds digit of the error code. The value MUST be
   * between 3 and 6. The Number represents the binary encoding of the error code modulo 100, and
   * its value MUST be between 0 and 99." */
  int hundreds = value.at[2] & 7, number = value.at[3];
  if (hundreds < 3 || hundreds > 6 || number > 99)
    return 0;
  return hundreds * 100 + number;
}

/* Where the attributes end that an integrity attribute covers: at the first one, else at the end of
 * the message. */
static size_t covered_end(const struct stun_view *v)
{
  size_t end = v->len;
  static const enum stun_attr mac[] = {STUN_ATTR_MESSAGE_INTEGRITY,
                                       STUN_ATTR_MESSAGE_INTEGRITY_SHA256};
  for (size_t i = 0; i < sizeof mac / sizeof mac[0]; i++) {
    if (v->offset[mac[i]] && v->offset[mac[i]] < end)
      end = v->offset[mac[i]];
  }
  return end;
}

int stun_next_addr(const struct stun_view *v, enum stun_attr a, size_t *cursor, struct addr *out)
{
  const struct stun_attr_row *row = stun_attr_row(a);
  size_t end = covered_end(v);
  size_t pos = *cursor ? *cursor : STUN_HEADER_LEN;
  while (pos < end) {
    struct attr_at at;
    int err = attr_read(v->at, v->len, pos, &at);
    if (err)
      return err;
    pos = *cursor = at.next;
    if (at.code == row->code)
      return addr_read(v->at, row->kind, (struct bytes){v->at + at.value, at.len}, out);
  }
  return -ERR_MISSING;
}
