/* Keys, made once of JSON Web Keys (RFC 7517, 7518, 8037), and signatures against them. libcjose
 * reads the keys and checks HS256, RS256 and ES256; EdDSA, which it does not know, is two calls of
 * the libcrypto under it. Called by auth.c. */
#include <cjose/jws.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "signal/auth/private.h"

enum { ED25519_SIZE = 32, ED25519_SIGNATURE = 64, RSA_MIN_BITS = 2048, SET_DEPTH = 8 };

/* Which key is for which algorithm: that, and nothing a token says, decides what a key is used for
 * (RFC 8725 section 3.1: "Each key MUST be used with exactly one algorithm"). */
static const struct {
  const char *kty, *crv, *alg;
} kinds[AUTH_ALG_COUNT] = {
    [AUTH_HS256] = {"oct", NULL, "HS256"},
    [AUTH_RS256] = {"RSA", NULL, "RS256"},
    [AUTH_ES256] = {"EC", "P-256", "ES256"},
    [AUTH_EDDSA] = {"OKP", "Ed25519", "EdDSA"},
};

static bool is_text(const json_t *object, const char *member, const char *text)
{
  const json_t *v = json_object_get(object, member);
  return json_is_string(v) && json_string_length(v) == strlen(text) &&
         memcmp(json_string_value(v), text, strlen(text)) == 0;
}

static bool is_absent_or(const json_t *object, const char *member, const char *text)
{
  return !json_object_get(object, member) || is_text(object, member, text);
}

/* RFC 7517 section 4.3: "Its value is an array of key operation values." */
static bool may_verify(const json_t *jwk)
{
  const json_t *ops = json_object_get(jwk, "key_ops"), *op;
  size_t i;
  if (!ops)
    return true;
  json_array_foreach(ops, i, op)
  {
    if (json_is_string(op) && strcmp(json_string_value(op), "verify") == 0)
      return true;
  }
  return false;
}

/* AUTH_ALG_COUNT: none that is of use here. */
static enum auth_alg alg_of(const json_t *jwk)
{
  if (!is_absent_or(jwk, "use", "sig") || !may_verify(jwk))
    return AUTH_ALG_COUNT;
  for (unsigned i = 0; i < AUTH_ALG_COUNT; i++) {
    if (is_text(jwk, "kty", kinds[i].kty) && (!kinds[i].crv || is_text(jwk, "crv", kinds[i].crv)) &&
        is_absent_or(jwk, "alg", kinds[i].alg))
      return (enum auth_alg)i;
  }
  return AUTH_ALG_COUNT;
}

static EVP_PKEY *ed25519_of(const json_t *jwk)
{
  uint8_t raw[ED25519_SIZE];
  const json_t *x = json_object_get(jwk, "x");
  const struct bytes text = {(const uint8_t *)json_string_value(x), json_string_length(x)};
  if (!json_is_string(x) || base64_decode(text, raw, sizeof raw) != ED25519_SIZE)
    return NULL;
  return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, sizeof raw);
}

static size_t bits_of(const cjose_jwk_t *jwk)
{
  cjose_err e;
  return cjose_jwk_get_keysize(jwk, &e);
}

/* The members that are bytes are base64url; libcjose's decoder would end the process over some that
 * are not. */
static bool is_encoded(const json_t *jwk)
{
  static const char *const members[] = {"k", "n", "e", "x", "y"};
  for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
    const json_t *v = json_object_get(jwk, members[i]);
    const struct bytes text = {(const uint8_t *)json_string_value(v), json_string_length(v)};
    if (v && (!json_is_string(v) || !auth__is_base64url(text)))
      return false;
  }
  return true;
}

/* NULL, or what is wrong with the material. */
static const char *take_material(struct auth_key *key, const json_t *jwk)
{
  cjose_err e;
  if (key->alg != AUTH_HS256 && json_object_get(jwk, "d"))
    return "it has the private part ('d'), which belongs to who makes the tokens; leave the public "
           "part alone here";
  if (!is_encoded(jwk))
    return "one of 'k', 'n', 'e', 'x' and 'y' is no base64url";
  if (key->alg == AUTH_EDDSA) {
    key->okp = ed25519_of(jwk);
    return key->okp ? NULL : "its 'x' is not 32 bytes in base64url";
  }
  key->jwk = cjose_jwk_import_json((cjose_header_t *)(uintptr_t)jwk, &e);
  if (!key->jwk)
    return "its members are missing or are no such key";
  /* RFC 7518 section 3.3: "A key of size 2048 bits or larger MUST be used with these algorithms."
   */
  if (key->alg == AUTH_RS256 && bits_of(key->jwk) < RSA_MIN_BITS)
    return "an RSA key has 2048 bits or more";
  /* Section 3.2: "A key of the same size as the hash output (for instance, 256 bits for "HS256") or
   * larger MUST be used with this algorithm." */
  if (key->alg == AUTH_HS256 && bits_of(key->jwk) < (size_t)AUTH_SECRET_MIN * 8)
    return "a key for HS256 has 32 bytes or more";
  return NULL;
}

