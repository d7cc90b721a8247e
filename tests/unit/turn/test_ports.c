/* turn/core/ports.c: random ports, each to one only, and all of them come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/failing_mem.h"
#include "turn/core/internal.h"

struct pool {
  struct failing_mem mem;
  struct turn_ports ports;
  struct random_seed seed;
  struct random random;
};

static void open_pool(struct pool *p, uint16_t min, uint16_t max, uint32_t index, uint32_t count)
{
  const struct turn_config c = {.min_port = min, .max_port = max};
  failing_mem_init(&p->mem);
  p->random = random_seeded(&p->seed, 7);
  assert_int_equal(turn__ports_init(&p->ports, &p->mem.mem, &c, index, count), 0);
}

static void close_pool(struct pool *p)
{
  turn__ports_fini(&p->ports, &p->mem.mem);
  assert_int_equal(p->mem.blocks, 0);
}

static void test_each_port_once_and_all_back(void **state)
{
  (void)state;
  struct pool p;
  open_pool(&p, 50000, 50099, 0, 1);
  assert_int_equal(p.ports.count, 100);
  for (int round = 0; round < 3; round++) {
    bool taken[100] = {false};
    uint16_t port;
    for (int i = 0; i < 100; i++) {
      assert_true(turn__ports_take(&p.ports, &p.random, TURN__ANY_PORT, &port));
      assert_in_range(port, 50000, 50099);
      assert_false(taken[port - 50000]);
      taken[port - 50000] = true;
    }
    assert_int_equal(p.ports.free_count, 0);
    assert_false(turn__ports_take(&p.ports, &p.random, TURN__ANY_PORT, &port));
    for (uint16_t i = 0; i < 100; i++)
      turn__ports_give(&p.ports, (uint16_t)(50000 + i));
    assert_int_equal(p.ports.free_count, 100);
  }
  close_pool(&p);
}

/* Giving what is free already, or what is none of the pool's, must not make a port out of nothing.
 */
static void test_giving_twice_makes_no_port(void **state)
{
  (void)state;
  struct pool p;
  uint16_t port;
  open_pool(&p, 50000, 50003, 0, 1);
  assert_true(turn__ports_take(&p.ports, &p.random, TURN__ANY_PORT, &port));
  turn__ports_give(&p.ports, port);
  turn__ports_give(&p.ports, port);
  turn__ports_give(&p.ports, 49999);
  turn__ports_give(&p.ports, 50004);
  turn__ports_give(&p.ports, 0);
  assert_int_equal(p.ports.free_count, 4);
  close_pool(&p);
}

static void test_parity(void **state)
{
  (void)state;
  struct pool p;
  uint16_t port;
  open_pool(&p, 50001, 50008, 0, 1);
  for (int i = 0; i < 3; i++) {
    assert_true(turn__ports_take(&p.ports, &p.random, TURN__EVEN_PAIR, &port));
    assert_int_equal(port % 2, 0);
    assert_false(turn__ports_take_at(&p.ports, (uint16_t)(port + 1)));
  }
  /* 50008 is even and alone, 50001 odd and alone. */
  assert_false(turn__ports_take(&p.ports, &p.random, TURN__EVEN_PAIR, &port));
  assert_true(turn__ports_take(&p.ports, &p.random, TURN__EVEN_PORT, &port));
  assert_int_equal(port, 50008);
  assert_false(turn__ports_take(&p.ports, &p.random, TURN__EVEN_PORT, &port));
  assert_int_equal(p.ports.free_count, 1);
  close_pool(&p);
}

/* Two workers never hand out the same port, and between them miss none. */
static void test_shares(void **state)
{
  (void)state;
  bool taken[1000] = {false};
  size_t sum = 0;
  for (uint32_t index = 0; index < 3; index++) {
    struct pool p;
    uint16_t port;
    open_pool(&p, 50000, 50999, index, 3);
    sum += p.ports.count;
    /* Both halves of a pair lie in one share, or EVEN-PORT could never be granted. */
    assert_true(turn__ports_take(&p.ports, &p.random, TURN__EVEN_PAIR, &port));
    turn__ports_give(&p.ports, port);
    turn__ports_give(&p.ports, (uint16_t)(port + 1));
    while (turn__ports_take(&p.ports, &p.random, TURN__ANY_PORT, &port)) {
      assert_false(taken[port - 50000]);
      taken[port - 50000] = true;
    }
    close_pool(&p);
  }
  assert_int_equal(sum, 1000);
}

/* All of 1 to 65535; the last of them has the number that means "taken" nowhere. */
static void test_the_widest_range(void **state)
{
  (void)state;
  struct pool p;
  uint16_t port;
  open_pool(&p, 0, 65535, 0, 1);
  assert_int_equal(p.ports.count, 65535);
  for (size_t i = 0; i < 65535; i++)
    assert_true(turn__ports_take(&p.ports, &p.random, TURN__ANY_PORT, &port));
  assert_false(turn__ports_take(&p.ports, &p.random, TURN__ANY_PORT, &port));
  for (uint32_t i = 1; i <= 65535; i++)
    turn__ports_give(&p.ports, (uint16_t)i);
  assert_int_equal(p.ports.free_count, 65535);
  close_pool(&p);
}

/* An observer of one port learns next to nothing about the next: no neighbours, no order. */
static void test_ports_are_spread(void **state)
{
  (void)state;
  struct pool p;
  uint16_t port, before = 0;
  int near = 0, quarter[4] = {0};
  open_pool(&p, 49152, 65535, 0, 1);
  for (int i = 0; i < 4000; i++) {
    assert_true(turn__ports_take(&p.ports, &p.random, TURN__ANY_PORT, &port));
    near += port - before <= 16 && before - port <= 16;
    quarter[(port - 49152) / 4096]++;
    before = port;
  }
  assert_in_range(near, 0, 40); /* 8 are to be expected */
  for (int i = 0; i < 4; i++)
    assert_in_range(quarter[i], 850, 1150);
  close_pool(&p);
}

static void test_no_memory(void **state)
{
  (void)state;
  const struct turn_config c = {.min_port = 50000, .max_port = 50009};
  for (size_t n = 1; n <= 2; n++) {
    struct failing_mem mem;
    struct turn_ports ports = {0};
    failing_mem_init(&mem);
    failing_mem_fail_at(&mem, n);
    assert_int_not_equal(turn__ports_init(&ports, &mem.mem, &c, 0, 1), 0);
    assert_int_equal(mem.blocks, 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_port_once_and_all_back),
      cmocka_unit_test(test_giving_twice_makes_no_port),
      cmocka_unit_test(test_parity),
      cmocka_unit_test(test_shares),
      cmocka_unit_test(test_the_widest_range),
      cmocka_unit_test(test_ports_are_spread),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests_name("turn-ports", tests, NULL, NULL);
}
