/* The hashes of STUN over libcrypto's plain block functions; stun/core/integrity and the makers of
 * TURN credentials call them. */

/* OpenSSL 3 marks these functions as deprecated since 3.0 in favour of EVP; base/digest.h says why
 * EVP is no choice here. Asking for the interface of 1.1.0 declares them without the mark. */
#define OPENSSL_API_COMPAT 0x10100000L

#include "base/digest.h"

#include <openssl/md5.h>
#include <openssl/sha.h>
#include <string.h>
#include <zlib.h>

enum { HMAC_BLOCK = 64 }; /* of SHA-1 and SHA-256 alike */

enum kind { KIND_SHA1, KIND_SHA256 };

struct hasher {
  enum kind kind;
  union {
    SHA_CTX sha1;
    SHA256_CTX sha256;
  } as;
};

/* The results of these calls are constant: they report no failure but a wrong size of SHA-512. */
static void hasher_init(struct hasher *h, enum kind kind)
{
  h->kind = kind;
  if (kind == KIND_SHA1)
    (void)SHA1_Init(&h->as.sha1);
  else
    (void)SHA256_Init(&h->as.sha256);
}

static void hasher_add(struct hasher *h, const struct bytes *piece, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    if (h->kind == KIND_SHA1)
      (void)SHA1_Update(&h->as.sha1, piece[i].at, piece[i].len);
    else
      (void)SHA256_Update(&h->as.sha256, piece[i].at, piece[i].len);
  }
}

/* Writes the digest and returns its length. */
static size_t hasher_end(struct hasher *h, uint8_t *out)
{
  size_t len = h->kind == KIND_SHA1 ? SHA1_SIZE : SHA256_SIZE;
  if (h->kind == KIND_SHA1)
    (void)SHA1_Final(out, &h->as.sha1);
  else
    (void)SHA256_Final(out, &h->as.sha256);
  bytes_wipe(h, sizeof(*h));
  return len;
}

void digest_md5(const struct bytes *piece, size_t count, uint8_t out[MD5_SIZE])
{
  MD5_CTX ctx;
  (void)MD5_Init(&ctx);
  for (size_t i = 0; i < count; i++)
    (void)MD5_Update(&ctx, piece[i].at, piece[i].len);
  (void)MD5_Final(out, &ctx);
  bytes_wipe(&ctx, sizeof(ctx));
}

void digest_sha256(const struct bytes *piece, size_t count, uint8_t out[SHA256_SIZE])
{
  struct hasher h;
  hasher_init(&h, KIND_SHA256);
  hasher_add(&h, piece, count);
  hasher_end(&h, out);
}

/* RFC 2104 section 2: "H(K XOR opad, H(K XOR ipad, text))". */
static void hmac(enum kind kind, struct bytes key, const struct bytes *piece, size_t count,
                 uint8_t *out)
{
  uint8_t block[HMAC_BLOCK] = {0};
  struct bytes pad = {block, sizeof(block)};
  struct hasher h;

  /* "Applications that use keys longer than B bytes will first hash the key using H". */
  if (key.len > sizeof(block)) {
    hasher_init(&h, kind);
    hasher_add(&h, &key, 1);
    hasher_end(&h, block);
  } else if (key.len > 0) {
    memcpy(block, key.at, key.len);
  }

  for (size_t i = 0; i < sizeof(block); i++)
    block[i] ^= 0x36;
  hasher_init(&h, kind);
  hasher_add(&h, &pad, 1);
  hasher_add(&h, piece, count);
  struct bytes inner = {out, hasher_end(&h, out)};

  for (size_t i = 0; i < sizeof(block); i++)
    block[i] ^= 0x36 ^ 0x5c;
  hasher_init(&h, kind);
  hasher_add(&h, &pad, 1);
  hasher_add(&h, &inner, 1);
  hasher_end(&h, out);
  bytes_wipe(block, sizeof(block));
}

void hmac_sha1(struct bytes key, const struct bytes *piece, size_t count, uint8_t out[SHA1_SIZE])
{
  hmac(KIND_SHA1, key, piece, count, out);
}

void hmac_sha256(struct bytes key, const struct bytes *piece, size_t count,
                 uint8_t out[SHA256_SIZE])
{
  hmac(KIND_SHA256, key, piece, count, out);
}

uint32_t digest_crc32(const struct bytes *piece, size_t count)
{
  uLong crc = crc32_z(0, NULL, 0);
  for (size_t i = 0; i < count; i++) {
    /* zlib takes a NULL buffer as the wish to start anew, and an empty view may be NULL. */
    if (piece[i].len > 0)
      crc = crc32_z(crc, piece[i].at, piece[i].len);
  }
  return (uint32_t)crc;
}
