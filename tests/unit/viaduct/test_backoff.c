/* viaduct/backoff.c: the waits between the starts of a server that keeps stopping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "viaduct/backoff.h"

static void test_doubles_to_the_bound(void **state)
{
  (void)state;
  static const uint64_t waits[] = {250, 500, 1000, 2000, 4000, 8000, 10000, 10000, 10000};
  struct backoff b = {0};
  uint64_t now_ms = 1000000;
  for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
    backoff_started(&b, now_ms);
    now_ms += BACKOFF_FORGET_MS - 1;
    assert_int_equal(backoff_stopped(&b, now_ms), waits[i]);
    now_ms += waits[i];
  }
}

static void test_forgets_after_a_life(void **state)
{
  (void)state;
  struct backoff b = {0};
  for (int i = 0; i < 5; i++) {
    backoff_started(&b, 0);
    backoff_stopped(&b, 1);
  }
  backoff_started(&b, 5000);
  assert_int_equal(backoff_stopped(&b, 5000 + BACKOFF_FORGET_MS), 250);
  backoff_started(&b, 40000);
  assert_int_equal(backoff_stopped(&b, 40001), 500);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_doubles_to_the_bound),
      cmocka_unit_test(test_forgets_after_a_life),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
