/* Authenticated decryption (RFC 5116) for access tokens: AES-GCM by OpenSSL, which allocates, so
 * that turn/core gets it as an effect. */
#ifndef VIADUCT_NET_AEAD_H
#define VIADUCT_NET_AEAD_H

#include "base/bytes.h"

enum { NET_AEAD_NONCE = 12, NET_AEAD_TAG = 16 }; /* bytes, of both */

struct net_aead {
  struct bytes key;        /* 16 bytes: AEAD_AES_128_GCM; 32: AEAD_AES_256_GCM */
  struct bytes nonce;      /* NET_AEAD_NONCE */
  struct bytes associated; /* authenticated, not encrypted; may be empty */
  struct bytes sealed;     /* ciphertext, then the tag */
};

/* `out` gets sealed.len - NET_AEAD_TAG bytes. -ERR_BAD: not authentic, or a length that does not
 * fit, and `out` says nothing; -ERR_NOMEM. */
int net_aead_open(const struct net_aead *a, uint8_t *out);

#endif
