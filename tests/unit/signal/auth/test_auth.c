/* signal/auth/auth.c and token.c: what a token says, and each refusal with its words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/err.h"
#include "signal/auth/auth.h"
#include "tests/support/failing_mem.h"

static const char secret[] = "0123456789abcdef0123456789abcdef";

static struct failing_mem mem;
static struct auth_setup setup;
static struct auth *auth;
static struct sig_claims claims;
static char token[16384];

static int set_up(void **state)
{
  (void)state;
  failing_mem_init(&mem);
  setup = (struct auth_setup){.mem = &mem.mem, .secret = secret, .leeway_s = 5};
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  auth_free(auth);
  auth = NULL;
  return mem.blocks != 0;
}

static void open_auth(void)
{
  struct net_error e = {{0}};
  auth_free(auth);
  auth = NULL;
  assert_int_equal(auth_new(&setup, &auth, &e), 0);
}

/* header "." payload, signed with the secret. */
static void make(const char *header, const char *payload)
{
  uint8_t mac[SHA256_SIZE];
  struct buf b;
  buf_init(&b, token, sizeof token - 1);
  buf_put_base64url(&b, header, strlen(header));
  buf_put_byte(&b, '.');
  buf_put_base64url(&b, payload, strlen(payload));
  const struct bytes text = {b.at, b.len};
  hmac_sha256(bytes_of(secret), &text, 1, mac);
  buf_put_byte(&b, '.');
  buf_put_base64url(&b, mac, sizeof mac);
  assert_false(b.overflow);
  token[b.len] = 0;
}

static const char *check_text(const char *text)
{
  const char *why = "?";
  if (!auth)
    open_auth();
  claims = (struct sig_claims){0};
  int err = auth_check(auth, bytes_of(text), &claims, &why);
  assert_true(err == 0 || err == -ERR_DENIED);
  return err == 0 ? NULL : why;
}

static const char *check(const char *payload)
{
  make("{\"alg\":\"HS256\"}", payload);
  return check_text(token);
}

static void refused(const char *why, const char *because)
{
  if (!why || !strstr(why, because))
    fail_msg("\"%s\" does not say \"%s\"", why ? why : "(accepted)", because);
}

static void bad_header(const char *header, const char *because)
{
  make(header, "{}");
  refused(check_text(token), because);
}

static void what_a_token_says(void **state)
{
  (void)state;
  assert_null(
      check("{\"sub\":\"ann\",\"exp\":1000,\"nbf\":100,\"iat\":1.5,"
            "\"rooms\":[\"tea\",\"team-*\"],\"can\":[\"join\",\"kick\",\"fly\"],\"x\":[]}"));
  assert_int_equal(claims.sub.len, 3);
  assert_memory_equal(claims.sub.at, "ann", 3);
  assert_int_equal(claims.exp_s, 1005);
  assert_int_equal(claims.nbf_s, 95);
  assert_int_equal(claims.can, SIG_CAN_JOIN | SIG_CAN_KICK);
  assert_false(claims.any_room);
  assert_int_equal(claims.room_count, 2);
  assert_memory_equal(claims.room[1].at, "team-*", 6);
  assert_null(check("{}"));
  assert_true(claims.any_room);
  assert_int_equal(claims.can, SIG_CAN_BY_DEFAULT);
  assert_int_equal(claims.exp_s, 0);
  assert_int_equal(claims.sub.len, 0);
  /* Nothing allowed is not everything allowed. */
  assert_null(check("{\"rooms\":[],\"can\":[]}"));
  assert_false(claims.any_room);
  assert_int_equal(claims.can, 0);
}

