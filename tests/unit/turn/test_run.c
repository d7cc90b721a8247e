/* turn/core/run.c: a burst that came as one is relayed as one, or left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/turn_world.h"
#include "turn/core/internal.h"

enum { EACH = 104, COUNT = 3, LEN = 2 * EACH + 24 };

static struct world world;
static struct turn_allocation *allocation;
static turn_relay relay;
static const struct turn_flow flow = {.client = {.ip = {8, 8, 8, 8}, .port = 1, .family = ADDR_V4}};

/* What the edge was handed, and whether it takes it. */
static struct seen {
  bool takes;
  unsigned calls;
  struct dgram_run run;
  uint16_t channel;
} seen;

static bool see_client(void *arg, const struct turn_flow *f, struct dgram_run run, uint16_t channel)
{
  (void)arg;
  assert_true(addr_equal(&f->client, &flow.client));
  seen.calls++;
  seen.run = run;
  seen.channel = channel;
  return seen.takes;
}

static bool see_peer(void *arg, turn_relay r, const struct addr *peer, struct dgram_run run)
{
  const struct addr bound = addr_v4(8, 8, 4, 4, 9);
  (void)arg;
  assert_int_equal(r, relay);
  assert_true(addr_equal(peer, &bound));
  seen.calls++;
  seen.run = run;
  return seen.takes;
}

/* An allocation by hand, with a permission for 8.8.4.4 and 2a00::7, and a channel to port 9. */
static int set_up(void **state)
{
  (void)state;
  world_init(&world);
  world.effects.to_client_run = see_client;
  world.effects.to_peer_run = see_peer;
  world.config.auth_required = false;
  if (world_start(&world))
    return -1;
  uint8_t message[STUN_HEADER_LEN] = {0};
  struct stun_view view = {.at = message, .len = sizeof(message)};
  struct turn_request rq = {.t = world.turn, .flow = &flow, .view = &view};
  struct turn_socket s;
  const struct addr peer = addr_v4(8, 8, 4, 4, 9);
  allocation = turn__allocation_new(&rq);
  if (!allocation ||
      turn__socket_open(world.turn, turn__relay_next(world.turn, ADDR_V4, NULL), TURN__ANY_PORT, &s,
                        NULL) ||
      turn__leg_attach(allocation, &s, 600000) || turn__allocation_attach(allocation))
    return -1;
  relay = s.relay;
  turn__permission_put(allocation, &peer, 300000);
  turn__channel_put(allocation, 0x4000, &peer, 600000);
  seen = (struct seen){.takes = true};
  failing_mem_fail_all(&world.mem); /* the hot path asks for none */
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  return !world_stop(&world);
}

/* Three of channel 0x4000: 100, 100 and 20 bytes of payload. */
static struct dgram_run channel_run(uint8_t bytes[LEN])
{
  memset(bytes, 0xAA, LEN);
  for (size_t i = 0; i < COUNT; i++) {
    store_be16(bytes + i * EACH, 0x4000);
    store_be16(bytes + i * EACH + 2, i < 2 ? 100 : 20);
  }
  return (struct dgram_run){bytes, LEN, EACH, 0};
}

static void assert_counted(uint64_t from_client_packets, uint64_t from_client_bytes,
                           uint64_t from_peer_packets, uint64_t from_peer_bytes)
{
  assert_int_equal(allocation->from_client_packets, from_client_packets);
  assert_int_equal(allocation->from_client_bytes, from_client_bytes);
  assert_int_equal(allocation->from_peer_packets, from_peer_packets);
  assert_int_equal(allocation->from_peer_bytes, from_peer_bytes);
  assert_int_equal(allocation->traffic->from_client_packets, from_client_packets);
  assert_int_equal(allocation->traffic->from_peer_bytes, from_peer_bytes);
}

static void test_to_a_peer(void **state)
{
  (void)state;
  uint8_t bytes[LEN];
  const struct dgram_run run = channel_run(bytes);
  assert_true(turn_client_run(world.turn, &flow, &run, 1));
  assert_int_equal(seen.calls, 1);
  assert_ptr_equal(seen.run.at, bytes);
  assert_int_equal(seen.run.len, LEN);
  assert_int_equal(seen.run.each, EACH);
  assert_int_equal(seen.run.skip, 4);
  assert_counted(3, 220, 0, 0);
}

static void test_to_the_client(void **state)
{
  (void)state;
  uint8_t bytes[LEN] = {0};
  const struct dgram_run run = {bytes, LEN, EACH, 0};
  const struct addr peer = addr_v4(8, 8, 4, 4, 9);
  assert_true(turn_peer_run(world.turn, relay, &peer, &run, 1));
  assert_int_equal(seen.calls, 1);
  assert_ptr_equal(seen.run.at, bytes);
  assert_int_equal(seen.channel, 0x4000);
  assert_counted(0, 0, 3, LEN);
}