static const char *take_name(struct auth_key *key, const json_t *jwk)
{
  const json_t *kid = json_object_get(jwk, "kid");
  size_t len = json_string_length(kid);
  if (!kid)
    return NULL;
  if (!json_is_string(kid) || len == 0 || len > AUTH_KID_SIZE)
    return "its 'kid' is no text of 1 to 128 bytes";
  memcpy(key->kid, json_string_value(kid), len);
  key->kid_len = len;
  return NULL;
}

/* RFC 7517 section 5: "Implementations SHOULD ignore JWKs within a JWK Set that use "kty" (key
 * type) values that are not understood by them". What is of a kind that we know and is broken is
 * the operator's mistake, and he is told. */
static int take(struct auth_keys *keys, const json_t *jwk, size_t index, struct net_error *e)
{
  enum auth_alg alg = alg_of(jwk);
  if (alg == AUTH_ALG_COUNT) {
    keys->skipped++;
    return 0;
  }
  if (keys->count == AUTH_KEYS) {
    net_error_set(e, "has more than %d keys; leave some out", AUTH_KEYS);
    return -ERR_BAD;
  }
  struct auth_key *key = &keys->key[keys->count++];
  *key = (struct auth_key){.alg = alg};
  const char *wrong = take_name(key, jwk);
  if (!wrong)
    wrong = take_material(key, jwk);
  if (!wrong)
    return 0;
  net_error_set(e, "has a key of no use, number %zu: %s", index + 1, wrong);
  return -ERR_BAD;
}

static int read_set(struct auth_keys *keys, const json_t *set, struct net_error *e)
{
  const json_t *array = json_object_get(set, "keys"), *jwk;
  size_t i;
  int err = 0;
  if (!json_is_array(array)) {
    net_error_set(e, "is no JWK Set: it has to look like {\"keys\":[{\"kty\":…},…]}");
    return -ERR_BAD;
  }
  json_array_foreach(array, i, jwk)
  {
    if (!err)
      err = take(keys, jwk, i, e);
  }
  return err;
}

int auth__keys_read(struct auth_keys *keys, struct bytes text, struct net_error *e)
{
  json_t *set = NULL;
  int err = json_read(text, SET_DEPTH, &set);
  if (err) {
    net_error_set(e, err == -ERR_NOMEM ? "cannot be read: out of memory" : "is not JSON");
    return err == -ERR_NOMEM ? err : -ERR_BAD;
  }
  err = read_set(keys, set, e);
  json_decref(set);
  if (!err && keys->count == 0) {
    net_error_set(e, "has no key for HS256, RS256, ES256 (P-256) or EdDSA (Ed25519)");
    err = -ERR_BAD;
  }
  return err;
}

int auth__keys_add_secret(struct auth_keys *keys, struct bytes secret, struct net_error *e)
{
  cjose_err why;
  struct auth_key key = {.alg = AUTH_HS256,
                         .jwk = cjose_jwk_create_oct_spec(secret.at, secret.len, &why)};
  if (!key.jwk) {
    net_error_set(e, "auth-secret cannot be used: out of memory");
    return -ERR_NOMEM;
  }
  keys->key[keys->count++] = key;
  return 0;
}

void auth__keys_fini(struct auth_keys *keys)
{
  for (size_t i = 0; i < keys->count; i++) {
    if (keys->key[i].jwk)
      (void)cjose_jwk_release(keys->key[i].jwk);
    EVP_PKEY_free(keys->key[i].okp);
  }
  keys->count = 0;
}

static bool verify_eddsa(const struct auth_key *key, const struct auth_token *t)
{
  uint8_t signature[ED25519_SIGNATURE];
  if (base64_decode(t->signature, signature, sizeof signature) != ED25519_SIGNATURE)
    return false;
  EVP_MD_CTX *c = EVP_MD_CTX_new();
  bool good =
      c && EVP_DigestVerifyInit(c, NULL, NULL, NULL, key->okp) == 1 &&
      EVP_DigestVerify(c, signature, sizeof signature, t->signed_by.at, t->signed_by.len) == 1;
  EVP_MD_CTX_free(c);
  return good;
}

/* The caller has seen to it that the header's alg is the key's. */
bool auth__key_verify(const struct auth_key *key, const struct auth_token *t)
{
  cjose_err e;
  if (key->alg == AUTH_EDDSA)
    return verify_eddsa(key, t);
  cjose_jws_t *jws = cjose_jws_import((const char *)t->text.at, t->text.len, &e);
  bool good = jws && cjose_jws_verify(jws, key->jwk, &e);
  cjose_jws_release(jws);
  return good;
}
