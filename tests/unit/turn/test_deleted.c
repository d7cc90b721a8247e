/* turn/core/deleted.c: remembered for forty seconds, and never more than so many. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/turn_world.h"
#include "turn/core/internal.h"

static struct world world;
static uint8_t message[STUN_HEADER_LEN];
static struct stun_view view = {.at = message, .len = sizeof(message)};

static int set_up(void **state)
{
  (void)state;
  world_init(&world);
  return world_start(&world);
}

static int tear_down(void **state)
{
  (void)state;
  return !world_stop(&world);
}

static struct turn_request request(struct turn_flow *flow, uint32_t n)
{
  *flow = (struct turn_flow){.client = addr_v4(8, 8, 8, 8, (uint16_t)n)};
  store_be32(message + 8, n);
  return (struct turn_request){
      .t = world.turn, .flow = flow, .view = &view, .now_ms = world.now_ms};
}

static void remember(uint32_t n)
{
  struct turn_flow flow;
  struct turn_request rq = request(&flow, n);
  turn__deleted_remember(&rq);
}

static bool has(uint32_t n)
{
  struct turn_flow flow;
  const struct turn_request rq = request(&flow, n);
  return turn__deleted_has(&rq);
}

static void test_forty_seconds(void **state)
{
  (void)state;
  remember(1);
  world_elapse(&world, 10000);
  remember(2);
  world_elapse(&world, 29999);
  assert_true(has(1) && has(2));
  world_elapse(&world, 1);
  assert_true(!has(1) && has(2));
  world_elapse(&world, 10000);
  assert_false(has(2));
  assert_int_equal(world.turn->deleted_count, 0);
  assert_true(turn_next_ms(world.turn) == UINT64_MAX);
}

static void test_the_same_flow_another_transaction(void **state)
{
  (void)state;
  struct turn_flow flow;
  remember(1);
  struct turn_request rq = request(&flow, 1);
  assert_true(turn__deleted_has(&rq));
  store_be32(message + 8, 2);
  assert_false(turn__deleted_has(&rq));
}

static void test_the_oldest_gives_way(void **state)
{
  (void)state;
  for (uint32_t n = 1; n <= TURN__DELETED_MAX + 10; n++)
    remember(n);
  assert_int_equal(world.turn->deleted_count, TURN__DELETED_MAX);
  assert_false(has(10));
  assert_true(has(11));
  assert_true(has(TURN__DELETED_MAX + 10));
}

static void test_no_memory(void **state)
{
  (void)state;
  for (size_t n = 1; n <= 2; n++) {
    failing_mem_fail_at(&world.mem, n);
    remember(1);
    assert_false(has(1));
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_forty_seconds, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_the_same_flow_another_transaction, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_the_oldest_gives_way, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("turn-deleted", tests, NULL, NULL);
}
