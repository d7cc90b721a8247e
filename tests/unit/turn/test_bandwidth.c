/* turn/core/bandwidth.c: at any speed, what goes through in any second is the limit at most, twice
 * that at the start, and it is the limit on the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "turn/core/internal.h"

static struct turn turn;
static struct turn_allocation allocation;

static struct turn_allocation *limited(uint64_t bps)
{
  turn = (struct turn){0};
  allocation = (struct turn_allocation){.turn = &turn, .share = {.bps = bps}};
  return &allocation;
}

static void test_a_second_at_once_and_no_more(void **state)
{
  (void)state;
  struct turn_allocation *a = limited(1000);
  for (int i = 0; i < 10; i++)
    assert_true(turn__bandwidth_from_client(a, 100, 5000));
  assert_false(turn__bandwidth_from_client(a, 1, 5000));
  assert_false(turn__bandwidth_from_client(a, 100, 5099));
  assert_true(turn__bandwidth_from_client(a, 100, 5100));
  assert_false(turn__bandwidth_from_client(a, 1, 5100));
  assert_true(turn__bandwidth_from_client(a, 0, 5100));
  assert_int_equal(turn.counters.dropped_over_limit, 3);
  assert_int_equal(turn.counters.over_limit_from_client_bytes, 102);
  assert_int_equal(turn.counters.over_limit_from_peer_bytes, 0);
}

static void test_the_two_ways_are_apart(void **state)
{
  (void)state;
  struct turn_allocation *a = limited(100);
  assert_true(turn__bandwidth_from_client(a, 100, 0));
  assert_true(turn__bandwidth_from_peer(a, 100, 0));
  assert_false(turn__bandwidth_from_peer(a, 7, 0));
  assert_int_equal(turn.counters.over_limit_from_peer_bytes, 7);
}

static void test_larger_than_a_second(void **state)
{
  (void)state;
  struct turn_allocation *a = limited(100);
  assert_false(turn__bandwidth_from_client(a, 101, 1000000));
  assert_true(turn__bandwidth_from_client(a, 100, 1000000));
}

/* What was refused costs nothing, and silence saves up no more than one second. */
static void test_silence(void **state)
{
  (void)state;
  struct turn_allocation *a = limited(1000);
  assert_true(turn__bandwidth_from_client(a, 1000, 0));
  for (int i = 0; i < 100; i++)
    assert_false(turn__bandwidth_from_client(a, 1000, 999));
  assert_true(turn__bandwidth_from_client(a, 1000, 1000));
  assert_true(turn__bandwidth_from_client(a, 1000, 3600 * 1000));
  assert_false(turn__bandwidth_from_client(a, 1, 3600 * 1000));
}

static void test_over_time(void **state)
{
  (void)state;
  static const uint64_t rates[] = {1, 3, 999, 64000, 125000000, 40000000000};
  for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
    struct turn_allocation *a = limited(rates[i]);
    const size_t len = rates[i] < 100 ? 1 : 50 + (size_t)(rates[i] / 10000);
    uint64_t through = 0;
    for (uint64_t now_ms = 0; now_ms < 10000; now_ms++)
      for (int k = 0; k < 12; k++)
        if (turn__bandwidth_from_client(a, len, now_ms))
          through += len;
    assert_in_range(through, 10 * rates[i] - len, 11 * rates[i] + len);
  }
}

/* What cannot be dropped waits: three seconds' worth at once, and then it rests for two. */
static void test_a_stream_rests(void **state)
{
  (void)state;
  uint64_t paid_ns = 0;
  assert_int_equal(turn_pace(&paid_ns, 1000, 1000, 5000), 0);
  assert_int_equal(turn_pace(&paid_ns, 1000, 2000, 5000), 2000);
  assert_int_equal(turn_pace(&paid_ns, 1000, 0, 7000), 0);
  assert_int_equal(turn_pace(&paid_ns, 1000, 1, 7000), 1);
  assert_int_equal(turn_pace(&paid_ns, 1000, 1000, 60000), 0);
  paid_ns = 0;
  assert_int_equal(turn_pace(&paid_ns, 1, UINT16_MAX, 0), (UINT16_MAX - 1) * 1000);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_second_at_once_and_no_more),
      cmocka_unit_test(test_the_two_ways_are_apart),
      cmocka_unit_test(test_larger_than_a_second),
      cmocka_unit_test(test_silence),
      cmocka_unit_test(test_over_time),
      cmocka_unit_test(test_a_stream_rests),
  };
  return cmocka_run_group_tests_name("turn-bandwidth", tests, NULL, NULL);
}