static void refuse_client(const struct dgram_run *run, uint64_t now_ms)
{
  assert_false(turn_client_run(world.turn, &flow, run, now_ms));
  assert_int_equal(seen.calls, 0);
}

/* Messages that are not all alike go one by one. */
static void test_what_is_no_run(void **state)
{
  (void)state;
  uint8_t bytes[LEN];
  const struct dgram_run run = channel_run(bytes);
  static const struct {
    size_t at;
    uint16_t value;
  } wrong[] = {
      {0, 0x0001}, {0, 0x4001},    {EACH, 0x4001},     {2 * EACH, 0x4001}, {2, 99},
      {2, 101},    {EACH + 2, 99}, {2 * EACH + 2, 19}, {2 * EACH + 2, 21}, {2, UINT16_MAX}};
  for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
    channel_run(bytes);
    store_be16(bytes + wrong[i].at, wrong[i].value);
    refuse_client(&run, 1);
  }
  channel_run(bytes);
  store_be16(bytes + 2 * EACH + 2, 0);
  refuse_client(&(struct dgram_run){bytes, 2 * EACH + 4, EACH, 0}, 1); /* an empty one */
  refuse_client(&(struct dgram_run){bytes, 2 * EACH + 2, EACH, 0}, 1); /* less than a header */
  assert_counted(0, 0, 0, 0);
}

static void test_the_rules_hold(void **state)
{
  (void)state;
  uint8_t bytes[LEN];
  const struct dgram_run run = channel_run(bytes);
  struct addr peer = addr_v4(8, 8, 4, 4, 9);
  refuse_client(&run, 300000); /* the permission is over */
  assert_false(turn_peer_run(world.turn, relay, &peer, &run, 300000));
  refuse_client(&run, 600000); /* and the allocation */
  assert_false(turn_peer_run(world.turn, relay, &peer, &run, 600000));
  const struct turn_flow other = {.client = {.ip = {8, 8, 8, 9}, .port = 1, .family = ADDR_V4}};
  assert_false(turn_client_run(world.turn, &other, &run, 1));
  assert_false(turn_peer_run(world.turn, relay + 1, &peer, &run, 1));
  peer.port = 10; /* no channel: a Data indication each */
  assert_false(turn_peer_run(world.turn, relay, &peer, &run, 1));
  peer = addr_v4(8, 8, 4, 5, 9);
  assert_false(turn_peer_run(world.turn, relay, &peer, &run, 1));
  peer = addr_v4(8, 8, 4, 4, 9);
  allocation->brake = TURN__LIMITED;
  refuse_client(&run, 1);
  assert_false(turn_peer_run(world.turn, relay, &peer, &run, 1));
  allocation->brake = 0;
  allocation->flow.transport = TURN_TCP;
  assert_false(turn_peer_run(world.turn, relay, &peer, &run, 1));
  allocation->flow.transport = TURN_UDP;
  assert_int_equal(seen.calls, 0);
  assert_counted(0, 0, 0, 0);
}

/* Whoever follows traffic is told at every 2048th packet, with the figures of that one. */
static void test_a_figure_that_is_told(void **state)
{
  (void)state;
  uint8_t bytes[LEN];
  const struct dgram_run run = channel_run(bytes);
  allocation->from_peer_packets = 2045;
  refuse_client(&run, 1);
  allocation->from_peer_packets = 2044;
  assert_true(turn_client_run(world.turn, &flow, &run, 1));
  allocation->from_peer_packets = 2045; /* 2048 are through */
  assert_true(turn_client_run(world.turn, &flow, &run, 1));
}

static void test_an_edge_that_cannot(void **state)
{
  (void)state;
  uint8_t bytes[LEN];
  const struct dgram_run run = channel_run(bytes);
  const struct addr peer = addr_v4(8, 8, 4, 4, 9);
  seen.takes = false;
  assert_false(turn_client_run(world.turn, &flow, &run, 1));
  assert_false(turn_peer_run(world.turn, relay, &peer, &run, 1));
  assert_int_equal(seen.calls, 2);
  world.effects.to_peer_run = NULL;
  world.effects.to_client_run = NULL;
  assert_false(turn_client_run(world.turn, &flow, &run, 1));
  assert_false(turn_peer_run(world.turn, relay, &peer, &run, 1));
  assert_counted(0, 0, 0, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_to_a_peer, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_to_the_client, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_what_is_no_run, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_the_rules_hold, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_figure_that_is_told, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_an_edge_that_cannot, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