/* 0 stands for "no exp" in the core: no date may come to that. */
static void dates(void **state)
{
  (void)state;
  setup.leeway_s = 0;
  static const char *const past[] = {"0", "-1", "0.5", "-1e300", "1"};
  for (size_t i = 0; i < sizeof past / sizeof past[0]; i++) {
    char payload[64];
    snprintf(payload, sizeof payload, "{\"exp\":%s}", past[i]);
    assert_null(check(payload));
    assert_int_equal(claims.exp_s, 1);
  }
  assert_null(check("{\"exp\":1e300,\"nbf\":1e300}"));
  assert_true(claims.exp_s > 1000000000000000 && claims.nbf_s > 1000000000000000);
  refused(check("{\"exp\":\"1000\"}"), "'exp'");
  refused(check("{\"exp\":null}"), "'exp'");
  refused(check("{\"exp\":true}"), "'exp'");
  refused(check("{\"nbf\":[]}"), "'nbf'");
  refused(check("{\"iat\":\"now\"}"), "'iat'");
}

static void claims_that_are_no_good(void **state)
{
  (void)state;
  char many[1024] = "{\"rooms\":[\"a\"", long_name[512];
  refused(check("[]"), "no JSON object");
  refused(check("\"x\""), "no JSON object");
  refused(check("{\"a\":1"), "no JSON object");
  refused(check("{\"sub\":\"a\",\"sub\":\"b\"}"), "a member twice");
  refused(check("{\"rooms\":[],\"\\u0072ooms\":[\"*\"]}"), "a member twice");
  refused(check("{\"x\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}"), "nested too deeply");
  refused(check("{\"sub\":1}"), "'sub'");
  refused(check("{\"rooms\":\"tea\"}"), "'rooms'");
  refused(check("{\"rooms\":null}"), "'rooms'");
  refused(check("{\"rooms\":[1]}"), "name of a room");
  refused(check("{\"rooms\":[\"\"]}"), "name of a room");
  refused(check("{\"rooms\":[\"tea\\u0000*\"]}"), "name of a room");
  refused(check("{\"can\":\"join\"}"), "'can'");
  refused(check("{\"can\":[1]}"), "'can'");
  refused(check("{\"iss\":1}"), "'iss'");
  for (int i = 0; i < SIG_CLAIM_ROOMS; i++)
    strncat(many, ",\"a\"", sizeof many - strlen(many) - 1);
  strncat(many, "]}", sizeof many - strlen(many) - 1);
  refused(check(many), "more than 32");
  snprintf(long_name, sizeof long_name, "{\"sub\":\"%0300d\"}", 0);
  refused(check(long_name), "'sub'");
}

static void headers_that_are_no_good(void **state)
{
  (void)state;
  char kid[256];
  bad_header("[]", "no JSON object");
  bad_header("{}", "no 'alg'");
  bad_header("{\"alg\":1}", "no 'alg'");
  bad_header("{\"alg\":\"none\"}", "not taken here");
  bad_header("{\"alg\":\"None\"}", "not taken here");
  bad_header("{\"alg\":\"hs256\"}", "not taken here");
  bad_header("{\"alg\":\"HS512\"}", "not taken here");
  bad_header("{\"alg\":\"\"}", "not taken here");
  bad_header("{\"alg\":\"none\",\"alg\":\"HS256\"}", "a member twice");
  bad_header("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", "crit");
  bad_header("{\"alg\":\"HS256\",\"crit\":[]}", "crit");
  bad_header("{\"alg\":\"HS256\",\"typ\":1}", "'typ'");
  bad_header("{\"alg\":\"HS256\",\"kid\":1}", "'kid'");
  snprintf(kid, sizeof kid, "{\"alg\":\"HS256\",\"kid\":\"%0129d\"}", 0);
  bad_header(kid, "'kid'");
  /* Keys that a token brings are not looked at. */
  make(
      "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"},\"jku\":\"https://evil.example\"}",
      "{}");
  assert_null(check_text(token));
  /* A secret has no kid: it is tried whatever the token calls it. */
  make("{\"alg\":\"HS256\",\"kid\":\"2026\"}", "{}");
  assert_null(check_text(token));
}

