/* stun/core/decode.c: the header, the walk over the attributes, and the getters. What an attacker
 * sends stands in tests/vectors/hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "stun/core/decode.h"
#include "tests/unit/stun/message.h"

static struct message m;
static struct stun_view v;

static void decode(int want)
{
  assert_int_equal(stun_decode(m.at, m.len, &v), want);
}

static void test_types_of_rfc8489_section_5(void **state)
{
  (void)state;
  static const struct {
    uint16_t type, method;
    enum stun_class class;
  } row[] = {
      {0x0001, STUN_BINDING, STUN_REQUEST},
      {0x0011, STUN_BINDING, STUN_INDICATION},
      {0x0101, STUN_BINDING, STUN_SUCCESS},
      {0x0111, STUN_BINDING, STUN_ERROR},
      {0x0003, STUN_ALLOCATE, STUN_REQUEST},
      {0x0016, STUN_SEND, STUN_INDICATION},
      {0x0109, STUN_CHANNEL_BIND, STUN_SUCCESS},
      {0x3EEF, 0xFFF, STUN_REQUEST},
      {0x3FFF, 0xFFF, STUN_ERROR},
      {0x0020, 0x010, STUN_REQUEST},
      {0x0200, 0x080, STUN_REQUEST},
  };
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    message_begin(&m, row[i].type);
    decode(0);
    assert_int_equal(v.method, row[i].method);
    assert_int_equal(v.class, row[i].class);
  }
}

static void test_bad_header_leaves_the_view_alone(void **state)
{
  (void)state;
  struct stun_view before;
  memset(&before, 0x5A, sizeof before);
  v = before;
  message_begin(&m, 0x0001);
  assert_int_equal(stun_decode(m.at, 19, &v), -ERR_BAD);
  assert_int_equal(stun_decode(m.at, 24, &v), -ERR_BAD);
  m.at[0] = 0x40;
  decode(-ERR_BAD);
  assert_memory_equal(&v, &before, sizeof v);
}

static void test_header_survives_a_bad_attribute(void **state)
{
  (void)state;
  message_begin(&m, 0x0003);
  message_attr(&m, 0x000D, "\1\2", 2);
  decode(400);
  assert_int_equal(v.method, STUN_ALLOCATE);
  assert_int_equal(v.class, STUN_REQUEST);
  assert_memory_equal(stun_txid(&v), m.at + 8, STUN_TXID_LEN);
}

static void test_classic_is_told_by_the_cookie(void **state)
{
  (void)state;
  message_begin(&m, 0x0001);
  decode(0);
  assert_false(v.classic);
  m.at[7] ^= 1;
  decode(0);
  assert_true(v.classic);
}

static void test_first_of_several_counts(void **state)
{
  (void)state;
  message_begin(&m, 0x0001);
  message_attr(&m, 0x0006, "one", 3);
  message_attr(&m, 0x0006, "other", 5);
  decode(0);
  assert_true(bytes_equal(stun_get_bytes(&v, STUN_ATTR_USERNAME), bytes_of("one")));
  assert_false(stun_has(&v, STUN_ATTR_REALM));
  assert_int_equal(stun_get_bytes(&v, STUN_ATTR_REALM).len, 0);
}

static void test_nothing_counts_behind_integrity_but_what_may(void **state)
{
  (void)state;
  uint8_t mac[32] = {0};
  message_begin(&m, 0x0001);
  message_attr(&m, 0x0008, mac, 20);
  message_attr(&m, 0x0006, "late", 4);
  message_attr(&m, 0x001C, mac, 32);
  message_attr(&m, 0x0014, "later", 5);
  message_attr(&m, 0x7FFF, NULL, 0);
  message_attr(&m, 0x8028, mac, 4);
  decode(0);
  assert_false(stun_has(&v, STUN_ATTR_USERNAME));
  assert_false(stun_has(&v, STUN_ATTR_REALM));
  assert_true(stun_has(&v, STUN_ATTR_MESSAGE_INTEGRITY_SHA256));
  assert_true(stun_has(&v, STUN_ATTR_FINGERPRINT));
  assert_int_equal(v.unknown_count, 0);
}

static void test_sha1_behind_sha256_does_not_count(void **state)
{
  (void)state;
  uint8_t mac[32] = {0};
  message_begin(&m, 0x0001);
  message_attr(&m, 0x001C, mac, 32);
  message_attr(&m, 0x0008, mac, 20);
  decode(0);
  assert_true(stun_has(&v, STUN_ATTR_MESSAGE_INTEGRITY_SHA256));
  assert_false(stun_has(&v, STUN_ATTR_MESSAGE_INTEGRITY));
}

static void test_unknown_attributes(void **state)
{
  (void)state;
  message_begin(&m, 0x0001);
  message_attr(&m, 0x4001, "x", 1);
  message_attr(&m, 0x8777, "x", 1);  /* comprehension-optional */
  message_attr(&m, 0x003F, NULL, 0); /* inside the index, without a row */
  message_attr(&m, 0x4001, NULL, 0);
  message_attr(&m, 0x0006, "user", 4);
  decode(0);
  assert_int_equal(v.unknown_count, 2);
  assert_int_equal(v.unknown[0], 0x4001);
  assert_int_equal(v.unknown[1], 0x003F);
  assert_true(stun_has(&v, STUN_ATTR_USERNAME));
}

