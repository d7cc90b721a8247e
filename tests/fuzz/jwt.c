/* Fuzz target: tokens and key sets. The first byte says what the rest is: 0 a token as it comes, 1
 * claims and 2 a header, signed with the right secret so that what is inside is read; 3 a JWK Set;
 * 4 what a backend answered about a hello. What must hold: who is let in had a token that was
 * signed with the secret and the algorithm HS256 and has at most SIG_CLAIM_ROOMS rooms, and a
 * refusal has its sentence. */
#include <string.h>

#include "base/digest.h"
#include "base/err.h"
#include "net/mem.h"
#include "signal/auth/private.h"
#include "tests/fuzz/fuzz.h"

static const char secret[] = "0123456789abcdef0123456789abcdef";

static struct bytes sign(struct buf *b, struct bytes header, struct bytes payload)
{
  uint8_t mac[SHA256_SIZE];
  buf_put_base64url(b, header.at, header.len);
  buf_put_byte(b, '.');
  buf_put_base64url(b, payload.at, payload.len);
  const struct bytes text = {b->at, b->len};
  hmac_sha256(bytes_of(secret), &text, 1, mac);
  buf_put_byte(b, '.');
  buf_put_base64url(b, mac, sizeof mac);
  return (struct bytes){b->at, b->len};
}

static bool is_signed(struct bytes token)
{
  uint8_t mac[SHA256_SIZE], theirs[SHA256_SIZE];
  size_t dot = token.len;
  while (dot > 0 && token.at[dot - 1] != '.')
    dot--;
  const struct bytes text = {token.at, dot - 1};
  const struct bytes signature = {token.at + dot, token.len - dot};
  hmac_sha256(bytes_of(secret), &text, 1, mac);
  return dot > 0 && base64_decode(signature, theirs, sizeof theirs) == SHA256_SIZE &&
         memcmp(mac, theirs, sizeof mac) == 0;
}

static void check(struct bytes token)
{
  struct mem mem = net_mem();
  const struct auth_setup setup = {.mem = &mem, .secret = secret, .leeway_s = 30};
  struct auth *auth = NULL;
  struct sig_claims claims = {0};
  const char *why = NULL;
  REQUIRE(auth_new(&setup, &auth, NULL) == 0);
  if (auth_check(auth, token, &claims, &why) == 0) {
    REQUIRE(is_signed(token));
    REQUIRE(claims.room_count <= SIG_CLAIM_ROOMS && (claims.can & ~(uint32_t)SIG_CAN_ALL) == 0);
    for (size_t i = 0; i < claims.room_count; i++)
      REQUIRE(claims.room[i].len > 0 && !memchr(claims.room[i].at, 0, claims.room[i].len));
  } else {
    REQUIRE(why && *why);
  }
  auth_free(auth);
}

static void read_set(struct bytes text)
{
  static struct auth_keys keys;
  struct net_error e = {{0}};
  keys = (struct auth_keys){0};
  if (auth__keys_read(&keys, text, &e) == 0)
    REQUIRE(keys.count > 0 && keys.count <= AUTH_KEYS);
  else
    REQUIRE(e.text[0]);
  auth__keys_fini(&keys);
}

/* Nobody is let in by an answer that does not say so. */
static void read_verdict(struct bytes text)
{
  struct sig_verdict v;
  json_t *json;
  char *ice;
  const char *wrong = auth_verdict_read(text, &v, &json, &ice);
  if (!wrong && v.err == 0)
    REQUIRE(json_is_true(json_object_get(json, "allow")) && v.ice.len <= 16384);
  else
    REQUIRE(wrong || (v.err == -ERR_DENIED && v.why));
  json_decref(json);
  free(ice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static uint8_t storage[32768];
  struct buf b;
  if (size == 0 || size > 8192)
    return 0;
  const struct bytes rest = {data + 1, size - 1};
  buf_init(&b, storage, sizeof storage);
  if (data[0] % 5 == 0)
    check(rest);
  else if (data[0] % 5 == 1)
    check(sign(&b, bytes_of("{\"alg\":\"HS256\"}"), rest));
  else if (data[0] % 5 == 2)
    check(sign(&b, rest, bytes_of("{}")));
  else if (data[0] % 5 == 3)
    read_set(rest);
  else
    read_verdict(rest);
  return 0;
}
