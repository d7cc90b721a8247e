/* The messages of RFC 5769 and RFC 8489, and SHA-256 variants whose values another program
 * computed: decoded, checked, and put together again. argv[1] is this folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stun/core/decode.h"
#include "stun/core/encode.h"
#include "stun/core/integrity.h"
#include "tests/vectors/hex.h"

static const char *folder;
static struct vector vec;
static struct stun_view view;

static void load(const char *name)
{
  char path[VECTOR_NAME];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_int_equal(vector_load(path, &vec), 0);
  assert_int_equal(stun_decode(vec.bytes, vec.len, &view), 0);
  assert_int_equal(view.unknown_count, 0);
  assert_false(view.classic);
}

static struct stun_key short_term_key(void)
{
  struct bytes password = vector_field(&vec, "password");
  struct stun_key key = {.len = (uint8_t)password.len};
  assert_in_range(password.len, 1, STUN_KEY_MAX);
  memcpy(key.bytes, password.at, password.len);
  return key;
}

static void assert_text(enum stun_attr a, const char *want)
{
  struct bytes got = stun_get_bytes(&view, a);
  assert_int_equal(got.len, strlen(want));
  assert_memory_equal(got.at, want, got.len);
}

/* The right key is right; every other one is wrong, and so is every message with a bit changed in
 * what the MAC covers. */
static void assert_integrity(enum stun_integrity kind, enum stun_attr a, struct stun_key key)
{
  assert_true(stun_check_integrity(&view, kind, &key));
  struct stun_key wrong = key;
  wrong.bytes[0] ^= 1;
  assert_false(stun_check_integrity(&view, kind, &wrong));
  size_t end = view.offset[a] + (size_t)view.value_len[a];
  for (size_t i = 0; i < end; i++) {
    /* The length is adjusted before it is hashed, and the attribute's own header is not covered. */
    if (i == 2 || i == 3 || (i >= view.offset[a] - 4u && i < view.offset[a]))
      continue;
    vec.bytes[i] ^= 0x10;
    assert_false(stun_check_integrity(&view, kind, &key));
    vec.bytes[i] ^= 0x10;
  }
  assert_true(stun_check_integrity(&view, kind, &key));
}

static void put_again(struct stun_encoder *e, enum stun_attr a, const struct stun_key *key)
{
  struct addr addr;
  uint32_t number;
  struct bytes value = stun_get_bytes(&view, a);
  if (a == STUN_ATTR_MESSAGE_INTEGRITY)
    stun_put_integrity(e, STUN_INTEGRITY_SHA1, key);
  else if (a == STUN_ATTR_MESSAGE_INTEGRITY_SHA256)
    stun_put_integrity(e, STUN_INTEGRITY_SHA256, key);
  else if (a == STUN_ATTR_FINGERPRINT)
    stun_put_fingerprint(e);
  else if (stun_get_addr(&view, a, &addr) == 0)
    stun_put_addr(e, a, &addr);
  else if (stun_get_uint(&view, a, &number))
    stun_put_uint(e, a, number);
  else
    stun_put_bytes(e, a, value.at, value.len);
}

/* Puts the message together again from its values, in its order. */
static size_t encode_again(uint8_t *out, size_t cap, const struct stun_key *key)
{
  struct stun_encoder e;
  stun_begin(&e, out, cap, view.class, view.method, stun_txid(&view));
  for (size_t at = STUN_HEADER_LEN; at < vec.len;) {
    int a = 0;
    while (a < STUN_ATTR_COUNT && view.offset[a] != at + 4)
      a++;
    assert_int_not_equal(a, STUN_ATTR_COUNT);
    put_again(&e, (enum stun_attr)a, key);
    at += 4 + ((view.value_len[a] + 3u) & ~3u);
  }
  int len = stun_end(&e);
  assert_true(len > 0);
  return (size_t)len;
}

static void assert_encodes_alike(const struct stun_key *key)
{
  uint8_t out[STUN_MESSAGE_MAX];
  assert_int_equal(encode_again(out, sizeof out, key), vec.len);
  assert_memory_equal(out, vec.bytes, vec.len);
}

/* RFC 5769 pads with spaces where this encoder pads with zeroes: everything before the MAC is equal
 * but for `count` bytes of padding at `padding`, and what the encoder computed over its own
 * zeroes is right again. */
static void assert_encodes_alike_but(size_t padding, size_t count, const struct stun_key *key)
{
  uint8_t out[STUN_MESSAGE_MAX];
  size_t len = encode_again(out, sizeof out, key);
  assert_int_equal(len, vec.len);
  for (size_t i = padding; i < padding + count; i++) {
    assert_int_equal(vec.bytes[i], ' ');
    assert_int_equal(out[i], 0);
    out[i] = ' ';
  }
  size_t covered = view.offset[STUN_ATTR_MESSAGE_INTEGRITY];
  assert_memory_equal(out, vec.bytes, covered);
  memset(out + padding, 0, count);
  struct stun_view again;
  assert_int_equal(stun_decode(out, len, &again), 0);
  assert_true(stun_check_integrity(&again, STUN_INTEGRITY_SHA1, key));
  assert_true(stun_check_fingerprint(&again));
}

