/* turn/core/traffic.c: which row counts what, and what happens when there are more than rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/turn_client.h"
#include "tests/support/turn_world.h"
#include "turn/core/internal.h"

static struct world world;

static void request(struct turn_client *c, uint16_t method, bool sign)
{
  static const struct addr peer = {.family = ADDR_V4, .ip = {8, 8, 4, 4}, .port = 9};
  uint8_t out[STUN_MESSAGE_MAX];
  struct stun_encoder e;
  client_begin(c, &e, out, sizeof(out), STUN_REQUEST, method);
  if (method == STUN_ALLOCATE)
    stun_put_uint(&e, STUN_ATTR_REQUESTED_TRANSPORT, 17);
  if (method == STUN_CHANNEL_BIND) {
    stun_put_uint(&e, STUN_ATTR_CHANNEL_NUMBER, 0x4000);
    stun_put_addr(&e, STUN_ATTR_XOR_PEER_ADDRESS, &peer);
  }
  if (method == STUN_REFRESH)
    stun_put_uint(&e, STUN_ATTR_LIFETIME, 0);
  assert_true(client_exchange(c, &e, sign, &world));
}

static struct turn_client open_session(uint16_t port, enum turn_transport transport,
                                       uint16_t listener)
{
  const struct addr from = addr_v4(8, 8, 8, 8, port), to = addr_v4(9, 9, 9, 9, 3478);
  struct turn_client c;
  client_init(&c, &from, &to, transport);
  c.flow.listener = listener;
  request(&c, STUN_ALLOCATE, false);
  request(&c, STUN_ALLOCATE, true);
  request(&c, STUN_CHANNEL_BIND, true);
  return c;
}

static void send_five(const struct turn_client *c)
{
  static const uint8_t data[] = {0x40, 0, 0, 5, 'h', 'e', 'l', 'l', 'o', 0, 0, 0};
  world_client_input(&world, &c->flow, data, sizeof(data));
  assert_non_null(world_next(&world));
  world_clear(&world);
}

static int open_world(void **state)
{
  (void)state;
  world_init(&world);
  world_add_user(&world, "bob", "secret");
  assert_int_equal(world_start(&world), 0);
  return 0;
}

static int close_world(void **state)
{
  (void)state;
  assert_true(world_stop(&world));
  return 0;
}

static void assert_row(size_t i, uint16_t listener, enum turn_transport transport,
                       uint64_t sessions, uint64_t created, uint64_t packets)
{
  const struct turn_traffic *row;
  assert_true(turn_traffic(world.turn, &row) > i);
  assert_int_equal(row[i].listener, listener);
  assert_int_equal(row[i].transport, transport);
  assert_true(bytes_equal((struct bytes){row[i].realm, row[i].realm_len},
                          world.turn->config->realm[0].name));
  assert_int_equal(row[i].sessions, sessions);
  assert_int_equal(row[i].sessions_created, created);
  assert_int_equal(row[i].from_client_packets, packets);
  assert_int_equal(row[i].from_client_bytes, 5 * packets);
}

static void each_in_its_row(void **state)
{
  (void)state;
  const struct turn_traffic *row;
  assert_int_equal(turn_traffic(world.turn, &row), 0);
  struct turn_client a = open_session(1, TURN_UDP, 3), b = open_session(2, TURN_UDP, 3),
                     c = open_session(3, TURN_UDP, 4), d = open_session(4, TURN_DTLS, 3);
  assert_int_equal(turn_traffic(world.turn, &row), 3);
  send_five(&a);
  send_five(&b);
  send_five(&c);
  assert_row(0, 3, TURN_UDP, 2, 2, 2);
  assert_row(1, 4, TURN_UDP, 1, 1, 1);
  assert_row(2, 3, TURN_DTLS, 1, 1, 0);
  assert_int_equal(turn_counters(world.turn)->from_client_packets, 3);
  assert_int_equal(turn_counters(world.turn)->from_client_bytes, 15);
  assert_int_equal(turn_counters(world.turn)->from_client_bytes, 15); /* no sum of sums */
  request(&a, STUN_REFRESH, true);
  request(&d, STUN_REFRESH, true);
  assert_row(0, 3, TURN_UDP, 1, 2, 2);
  assert_row(2, 3, TURN_DTLS, 0, 1, 0);
  assert_int_equal(turn_counters(world.turn)->from_client_packets, 3);
}

static void more_than_rows(void **state)
{
  (void)state;
  const struct turn_traffic *row;
  for (uint16_t i = 0; i < TURN_TRAFFIC_MAX + 10; i++) {
    const struct turn_client c = open_session((uint16_t)(i + 1), TURN_UDP, i);
    send_five(&c);
  }
  assert_int_equal(turn_traffic(world.turn, &row), TURN_TRAFFIC_MAX);
  assert_row(TURN_TRAFFIC_MAX - 2, TURN_TRAFFIC_MAX - 2, TURN_UDP, 1, 1, 1);
  const struct turn_traffic *last = &row[TURN_TRAFFIC_MAX - 1];
  assert_int_equal(last->listener, UINT16_MAX);
  assert_int_equal(last->realm_len, 0);
  assert_int_equal(last->sessions, 11);
  assert_int_equal(last->from_client_packets, 11);
  assert_int_equal(turn_counters(world.turn)->from_client_packets, TURN_TRAFFIC_MAX + 10);
  const struct turn_client again = open_session(5000, TURN_UDP, 7);
  send_five(&again);
  assert_row(7, 7, TURN_UDP, 2, 2, 2);
}

/* Mobility, a change of flow as mobility.c makes it. */
static void a_session_counts_where_it_is(void **state)
{
  (void)state;
  const struct turn_client c = open_session(1, TURN_UDP, 3);
  send_five(&c);
  struct turn_allocation *a =
      CONTAINER_OF(world.turn->allocations.next, struct turn_allocation, link);
  a->flow.listener = 5;
  turn__traffic_follow(a);
  struct dgram five = {.len = 5};
  turn__to_peer(&a->leg[0], &(struct addr){.family = ADDR_V4}, &five, false, world.now_ms);
  assert_row(0, 3, TURN_UDP, 0, 1, 1);
  assert_row(1, 5, TURN_UDP, 1, 0, 1);
  a->flow.listener = 3;
  turn__traffic_follow(a);
  assert_row(0, 3, TURN_UDP, 1, 1, 1);
  assert_int_equal(turn_counters(world.turn)->from_client_packets, 2);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(each_in_its_row, open_world, close_world),
      cmocka_unit_test_setup_teardown(more_than_rows, open_world, close_world),
      cmocka_unit_test_setup_teardown(a_session_counts_where_it_is, open_world, close_world),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
