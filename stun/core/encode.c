/* The encoder: appends attributes to the caller's buffer, checked against the same table as the
 * decoder, so that nothing leaves that our own decoder would refuse. */
#include "stun/core/encode.h"

#include <string.h>

#include "base/err.h"
#include "stun/core/attr.h"
#include "stun/core/decode.h"

/* What the header's length field can say at most. */
enum { BODY_MAX = 65532 };

/* Room for `len` more bytes, or NULL, and then the message is spoilt for good. */
static uint8_t *extend(struct stun_encoder *e, size_t len)
{
  if (e->overflow || len > e->cap - e->len || e->len + len > STUN_HEADER_LEN + BODY_MAX) {
    e->overflow = true;
    return NULL;
  }
  uint8_t *p = e->at + e->len;
  e->len += len;
  return p;
}

/* An attribute's header and the zeroes of its padding; returns its value, to be filled, or NULL. */
static uint8_t *extend_attr(struct stun_encoder *e, enum stun_attr a, size_t len)
{
  if (!stun__attr_fits(a, len)) {
    e->overflow = true;
    return NULL;
  }
  size_t padded = stun__padded(len);
  uint8_t *p = extend(e, STUN__ATTR_HEADER_LEN + padded);
  if (!p)
    return NULL;
  store_be16(p, stun_attr_row(a)->code);
  store_be16(p + 2, (uint16_t)len);
  p += STUN__ATTR_HEADER_LEN;
  memset(p + len, 0, padded - len);
  return p;
}

static void begin(struct stun_encoder *e, void *out, size_t cap, uint16_t type, const uint8_t *id16)
{
  *e = (struct stun_encoder){.at = out, .cap = cap};
  uint8_t *p = extend(e, STUN_HEADER_LEN);
  if (!p)
    return;
  store_be16(p, type);
  store_be16(p + 2, 0);
  memcpy(p + 4, id16, 16);
}

static uint16_t message_type(enum stun_class class, uint16_t method)
{
  unsigned c = (unsigned)class, m = method;
  return (uint16_t)((m & 0x00F) | ((m & 0x070) << 1) | ((m & 0xF80) << 2) | ((c & 1) << 4) |
                    ((c & 2) << 7));
}

void stun_begin(struct stun_encoder *e, void *out, size_t cap, enum stun_class class,
                uint16_t method, const uint8_t *txid)
{
  uint8_t id[16];
  store_be32(id, STUN_COOKIE);
  memcpy(id + 4, txid, STUN_TXID_LEN);
  begin(e, out, cap, message_type(class, method), id);
}

void stun_begin_response(struct stun_encoder *e, void *out, size_t cap, enum stun_class class,
                         const struct stun_view *request)
{
  /* RFC 5389 12.2, on RFC 3489 clients: the server "SHOULD copy the value seen in the magic cookie
   * field in the Binding request to the magic cookie field in the Binding response". */
  uint8_t id[16]; /* a copy, since `out` may be the request's own buffer */
  memcpy(id, request->at + 4, sizeof id);
  begin(e, out, cap, message_type(class, request->method), id);
}

void stun_put_bytes(struct stun_encoder *e, enum stun_attr a, const void *value, size_t len)
{
  uint8_t *p = extend_attr(e, a, len);
  if (p && len)
    memcpy(p, value, len);
}

void stun_put_text(struct stun_encoder *e, enum stun_attr a, const char *text)
{
  stun_put_bytes(e, a, text, strlen(text));
}

void stun_put_uint(struct stun_encoder *e, enum stun_attr a, uint32_t value)
{
  uint8_t number[4] = {0};
  enum stun_kind kind = stun_attr_row(a)->kind;
  if (kind == STUN_KIND_U32)
    store_be32(number, value);
  else if (kind == STUN_KIND_U16X && value <= UINT16_MAX)
    store_be16(number, (uint16_t)value);
  else if (kind == STUN_KIND_U8X && value <= UINT8_MAX)
    number[0] = (uint8_t)value;
  else
    e->overflow = true;
  stun_put_bytes(e, a, number, sizeof number);
}

