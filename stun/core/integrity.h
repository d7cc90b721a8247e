/* MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256, FINGERPRINT, USERHASH and the keys (RFC 8489
 * sections 9.2, 14.4 to 14.7, 18.5). */
#ifndef VIADUCT_STUN_CORE_INTEGRITY_H
#define VIADUCT_STUN_CORE_INTEGRITY_H

#include "stun/core/encode.h"
#include "stun/core/types.h"

/* A key of the short-term (the password itself) or the long-term mechanism (MD5: 16 bytes, SHA-256:
 * 32 bytes). */
enum { STUN_KEY_MAX = 64 };
struct stun_key {
  uint8_t bytes[STUN_KEY_MAX];
  uint8_t len;
};

/* MD5(username ":" realm ":" password), RFC 8489 18.5.1.1; the caller has applied OpaqueString
 * where the text is not ASCII. */
struct stun_key stun_key_md5(struct bytes username, struct bytes realm, struct bytes password);
/* SHA-256 of the same, 18.5.1.2. */
struct stun_key stun_key_sha256(struct bytes username, struct bytes realm, struct bytes password);
/* SHA-256(username ":" realm), 14.4. */
void stun_userhash(struct bytes username, struct bytes realm, uint8_t out[32]);

/* Which integrity attribute a message carries, or is to carry. */
enum stun_integrity { STUN_INTEGRITY_NONE, STUN_INTEGRITY_SHA1, STUN_INTEGRITY_SHA256 };

void stun_put_integrity(struct stun_encoder *e, enum stun_integrity kind,
                        const struct stun_key *key);
void stun_put_fingerprint(struct stun_encoder *e);

/* Whether the attribute of that kind is there and right; in constant time. A truncated SHA-256 MAC
 * is not. */
bool stun_check_integrity(const struct stun_view *v, enum stun_integrity kind,
                          const struct stun_key *key);
/* For a usage that explicitly allows truncated SHA-256 MACs of `least` bytes and more (14.6;
 * neither TURN nor ICE does). */
bool stun_check_truncated(const struct stun_view *v, size_t least, const struct stun_key *key);
/* Absent: true. Present: whether it is right and the last attribute (14.7). */
bool stun_check_fingerprint(const struct stun_view *v);

#endif