static void test_numbers(void **state)
{
  (void)state;
  uint32_t n = 7;
  message_begin(&m, 0x0003);
  message_attr(&m, 0x000D, "\x01\x02\x03\x04", 4);
  message_attr(&m, 0x0019, "\x11\xFF\xFF\xFF", 4);
  message_attr(&m, 0x000C, "\x40\x01\xFF\xFF", 4);
  message_attr(&m, 0x0022, "12345678", 8);
  decode(0);
  assert_true(stun_get_uint(&v, STUN_ATTR_LIFETIME, &n));
  assert_int_equal(n, 0x01020304);
  assert_true(stun_get_uint(&v, STUN_ATTR_REQUESTED_TRANSPORT, &n));
  assert_int_equal(n, 17);
  assert_true(stun_get_uint(&v, STUN_ATTR_CHANNEL_NUMBER, &n));
  assert_int_equal(n, 0x4001);
  n = 7;
  assert_false(stun_get_uint(&v, STUN_ATTR_PRIORITY, &n));
  assert_false(stun_get_uint(&v, STUN_ATTR_RESERVATION_TOKEN, &n));
  assert_int_equal(n, 7);
}

static void test_addresses(void **state)
{
  (void)state;
  struct addr a, want;
  message_begin(&m, 0x0101);
  message_attr(&m, 0x0001, "\x99\x01\x13\x88\xC0\x00\x02\x01", 8);
  message_attr(&m, 0x0020, "\x00\x01\x32\x9A\xE1\x12\xA6\x43", 8);
  uint8_t v6[20] = {0, 2, 0x13 ^ 0x21, 0x88 ^ 0x12, 0x21 ^ 0x20, 0x12 ^ 0x01, 0xA4, 0x42};
  memcpy(v6 + 8, m.at + 8, 12); /* XORed with the transaction id: zeroes */
  message_attr(&m, 0x0012, v6, 20);
  message_attr(&m, 0x0022, "\x00\x01\x13\x88\xC0\x00\x02\x01", 8);
  decode(0);
  assert_int_equal(stun_get_addr(&v, STUN_ATTR_MAPPED_ADDRESS, &a), 0);
  want = addr_v4(192, 0, 2, 1, 5000);
  assert_true(addr_equal(&a, &want));
  assert_int_equal(stun_get_addr(&v, STUN_ATTR_XOR_MAPPED_ADDRESS, &a), 0);
  assert_true(addr_equal(&a, &want));
  assert_int_equal(stun_get_addr(&v, STUN_ATTR_XOR_PEER_ADDRESS, &a), 0);
  assert_int_equal(addr_parse(bytes_of("[2001::]:5000"), &want), 0);
  assert_true(addr_equal(&a, &want));
  assert_int_equal(stun_get_addr(&v, STUN_ATTR_XOR_RELAYED_ADDRESS, &a), -ERR_MISSING);
  assert_int_equal(stun_get_addr(&v, STUN_ATTR_RESERVATION_TOKEN, &a), 400);
}