static void test_rfc5769_request(void **state)
{
  (void)state;
  load("rfc5769/request.hex");
  struct stun_key key = short_term_key();
  assert_int_equal(view.class, STUN_REQUEST);
  assert_int_equal(view.method, STUN_BINDING);
  assert_text(STUN_ATTR_SOFTWARE, "STUN test client");
  assert_text(STUN_ATTR_USERNAME, "evtj:h6vY");
  uint32_t priority;
  assert_true(stun_get_uint(&view, STUN_ATTR_PRIORITY, &priority));
  assert_int_equal(priority, 0x6e0001ff);
  assert_int_equal(stun_get_bytes(&view, STUN_ATTR_ICE_CONTROLLED).len, 8);
  assert_integrity(STUN_INTEGRITY_SHA1, STUN_ATTR_MESSAGE_INTEGRITY, key);
  assert_true(stun_check_fingerprint(&view));
  assert_encodes_alike_but(73, 3, &key);
}

static void assert_response(const char *name)
{
  load(name);
  struct stun_key key = short_term_key();
  assert_int_equal(view.class, STUN_SUCCESS);
  assert_text(STUN_ATTR_SOFTWARE, "test vector");
  struct addr want, got;
  assert_int_equal(addr_parse(vector_field(&vec, "mapped"), &want), 0);
  assert_int_equal(stun_get_addr(&view, STUN_ATTR_XOR_MAPPED_ADDRESS, &got), 0);
  assert_true(addr_equal(&got, &want));
  assert_integrity(STUN_INTEGRITY_SHA1, STUN_ATTR_MESSAGE_INTEGRITY, key);
  assert_true(stun_check_fingerprint(&view));
  assert_encodes_alike_but(35, 1, &key);
}

static void test_rfc5769_response_ipv4(void **state)
{
  (void)state;
  assert_response("rfc5769/response-ipv4.hex");
}

static void test_rfc5769_response_ipv6(void **state)
{
  (void)state;
  assert_response("rfc5769/response-ipv6.hex");
}

static void test_rfc5769_long_term(void **state)
{
  (void)state;
  load("rfc5769/request-long-term.hex");
  struct bytes username = stun_get_bytes(&view, STUN_ATTR_USERNAME);
  struct bytes realm = stun_get_bytes(&view, STUN_ATTR_REALM);
  assert_true(bytes_equal(username, vector_field(&vec, "username")));
  assert_true(bytes_equal(realm, vector_field(&vec, "realm")));
  assert_text(STUN_ATTR_NONCE, "f//499k954d6OL34oL9FSTvy64sA");
  struct stun_key key = stun_key_md5(username, realm, vector_field(&vec, "password"));
  assert_int_equal(key.len, 16);
  assert_integrity(STUN_INTEGRITY_SHA1, STUN_ATTR_MESSAGE_INTEGRITY, key);
  assert_encodes_alike(&key);
}

static void test_rfc8489_sha256(void **state)
{
  (void)state;
  load("rfc8489/request-sha256.hex");
  struct bytes username = vector_field(&vec, "username"), realm = vector_field(&vec, "realm");
  uint8_t hash[32];
  stun_userhash(username, realm, hash);
  assert_memory_equal(stun_get_bytes(&view, STUN_ATTR_USERHASH).at, hash, sizeof hash);
  struct stun_key key = stun_key_sha256(username, realm, vector_field(&vec, "password"));
  assert_int_equal(key.len, 32);
  assert_integrity(STUN_INTEGRITY_SHA256, STUN_ATTR_MESSAGE_INTEGRITY_SHA256, key);
  assert_false(stun_check_integrity(&view, STUN_INTEGRITY_SHA1, &key));
  assert_encodes_alike(&key);
}

static void assert_sha256(const char *name, size_t mac_len)
{
  load(name);
  struct stun_key key = short_term_key();
  assert_int_equal(stun_get_bytes(&view, STUN_ATTR_MESSAGE_INTEGRITY_SHA256).len, mac_len);
  assert_true(stun_check_fingerprint(&view));
  assert_true(stun_check_truncated(&view, 16, &key));
  assert_true(stun_check_truncated(&view, mac_len, &key));
  assert_false(stun_check_truncated(&view, mac_len + 4, &key));
  if (mac_len == 32) {
    assert_integrity(STUN_INTEGRITY_SHA256, STUN_ATTR_MESSAGE_INTEGRITY_SHA256, key);
    assert_encodes_alike(&key);
    return;
  }
  /* Right as far as it goes, and only for those who ask for that. */
  assert_false(stun_check_integrity(&view, STUN_INTEGRITY_SHA256, &key));
  vec.bytes[vec.len - 1 - (stun_has(&view, STUN_ATTR_FINGERPRINT) ? 8 : 0)] ^= 1;
  assert_false(stun_check_truncated(&view, 16, &key));
}

static void test_sha256_full(void **state)
{
  (void)state;
  assert_sha256("sha256/full.hex", 32);
  assert_true(stun_has(&view, STUN_ATTR_FINGERPRINT));
}

static void test_sha256_truncated(void **state)
{
  (void)state;
  assert_sha256("sha256/truncated-16.hex", 16);
  assert_sha256("sha256/truncated-20.hex", 20);
}

static void test_sha256_beside_sha1(void **state)
{
  (void)state;
  assert_sha256("sha256/both.hex", 32);
  assert_integrity(STUN_INTEGRITY_SHA1, STUN_ATTR_MESSAGE_INTEGRITY, short_term_key());
}

int main(int argc, char **argv)
{
  if (argc != 2) {
    fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  folder = argv[1];
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rfc5769_request),       cmocka_unit_test(test_rfc5769_response_ipv4),
      cmocka_unit_test(test_rfc5769_response_ipv6), cmocka_unit_test(test_rfc5769_long_term),
      cmocka_unit_test(test_rfc8489_sha256),        cmocka_unit_test(test_sha256_full),
      cmocka_unit_test(test_sha256_truncated),      cmocka_unit_test(test_sha256_beside_sha1),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
