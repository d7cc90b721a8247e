/* net/aead.c: AES-GCM, against the vectors of those who invented it and against coturn's tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/aead.h"

static size_t unhex(const char *text, uint8_t *out)
{
  size_t len = 0;
  for (; text[0] && text[1]; text += 2) {
    const char digits[3] = {text[0], text[1], 0};
    out[len++] = (uint8_t)strtoul(digits, NULL, 16);
  }
  return len;
}

struct vector {
  const char *key, *nonce, *associated, *sealed, *plain;
};

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 4 and 16, 1 and 13. */
static const struct vector vectors[] = {
    {"feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84a"
     "a0"
     "51ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b"
     "52"
     "5b16aedf5aa0de657ba637b39"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828"
     "83"
     "8c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b"
     "52"
     "5b16aedf5aa0de657ba637b39"},
    {"00000000000000000000000000000000", "000000000000000000000000", "",
     "58e2fccefa7e3061367f1d57a4e7455a", ""},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "530f8afbc74536b9a963b4f1c4cb738b", ""},
};

struct box {
  uint8_t key[32], nonce[12], associated[32], sealed[128], plain[128];
  struct net_aead aead;
  size_t plain_len;
};

static void load(const struct vector *v, struct box *b)
{
  b->aead.key = (struct bytes){b->key, unhex(v->key, b->key)};
  b->aead.nonce = (struct bytes){b->nonce, unhex(v->nonce, b->nonce)};
  b->aead.associated = (struct bytes){b->associated, unhex(v->associated, b->associated)};
  b->aead.sealed = (struct bytes){b->sealed, unhex(v->sealed, b->sealed)};
  b->plain_len = unhex(v->plain, b->plain);
}

static void test_vectors(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
    struct box b;
    uint8_t out[128];
    load(&vectors[i], &b);
    assert_int_equal(net_aead_open(&b.aead, out), 0);
    assert_memory_equal(out, b.plain, b.plain_len);
  }
}

/* Any bit of anything. */
static void test_what_was_changed_does_not_open(void **state)
{
  (void)state;
  struct box b;
  uint8_t out[128];
  load(&vectors[1], &b);
  uint8_t *part[] = {b.key, b.nonce, b.associated, b.sealed};
  const size_t len[] = {b.aead.key.len, b.aead.nonce.len, b.aead.associated.len, b.aead.sealed.len};
  for (size_t p = 0; p < 4; p++)
    for (size_t bit = 0; bit < 8 * len[p]; bit++) {
      part[p][bit / 8] ^= (uint8_t)(1 << bit % 8);
      assert_int_equal(net_aead_open(&b.aead, out), -ERR_BAD);
      part[p][bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
  assert_int_equal(net_aead_open(&b.aead, out), 0);
}

static void test_lengths(void **state)
{
  (void)state;
  struct box b;
  uint8_t out[128];
  load(&vectors[1], &b);
  for (size_t len = 0; len < 32; len++) {
    b.aead.key.len = len;
    assert_int_equal(net_aead_open(&b.aead, out), -ERR_BAD);
  }
  load(&vectors[1], &b);
  b.aead.nonce.len = 11;
  assert_int_equal(net_aead_open(&b.aead, out), -ERR_BAD);
  load(&vectors[1], &b);
  for (size_t len = 0; len < b.aead.sealed.len; len++) {
    struct net_aead shorter = b.aead;
    shorter.sealed.len = len;
    assert_int_equal(net_aead_open(&shorter, out), -ERR_BAD);
  }
}

/* turnutils_oauth of coturn 4.6: -i turn.example.org, the key below, -o bm5ubm5ubm5ubm5u (12 times
 * n), -p WmtzanB3ZW9peFhtdm42NzUzNG0=, -r 3600, -q 117964800000000 (1800000000 seconds). */
static void test_tokens_of_coturn(void **state)
{
  (void)state;
  static const char key[] = "0123456789abcdef0123456789abcdef";
  static const char *const token[] = {
      "AAxubm5ubm5ubm5ubm4MRQDMQPsjTnr19CeAIZSRjFP54O+QIB0/byVzLO5VHCWDsINHjcrAhqoURcaqIdlOeQ==",
      "AAxubm5ubm5ubm5ubm48SeBSD7xyZme9cTyz+A1OrXl8RSawJwgKq70UEXm5YJ0PnLVyXwQJoMYMw29+tTy50g=="};
  for (size_t i = 0; i < 2; i++) {
    uint8_t value[128], out[128];
    const int len = base64_decode(bytes_of(token[i]), value, sizeof(value));
    assert_int_equal(len, 2 + 12 + 2 + 20 + 8 + 4 + 16);
    const struct net_aead a = {.key = {(const uint8_t *)key, i == 0 ? 32 : 16},
                               .nonce = {value + 2, 12},
                               .associated = bytes_of("turn.example.org"),
                               .sealed = {value + 14, (size_t)len - 14}};
    assert_int_equal(net_aead_open(&a, out), 0);
    assert_int_equal(load_be16(out), 20);
    assert_memory_equal(out + 2, "ZksjpweoixXmvn67534m", 20);
    assert_int_equal(load_be64(out + 22) >> 16, 1800000000);
    assert_int_equal(load_be32(out + 30), 3600);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_what_was_changed_does_not_open),
      cmocka_unit_test(test_lengths),
      cmocka_unit_test(test_tokens_of_coturn),
  };
  return cmocka_run_group_tests_name("net-aead", tests, NULL, NULL);
}
