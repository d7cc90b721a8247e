/* turn/xdp/pool.c: each row is one channel's, and rests before it is another's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "turn/xdp/pool.h"

static void test_rows_are_taken_once(void **state)
{
  (void)state;
  struct turnd_xdp_pool p;
  uint32_t a, b, c;
  assert_int_equal(turnd_xdp_pool_init(&p, 2), 0);
  assert_true(turnd_xdp_pool_take(&p, 5, &a));
  assert_true(turnd_xdp_pool_take(&p, 5, &b));
  assert_int_not_equal(a, b);
  assert_false(turnd_xdp_pool_take(&p, 5, &c));
  turnd_xdp_pool_fini(&p);
}

static void test_rows_rest(void **state)
{
  (void)state;
  struct turnd_xdp_pool p;
  uint32_t a, b, c;
  assert_int_equal(turnd_xdp_pool_init(&p, 2), 0);
  assert_true(turnd_xdp_pool_take(&p, 5, &a));
  assert_true(turnd_xdp_pool_take(&p, 5, &b));
  turnd_xdp_pool_give(&p, 100, b);
  turnd_xdp_pool_give(&p, 200, a);
  assert_false(turnd_xdp_pool_take(&p, 99 + TURND_XDP_REST_MS, &c));
  assert_true(turnd_xdp_pool_take(&p, 100 + TURND_XDP_REST_MS, &c));
  assert_int_equal(c, b); /* the one that was free the longest */
  assert_false(turnd_xdp_pool_take(&p, 199 + TURND_XDP_REST_MS, &c));
  assert_true(turnd_xdp_pool_take(&p, 200 + TURND_XDP_REST_MS, &c));
  assert_int_equal(c, a);
  turnd_xdp_pool_fini(&p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rows_are_taken_once),
      cmocka_unit_test(test_rows_rest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
