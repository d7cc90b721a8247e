/* A stand-in for AES-GCM in tests of the core, of the same lengths and made of HMAC-SHA-256: what
 * one key, nonce and associated data sealed, no other opens. net/aead.c has the real one, and its
 * own tests. */
#ifndef VIADUCT_TESTS_TURN_AEAD_H
#define VIADUCT_TESTS_TURN_AEAD_H

#include "turn/core/types.h"

enum { FAKE_AEAD_NONCE = 12, FAKE_AEAD_TAG = 16 };

/* `out` gets the ciphertext and the tag; box->sealed is the plaintext here. */
void fake_aead_seal(const struct turn_sealed *box, uint8_t *out);
/* turn_effects.aead_open. */
int fake_aead_open(void *arg, const struct turn_sealed *box, uint8_t *out);

/* A token's block before it is sealed (RFC 7635 6.2). */
struct fake_token {
  struct bytes key;         /* that the authorization server shares with ours */
  struct bytes server_name; /* whom it is for */
  struct bytes mac_key;
  uint64_t made_s;
  uint32_t lifetime_s;
};

/* The value of ACCESS-TOKEN; its length. */
size_t fake_token_make(const struct fake_token *token, uint8_t *out, size_t cap);

#endif
