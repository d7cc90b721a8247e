/* turn/core/sessions.c: what is shown of sessions, and which ones are ended. */
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
  uint8_t out[STUN_MESSAGE_MAX];
  struct stun_encoder e;
  client_begin(c, &e, out, sizeof(out), STUN_REQUEST, method);
  if (method == STUN_ALLOCATE)
    stun_put_uint(&e, STUN_ATTR_REQUESTED_TRANSPORT, 17);
  assert_true(client_exchange(c, &e, sign, &world));
}

static void open_session(const char *user, uint16_t port)
{
  const struct addr from = addr_v4(8, 8, 8, 8, port), to = addr_v4(9, 9, 9, 9, 3478);
  struct turn_client c;
  client_init(&c, &from, &to, TURN_UDP);
  client_text_set(&c.user, user, strlen(user));
  client_text_set(&c.password, "secret", 6);
  request(&c, STUN_ALLOCATE, false);
  request(&c, STUN_ALLOCATE, true);
}

static int open_world(void **state)
{
  (void)state;
  world_init(&world);
  world_add_user(&world, "bob", "secret");
  world_add_user(&world, "ann", "secret");
  assert_int_equal(world_start(&world), 0);
  open_session("bob", 1);
  world_elapse(&world, 5000);
  open_session("ann", 2);
  open_session("bob", 3);
  return 0;
}

static int close_world(void **state)
{
  (void)state;
  assert_true(world_stop(&world));
  return 0;
}

struct seen {
  size_t count, most;
  uint64_t id[4], age_ms[4], left_ms[4];
  uint16_t port[4];
  uint8_t first_letter[4];
};

static bool see(void *arg, const struct turn_session *s)
{
  struct seen *seen = arg;
  if (seen->count == seen->most)
    return false;
  size_t i = seen->count++;
  assert_non_null(s->relayed[0]);
  assert_null(s->relayed[1]);
  assert_int_equal(s->username.len, 3);
  seen->id[i] = s->id;
  seen->age_ms[i] = s->age_ms;
  seen->left_ms[i] = s->left_ms;
  seen->port[i] = s->flow->client.port;
  seen->first_letter[i] = s->username.at[0];
  return true;
}

static struct seen look(size_t most)
{
  struct seen seen = {.most = most};
  turn_show_sessions(world.turn, world.now_ms, see, &seen);
  return seen;
}

static void the_oldest_first(void **state)
{
  (void)state;
  const struct seen seen = look(4);
  assert_int_equal(seen.count, 3);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(seen.port[i], i + 1);
    assert_int_equal(seen.first_letter[i], "bab"[i]);
    assert_int_equal(seen.age_ms[i], i == 0 ? 5000 : 0);
    assert_int_equal(seen.left_ms[i], i == 0 ? 595000 : 600000);
  }
  assert_true(seen.id[0] > 0 && seen.id[0] < seen.id[1] && seen.id[1] < seen.id[2]);
  assert_int_equal(look(2).count, 2);
}

static void one_by_its_id(void **state)
{
  (void)state;
  const struct seen before = look(4);
  /* The name counts only without an id. */
  assert_int_equal(turn_end_sessions(world.turn, before.id[1], bytes_of("bob")), 1);
  const struct seen after = look(4);
  assert_int_equal(after.count, 2);
  assert_int_equal(after.id[0], before.id[0]);
  assert_int_equal(after.id[1], before.id[2]);
  assert_int_equal(turn_end_sessions(world.turn, before.id[1], bytes_of("")), 0);
  open_session("ann", 4);
  assert_true(look(4).id[2] > before.id[2]); /* never used again */
}

static void all_of_a_user(void **state)
{
  (void)state;
  assert_int_equal(turn_end_sessions(world.turn, 0, bytes_of("")), 0);
  assert_int_equal(turn_end_sessions(world.turn, 0, bytes_of("bo")), 0);
  assert_int_equal(turn_end_sessions(world.turn, 0, bytes_of("bob")), 2);
  assert_int_equal(world.relay_open, 1);
  assert_int_equal(turn_counters(world.turn)->allocations, 1);
  assert_int_equal(turn_end_sessions(world.turn, 0, bytes_of("bob")), 0);
}

/* One request of a TCP allocation, signed; the connection that the answer names, 0: none. */
static uint32_t over_tcp(struct turn_client *c, uint16_t method, enum stun_attr a,
                         const void *value)
{
  uint8_t out[STUN_MESSAGE_MAX];
  struct stun_encoder e;
  struct stun_view v;
  uint32_t id = 0;
  client_begin(c, &e, out, sizeof(out), STUN_REQUEST, method);
  if (a == STUN_ATTR_XOR_PEER_ADDRESS)
    stun_put_addr(&e, a, value);
  else
    stun_put_uint(&e, a, *(const uint32_t *)value);
  client_sign(c, &e);
  const int len = stun_end(&e);
  assert_true(len > 0);
  world_client_input(&world, &c->flow, out, (size_t)len);
  if (method == STUN_CONNECT)
    assert_true(world_peer_connected(&world, value, true));
  for (const struct world_output *o; (o = world_next(&world)) != NULL;)
    if (o->kind == WORLD_REPLY && stun_decode(o->at, o->len, &v) == 0) {
      assert_int_equal(v.class, STUN_SUCCESS);
      (void)stun_get_uint(&v, STUN_ATTR_CONNECTION_ID, &id);
    }
  world_clear(&world);
  return id;
}

/* The end of a session closes a data connection, of which the edge tells from within; what is due
 * in that moment, another connection or the session itself, is not ended a second time. */
static void an_end_within_an_end(void **state)
{
  (void)state;
  const struct addr to = addr_v4(9, 9, 9, 9, 3478),
                    peer[] = {addr_v4(8, 8, 4, 4, 80), addr_v4(8, 8, 4, 4, 81)};
  for (unsigned late_ms = 30000; late_ms <= 600000; late_ms += 570000) {
    const struct addr from = addr_v4(8, 8, 8, 8, (uint16_t)(100 + late_ms / 30000));
    struct turn_client c, data;
    client_init(&c, &from, &to, TURN_TCP);
    request(&c, STUN_ALLOCATE, false);
    const uint32_t transport = 6;
    (void)over_tcp(&c, STUN_ALLOCATE, STUN_ATTR_REQUESTED_TRANSPORT, &transport);
    const uint32_t joined = over_tcp(&c, STUN_CONNECT, STUN_ATTR_XOR_PEER_ADDRESS, &peer[0]);
    data = c;
    data.flow.client.port += 1000;
    request(&data, STUN_ALLOCATE, false); /* a nonce of its own */
    (void)over_tcp(&data, STUN_CONNECTION_BIND, STUN_ATTR_CONNECTION_ID, &joined);
    (void)over_tcp(&c, STUN_CONNECT, STUN_ATTR_XOR_PEER_ADDRESS, &peer[1]);
    world.now_ms += late_ms; /* and no tick so far */
    const size_t before = (size_t)turn_counters(world.turn)->allocations;
    assert_true(turn_end_sessions(world.turn, 0, bytes_of("bob")) > 0);
    assert_true(turn_counters(world.turn)->allocations < before);
    world_clear(&world);
    world_elapse(&world, 1);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(the_oldest_first, open_world, close_world),
      cmocka_unit_test_setup_teardown(one_by_its_id, open_world, close_world),
      cmocka_unit_test_setup_teardown(all_of_a_user, open_world, close_world),
      cmocka_unit_test_setup_teardown(an_end_within_an_end, open_world, close_world),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
