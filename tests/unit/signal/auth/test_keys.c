/* signal/auth/keys.c: the vectors of RFC 7515 and RFC 8037, and key sets that are no good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "signal/auth/private.h"

#define SET(jwk) "{\"keys\":[" jwk "]}"
/* The payload of RFC 7515 appendices A.1 to A.3. */
#define JOE                                                                                        \
  ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnV"   \
  "lfQ."

static const char hs256[] = SET(
    "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS"
    "4hcgUuTwjAzZr1Z9CAow\"}");
static const char hs256_token[] =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" JOE "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

static const char rs256[] = SET(
    "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-"
    "4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LO"
    "L-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh"
    "9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\","
    "\"e\":\"AQAB\"}");
static const char rs256_token[] =
    "eyJhbGciOiJSUzI1NiJ9" JOE "cC4hiUPoj9Eetdgtv3hF80EGrhuB__"
    "dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujG"
    "bds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
    "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
    "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
    "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6"
    "LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

static const char es256[] = SET("{\"kty\":\"EC\",\"crv\":\"P-256\","
                                "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                                "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}");
static const char es256_token[] =
    "eyJhbGciOiJFUzI1NiJ9" JOE
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

/* RFC 8037 appendix A.4. */
static const char eddsa[] = SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                                "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}");
static const char eddsa_token[] =
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

static int read_keys(struct auth_keys *keys, const char *text, struct net_error *e)
{
  *keys = (struct auth_keys){0};
  return auth__keys_read(keys, bytes_of(text), e);
}

static void expect_vector(const char *set, const char *text, enum auth_alg alg)
{
  static struct auth_keys keys;
  struct net_error e = {{0}};
  struct auth_token t;
  char changed[1024];
  assert_int_equal(read_keys(&keys, set, &e), 0);
  assert_int_equal(keys.count, 1);
  assert_int_equal(keys.key[0].alg, alg);
  assert_null(auth__token_read(bytes_of(text), &t));
  assert_int_equal(t.alg, alg);
  assert_true(auth__key_verify(&keys.key[0], &t));
  /* One bit of the signature, and one of the payload. */
  size_t dot = (size_t)(strchr(text, '.') - text);
  const size_t at[] = {strlen(text) - 10, dot + 5};
  for (size_t i = 0; i < 2; i++) {
    snprintf(changed, sizeof changed, "%s", text);
    changed[at[i]] = changed[at[i]] == 'A' ? 'B' : 'A';
    assert_null(auth__token_read(bytes_of(changed), &t));
    assert_false(auth__key_verify(&keys.key[0], &t));
  }
  /* A signature of another length. */
  snprintf(changed, sizeof changed, "%s", text);
  changed[strlen(changed) - 4] = 0;
  assert_null(auth__token_read(bytes_of(changed), &t));
  assert_false(auth__key_verify(&keys.key[0], &t));
  auth__keys_fini(&keys);
}

static void vectors(void **state)
{
  (void)state;
  expect_vector(hs256, hs256_token, AUTH_HS256);
  expect_vector(rs256, rs256_token, AUTH_RS256);
  expect_vector(es256, es256_token, AUTH_ES256);
  expect_vector(eddsa, eddsa_token, AUTH_EDDSA);
}

static void expect_refused(const char *text, const char *because)
{
  static struct auth_keys keys;
  struct net_error e = {{0}};
  assert_int_not_equal(read_keys(&keys, text, &e), 0);
  if (!strstr(e.text, because))
    fail_msg("\"%s\" does not say \"%s\"", e.text, because);
  auth__keys_fini(&keys);
}

static void sets_that_are_no_good(void **state)
{
  (void)state;
  expect_refused("", "is not JSON");
  expect_refused("{\"keys\":[]", "is not JSON");
  expect_refused("{\"keys\":[],\"keys\":[]}", "is not JSON"); /* a member twice */
  expect_refused("[]", "no JWK Set");
  expect_refused("{\"keys\":{}}", "no JWK Set");
  expect_refused("{\"keys\":[]}", "has no key");
  expect_refused("{\"keys\":[1,null,{\"kty\":\"EC\",\"crv\":\"P-521\"}]}", "has no key");
  expect_refused(SET("{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}"), "32 bytes");
  expect_refused(SET("{\"kty\":\"oct\"}"), "missing");
  expect_refused(SET("{\"kty\":\"oct\",\"k\":\"A\"}"), "base64url");
  expect_refused(SET("{\"kty\":\"oct\",\"k\":\"AA==\"}"), "base64url");
  expect_refused(SET("{\"kty\":\"oct\",\"k\":7}"), "base64url");
  expect_refused(SET("{\"kty\":\"RSA\",\"n\":\"sXchDaQ\",\"e\":\"AQAB\"}"), "2048 bits");
  expect_refused(SET("{\"kty\":\"RSA\",\"e\":\"AQAB\"}"), "missing");
  expect_refused(SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}"), "32 bytes");
  expect_refused(SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"AAAA\"}"), "private");
  /* A point that is not on the curve. */
  expect_refused(SET("{\"kty\":\"EC\",\"crv\":\"P-256\","
                     "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                     "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}"),
                 "no such key");
  expect_refused(SET("{\"kty\":\"oct\",\"kid\":7,\"k\":\"AA\"}"), "'kid'");
  expect_refused(SET("{\"kty\":\"oct\",\"kid\":\"\",\"k\":\"AA\"}"), "'kid'");
}

/* RFC 7517 section 5: what is not understood is ignored; and what is for another use. */
static void keys_of_no_use_are_left_out(void **state)
{
  (void)state;
  static struct auth_keys keys;
  struct net_error e = {{0}};
  static const char set[] =
      "{\"keys\":[{\"kty\":\"new\"},{\"kty\":\"EC\",\"crv\":\"P-384\"},{\"kty\":\"RSA\",\"use\":"
      "\"enc\"},{\"kty\":\"RSA\",\"alg\":\"RS512\"},{\"kty\":\"oct\",\"key_ops\":[\"sign\"]},"
      "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\",\"use\":\"sig\",\"key_ops\":["
      "\"verify\"],\"kid\":\"a\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
  assert_int_equal(read_keys(&keys, set, &e), 0);
  assert_int_equal(keys.count, 1);
  assert_int_equal(keys.skipped, 5);
  assert_int_equal(keys.key[0].kid_len, 1);
  auth__keys_fini(&keys);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vectors),
      cmocka_unit_test(sets_that_are_no_good),
      cmocka_unit_test(keys_of_no_use_are_left_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
