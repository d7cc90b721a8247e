/* bench/load/payload.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "bench/load/payload.h"

static const struct load_payload sent = {7, 0x0102030405060708, 0x1112131415161718};

static void test_what_is_put_is_read(void **state)
{
  (void)state;
  static const size_t lengths[] = {LOAD_PAYLOAD_LEAST, LOAD_PAYLOAD_LEAST + 1, 160,
                                   LOAD_PAYLOAD_MOST};
  for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
    uint8_t bytes[LOAD_PAYLOAD_MOST];
    struct load_payload got;
    load_payload_put(bytes, lengths[i], &sent);
    assert_int_equal(load_payload_get((struct bytes){bytes, lengths[i]}, &got), 0);
    assert_int_equal(got.flow, sent.flow);
    assert_int_equal(got.sequence, sent.sequence);
    assert_int_equal(got.made_ns, sent.made_ns);
  }
}

/* Every byte counts: one bit turned anywhere is noticed. */
static void test_damage_is_noticed(void **state)
{
  (void)state;
  uint8_t bytes[160];
  struct load_payload got;
  load_payload_put(bytes, sizeof(bytes), &sent);
  for (size_t i = 0; i < sizeof(bytes) * 8; i++) {
    bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    assert_int_equal(load_payload_get((struct bytes){bytes, sizeof(bytes)}, &got), -ERR_BAD);
    bytes[i / 8] ^= (uint8_t)(1 << i % 8);
  }
  for (size_t len = 0; len < sizeof(bytes); len++)
    assert_int_equal(load_payload_get((struct bytes){bytes, len}, &got), -ERR_BAD);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_is_put_is_read),
      cmocka_unit_test(test_damage_is_noticed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
