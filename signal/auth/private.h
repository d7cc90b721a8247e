/* What the files of this folder share. */
#ifndef VIADUCT_SIGNAL_AUTH_PRIVATE_H
#define VIADUCT_SIGNAL_AUTH_PRIVATE_H

#include <cjose/jwk.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "signal/auth/auth.h"

enum auth_alg { AUTH_HS256, AUTH_RS256, AUTH_ES256, AUTH_EDDSA, AUTH_ALG_COUNT };

enum {
  AUTH_KEYS = 64,
  AUTH_KID_SIZE = 128,
  AUTH_TRIES = 8, /* keys that one token is tried with; a kid makes it one */
  AUTH_DEPTH = 16 /* levels of nesting in a header or in claims */
};

/* Made for one algorithm and used for no other. */
struct auth_key {
  enum auth_alg alg;
  char kid[AUTH_KID_SIZE];
  size_t kid_len;   /* 0: it has no name, and is tried for every token of its algorithm */
  cjose_jwk_t *jwk; /* owned; NULL for EdDSA */
  EVP_PKEY *okp;    /* owned; for EdDSA, which cjose does not know */
};

struct auth_keys {
  size_t count, skipped;
  struct auth_key key[AUTH_KEYS];
};

/* Adds what `text` (a JWK Set) has. On failure `e` says what is wrong, behind no name of a file,
 * and `keys` is to be emptied by auth__keys_fini. */
int auth__keys_read(struct auth_keys *keys, struct bytes text, struct net_error *e);
int auth__keys_add_secret(struct auth_keys *keys, struct bytes secret, struct net_error *e);
void auth__keys_fini(struct auth_keys *keys);

/* A compact token (RFC 7515 section 7.1), cut: views into it. */
struct auth_token {
  struct bytes text;      /* all of it */
  struct bytes signed_by; /* header "." payload: what the signature is over */
  struct bytes payload;   /* base64url */
  struct bytes signature; /* base64url */
  enum auth_alg alg;
  char kid[AUTH_KID_SIZE];
  size_t kid_len; /* 0: it names none */
};

bool auth__is_base64url(struct bytes text);
/* NULL, or why it is refused: a static sentence. */
const char *auth__token_read(struct bytes text, struct auth_token *out);
bool auth__key_verify(const struct auth_key *key, const struct auth_token *t);

/* What the claims have to say besides who and what. */
struct auth_rules {
  const char *issuer, *audience; /* NULL: not configured */
  uint32_t leeway_s;
};
/* Of a token whose signature is right. `json` is owned by the caller and holds what the views in
 * `out` show. NULL, or why it is refused. */
const char *auth__claims_read(const json_t *json, const struct auth_rules *rules,
                              struct sig_claims *out);

#endif