static void test_all_addresses_of_a_kind(void **state)
{
  (void)state;
  uint8_t mac[20] = {0};
  message_begin(&m, 0x0008);
  message_attr(&m, 0x0012, "\x00\x01\x32\x9A\xE1\x12\xA6\x43", 8);
  message_attr(&m, 0x0006, "user", 4);
  message_attr(&m, 0x0012, "\x00\x01\x32\x9A\xE1\x12\xA6\x40", 8);
  message_attr(&m, 0x0012, "\x00\x07\x32\x9A\xE1\x12\xA6\x40", 8);
  message_attr(&m, 0x0012, "\x00\x01\x32\x9A\xE1\x12\xA6\x41", 8);
  message_attr(&m, 0x0008, mac, 20);
  /* Added by someone on the path: behind the MAC. */
  message_attr(&m, 0x0012, "\x00\x01\x32\x9A\xE1\x12\xA6\x42", 8);
  decode(0);
  struct addr a;
  size_t cursor = 0;
  assert_int_equal(stun_next_addr(&v, STUN_ATTR_XOR_PEER_ADDRESS, &cursor, &a), 0);
  assert_int_equal(a.ip[3], 1);
  assert_int_equal(stun_next_addr(&v, STUN_ATTR_XOR_PEER_ADDRESS, &cursor, &a), 0);
  assert_int_equal(a.ip[3], 2);
  assert_int_equal(stun_next_addr(&v, STUN_ATTR_XOR_PEER_ADDRESS, &cursor, &a), 400);
  assert_int_equal(stun_next_addr(&v, STUN_ATTR_XOR_PEER_ADDRESS, &cursor, &a), 0);
  assert_int_equal(a.ip[3], 3);
  assert_int_equal(stun_next_addr(&v, STUN_ATTR_XOR_PEER_ADDRESS, &cursor, &a), -ERR_MISSING);
  assert_int_equal(stun_next_addr(&v, STUN_ATTR_XOR_PEER_ADDRESS, &cursor, &a), -ERR_MISSING);
}

static void test_error_code(void **state)
{
  (void)state;
  static const struct {
    const char *value;
    size_t len;
    int code;
  } row[] = {
      {"\0\0\4\1Unauthenticated", 19, 401},
      {"\0\0\4\24", 4, 420},
      {"\0\0\xFC\1", 4, 401}, /* the reserved bits are ignored */
      {"\0\0\2\1", 4, 0},
      {"\0\0\7\1", 4, 0},
      {"\0\0\4\144", 4, 0},
      {"\0\0\6\143", 4, 699},
  };
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    message_begin(&m, 0x0111);
    message_attr(&m, 0x0009, row[i].value, row[i].len);
    decode(0);
    assert_int_equal(stun_get_error(&v), row[i].code);
  }
  message_begin(&m, 0x0111);
  decode(0);
  assert_int_equal(stun_get_error(&v), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_types_of_rfc8489_section_5),
      cmocka_unit_test(test_bad_header_leaves_the_view_alone),
      cmocka_unit_test(test_header_survives_a_bad_attribute),
      cmocka_unit_test(test_classic_is_told_by_the_cookie),
      cmocka_unit_test(test_first_of_several_counts),
      cmocka_unit_test(test_nothing_counts_behind_integrity_but_what_may),
      cmocka_unit_test(test_sha1_behind_sha256_does_not_count),
      cmocka_unit_test(test_unknown_attributes),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_addresses),
      cmocka_unit_test(test_all_addresses_of_a_kind),
      cmocka_unit_test(test_error_code),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
