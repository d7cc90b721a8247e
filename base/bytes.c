/* Views, the append cursor and the small text formats that every other folder builds on: hex,
 * base64, UTF-8 and decimal. */
#include "base/bytes.h"

#include <limits.h>
#include <string.h>

#include "base/err.h"

struct bytes bytes_of(const char *text)
{
  return (struct bytes){(const uint8_t *)text, strlen(text)};
}

bool bytes_equal(struct bytes a, struct bytes b)
{
  return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool bytes_equal_ct(const void *a, const void *b, size_t len)
{
  /* volatile: an optimiser may not see that the answer is known at the first difference. */
  const volatile uint8_t *x = a, *y = b;
  uint8_t differing = 0;
  for (size_t i = 0; i < len; i++)
    differing |= (uint8_t)(x[i] ^ y[i]);
  return differing == 0;
}

void bytes_wipe(void *p, size_t len)
{
  if (len > 0)
    explicit_bzero(p, len);
}

void buf_init(struct buf *b, void *storage, size_t cap)
{
  *b = (struct buf){.at = storage, .cap = cap};
}

/* Room for `len` more bytes, or NULL and the mark of overflow. */
static uint8_t *reserve(struct buf *b, size_t len)
{
  if (b->overflow || len > b->cap - b->len) {
    b->overflow = true;
    return NULL;
  }
  uint8_t *at = b->at + b->len;
  b->len += len;
  return at;
}

void buf_put(struct buf *b, const void *p, size_t len)
{
  if (len == 0)
    return;
  uint8_t *at = reserve(b, len);
  if (at)
    memcpy(at, p, len);
}

void buf_put_text(struct buf *b, const char *text)
{
  buf_put(b, text, strlen(text));
}

void buf_put_byte(struct buf *b, uint8_t byte)
{
  buf_put(b, &byte, 1);
}

void buf_put_uint(struct buf *b, uint64_t v)
{
  uint8_t digits[20]; /* of 2^64 - 1 */
  size_t first = sizeof(digits);
  do {
    digits[--first] = (uint8_t)('0' + v % 10);
    v /= 10;
  } while (v > 0);
  buf_put(b, digits + first, sizeof(digits) - first);
}

void buf_put_hex(struct buf *b, const void *p, size_t len)
{
  static const char digit[] = "0123456789abcdef";
  const uint8_t *in = p;
  uint8_t *at = reserve(b, len <= SIZE_MAX / 2 ? 2 * len : SIZE_MAX);
  if (!at)
    return;
  for (size_t i = 0; i < len; i++) {
    *at++ = (uint8_t)digit[in[i] >> 4];
    *at++ = (uint8_t)digit[in[i] & 15];
  }
}

static void put_base64(struct buf *b, const uint8_t *in, size_t len, const char *digit, bool pad)
{
  static const uint8_t digits_of_rest[3] = {0, 2, 3};
  size_t rest = len % 3, quads = len / 3;
  if (quads > SIZE_MAX / 4 - 1) {
    b->overflow = true;
    return;
  }
  uint8_t *at = reserve(b, 4 * quads + (pad && rest ? 4 : digits_of_rest[rest]));
  if (!at)
    return;
  for (size_t i = 0; i < quads; i++, in += 3) {
    uint32_t group = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
    for (int shift = 18; shift >= 0; shift -= 6)
      *at++ = (uint8_t)digit[group >> shift & 63];
  }
  if (rest == 0)
    return;
  uint32_t group = (uint32_t)in[0] << 16 | (rest == 2 ? (uint32_t)in[1] << 8 : 0);
  for (unsigned i = 0; i < digits_of_rest[rest]; i++)
    *at++ = (uint8_t)digit[group >> (18 - 6 * i) & 63];
  for (size_t i = rest; pad && i < 3; i++)
    *at++ = '=';
}

#define BASE64_COMMON "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

void buf_put_base64(struct buf *b, const void *p, size_t len)
{
  put_base64(b, p, len, BASE64_COMMON "+/", true);
}

void buf_put_base64url(struct buf *b, const void *p, size_t len)
{
  put_base64(b, p, len, BASE64_COMMON "-_", false);
}

/* The value of a digit of either alphabet, or 64 for what is none. */
static uint8_t base64_value(uint8_t c)
{
  if (c >= 'A' && c <= 'Z')
    return (uint8_t)(c - 'A');
  if (c >= 'a' && c <= 'z')
    return (uint8_t)(c - 'a' + 26);
  if (c >= '0' && c <= '9')
    return (uint8_t)(c - '0' + 52);
  if (c == '+' || c == '-')
    return 62;
  if (c == '/' || c == '_')
    return 63;
  return 64;
}

int base64_decode(struct bytes text, void *out, size_t cap)
{
  size_t len = text.len;
  if (len > 0 && len % 4 == 0 && text.at[len - 1] == '=')
    len -= text.at[len - 2] == '=' ? 2 : 1;
  size_t rest = len % 4;
  if (rest == 1)
    return -ERR_BAD;
  size_t out_len = len / 4 * 3 + (rest ? rest - 1 : 0);
  if (out_len > cap || out_len > INT_MAX)
    return -ERR_FULL;

  uint8_t *at = out;
  uint32_t group = 0; /* what is not written yet lies in its low `bits` bits */
  unsigned bits = 0;
  for (size_t i = 0; i < len; i++) {
    uint8_t value = base64_value(text.at[i]);
    if (value == 64)
      return -ERR_BAD;
    group = group << 6 | value;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      *at++ = (uint8_t)(group >> bits);
    }
  }
  /* RFC 4648 section 3.5: "decoders MAY chose to reject an encoding if the pad bits have not been
   * set to zero". Rejected here, so that one value has one text. */
  if (group & ((1u << bits) - 1))
    return -ERR_BAD;
  return (int)out_len;
}

