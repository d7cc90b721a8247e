/* stun/core/integrity.c: what the vectors do not show: overflow, absence, order. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "stun/core/decode.h"
#include "stun/core/integrity.h"

static const uint8_t txid[STUN_TXID_LEN] = "abcdefghijkl";
static uint8_t out[STUN_MESSAGE_MAX];
static struct stun_encoder e;
static struct stun_view v;
static struct stun_key key;

static void begin(void)
{
  key = stun_key_md5(bytes_of("user"), bytes_of("realm"), bytes_of("password"));
  stun_begin(&e, out, sizeof out, STUN_REQUEST, STUN_ALLOCATE, txid);
  stun_put_text(&e, STUN_ATTR_USERNAME, "user");
}

static void end(void)
{
  int len = stun_end(&e);
  assert_true(len > 0);
  assert_int_equal(stun_decode(out, (size_t)len, &v), 0);
}

/* From the openssl command line: printf user:realm:password | openssl md5, and so on. */
static void test_keys(void **state)
{
  (void)state;
  static const uint8_t md5[16] = {0xEB, 0xBC, 0x0F, 0xF9, 0xA1, 0x21, 0xDB, 0xB6,
                                  0x78, 0x9B, 0xBE, 0x5F, 0x82, 0x17, 0x4F, 0xA0};
  static const uint8_t sha256[32] = {0x4D, 0xA8, 0xF7, 0x3B, 0x82, 0x31, 0x77, 0xAB,
                                     0x98, 0x6A, 0x41, 0x9C, 0x3E, 0xD0, 0xD7, 0x02,
                                     0x85, 0x9A, 0xA4, 0x05, 0x7F, 0xF8, 0x69, 0x69,
                                     0xAB, 0x37, 0x20, 0x2D, 0x93, 0x2D, 0x61, 0x85};
  static const uint8_t userhash[32] = {0x6A, 0x30, 0x29, 0x11, 0x6B, 0x47, 0xAA, 0x98,
                                       0xBC, 0xAA, 0x32, 0x53, 0x99, 0x73, 0x3D, 0xC1,
                                       0xA2, 0x3C, 0xD5, 0x7E, 0x26, 0xB8, 0x1B, 0xEF,
                                       0x3F, 0xF6, 0x53, 0x1C, 0xE6, 0x24, 0xE2, 0xDA};
  begin();
  assert_int_equal(key.len, sizeof md5);
  assert_memory_equal(key.bytes, md5, sizeof md5);
  key = stun_key_sha256(bytes_of("user"), bytes_of("realm"), bytes_of("password"));
  assert_int_equal(key.len, sizeof sha256);
  assert_memory_equal(key.bytes, sha256, sizeof sha256);
  uint8_t hash[32];
  stun_userhash(bytes_of("user"), bytes_of("realm"), hash);
  assert_memory_equal(hash, userhash, sizeof userhash);
}

static void test_none_is_neither_written_nor_right(void **state)
{
  (void)state;
  begin();
  size_t len = e.len;
  stun_put_integrity(&e, STUN_INTEGRITY_NONE, &key);
  assert_int_equal(e.len, len);
  end();
  assert_false(stun_check_integrity(&v, STUN_INTEGRITY_NONE, &key));
  assert_false(stun_check_integrity(&v, STUN_INTEGRITY_SHA1, &key));
  assert_false(stun_check_integrity(&v, STUN_INTEGRITY_SHA256, &key));
  begin();
  stun_put_integrity(&e, STUN_INTEGRITY_SHA1, &key);
  end();
  assert_false(stun_check_integrity(&v, STUN_INTEGRITY_NONE, &key));
}

static void test_both_then_fingerprint(void **state)
{
  (void)state;
  begin();
  stun_put_integrity(&e, STUN_INTEGRITY_SHA1, &key);
  stun_put_integrity(&e, STUN_INTEGRITY_SHA256, &key);
  stun_put_fingerprint(&e);
  end();
  assert_true(stun_check_integrity(&v, STUN_INTEGRITY_SHA1, &key));
  assert_true(stun_check_integrity(&v, STUN_INTEGRITY_SHA256, &key));
  assert_true(stun_check_fingerprint(&v));
}

static void test_each_byte_of_the_mac_counts(void **state)
{
  (void)state;
  begin();
  stun_put_integrity(&e, STUN_INTEGRITY_SHA1, &key);
  end();
  for (size_t i = 0; i < 20; i++) {
    uint8_t *byte = out + v.offset[STUN_ATTR_MESSAGE_INTEGRITY] + i;
    *byte ^= 0x80;
    assert_false(stun_check_integrity(&v, STUN_INTEGRITY_SHA1, &key));
    *byte ^= 0x80;
  }
  assert_true(stun_check_integrity(&v, STUN_INTEGRITY_SHA1, &key));
}

static void test_fingerprint_absent_is_right(void **state)
{
  (void)state;
  begin();
  end();
  assert_true(stun_check_fingerprint(&v));
}

static void test_fingerprint_sees_every_bit(void **state)
{
  (void)state;
  begin();
  stun_put_fingerprint(&e);
  end();
  size_t value = v.offset[STUN_ATTR_FINGERPRINT];
  for (size_t i = 0; i < v.len; i++) {
    if (i >= value - 4 && i < value)
      continue; /* its own header: that is the decoder's */
    out[i] ^= 4;
    assert_false(stun_check_fingerprint(&v));
    out[i] ^= 4;
  }
  assert_true(stun_check_fingerprint(&v));
}

static void test_fingerprint_must_be_last(void **state)
{
  (void)state;
  begin();
  stun_put_fingerprint(&e);
  stun_put_bytes(&e, STUN_ATTR_DONT_FRAGMENT, NULL, 0);
  end();
  assert_true(stun_has(&v, STUN_ATTR_FINGERPRINT));
  assert_false(stun_check_fingerprint(&v));
}

static void test_without_room(void **state)
{
  (void)state;
  key = (struct stun_key){.len = 16};
  for (size_t cap = 0; cap < 20 + 24 + 8; cap++) {
    stun_begin(&e, out, cap, STUN_REQUEST, STUN_BINDING, txid);
    stun_put_integrity(&e, STUN_INTEGRITY_SHA1, &key);
    stun_put_fingerprint(&e);
    assert_int_equal(stun_end(&e), -ERR_FULL);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_keys),
      cmocka_unit_test(test_none_is_neither_written_nor_right),
      cmocka_unit_test(test_both_then_fingerprint),
      cmocka_unit_test(test_each_byte_of_the_mac_counts),
      cmocka_unit_test(test_fingerprint_absent_is_right),
      cmocka_unit_test(test_fingerprint_sees_every_bit),
      cmocka_unit_test(test_fingerprint_must_be_last),
      cmocka_unit_test(test_without_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
