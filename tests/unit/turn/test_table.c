/* turn/core/table.c: what an allocation costs, and what tells two flows apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/turn_client.h"
#include "tests/support/turn_world.h"
#include "turn/core/internal.h"

enum { MANY = 100 };

static struct world world;

static void reply_to(struct turn_client *c)
{
  struct stun_view v;
  const struct world_output *o = world_next(&world);
  assert_non_null(o);
  assert_int_equal(stun_decode(o->at, o->len, &v), 0);
  client_learn(c, &v);
  world_clear(&world);
}

static void request(struct turn_client *c, uint16_t method, const struct addr *peer, bool sign)
{
  uint8_t out[STUN_MESSAGE_MAX];
  struct stun_encoder e;
  client_begin(c, &e, out, sizeof(out), STUN_REQUEST, method);
  if (method == STUN_ALLOCATE)
    stun_put_uint(&e, STUN_ATTR_REQUESTED_TRANSPORT, 17);
  if (method == STUN_CHANNEL_BIND)
    stun_put_uint(&e, STUN_ATTR_CHANNEL_NUMBER, 0x4000);
  if (peer)
    stun_put_addr(&e, STUN_ATTR_XOR_PEER_ADDRESS, peer);
  if (sign)
    client_sign(c, &e);
  const int len = stun_end(&e);
  assert_true(len > 0);
  world_client_input(&world, &c->flow, out, (size_t)len);
  reply_to(c);
}

/* A whole session: allocated, one permission, one channel. */
static void open_session(uint16_t port)
{
  const struct addr from = addr_v4(8, 8, 8, 8, port), to = addr_v4(9, 9, 9, 9, 3478);
  const struct addr peer = addr_v4(8, 8, 4, 4, 9);
  struct turn_client c;
  client_init(&c, &from, &to, TURN_UDP);
  client_text_set(&c.user, "1800086400:some-user-of-usual-length", 36);
  client_text_set(&c.password, "secret", 6);
  request(&c, STUN_ALLOCATE, NULL, false);
  request(&c, STUN_ALLOCATE, NULL, true);
  request(&c, STUN_CHANNEL_BIND, &peer, true);
}

static void open_world(void)
{
  world_init(&world);
  world_add_user(&world, "1800086400:some-user-of-usual-length", "secret");
  assert_int_equal(world_start(&world), 0);
}

/* The design's aim: less than 1 KB for each allocation with a permission and a channel. */
static void test_memory_of_an_allocation(void **state)
{
  (void)state;
  open_world();
  const size_t before = world.mem.bytes;
  for (uint16_t i = 1; i <= MANY; i++)
    open_session(i);
  assert_int_equal(turn_counters(world.turn)->allocations, MANY);
  const size_t each = (world.mem.bytes - before) / MANY;
  print_message("%zu bytes for each allocation, all tables included\n", each);
  assert_in_range(each, 1, 1023);
  world_elapse(&world, 600 * 1000);
  assert_int_equal(turn_counters(world.turn)->allocations, 0);
  assert_int_equal(world.relay_open, 0);
  assert_true(world_stop(&world));
}

static void test_identity_of_a_flow(void **state)
{
  (void)state;
  const struct turn t = {.hash_key = {1, 2}};
  const struct turn_flow flow = {.client = addr_v4(8, 8, 8, 8, 1),
                                 .server = addr_v4(9, 9, 9, 9, 3478),
                                 .transport = TURN_TCP,
                                 .link = 1};
  struct turn_flow other[5] = {flow, flow, flow, flow, flow};
  other[0].link = 2; /* another connection, whatever addresses it claims (PROXY protocol) */
  other[1].client.port = 2;
  other[2].server.port = 5349;
  other[3].transport = TURN_TLS;
  other[4].client.ip[3] = 9;
  for (size_t i = 0; i < 5; i++) {
    assert_false(turn__flow_equal(&flow, &other[i]));
    assert_int_equal(turn__flow_hash(&t, &flow) == turn__flow_hash(&t, &other[i]), i == 0);
  }
  struct turn_flow udp[2] = {flow, flow};
  udp[0].transport = udp[1].transport = TURN_UDP;
  udp[1].link = 2; /* another socket */
  assert_true(turn__flow_equal(&udp[0], &udp[1]));
}

/* An edge that is late with its ticks: a request still never meets what should have expired. */
static void test_a_late_tick(void **state)
{
  (void)state;
  const struct addr from = addr_v4(8, 8, 8, 8, 1), to = addr_v4(9, 9, 9, 9, 3478);
  struct turn_client c;
  open_world();
  open_session(1);
  client_init(&c, &from, &to, TURN_UDP);
  world.now_ms = 599999;
  request(&c, STUN_ALLOCATE, NULL, false);
  assert_int_equal(turn_counters(world.turn)->allocations, 1);
  world.now_ms = 600000;
  request(&c, STUN_ALLOCATE, NULL, false);
  assert_int_equal(turn_counters(world.turn)->allocations, 0);
  assert_true(world_stop(&world));
}

/* What shutdown leaves behind: nothing, and the edge has every socket back. */
static void test_stop_with_sessions_open(void **state)
{
  (void)state;
  open_world();
  for (uint16_t i = 1; i <= 10; i++)
    open_session(i);
  assert_int_equal(world.relay_open, 10);
  assert_true(world_stop(&world));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_memory_of_an_allocation),
      cmocka_unit_test(test_identity_of_a_flow),
      cmocka_unit_test(test_a_late_tick),
      cmocka_unit_test(test_stop_with_sessions_open),
  };
  return cmocka_run_group_tests_name("turn-table", tests, NULL, NULL);
}