/* The bytes of the character that starts at `at`, or 0 when it is malformed (RFC 3629 section 4).
 */
static size_t utf8_char_len(const uint8_t *at, size_t left)
{
  uint8_t lead = at[0], low = 0x80, high = 0xbf; /* the range of the second byte */
  size_t len;
  if (lead < 0x80)
    return 1;
  if (lead >= 0xc2 && lead <= 0xdf)
    len = 2;
  else if (lead >= 0xe0 && lead <= 0xef)
    len = 3;
  else if (lead >= 0xf0 && lead <= 0xf4)
    len = 4;
  else
    return 0;
  if (lead == 0xe0)
    low = 0xa0; /* below: overlong */
  else if (lead == 0xed)
    high = 0x9f; /* above: surrogates */
  else if (lead == 0xf0)
    low = 0x90; /* below: overlong */
  else if (lead == 0xf4)
    high = 0x8f; /* above: beyond U+10FFFF */
  if (len > left || at[1] < low || at[1] > high)
    return 0;
  for (size_t i = 2; i < len; i++)
    if ((at[i] & 0xc0) != 0x80)
      return 0;
  return len;
}

bool utf8_is_valid(struct bytes text)
{
  for (size_t i = 0; i < text.len;) {
    uint64_t eight;
    if (text.len - i >= sizeof eight) { /* most texts are ASCII */
      memcpy(&eight, text.at + i, sizeof eight);
      if (!(eight & 0x8080808080808080u)) {
        i += sizeof eight;
        continue;
      }
    }
    size_t len = utf8_char_len(text.at + i, text.len - i);
    if (len == 0)
      return false;
    i += len;
  }
  return true;
}

int parse_uint(struct bytes text, uint64_t max, uint64_t *out)
{
  if (text.len < 1 || text.len > 20)
    return -ERR_BAD;
  uint64_t v = 0;
  bool beyond = false;
  for (size_t i = 0; i < text.len; i++) {
    if (text.at[i] < '0' || text.at[i] > '9')
      return -ERR_BAD;
    uint64_t digit = (uint64_t)(text.at[i] - '0');
    beyond = beyond || v > (UINT64_MAX - digit) / 10;
    v = v * 10 + digit;
  }
  if (beyond || v > max)
    return -ERR_RANGE;
  *out = v;
  return 0;
}
