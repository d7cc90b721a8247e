/* MD5, SHA-1, SHA-256, HMAC and CRC-32, as STUN uses them. Over the plain block functions of
 * libcrypto and zlib: OpenSSL's EVP interface allocates, locks and fetches at each call, which a
 * pure core must not, and costs more than the hash of so short a message. */
#ifndef VIADUCT_BASE_DIGEST_H
#define VIADUCT_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum { MD5_SIZE = 16, SHA1_SIZE = 20, SHA256_SIZE = 32 };

/* Each hashes `count` pieces as if they stood in one row. */
void digest_md5(const struct bytes *piece, size_t count, uint8_t out[MD5_SIZE]);
void digest_sha256(const struct bytes *piece, size_t count, uint8_t out[SHA256_SIZE]);
/* RFC 2104. */
void hmac_sha1(struct bytes key, const struct bytes *piece, size_t count, uint8_t out[SHA1_SIZE]);
void hmac_sha256(struct bytes key, const struct bytes *piece, size_t count,
                 uint8_t out[SHA256_SIZE]);
/* CRC-32 as in ITU V.42, of `count` pieces in one row. */
uint32_t digest_crc32(const struct bytes *piece, size_t count);

#endif
