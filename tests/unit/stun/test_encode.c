/* stun/core/encode.c: bytes as the RFCs draw them, and the one report of what did not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "stun/core/decode.h"
#include "stun/core/encode.h"

static const uint8_t txid[STUN_TXID_LEN] = "abcdefghijkl";
static uint8_t out[STUN_MESSAGE_MAX];
static struct stun_encoder e;

static void begin(void)
{
  memset(out, 0xEE, sizeof out);
  stun_begin(&e, out, sizeof out, STUN_REQUEST, STUN_BINDING, txid);
}

static void assert_message(const char *want, size_t len)
{
  assert_int_equal(stun_end(&e), len);
  assert_memory_equal(out, want, len);
}

static void test_empty_message(void **state)
{
  (void)state;
  begin();
  assert_message("\0\1\0\0\x21\x12\xA4\x42"
                 "abcdefghijkl",
                 20);
}

static void test_every_type_decodes_to_itself(void **state)
{
  (void)state;
  for (unsigned method = 0; method <= 0xFFF; method++) {
    for (int class = STUN_REQUEST; class <= STUN_ERROR; class ++) {
      struct stun_view v;
      stun_begin(&e, out, sizeof out, (enum stun_class) class, (uint16_t)method, txid);
      int len = stun_end(&e);
      assert_int_equal(stun_decode(out, (size_t)len, &v), 0);
      assert_int_equal(v.method, method);
      assert_int_equal(v.class, class);
    }
  }
}

static void test_padding_is_zero(void **state)
{
  (void)state;
  begin();
  stun_put_text(&e, STUN_ATTR_USERNAME, "evtj:");
  assert_message("\0\1\0\14\x21\x12\xA4\x42"
                 "abcdefghijkl"
                 "\0\6\0\5evtj:\0\0\0",
                 32);
}

static void test_numbers(void **state)
{
  (void)state;
  begin();
  stun_put_uint(&e, STUN_ATTR_LIFETIME, 0x01020304);
  stun_put_uint(&e, STUN_ATTR_REQUESTED_TRANSPORT, 17);
  stun_put_uint(&e, STUN_ATTR_CHANNEL_NUMBER, 0x4001);
  stun_put_bytes(&e, STUN_ATTR_DONT_FRAGMENT, NULL, 0);
  assert_int_equal(stun_end(&e), 48);
  assert_memory_equal(out + 20, "\0\15\0\4\1\2\3\4", 8);
  assert_memory_equal(out + 28, "\0\x19\0\4\x11\0\0\0", 8);
  assert_memory_equal(out + 36, "\0\14\0\4\x40\1\0\0", 8);
  assert_memory_equal(out + 44, "\0\x1A\0\0", 4);
}

static void test_numbers_that_their_kind_cannot_say(void **state)
{
  (void)state;
  begin();
  stun_put_uint(&e, STUN_ATTR_REQUESTED_TRANSPORT, 256);
  assert_int_equal(stun_end(&e), -ERR_FULL);
  begin();
  stun_put_uint(&e, STUN_ATTR_CHANNEL_NUMBER, 0x10000);
  assert_int_equal(stun_end(&e), -ERR_FULL);
  begin();
  stun_put_uint(&e, STUN_ATTR_USERNAME, 1);
  assert_int_equal(stun_end(&e), -ERR_FULL);
}

static void test_addresses(void **state)
{
  (void)state;
  struct addr v4 = addr_v4(192, 0, 2, 1, 32853), v6;
  assert_int_equal(addr_parse(bytes_of("[2001:db8::1]:32853"), &v6), 0);
  begin();
  stun_put_addr(&e, STUN_ATTR_MAPPED_ADDRESS, &v4);
  stun_put_addr(&e, STUN_ATTR_XOR_MAPPED_ADDRESS, &v4);
  stun_put_addr(&e, STUN_ATTR_XOR_PEER_ADDRESS, &v6);
  assert_int_equal(stun_end(&e), 20 + 12 + 12 + 24);
  assert_memory_equal(out + 20, "\0\1\0\10\0\1\x80\x55\xC0\0\2\1", 12);
  assert_memory_equal(out + 32, "\0\x20\0\10\0\1\xA1\x47\xE1\x12\xA6\x43", 12);
  assert_memory_equal(out + 44, "\0\x12\0\24\0\2\xA1\x47\1\x13\xA9\xFA", 12);
  assert_memory_equal(out + 56, "abcdefghijk\x6D", 12); /* 'l' ^ 1 */
}

static void test_what_is_no_address(void **state)
{
  (void)state;
  struct addr none = {0}, v4 = addr_v4(1, 2, 3, 4, 5);
  begin();
  stun_put_addr(&e, STUN_ATTR_XOR_MAPPED_ADDRESS, &none);
  assert_int_equal(stun_end(&e), -ERR_FULL);
  begin();
  stun_put_addr(&e, STUN_ATTR_LIFETIME, &v4);
  assert_int_equal(stun_end(&e), -ERR_FULL);
}