static void forms_that_are_no_token(void **state)
{
  (void)state;
  refused(check_text(""), "a token is needed");
  refused(check_text("."), "no signed JWT");
  refused(check_text("a.b"), "no signed JWT");
  refused(check_text("a.b.c.d.e"), "no signed JWT");
  refused(check_text("eyJhbGciOiJub25lIn0.e30."), "no signed JWT");
  refused(check_text("e30.e30.AA=="), "no signed JWT");
  refused(check_text("e30.e30.A A"), "no signed JWT");
  refused(check_text("eyJhbGciOiJIUzI1NiJ9.e30.A"), "no signed JWT");
  refused(check_text("eyJhbGciOiJIUzI1NiJ9.e30aa.AA"), "no signed JWT");
  refused(check_text("e30.e30.\xc3\xa4"), "no signed JWT");
  refused(check_text("e30.e30.AA"), "no 'alg'");
  make("{\"alg\":\"HS256\"}", "{}");
  char *signature = strrchr(token, '.') + 1;
  signature[0] = signature[0] == 'A' ? 'B' : 'A';
  refused(check_text(token), "signature");
  signature[0] = 0;
  refused(check_text(token), "no signed JWT");
  memset(token, 'A', sizeof token);
  token[SIG_TOKEN_SIZE + 1] = 0;
  refused(check_text(token), "8192 bytes");
  token[SIG_TOKEN_SIZE] = 0;
  token[4000] = token[4100] = '.';
  refused(check_text(token), "1024 bytes");
}

static void issuer_and_audience(void **state)
{
  (void)state;
  refused(check("{\"aud\":\"call\"}"), "no auth-audience");
  assert_null(check("{\"iss\":\"anybody\"}"));
  setup.issuer = "https://id.example";
  setup.audience = "call";
  open_auth();
  refused(check("{\"aud\":\"call\"}"), "issuer");
  refused(check("{\"iss\":\"https://id.example\"}"), "no 'aud'");
  refused(check("{\"iss\":\"https://id.example/\",\"aud\":\"call\"}"), "issuer");
  refused(check("{\"iss\":\"https://id.example\",\"aud\":\"other\"}"), "another audience");
  refused(check("{\"iss\":\"https://id.example\",\"aud\":[\"other\",1,{}]}"), "another audience");
  refused(check("{\"iss\":\"https://id.example\",\"aud\":1}"), "another audience");
  assert_null(check("{\"iss\":\"https://id.example\",\"aud\":\"call\"}"));
  assert_null(check("{\"iss\":\"https://id.example\",\"aud\":[\"other\",\"call\"]}"));
}

/* RFC 8725 section 2.1: the other algorithms have no key here, whatever the signature. */
static void other_algorithms_have_no_key(void **state)
{
  (void)state;
  bad_header("{\"alg\":\"RS256\"}", "no key of the token's 'alg'");
  bad_header("{\"alg\":\"ES256\"}", "no key of the token's 'alg'");
  bad_header("{\"alg\":\"EdDSA\"}", "no key of the token's 'alg'");
}

static void what_is_signed_here_is_taken(void **state)
{
  (void)state;
  struct buf b;
  const char *why;
  open_auth();
  buf_init(&b, token, sizeof token);
  assert_int_equal(auth_sign(auth, bytes_of("{\"sub\":\"ann\"}"), &b), 0);
  claims = (struct sig_claims){0};
  assert_int_equal(auth_check(auth, (struct bytes){b.at, b.len}, &claims, &why), 0);
  assert_memory_equal(claims.sub.at, "ann", 3);
}

static void no_memory(void **state)
{
  (void)state;
  struct net_error e = {{0}};
  for (size_t n = 1; n <= 2; n++) {
    failing_mem_fail_at(&mem, n);
    assert_int_equal(auth_new(&setup, &auth, &e), -ERR_NOMEM);
  }
  failing_mem_fail_at(&mem, 0);
  assert_null(check("{}"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(what_a_token_says),
      TEST(dates),
      TEST(claims_that_are_no_good),
      TEST(headers_that_are_no_good),
      TEST(forms_that_are_no_token),
      TEST(issuer_and_audience),
      TEST(other_algorithms_have_no_key),
      TEST(what_is_signed_here_is_taken),
      TEST(no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
