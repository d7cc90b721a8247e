/* turn/core/reserve.c: sockets at free ports, others' ports set aside, reservations bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/support/turn_world.h"
#include "turn/core/internal.h"

static struct world world;

static int set_up(void **state)
{
  (void)state;
  world_init(&world);
  return 0;
}

static void start(uint16_t min, uint16_t max)
{
  world.config.min_port = min;
  world.config.max_port = max;
  assert_int_equal(world_start(&world), 0);
}

static uint32_t free_ports(void)
{
  return world.turn->ports[0].free_count;
}

static void test_open_and_close(void **state)
{
  (void)state;
  struct turn_socket s;
  start(50000, 50003);
  assert_int_equal(turn__socket_open(world.turn, turn__relay_next(world.turn, ADDR_V4, NULL),
                                     TURN__ANY_PORT, &s, NULL),
                   0);
  assert_int_equal(free_ports(), 3);
  assert_int_equal(s.relayed.port, s.port);
  turn__socket_close(world.turn, &s);
  assert_int_equal(free_ports(), 4);
  assert_true(world_stop(&world));
}

/* Ports that others hold do not end the search, and are in the pool again after it. */
static void test_busy_ports_go_back(void **state)
{
  (void)state;
  struct turn_socket s;
  for (uint16_t i = 0; i < 7; i++)
    world.busy[world.busy_count++] = (uint16_t)(50000 + i);
  start(50000, 50007);
  assert_int_equal(turn__socket_open(world.turn, turn__relay_next(world.turn, ADDR_V4, NULL),
                                     TURN__ANY_PORT, &s, NULL),
                   0);
  assert_int_equal(s.port, 50007);
  assert_int_equal(free_ports(), 7);
  struct turn_socket none;
  assert_int_equal(turn__socket_open(world.turn, turn__relay_next(world.turn, ADDR_V4, NULL),
                                     TURN__ANY_PORT, &none, NULL),
                   508);
  assert_int_equal(free_ports(), 7);
  turn__socket_close(world.turn, &s);
  assert_int_equal(free_ports(), 8);
  assert_true(world_stop(&world));
}

/* The odd half of a pair is taken by another: the even half is closed again. */
static void test_half_a_pair(void **state)
{
  (void)state;
  struct turn_socket s, next;
  world.busy[world.busy_count++] = 50001;
  start(50000, 50001);
  assert_int_equal(turn__socket_open(world.turn, turn__relay_next(world.turn, ADDR_V4, NULL),
                                     TURN__EVEN_PAIR, &s, &next),
                   508);
  assert_int_equal(world.relay_open, 0);
  assert_int_equal(free_ports(), 2);
  assert_true(world_stop(&world));
}

static int refuse(void *arg, const struct addr *at, turn_relay *out)
{
  (void)at;
  (void)out;
  ++*(int *)arg;
  return -ERR_IO;
}

/* Whatever else is wrong is wrong for every port: one attempt. */
static void test_an_error_that_is_not_busy(void **state)
{
  (void)state;
  int calls = 0;
  struct turn_socket s;
  start(50000, 50003);
  struct turn_effects effects = world.effects;
  effects.relay_open = refuse;
  effects.arg = &calls;
  world.turn->effects = &effects;
  assert_int_equal(turn__socket_open(world.turn, turn__relay_next(world.turn, ADDR_V4, NULL),
                                     TURN__ANY_PORT, &s, NULL),
                   508);
  assert_int_equal(calls, 1);
  assert_int_equal(free_ports(), 4);
  world.turn->effects = &world.effects;
  assert_true(world_stop(&world));
}

static void test_a_family_that_is_not_there(void **state)
{
  (void)state;
  struct turn_socket s;
  world.config.relay_count = 1;
  start(50000, 50003);
  assert_int_equal(turn__socket_open(world.turn, turn__relay_next(world.turn, ADDR_V6, NULL),
                                     TURN__ANY_PORT, &s, NULL),
                   508);
  assert_true(world_stop(&world));
}

static void test_reservations_are_bounded(void **state)
{
  (void)state;
  start(50000, 51000);
  struct turn_allocation a = {.turn = world.turn};
  for (size_t i = 0; i <= TURN__RESERVATIONS_MAX; i++) {
    struct turn_socket s;
    assert_int_equal(turn__socket_open(world.turn, turn__relay_next(world.turn, ADDR_V4, NULL),
                                       TURN__ANY_PORT, &s, NULL),
                     0);
    const int rc = turn__reserve(&a, &s, 0);
    assert_int_equal(rc, i < TURN__RESERVATIONS_MAX ? 0 : -ERR_FULL);
  }
  /* The one that found no room closed its socket. */
  assert_int_equal(world.relay_open, TURN__RESERVATIONS_MAX);
  world_elapse(&world, TURN__RESERVATION_MS - 1);
  assert_int_equal(world.relay_open, TURN__RESERVATIONS_MAX);
  world_elapse(&world, 1);
  assert_int_equal(world.relay_open, 0);
  assert_int_equal(free_ports(), 1001);
  assert_true(world_stop(&world));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_open_and_close, set_up),
      cmocka_unit_test_setup(test_busy_ports_go_back, set_up),
      cmocka_unit_test_setup(test_half_a_pair, set_up),
      cmocka_unit_test_setup(test_an_error_that_is_not_busy, set_up),
      cmocka_unit_test_setup(test_a_family_that_is_not_there, set_up),
      cmocka_unit_test_setup(test_reservations_are_bounded, set_up),
  };
  return cmocka_run_group_tests_name("turn-reserve", tests, NULL, NULL);
}
