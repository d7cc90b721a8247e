/* turn/core/relay.c: in place, within the room that there is, and without memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stun/core/decode.h"
#include "tests/support/turn_world.h"
#include "turn/core/internal.h"

static struct world world;
static struct turn_allocation *allocation;
static turn_relay relay;
static const struct turn_flow flow = {.client = {.ip = {8, 8, 8, 8}, .port = 1, .family = ADDR_V4}};

/* What the edge was handed: the very bytes. */
static const uint8_t *seen_at;
static size_t seen_len;

static void see(void *arg, const struct turn_flow *f, struct dgram *d)
{
  (void)arg;
  (void)f;
  seen_at = d->at;
  seen_len = d->len;
}

static void see_peer(void *arg, turn_relay r, const struct addr *peer, struct dgram *d, bool df)
{
  (void)arg;
  (void)peer;
  (void)df;
  assert_int_equal(r, relay);
  seen_at = d->at;
  seen_len = d->len;
}

/* An allocation by hand, with a permission for 8.8.4.4 and 2a00::7, and a channel to port 9. */
static int set_up(void **state)
{
  (void)state;
  world_init(&world);
  world.effects.to_client = see;
  world.effects.to_peer = see_peer;
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
  seen_at = NULL;
  failing_mem_fail_all(&world.mem); /* the hot path asks for none */
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  return !world_stop(&world);
}

static void test_nothing_is_copied(void **state)
{
  (void)state;
  uint8_t storage[DGRAM_HEADROOM + 100 + DGRAM_TAILROOM];
  struct addr peer = addr_v4(8, 8, 4, 4, 9);
  struct dgram d = {.storage = storage, .cap = sizeof(storage), .at = storage + DGRAM_HEADROOM};
  d.len = 100;
  turn_peer_input(world.turn, relay, &peer, &d, 1);
  assert_ptr_equal(seen_at, storage + DGRAM_HEADROOM - 4);
  assert_int_equal(seen_len, 104);

  peer.port = 10;
  d.at = storage + DGRAM_HEADROOM;
  d.len = 100;
  turn_peer_input(world.turn, relay, &peer, &d, 1);
  assert_ptr_equal(seen_at, storage + DGRAM_HEADROOM - 36);
  assert_int_equal(seen_len, 136);

  d.at = storage + DGRAM_HEADROOM;
  d.len = 14;
  memcpy(d.at, "\x40\0\0\x0ahelloworld", 14);
  turn_client_input(world.turn, &flow, &d, 1, 1);
  assert_ptr_equal(seen_at, storage + DGRAM_HEADROOM + 4);
  assert_int_equal(seen_len, 10);
}

static bool passes(size_t headroom, size_t len, size_t tailroom, uint16_t port)
{
  const struct addr peer = addr_v4(8, 8, 4, 4, port);
  struct dgram d = {.cap = headroom + len + tailroom, .len = len};
  d.storage = malloc(d.cap);
  assert_non_null(d.storage);
  memset(d.storage, 0xAA, d.cap);
  d.at = d.storage + headroom;
  seen_at = NULL;
  turn_peer_input(world.turn, relay, &peer, &d, 1);
  const bool passed = seen_at != NULL;
  if (passed && port == 10) {
    struct stun_view v;
    assert_int_equal(stun_decode(seen_at, seen_len, &v), 0);
    assert_int_equal(stun_get_bytes(&v, STUN_ATTR_DATA).len, len);
  }
  free(d.storage);
  return passed;
}

/* An edge that forgot the room gets nothing out, and nothing is written where no room is. */
static void test_without_room(void **state)
{
  (void)state;
  for (uint16_t port = 9; port <= 10; port++) {
    const size_t header = port == 9 ? 4 : 36; /* ChannelData, a Data indication */
    assert_true(passes(header, 13, 3, port));
    assert_false(passes(header - 1, 13, 3, port));
    assert_false(passes(0, 13, 3, port));
    assert_false(passes(64, 13, 2, port));
    assert_true(passes(64, 16, 0, port));
    assert_true(passes(64, 0, 0, port));
    assert_true(passes(64, 65535 - header, 4, port));
    assert_false(passes(64, 65536 - header, 4, port));
  }
}

/* Transaction ids of Data indications: no two alike, none that shows the count. */
static void test_transaction_ids(void **state)
{
  (void)state;
  uint8_t storage[DGRAM_HEADROOM + 8], before[STUN_TXID_LEN] = {0};
  const struct addr peer = addr_v4(8, 8, 4, 4, 10);
  for (int i = 0; i < 100; i++) {
    struct dgram d = {storage, sizeof(storage), storage + DGRAM_HEADROOM, 4};
    turn_peer_input(world.turn, relay, &peer, &d, 1);
    assert_memory_not_equal(before + 4, seen_at + 12, STUN_TXID_LEN - 4);
    memcpy(before, seen_at + 8, STUN_TXID_LEN);
  }
}

static void test_an_expired_leg_relays_nothing(void **state)
{
  (void)state;
  uint8_t storage[DGRAM_HEADROOM + 8];
  const struct addr peer = addr_v4(8, 8, 4, 4, 9);
  turn__permission_put(allocation, &peer, 900000);
  struct dgram d = {storage, sizeof(storage), storage + DGRAM_HEADROOM, 4};
  turn_peer_input(world.turn, relay, &peer, &d, 599999);
  assert_non_null(seen_at);
  /* At its last millisecond's end, although no timer has run. */
  seen_at = NULL;
  d = (struct dgram){storage, sizeof(storage), storage + DGRAM_HEADROOM, 4};
  turn_peer_input(world.turn, relay, &peer, &d, 600000);
  assert_null(seen_at);
  assert_int_equal(turn_counters(world.turn)->dropped_no_allocation, 1);
}

static void test_a_relay_that_is_none(void **state)
{
  (void)state;
  uint8_t storage[DGRAM_HEADROOM + 8];
  const struct addr peer = addr_v4(8, 8, 4, 4, 9);
  const turn_relay none[] = {-1, relay + 1, 1000000};
  for (size_t i = 0; i < 3; i++) {
    struct dgram d = {storage, sizeof(storage), storage + DGRAM_HEADROOM, 4};
    turn_peer_input(world.turn, none[i], &peer, &d, 1);
    assert_null(seen_at);
  }
  assert_int_equal(turn_counters(world.turn)->dropped_no_allocation, 3);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_nothing_is_copied, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_without_room, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_transaction_ids, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_an_expired_leg_relays_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_relay_that_is_none, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("turn-relay", tests, NULL, NULL);
}
