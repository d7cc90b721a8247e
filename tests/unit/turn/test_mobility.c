/* turn/core/mobility.c: what a ticket is worth that is not quite the one that was given. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/support/turn_client.h"
#include "tests/support/turn_world.h"
#include "turn/core/internal.h"

static struct world world;

static int set_up(void **state)
{
  (void)state;
  world_init(&world);
  world.config.mobility = true;
  return world_start(&world);
}

static int tear_down(void **state)
{
  (void)state;
  return !world_stop(&world);
}

/* What the core reads in a Refresh with these bytes. */
static struct turn_ticket read_ticket(const uint8_t *p, size_t len)
{
  const struct addr from = addr_v4(8, 8, 8, 8, 1), to = addr_v4(9, 9, 9, 9, 3478);
  struct turn_client c;
  struct stun_encoder e;
  struct stun_view v;
  uint8_t out[STUN_MESSAGE_MAX];
  client_init(&c, &from, &to, TURN_UDP);
  client_begin(&c, &e, out, sizeof(out), STUN_REQUEST, STUN_REFRESH);
  stun_put_bytes(&e, STUN_ATTR_MOBILITY_TICKET, p, len);
  assert_int_equal(stun_decode(out, (size_t)stun_end(&e), &v), 0);
  struct turn_request rq = {.t = world.turn, .flow = &c.flow, .view = &v};
  turn__mobility_read(&rq);
  assert_null(rq.moving);
  return rq.ticket;
}

static const struct turn_mobility sample = {.id = 0x0102030405060708, .serial = 9};

static void test_a_ticket_says_what_it_was_made_of(void **state)
{
  (void)state;
  uint8_t ticket[TURN__TICKET_LEN];
  turn__ticket_make(world.turn, &sample, ticket);
  const struct turn_ticket k = read_ticket(ticket, sizeof(ticket));
  assert_true(k.genuine);
  assert_int_equal(k.home, 0);
  assert_int_equal(k.serial, 9);
  assert_int_equal(k.id, sample.id);
  world.turn->share_index = 3;
  turn__ticket_make(world.turn, &sample, ticket);
  assert_int_equal(read_ticket(ticket, sizeof(ticket)).home, 3);
}

static void test_no_bit_may_turn(void **state)
{
  (void)state;
  uint8_t ticket[TURN__TICKET_LEN];
  turn__ticket_make(world.turn, &sample, ticket);
  for (size_t bit = 0; bit < 8 * sizeof(ticket); bit++) {
    ticket[bit / 8] ^= (uint8_t)(1 << bit % 8);
    assert_false(read_ticket(ticket, sizeof(ticket)).genuine);
    ticket[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  for (size_t len = 0; len < sizeof(ticket); len++)
    assert_false(read_ticket(ticket, len).genuine);
  uint8_t longer[TURN__TICKET_LEN + 1] = {0};
  memcpy(longer, ticket, sizeof(ticket));
  assert_false(read_ticket(longer, sizeof(longer)).genuine);
  assert_true(read_ticket(ticket, sizeof(ticket)).genuine);
}

/* RFC 8016 3.3: "The value of the MOBILITY-TICKET is encrypted". */
static void test_a_ticket_tells_nothing(void **state)
{
  (void)state;
  uint8_t first[TURN__TICKET_LEN], second[TURN__TICKET_LEN];
  struct turn_mobility m = sample;
  turn__ticket_make(world.turn, &m, first);
  m.serial++;
  turn__ticket_make(world.turn, &m, second);
  uint8_t raw[2][24];
  assert_int_equal(base64_decode((struct bytes){first, sizeof(first)}, raw[0], 24), 24);
  assert_int_equal(base64_decode((struct bytes){second, sizeof(second)}, raw[1], 24), 24);
  size_t same = 0;
  for (size_t i = 0; i < 24; i++)
    same += raw[0][i] == raw[1][i];
  assert_in_range(same, 0, 3);
  for (size_t i = 0; i + 4 <= 24; i++)
    assert_int_not_equal(load_be32(raw[0] + i), 0x01020304);
}

static void test_another_key(void **state)
{
  (void)state;
  uint8_t ticket[TURN__TICKET_LEN];
  turn__ticket_make(world.turn, &sample, ticket);
  world.config.nonce_key[31] ^= 1;
  world_reload(&world);
  assert_false(read_ticket(ticket, sizeof(ticket)).genuine);
}

static uint32_t forwarded_to;
static int forward_result;

static int take_forward(void *arg, uint32_t share, const struct turn_flow *flow,
                        const struct dgram *d)
{
  (void)arg;
  struct stun_view v;
  assert_int_equal(flow->client.port, 1);
  assert_int_equal(stun_decode(d->at, d->len, &v), 0);
  forwarded_to = share;
  return forward_result;
}

/* A Refresh with this ticket, unsigned; whether it was answered. */
static bool is_answered(const uint8_t ticket[TURN__TICKET_LEN])
{
  const struct addr from = addr_v4(8, 8, 8, 8, 1), to = addr_v4(9, 9, 9, 9, 3478);
  struct turn_client c;
  struct stun_encoder e;
  uint8_t out[STUN_MESSAGE_MAX];
  client_init(&c, &from, &to, TURN_UDP);
  client_begin(&c, &e, out, sizeof(out), STUN_REQUEST, STUN_REFRESH);
  stun_put_bytes(&e, STUN_ATTR_MOBILITY_TICKET, ticket, TURN__TICKET_LEN);
  forwarded_to = UINT32_MAX;
  world_client_input(&world, &c.flow, out, (size_t)stun_end(&e));
  const bool answered = world_next(&world) != NULL;
  world_clear(&world);
  return answered;
}

static void test_a_ticket_of_another_worker(void **state)
{
  (void)state;
  uint8_t own[TURN__TICKET_LEN], other[TURN__TICKET_LEN], none[TURN__TICKET_LEN];
  world.effects.forward = take_forward;
  world.turn->share_count = 3;
  turn__ticket_make(world.turn, &sample, own);
  world.turn->share_index = 2;
  turn__ticket_make(world.turn, &sample, other);
  world.turn->share_index = 3; /* there are three */
  turn__ticket_make(world.turn, &sample, none);
  world.turn->share_index = 0;
  assert_false(is_answered(other));
  assert_int_equal(forwarded_to, 2);
  assert_true(is_answered(own));
  assert_int_equal(forwarded_to, UINT32_MAX);
  assert_true(is_answered(none));
  assert_int_equal(forwarded_to, UINT32_MAX);
  /* Where it cannot go, the client is answered here. */
  forward_result = -ERR_FULL;
  assert_true(is_answered(other));
  assert_int_equal(forwarded_to, 2);
  forward_result = 0;
  other[0] ^= 1;
  assert_true(is_answered(other));
  assert_int_equal(forwarded_to, UINT32_MAX);
}

static void test_off(void **state)
{
  (void)state;
  uint8_t ticket[TURN__TICKET_LEN];
  turn__ticket_make(world.turn, &sample, ticket);
  world.config.mobility = false;
  world_reload(&world);
  assert_false(read_ticket(ticket, sizeof(ticket)).genuine);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_ticket_says_what_it_was_made_of, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_no_bit_may_turn, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_ticket_tells_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_another_key, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_ticket_of_another_worker, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_off, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("turn-mobility", tests, NULL, NULL);
}
