/* turn/core/fast.c: what comes back from whoever carries channels without the core, and a limit
 * that both share. Which channels those are is in the scenarios (fast-*.scn), and is asked by the
 * world after each input of every one of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/turn_client.h"
#include "tests/support/turn_world.h"
#include "turn/core/internal.h"

static struct world world;
static size_t told, ended;
static uint64_t ended_bytes;

static void hear(void *arg, const struct turn_event *e)
{
  (void)arg;
  told += e->kind == TURN_EVENT_TRAFFIC;
  if (e->kind != TURN_EVENT_DELETED)
    return;
  ended++;
  ended_bytes = e->total.from_client_bytes;
}

static void request(struct turn_client *c, uint16_t method, uint32_t value)
{
  const struct addr peer = addr_v4(8, 8, 4, 4, (uint16_t)(9 + value));
  uint8_t out[STUN_MESSAGE_MAX];
  struct stun_encoder e;
  client_begin(c, &e, out, sizeof(out), STUN_REQUEST, method);
  if (method == STUN_ALLOCATE)
    stun_put_uint(&e, STUN_ATTR_REQUESTED_TRANSPORT, 17);
  if (method == STUN_CHANNEL_BIND) {
    stun_put_uint(&e, STUN_ATTR_CHANNEL_NUMBER, 0x4000 + value);
    stun_put_addr(&e, STUN_ATTR_XOR_PEER_ADDRESS, &peer);
  }
  if (method == STUN_REFRESH)
    stun_put_uint(&e, STUN_ATTR_LIFETIME, value);
  assert_true(client_exchange(c, &e, true, &world));
}

/* One allocation with two channels. */
static struct turn_client begin(uint64_t max_bps)
{
  const struct addr from = addr_v4(8, 8, 8, 8, 1), to = addr_v4(9, 9, 9, 9, 3478);
  struct turn_client c;
  world_init(&world);
  world.config.max_channels = 2 * TURN_FAST_CHANNELS_MAX;
  world.effects.event = hear;
  world.realm[0].max_bps = max_bps;
  world_add_user(&world, "bob", "secret");
  told = ended = 0;
  assert_int_equal(world_start(&world), 0);
  client_init(&c, &from, &to, TURN_UDP);
  request(&c, STUN_ALLOCATE, 0); /* the challenge */
  request(&c, STUN_ALLOCATE, 0);
  request(&c, STUN_CHANNEL_BIND, 0);
  request(&c, STUN_CHANNEL_BIND, 1);
  assert_int_equal(world.fast_count, 2);
  return c;
}

static bool passes(const struct turn_client *c, uint16_t len)
{
  uint8_t data[1204] = {0x40, 0};
  store_be16(data + 2, len);
  world_client_input(&world, &c->flow, data, 4u + len);
  const bool went = world_next(&world) != NULL;
  world_clear(&world);
  return went;
}

static void test_what_was_carried_is_counted(void **state)
{
  (void)state;
  struct turn_client c = begin(0);
  const struct turn_carried carried = {.from_client_packets = 2047,
                                       .from_client_bytes = 100000,
                                       .from_peer_packets = 1,
                                       .from_peer_bytes = 77,
                                       .inside_packets = 1};
  const struct turn_traffic *row;
  turn_fast_carried(world.turn, world.fast[0].relay, &carried);
  turn_fast_carried(world.turn, world.fast[0].relay + 1, &carried); /* nobody's */
  assert_int_equal(told, 1);
  assert_int_equal(turn_counters(world.turn)->from_client_packets, 2047);
  assert_int_equal(turn_counters(world.turn)->from_client_bytes, 100000);
  assert_int_equal(turn_counters(world.turn)->from_peer_packets, 1);
  assert_int_equal(turn_counters(world.turn)->from_peer_bytes, 77);
  assert_int_equal(turn_counters(world.turn)->relayed_inside, 1);
  assert_int_equal(turn_traffic(world.turn, &row), 1);
  assert_int_equal(row->from_client_bytes, 100000);
  /* What is said as it ends is in what is told of its end. */
  world.carried = (struct turn_carried){.from_client_packets = 1, .from_client_bytes = 5};
  request(&c, STUN_REFRESH, 0);
  assert_int_equal(ended, 1);
  assert_int_equal(ended_bytes, 100010); /* of two channels */
  assert_true(world_stop(&world));
  assert_null(world.broken);
}

