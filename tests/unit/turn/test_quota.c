/* turn/core/quota.c: accounts come and go with their allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/turn_world.h"
#include "turn/core/internal.h"

static struct world world;

static int set_up(void **state)
{
  (void)state;
  world_init(&world);
  world.realm[0].user_quota = 2;
  return world_start(&world);
}

static int tear_down(void **state)
{
  (void)state;
  return !world_stop(&world);
}

static const struct turn_realm *realm_at(size_t row)
{
  return &world.turn->config->realm[row];
}

static bool is_full(const char *name)
{
  return turn__quota_is_reached(world.turn, realm_at(0), bytes_of(name), 1);
}

static void test_one_account_for_one_name(void **state)
{
  (void)state;
  struct turn_account *a = turn__account_join(world.turn, realm_at(0), bytes_of("bob"));
  struct turn_account *b = turn__account_join(world.turn, realm_at(0), bytes_of("bob"));
  struct turn_account *c = turn__account_join(world.turn, realm_at(0), bytes_of("eve"));
  assert_ptr_equal(a, b);
  assert_ptr_not_equal(a, c);
  assert_true(is_full("bob"));
  assert_false(is_full("eve"));
  assert_false(is_full("bo"));
  turn__account_leave(world.turn, b);
  assert_false(is_full("bob"));
  turn__account_leave(world.turn, a);
  turn__account_leave(world.turn, c);
  turn__account_leave(world.turn, NULL);
  assert_int_equal(world.turn->accounts.count, 0);
}

/* A time-limited username without a name has an account too, and it is one for all of them. */
static void test_the_empty_name(void **state)
{
  (void)state;
  const struct bytes empty = {NULL, 0};
  struct turn_account *a = turn__account_join(world.turn, realm_at(0), empty);
  assert_ptr_equal(turn__account_join(world.turn, realm_at(0), empty), a);
  assert_true(turn__quota_is_reached(world.turn, realm_at(0), empty, 1));
  turn__account_leave(world.turn, a);
  turn__account_leave(world.turn, a);
}

static void test_a_pair_counts_twice(void **state)
{
  (void)state;
  struct turn_account *a = turn__account_join(world.turn, realm_at(0), bytes_of("bob"));
  assert_false(turn__quota_is_reached(world.turn, realm_at(0), bytes_of("bob"), 1));
  assert_true(turn__quota_is_reached(world.turn, realm_at(0), bytes_of("bob"), 2));
  assert_false(turn__quota_is_reached(world.turn, realm_at(0), bytes_of("new"), 2));
  assert_true(turn__quota_is_reached(world.turn, realm_at(0), bytes_of("new"), 3));
  turn__account_leave(world.turn, a);
}

static void test_no_memory(void **state)
{
  (void)state;
  for (size_t n = 1; n <= 3; n++) {
    failing_mem_fail_at(&world.mem, n);
    assert_null(turn__account_join(world.turn, realm_at(0), bytes_of("bob")));
  }
  failing_mem_fail_at(&world.mem, 0);
  assert_false(is_full("bob"));
}

/* The same name in another realm is another user; a realm has a limit of its own. */
static void test_realms_count_apart(void **state)
{
  (void)state;
  world.realm[1] = (struct turn_realm){.name = bytes_of("example.com"), .total_quota = 3};
  world.config.realm_count = 2;
  world_reload(&world);
  struct turn_account *a = turn__account_join(world.turn, realm_at(0), bytes_of("bob"));
  struct turn_account *b = turn__account_join(world.turn, realm_at(1), bytes_of("bob"));
  assert_ptr_not_equal(a, b);
  assert_false(is_full("bob"));
  turn__account_hold(a);
  turn__account_hold(b);
  assert_true(is_full("bob"));
  assert_false(turn__quota_is_reached(world.turn, realm_at(1), bytes_of("bob"), 1));
  assert_true(turn__quota_is_reached(world.turn, realm_at(1), bytes_of("bob"), 2));
  assert_true(turn__quota_is_reached(world.turn, realm_at(1), bytes_of("eve"), 2));
  /* A realm that has gone has the first one's limits, and is found again when it comes back. */
  world.config.realm_count = 1;
  world_reload(&world);
  assert_ptr_equal(b->domain->realm, realm_at(0));
  assert_ptr_not_equal(turn__domain_find(world.turn, realm_at(0)), b->domain);
  world.config.realm_count = 2;
  world_reload(&world);
  assert_ptr_equal(b->domain->realm, realm_at(1));
  assert_ptr_equal(turn__domain_find(world.turn, realm_at(1)), b->domain);
  for (int i = 0; i < 2; i++) {
    turn__account_leave(world.turn, a);
    turn__account_leave(world.turn, b);
  }
  assert_int_equal(world.turn->accounts.count, 0);
  assert_true(list_is_empty(&world.turn->domains));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_one_account_for_one_name, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_the_empty_name, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_pair_counts_twice, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_realms_count_apart, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("turn-quota", tests, NULL, NULL);
}
