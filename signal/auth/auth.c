/* What is configured, and the check of a token from top to bottom; see auth.h. */
#include "signal/auth/auth.h"

#include <string.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "net/file.h"
#include "signal/auth/private.h"

struct auth {
  struct mem *mem;
  struct auth_rules rules;
  const char *secret, *jwks_path;
  struct auth_keys *keys; /* owned */
  json_t *claims;         /* owned: of the last token; the core may still look at it */
};

static int read_jwks(struct auth *a, struct auth_keys *keys, struct net_error *e)
{
  struct net_file file = {0};
  struct net_error why = {{0}};
  int err = net_file_read(a->jwks_path, AUTH_JWKS_SIZE, a->mem, &file, e);
  if (err)
    return err;
  err = auth__keys_read(keys, file.bytes, &why);
  net_file_free(&file, a->mem);
  if (err)
    net_error_set(e, "auth-jwks %s %s", a->jwks_path, why.text);
  return err;
}

static int make_keys(struct auth *a, struct auth_keys **out, struct net_error *e)
{
  struct auth_keys *keys = mem_new(a->mem, sizeof *keys);
  int err = 0;
  if (!keys) {
    net_error_set(e, "out of memory");
    return -ERR_NOMEM;
  }
  if (a->jwks_path)
    err = read_jwks(a, keys, e);
  if (!err && a->secret && keys->count == AUTH_KEYS) {
    net_error_set(e, "auth-jwks %s leaves no room for auth-secret; leave a key out", a->jwks_path);
    err = -ERR_BAD;
  }
  if (!err && a->secret)
    err = auth__keys_add_secret(keys, bytes_of(a->secret), e);
  if (err) {
    auth__keys_fini(keys);
    mem_free(a->mem, keys, sizeof *keys);
    return err;
  }
  *out = keys;
  return 0;
}

int auth_new(const struct auth_setup *setup, struct auth **out, struct net_error *e)
{
  struct auth *a = mem_new(setup->mem, sizeof *a);
  if (!a) {
    net_error_set(e, "out of memory");
    return -ERR_NOMEM;
  }
  *a = (struct auth){.mem = setup->mem,
                     .rules = {setup->issuer, setup->audience, setup->leeway_s},
                     .secret = setup->secret,
                     .jwks_path = setup->jwks_path};
  int err = make_keys(a, &a->keys, e);
  if (err) {
    auth_free(a);
    return err;
  }
  *out = a;
  return 0;
}

void auth_free(struct auth *a)
{
  if (!a)
    return;
  json_decref(a->claims);
  if (a->keys)
    auth__keys_fini(a->keys);
  mem_free(a->mem, a->keys, sizeof *a->keys);
  mem_free(a->mem, a, sizeof *a);
}

size_t auth_key_count(const struct auth *a)
{
  return a->keys->count;
}

size_t auth_skipped_count(const struct auth *a)
{
  return a->keys->skipped;
}

/* Whether this key may be the one: never one of another algorithm (RFC 8725 section 2.1: a public
 * key must not serve as the secret of HS256). */
static bool is_candidate(const struct auth_key *key, const struct auth_token *t)
{
  return key->alg == t->alg &&
         (key->kid_len == 0 || t->kid_len == 0 ||
          (key->kid_len == t->kid_len && memcmp(key->kid, t->kid, t->kid_len) == 0));
}

static const char *check_signature(const struct auth_keys *keys, const struct auth_token *t)
{
  unsigned tries = 0;
  for (size_t i = 0; i < keys->count && tries < AUTH_TRIES; i++) {
    if (!is_candidate(&keys->key[i], t))
      continue;
    tries++;
    if (auth__key_verify(&keys->key[i], t))
      return NULL;
  }
  return tries > 0 ? "the token's signature is wrong"
                   : "this server has no key of the token's 'alg' and 'kid'";
}

static const char *read_claims(struct auth *a, const struct auth_token *t, struct sig_claims *out)
{
  uint8_t raw[SIG_TOKEN_SIZE];
  json_t *claims = NULL;
  int len = base64_decode(t->payload, raw, sizeof raw);
  if (len < 0 || json_read((struct bytes){raw, (size_t)len}, AUTH_DEPTH, &claims) != 0)
    return "the token's claims are no JSON object, have a member twice, or are nested too deeply";
  json_decref(a->claims);
  a->claims = claims;
  return auth__claims_read(claims, &a->rules, out);
}

int auth_check(void *arg, struct bytes token, struct sig_claims *out, const char **why)
{
  struct auth *a = arg;
  struct auth_token t;
  const char *wrong = auth__token_read(token, &t);
  if (!wrong)
    wrong = check_signature(a->keys, &t);
  if (!wrong)
    wrong = read_claims(a, &t, out);
  if (!wrong)
    return 0;
  *why = wrong;
  return -ERR_DENIED;
}

const char *auth_issuer(const struct auth *a)
{
  return a->rules.issuer;
}

const char *auth_audience(const struct auth *a)
{
  return a->rules.audience;
}

int auth_sign(const struct auth *a, struct bytes claims, struct buf *out)
{
  static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
  uint8_t mac[SHA256_SIZE];
  size_t from = out->len;
  if (!a->secret)
    return -ERR_MISSING;
  buf_put_base64url(out, header, sizeof header - 1);
  buf_put_byte(out, '.');
  buf_put_base64url(out, claims.at, claims.len);
  const struct bytes text = {out->at + from, out->len - from};
  hmac_sha256(bytes_of(a->secret), &text, 1, mac);
  buf_put_byte(out, '.');
  buf_put_base64url(out, mac, sizeof mac);
  return 0;
}
