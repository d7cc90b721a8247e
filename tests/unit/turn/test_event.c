/* turn/core/event.c: what those hear who follow an allocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/turn_client.h"
#include "tests/support/turn_world.h"
#include "turn/core/internal.h"

enum { HEARD = 8, PACKETS = 2048 };

static struct world world;
static struct turn_event heard[HEARD];
static size_t heard_count;

static void hear(void *arg, const struct turn_event *e)
{
  (void)arg;
  assert_true(heard_count < HEARD);
  assert_true(bytes_equal(e->realm, bytes_of("example.org")));
  assert_true(bytes_equal(e->username, bytes_of("bob")));
  heard[heard_count++] = *e;
}

static void request(struct turn_client *c, uint16_t method, uint32_t lifetime, bool sign)
{
  uint8_t out[STUN_MESSAGE_MAX];
  struct stun_encoder e;
  const struct addr peer = addr_v4(8, 8, 4, 4, 9);
  client_begin(c, &e, out, sizeof(out), STUN_REQUEST, method);
  if (method == STUN_ALLOCATE)
    stun_put_uint(&e, STUN_ATTR_REQUESTED_TRANSPORT, 17);
  if (method == STUN_CHANNEL_BIND) {
    stun_put_uint(&e, STUN_ATTR_CHANNEL_NUMBER, 0x4000);
    stun_put_addr(&e, STUN_ATTR_XOR_PEER_ADDRESS, &peer);
  } else {
    stun_put_uint(&e, STUN_ATTR_LIFETIME, lifetime);
  }
  assert_true(client_exchange(c, &e, sign, &world));
}

static void test_a_life(void **state)
{
  (void)state;
  static const uint8_t data[] = {0x40, 0, 0, 2, 'h', 'i', 0, 0};
  const struct addr from = addr_v4(8, 8, 8, 8, 1), to = addr_v4(9, 9, 9, 9, 3478);
  struct turn_client c;
  world_init(&world);
  world.effects.event = hear;
  world_add_user(&world, "bob", "secret");
  heard_count = 0;
  assert_int_equal(world_start(&world), 0);
  client_init(&c, &from, &to, TURN_UDP);
  client_text_set(&c.user, "bob", 3);
  client_text_set(&c.password, "secret", 6);
  request(&c, STUN_ALLOCATE, 700, false);
  assert_int_equal(heard_count, 0); /* nothing was made */
  request(&c, STUN_ALLOCATE, 700, true);
  request(&c, STUN_REFRESH, 800, true);
  request(&c, STUN_CHANNEL_BIND, 0, true);
  assert_int_equal(heard_count, 2);
  assert_int_equal(heard[0].kind, TURN_EVENT_NEW);
  assert_int_equal(heard[0].lifetime_s, 700);
  assert_int_equal(heard[1].kind, TURN_EVENT_REFRESHED);
  assert_int_equal(heard[1].lifetime_s, 800);
  assert_int_equal(heard[1].session, heard[0].session);
  for (int i = 0; i <= PACKETS; i++) {
    world_client_input(&world, &c.flow, data, sizeof(data));
    world_clear(&world);
  }
  assert_int_equal(heard_count, 3);
  assert_int_equal(heard[2].kind, TURN_EVENT_TRAFFIC);
  assert_int_equal(heard[2].traffic.from_client_packets, PACKETS);
  assert_int_equal(heard[2].traffic.from_client_bytes, 2 * PACKETS);
  request(&c, STUN_REFRESH, 0, true);
  assert_int_equal(heard_count, 4);
  assert_int_equal(heard[3].kind, TURN_EVENT_DELETED);
  assert_int_equal(heard[3].traffic.from_client_packets, 1);
  assert_int_equal(heard[3].total.from_client_packets, PACKETS + 1);
  assert_int_equal(heard[3].total.from_peer_bytes, 0);
  assert_true(world_stop(&world));
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_life)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