void stun_put_addr(struct stun_encoder *e, enum stun_attr a, const struct addr *addr)
{
  enum stun_kind kind = stun_attr_row(a)->kind;
  size_t ip_len = addr_ip_len(addr);
  if (kind != STUN_KIND_ADDR && kind != STUN_KIND_XADDR) {
    e->overflow = true;
    return;
  }
  uint8_t *p = extend_attr(e, a, 4 + ip_len); /* 4 alone, for ADDR_NONE, fits no row */
  if (!p)
    return;
  p[0] = 0;
  p[1] = ip_len == 4 ? 1 : 2;
  store_be16(p + 2, addr->port);
  memcpy(p + 4, addr->ip, ip_len);
  if (kind == STUN_KIND_XADDR) {
    store_be16(p + 2, (uint16_t)(addr->port ^ (STUN_COOKIE >> 16)));
    stun__xor_ip(e->at, p + 4, ip_len);
  }
}

/* Whether the message answers an RFC 3489 client, which knows no padding. */
static bool is_classic(const struct stun_encoder *e)
{
  return e->len >= STUN_HEADER_LEN && load_be32(e->at + 4) != STUN_COOKIE;
}

static void put_error(struct stun_encoder *e, int code, const char *reason)
{
  size_t reason_len = strlen(reason);
  /* RFC 3489 11.2.9: "The lengths of the reason phrases MUST be a multiple of 4 (measured in
   * bytes), accomplished by added spaces to the end of the text, if necessary." */
  size_t value_len = 4 + (is_classic(e) ? stun__padded(reason_len) : reason_len);
  if (code < 300 || code > 699) {
    e->overflow = true;
    return;
  }
  uint8_t *p = extend_attr(e, STUN_ATTR_ERROR_CODE, value_len);
  if (!p)
    return;
  memset(p + 4, ' ', value_len - 4);
  store_be16(p, 0);
  p[2] = (uint8_t)(code / 100);
  p[3] = (uint8_t)(code % 100);
  memcpy(p + 4, reason, reason_len);
}

void stun_put_error(struct stun_encoder *e, int code)
{
  put_error(e, code, stun_reason(code));
}

void stun_put_error_alone(struct stun_encoder *e, int code)
{
  put_error(e, code, "");
}

void stun_put_unknown(struct stun_encoder *e, const struct stun_view *request)
{
  size_t count = request->unknown_count;
  /* RFC 3489 11.2.10: "If the number of unknown attributes is an odd number, one of the attributes
   * MUST be repeated in the list, so that the total length of the list is a multiple of 4 bytes."
   */
  size_t repeated = is_classic(e) ? count % 2 : 0;
  uint8_t *p = extend_attr(e, STUN_ATTR_UNKNOWN_ATTRIBUTES, 2 * (count + repeated));
  for (size_t i = 0; p && i < count + repeated; i++)
    store_be16(p + 2 * i, request->unknown[i < count ? i : 0]);
}

int stun_end(struct stun_encoder *e)
{
  if (e->overflow)
    return -ERR_FULL;
  store_be16(e->at + 2, (uint16_t)(e->len - STUN_HEADER_LEN));
  return (int)e->len;
}

const char *stun_reason(int code)
{
  static const struct {
    int code;
    const char *phrase;
  } table[] = {
      {300, "Try Alternate"},
      {400, "Bad Request"},
      {401, "Unauthenticated"},
      {403, "Forbidden"},
      {405, "Mobility Forbidden"},
      {420, "Unknown Attribute"},
      {437, "Allocation Mismatch"},
      {438, "Stale Nonce"},
      {440, "Address Family not Supported"},
      {441, "Wrong Credentials"},
      {442, "Unsupported Transport Protocol"},
      {443, "Peer Address Family Mismatch"},
      {446, "Connection Already Exists"},
      {447, "Connection Timeout or Failure"},
      {486, "Allocation Quota Reached"},
      {487, "Role Conflict"},
      {500, "Server Error"},
      {508, "Insufficient Capacity"},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    if (table[i].code == code)
      return table[i].phrase;
  }
  return "Error";
}
