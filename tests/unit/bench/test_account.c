/* bench/load/account.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/load/account.h"

static void test_in_order(void **state)
{
  (void)state;
  struct load_account a = {0};
  for (uint64_t i = 0; i < 3 * LOAD_WINDOW; i++)
    assert_true(load_account_take(&a, i));
  assert_int_equal(a.received, 3 * LOAD_WINDOW);
  assert_int_equal(a.duplicates + a.reordered, 0);
}

static void test_twice(void **state)
{
  (void)state;
  struct load_account a = {0};
  assert_true(load_account_take(&a, 5));
  assert_false(load_account_take(&a, 5));
  assert_true(load_account_take(&a, 3));
  assert_false(load_account_take(&a, 3));
  assert_true(load_account_take(&a, 6));
  assert_int_equal(a.received, 3);
  assert_int_equal(a.duplicates, 2);
  assert_int_equal(a.reordered, 1);
}

/* What a jump skips has not been seen, even where the window held an older packet in its place. */
static void test_a_jump(void **state)
{
  (void)state;
  struct load_account a = {0};
  for (uint64_t i = 0; i < LOAD_WINDOW; i++)
    assert_true(load_account_take(&a, i));
  assert_true(load_account_take(&a, LOAD_WINDOW + 100));
  for (uint64_t i = 0; i < 100; i++)
    assert_true(load_account_take(&a, LOAD_WINDOW + i));
  assert_int_equal(a.reordered, 100);
  assert_true(load_account_take(&a, 10 * LOAD_WINDOW));
  assert_true(load_account_take(&a, 9 * LOAD_WINDOW + 1));
  /* Older than the window: nobody can tell, and it does not count as arrived. */
  assert_false(load_account_take(&a, 9 * LOAD_WINDOW));
  assert_int_equal(a.duplicates, 1);
}

static void test_shares_of_times(void **state)
{
  (void)state;
  static struct load_histogram h;
  assert_int_equal(load_histogram_at(&h, 0.5), 0);
  for (uint64_t ns = 1; ns <= 100000; ns++)
    load_histogram_add(&h, ns);
  static const struct {
    double share;
    uint64_t ns;
  } want[] = {{0.5, 50000}, {0.99, 99000}, {0.999, 99900}, {0.0001, 10}};
  for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
    const uint64_t got = load_histogram_at(&h, want[i].share);
    assert_in_range(got, want[i].ns, want[i].ns + want[i].ns / 30 + 1);
  }
  assert_int_equal(load_histogram_at(&h, 1), 100000);
  assert_int_equal(h.most, 100000);
}

static void test_the_longest_times(void **state)
{
  (void)state;
  static struct load_histogram h;
  load_histogram_add(&h, UINT64_MAX);
  load_histogram_add(&h, 0);
  assert_int_equal(load_histogram_at(&h, 1), UINT64_MAX);
  assert_int_equal(load_histogram_at(&h, 0.1), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_in_order),
      cmocka_unit_test(test_twice),
      cmocka_unit_test(test_a_jump),
      cmocka_unit_test(test_shares_of_times),
      cmocka_unit_test(test_the_longest_times),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