/* Once, however many are carried at a time, where one of them is a 2048th of both ways. */
static void test_a_figure_that_is_told(void **state)
{
  (void)state;
  static const struct {
    uint64_t from_client, from_peer;
    size_t told;
  } step[] = {{2000, 47, 0}, {0, 0, 0},    {0, 1, 1}, {0, 0, 1},
              {2047, 0, 1},  {5000, 0, 2}, {1, 0, 2}};
  (void)begin(0);
  for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
    const struct turn_carried carried = {.from_client_packets = step[i].from_client,
                                         .from_peer_packets = step[i].from_peer,
                                         .limited_packets = 1};
    turn_fast_carried(world.turn, world.fast[0].relay, &carried);
    assert_int_equal(told, step[i].told);
  }
  assert_true(world_stop(&world));
  assert_null(world.broken);
}

/* What the kernel let through leaves so much less for the core, and the other way round. */
static void test_one_limit_for_both(void **state)
{
  (void)state;
  struct turn_client c = begin(1000);
  assert_true(world_fast_takes(&world, world.fast[0].group, 0, 600, world.now_ms));
  assert_false(passes(&c, 500));
  assert_true(passes(&c, 400));
  assert_false(world_fast_takes(&world, world.fast[0].group, 0, 1, world.now_ms));
  assert_true(world_fast_takes(&world, world.fast[0].group, 1, 1, world.now_ms));
  const struct turn_carried carried = {.limited_packets = 1, .limited_from_client_bytes = 1};
  turn_fast_carried(world.turn, world.fast[0].relay, &carried);
  assert_int_equal(turn_counters(world.turn)->dropped_over_limit, 2);
  assert_int_equal(turn_counters(world.turn)->over_limit_from_client_bytes, 501);
  assert_true(world_stop(&world));
  assert_null(world.broken);
}

/* Whose channels have run out has no second allowance: what is paid comes back with the last. */
static void test_the_limit_outlives_the_channels(void **state)
{
  (void)state;
  struct turn_client c = begin(1000);
  world_elapse(&world, 299000);
  assert_true(passes(&c, 1000));
  struct turn_allocation *a =
      CONTAINER_OF(world.turn->allocations.next, struct turn_allocation, link);
  const uint64_t paid_ns = world.fast_group[a->fast - 1].paid_ns[0];
  assert_int_equal(paid_ns, 300000000000);
  turn__fast_end(a, &a->channels.row[0]);
  assert_int_not_equal(a->fast, 0);
  turn__fast_end(a, &a->channels.row[1]);
  assert_int_equal(a->fast, 0);
  assert_int_equal(a->paid_ns[0], paid_ns);
  assert_false(passes(&c, 1));
  assert_true(world_stop(&world));
}

/* One for which there was no room gets its place with its next refreshment. */
static void test_no_room(void **state)
{
  (void)state;
  struct turn_client c = begin(0);
  world.fast_most = 2;
  request(&c, STUN_CHANNEL_BIND, 2);
  assert_int_equal(world.fast_count, 2);
  world.fast_most = 3;
  request(&c, STUN_CHANNEL_BIND, 2);
  assert_int_equal(world.fast_count, 3);
  assert_true(world_stop(&world));
  assert_null(world.broken);
}

/* No allocation takes the room of all others; where one of its channels ends there is some again.
 */
static void test_one_allocation_has_no_more(void **state)
{
  (void)state;
  struct turn_client c = begin(0);
  for (uint32_t i = 2; i < TURN_FAST_CHANNELS_MAX + 3; i++)
    request(&c, STUN_CHANNEL_BIND, i);
  assert_int_equal(world.fast_count, TURN_FAST_CHANNELS_MAX);
  struct turn_allocation *a =
      CONTAINER_OF(world.turn->allocations.next, struct turn_allocation, link);
  turn__fast_end(a, &a->channels.row[0]);
  assert_int_equal(world.fast_count, TURN_FAST_CHANNELS_MAX - 1);
  request(&c, STUN_CHANNEL_BIND, TURN_FAST_CHANNELS_MAX + 2);
  assert_int_equal(world.fast_count, TURN_FAST_CHANNELS_MAX);
  assert_true(world_stop(&world));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_was_carried_is_counted),
      cmocka_unit_test(test_a_figure_that_is_told),
      cmocka_unit_test(test_one_limit_for_both),
      cmocka_unit_test(test_the_limit_outlives_the_channels),
      cmocka_unit_test(test_no_room),
      cmocka_unit_test(test_one_allocation_has_no_more),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
