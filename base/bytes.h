/* Bytes in memory: views, an append cursor, and big-endian loads and stores (network order, as in
 * every RFC). */
#ifndef VIADUCT_BASE_BYTES_H
#define VIADUCT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A view: whoever owns the bytes keeps them alive. `at` may be NULL only when `len` is 0. */
struct bytes {
  const uint8_t *at;
  size_t len;
};

/* An append cursor over storage that the caller owns. Once something did not fit, `overflow` stays
 * true and nothing more is written, so that a builder checks once, at its end. */
struct buf {
  uint8_t *at;
  size_t len, cap;
  bool overflow;
};

static inline uint16_t load_be16(const uint8_t *p)
{
  return (uint16_t)((p[0] << 8) | p[1]);
}

static inline uint32_t load_be32(const uint8_t *p)
{
  return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) | ((uint32_t)p[2] << 8) | p[3];
}

static inline uint64_t load_be64(const uint8_t *p)
{
  return ((uint64_t)load_be32(p) << 32) | load_be32(p + 4);
}

static inline void store_be16(uint8_t *p, uint16_t v)
{
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
  store_be16(p, (uint16_t)(v >> 16));
  store_be16(p + 2, (uint16_t)v);
}

static inline void store_be64(uint8_t *p, uint64_t v)
{
  store_be32(p, (uint32_t)(v >> 32));
  store_be32(p + 4, (uint32_t)v);
}

/* A view over a NUL-terminated text, without the NUL. */
struct bytes bytes_of(const char *text);

bool bytes_equal(struct bytes a, struct bytes b);

/* Compares `len` bytes in a time that depends on `len` alone: for MACs, keys and tokens. */
bool bytes_equal_ct(const void *a, const void *b, size_t len);

/* Overwrites secrets in a way that no optimiser removes. */
void bytes_wipe(void *p, size_t len);

void buf_init(struct buf *b, void *storage, size_t cap);
void buf_put(struct buf *b, const void *p, size_t len);
void buf_put_text(struct buf *b, const char *text);
void buf_put_byte(struct buf *b, uint8_t byte);
/* Decimal digits of `v`. */
void buf_put_uint(struct buf *b, uint64_t v);
/* Lower-case hexadecimal, two digits for each byte. */
void buf_put_hex(struct buf *b, const void *p, size_t len);

/* RFC 4648 section 4 (with padding) and section 5 (URL-safe, without). The encoder appends to `b`;
 * the decoder reads both, writes at most `cap` bytes into `out` and returns their count, -ERR_BAD
 * on a character, a length or bits behind the last byte that are none, -ERR_FULL when `cap` is too
 * small. */
void buf_put_base64(struct buf *b, const void *p, size_t len);
void buf_put_base64url(struct buf *b, const void *p, size_t len);
int base64_decode(struct bytes text, void *out, size_t cap);

/* Whether the bytes are well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most
 * U+10FFFF). */
bool utf8_is_valid(struct bytes text);

/* Strict decimal: 1 to 20 digits and nothing else, no sign, at most `max`. -ERR_BAD or -ERR_RANGE.
 */
int parse_uint(struct bytes text, uint64_t max, uint64_t *out);

#endif
