/* stun/core/frame.c: the first message of a stream, whole, in part, or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "stun/core/frame.h"

static const uint8_t binding[] = "\0\1\0\4\x21\x12\xA4\x42"
                                 "abcdefghijkl"
                                 "\0\x1A\0\0"
                                 "next";
enum { BINDING_LEN = 24 };

static int next(const void *p, size_t len, bool channel, struct stun_frame *f)
{
  return stun_frame_next((struct bytes){p, len}, channel, f);
}

static void test_stun_byte_by_byte(void **state)
{
  (void)state;
  struct stun_frame f;
  for (size_t len = 0; len < BINDING_LEN; len++) {
    assert_int_equal(next(binding, len, false, &f), -ERR_MORE);
    assert_int_equal(f.padded, len < 4 ? 0 : BINDING_LEN);
  }
  for (size_t len = BINDING_LEN; len < sizeof binding; len++) {
    assert_int_equal(next(binding, len, false, &f), 0);
    assert_int_equal(f.kind, STUN_FRAME_STUN);
    assert_int_equal(f.len, BINDING_LEN);
    assert_int_equal(f.padded, BINDING_LEN);
  }
}

static void test_channel_data_is_padded(void **state)
{
  (void)state;
  const uint8_t p[] = "\x40\1\0\5hello\0\0\0next";
  struct stun_frame f;
  for (size_t len = 0; len < 12; len++) {
    assert_int_equal(next(p, len, true, &f), -ERR_MORE);
    assert_int_equal(f.padded, len < 4 ? 0 : 12);
  }
  assert_int_equal(next(p, 12, true, &f), 0);
  assert_int_equal(f.kind, STUN_FRAME_CHANNEL);
  assert_int_equal(f.len, 9);
  assert_int_equal(f.padded, 12);
  assert_int_equal(next("\x4F\xFF\0\0", 4, true, &f), 0);
  assert_int_equal(f.padded, 4);
}

static void test_channel_data_where_none_may_come(void **state)
{
  (void)state;
  struct stun_frame f;
  assert_int_equal(next("\x40", 1, false, &f), -ERR_BAD);
  assert_int_equal(next("\x50", 1, true, &f), -ERR_BAD);
  assert_int_equal(next("\x80", 1, true, &f), -ERR_BAD);
  assert_int_equal(next("\xFF", 1, true, &f), -ERR_BAD);
}

static void test_bad_as_early_as_can_be(void **state)
{
  (void)state;
  struct stun_frame f;
  assert_int_equal(next("\0\1\0\2", 4, false, &f), -ERR_BAD);
  uint8_t p[sizeof binding];
  for (size_t i = 4; i < 8; i++) {
    memcpy(p, binding, sizeof p);
    p[i] ^= 1;
    assert_int_equal(next(p, i, false, &f), -ERR_MORE);
    assert_int_equal(next(p, i + 1, false, &f), -ERR_BAD);
    assert_int_equal(next(p, sizeof p - 1, false, &f), -ERR_BAD);
  }
}

static void test_the_longest(void **state)
{
  (void)state;
  static uint8_t p[STUN_FRAME_MAX + 1] = "\0\1\xFF\xFC\x21\x12\xA4\x42";
  struct stun_frame f;
  assert_int_equal(next(p, STUN_FRAME_MAX - 1, true, &f), -ERR_MORE);
  assert_int_equal(next(p, STUN_FRAME_MAX, true, &f), 0);
  assert_int_equal(f.padded, STUN_FRAME_MAX);
  memcpy(p, "\x40\0\xFF\xFF", 4);
  assert_int_equal(next(p, sizeof p, true, &f), 0);
  assert_int_equal(f.len, 4 + 65535);
  assert_true(f.padded <= STUN_FRAME_MAX);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_stun_byte_by_byte),
      cmocka_unit_test(test_channel_data_is_padded),
      cmocka_unit_test(test_channel_data_where_none_may_come),
      cmocka_unit_test(test_bad_as_early_as_can_be),
      cmocka_unit_test(test_the_longest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