static void test_error_with_its_phrase(void **state)
{
  (void)state;
  begin();
  stun_put_error(&e, 438);
  assert_int_equal(stun_end(&e), 40);
  assert_memory_equal(out + 20, "\0\11\0\17\0\0\4\x26Stale Nonce\0", 20);
  begin();
  stun_put_error(&e, 299);
  assert_int_equal(stun_end(&e), -ERR_FULL);
}

static void test_reasons(void **state)
{
  (void)state;
  static const int code[] = {300, 400, 401, 403, 405, 420, 437, 438, 440,
                             441, 442, 443, 446, 447, 486, 487, 500, 508};
  for (size_t i = 0; i < sizeof code / sizeof code[0]; i++)
    assert_string_not_equal(stun_reason(code[i]), "Error");
  assert_string_equal(stun_reason(420), "Unknown Attribute");
  assert_string_equal(stun_reason(0), "Error");
  assert_string_equal(stun_reason(699), "Error");
}

static void test_response_repeats_all_16_bytes(void **state)
{
  (void)state;
  const uint8_t request[20] = "\0\1\0\0classic id of 16";
  struct stun_view v;
  assert_int_equal(stun_decode(request, sizeof request, &v), 0);
  stun_begin_response(&e, out, sizeof out, STUN_SUCCESS, &v);
  assert_message("\1\1\0\0classic id of 16", 20);
}

static void test_response_in_place_of_its_request(void **state)
{
  (void)state;
  struct stun_view v;
  begin();
  int len = stun_end(&e);
  assert_int_equal(stun_decode(out, (size_t)len, &v), 0);
  stun_begin_response(&e, out, sizeof out, STUN_ERROR, &v);
  assert_message("\1\x11\0\0\x21\x12\xA4\x42"
                 "abcdefghijkl",
                 20);
}

static void test_unknown_attributes(void **state)
{
  (void)state;
  const struct stun_view v = {.unknown = {0x7FFF, 0x0002, 0x4001}, .unknown_count = 3};
  begin();
  stun_put_unknown(&e, &v);
  assert_int_equal(stun_end(&e), 32);
  assert_memory_equal(out + 20, "\0\12\0\6\x7F\xFF\0\2\x40\1\0\0", 12);
}

static void test_no_capacity_is_ever_exceeded(void **state)
{
  (void)state;
  for (size_t cap = 0; cap <= 48; cap++) {
    uint8_t *small = malloc(cap ? cap : 1); /* AddressSanitizer watches its end */
    assert_non_null(small);
    stun_begin(&e, small, cap, STUN_REQUEST, STUN_BINDING, txid);
    stun_put_text(&e, STUN_ATTR_USERNAME, "evtj:h6vY");
    stun_put_uint(&e, STUN_ATTR_LIFETIME, 600);
    stun_put_bytes(&e, STUN_ATTR_DONT_FRAGMENT, NULL, 0);
    assert_int_equal(stun_end(&e), cap < 48 ? -ERR_FULL : 48);
    free(small);
  }
}

static void test_once_full_nothing_smaller_slips_in(void **state)
{
  (void)state;
  stun_begin(&e, out, 28, STUN_REQUEST, STUN_BINDING, txid);
  stun_put_text(&e, STUN_ATTR_USERNAME, "too long for it");
  size_t len = e.len;
  stun_put_bytes(&e, STUN_ATTR_DONT_FRAGMENT, NULL, 0);
  assert_int_equal(e.len, len);
  assert_int_equal(stun_end(&e), -ERR_FULL);
}

static void test_length_field_bounds_the_message(void **state)
{
  (void)state;
  static uint8_t big[70000], data[65528];
  struct stun_view v;
  stun_begin(&e, big, sizeof big, STUN_INDICATION, STUN_SEND, txid);
  stun_put_bytes(&e, STUN_ATTR_DATA, data, 65528);
  assert_int_equal(stun_end(&e), 20 + 65532);
  assert_int_equal(stun_decode(big, 20 + 65532, &v), 0);
  stun_begin(&e, big, sizeof big, STUN_INDICATION, STUN_SEND, txid);
  stun_put_bytes(&e, STUN_ATTR_DATA, data, 65525);
  stun_put_bytes(&e, STUN_ATTR_DONT_FRAGMENT, NULL, 0);
  assert_int_equal(stun_end(&e), -ERR_FULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_empty_message),
      cmocka_unit_test(test_every_type_decodes_to_itself),
      cmocka_unit_test(test_padding_is_zero),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_numbers_that_their_kind_cannot_say),
      cmocka_unit_test(test_addresses),
      cmocka_unit_test(test_what_is_no_address),
      cmocka_unit_test(test_error_with_its_phrase),
      cmocka_unit_test(test_reasons),
      cmocka_unit_test(test_response_repeats_all_16_bytes),
      cmocka_unit_test(test_response_in_place_of_its_request),
      cmocka_unit_test(test_unknown_attributes),
      cmocka_unit_test(test_no_capacity_is_ever_exceeded),
      cmocka_unit_test(test_once_full_nothing_smaller_slips_in),
      cmocka_unit_test(test_length_field_bounds_the_message),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
