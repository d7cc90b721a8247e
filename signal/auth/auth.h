/* Who somebody is by his token: JSON Web Tokens (RFC 7519), signed (RFC 7515) with HS256, RS256,
 * ES256 or EdDSA. The core asks through its seam (sig_auth_fn); whoever asks sets auth_check and a
 * struct auth there.
 *
 *   auth.c    what is configured, its keys; the check from top to bottom
 *   token.c   a compact token into its parts, its header; and its claims, once they are trusted
 *   verdict.c what the application's backend said instead (auth=webhook, asked by asker.c)
 *   keys.c    JSON Web Keys (RFC 7517) into keys, once; a signature against one of them
 *
 * One struct auth is for one thread: it keeps the claims of the last token. */
#ifndef VIADUCT_SIGNAL_AUTH_AUTH_H
#define VIADUCT_SIGNAL_AUTH_AUTH_H

#include <jansson.h>

#include "net/error.h"
#include "signal/core/types.h"

enum {
  AUTH_SECRET_MIN = 32, /* bytes: RFC 7518 section 3.2 */
  AUTH_JWKS_SIZE = 256 * 1024
};

struct auth;

/* The texts are borrowed until auth_free; each may be NULL: not configured. */
struct auth_setup {
  struct mem *mem;
  const char *secret;    /* for HS256, used as it is; at least AUTH_SECRET_MIN bytes */
  const char *jwks_path; /* a file with a JWK Set */
  const char *issuer;    /* what `iss` has to be */
  const char *audience;  /* what `aud` has to name */
  uint32_t leeway_s;     /* by how much clocks may differ */
};

/* Returns owned. On failure `e` is one line with the mend: -ERR_BAD, -ERR_NOMEM, or what reading
 * the file gave. */
int auth_new(const struct auth_setup *setup, struct auth **out, struct net_error *e);
void auth_free(struct auth *a); /* NULL is fine */

/* Keys that can be used, and entries of the file that cannot (other algorithms, other uses). */
size_t auth_key_count(const struct auth *a);
size_t auth_skipped_count(const struct auth *a);

/* A sig_auth_fn; `arg` is the struct auth. The views in `out` live until the next call. The times
 * are the token's with the leeway added; the core compares them. */
int auth_check(void *arg, struct bytes token, struct sig_claims *out, const char **why);

/* What `iss` and `aud` of a token have to be for it; NULL: anything, and none. */
const char *auth_issuer(const struct auth *a);
const char *auth_audience(const struct auth *a);

/* Makes a token of `claims` (a JSON object) with the configured secret, HS256: for who mints tokens
 * on behalf of the operator. -ERR_MISSING: there is no secret. See out->overflow. */
int auth_sign(const struct auth *a, struct bytes claims, struct buf *out);

/* What the application's backend said about a hello (auth=webhook), as a verdict. Its views live as
 * long as *json and *ice, which are the caller's (json_decref, free) in any case. NULL, or what is
 * wrong with it: a static sentence, for the log. */
const char *auth_verdict_read(struct bytes body, struct sig_verdict *out, json_t **json,
                              char **ice);

#endif
