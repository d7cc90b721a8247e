/* turn/core/reply.c: what goes to whoever has proven nothing is no longer than three times what he
 * sent, whatever he sends. What answers say stands in tests/scenario/turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stun/core/decode.h"
#include "stun/core/encode.h"
#include "stun/core/integrity.h"
#include "tests/support/turn_world.h"

static struct world world;
static struct turn_flow flow;
static struct stun_view answer; /* into the world's output */

static int setup(void **state)
{
  (void)state;
  world_init(&world);
  flow =
      (struct turn_flow){.client = addr_v4(8, 8, 8, 8, 50000), .server = addr_v4(9, 9, 9, 1, 3478)};
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  assert_true(world_stop(&world));
  return 0;
}

/* The answer's length, 0 for silence. */
static size_t ask(const uint8_t *p, size_t len)
{
  world_clear(&world);
  world_client_input(&world, &flow, p, len);
  const struct world_output *o = world_next(&world);
  if (!o)
    return 0;
  assert_int_equal(o->kind, WORLD_REPLY);
  assert_int_equal(stun_decode(o->at, o->len, &answer), 0);
  assert_null(world_next(&world));
  return o->len;
}

static size_t put_request(uint8_t out[STUN_MESSAGE_MAX], uint16_t method, int attrs)
{
  static const uint8_t txid[STUN_TXID_LEN] = "transaction";
  static const uint8_t nothing[64];
  struct stun_encoder e;
  stun_begin(&e, out, STUN_MESSAGE_MAX, STUN_REQUEST, method, txid);
  if (attrs & 1)
    stun_put_uint(&e, STUN_ATTR_REQUESTED_TRANSPORT, 17);
  if (attrs & 2)
    stun_put_uint(&e, STUN_ATTR_LIFETIME, 0);
  if (attrs & 4)
    stun_put_bytes(&e, STUN_ATTR_DATA, nothing, 1);
  if (attrs & 8)
    stun_put_text(&e, STUN_ATTR_USERNAME, "bob");
  if (attrs & 16)
    stun_put_uint(&e, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, 2);
  if (attrs & 32)
    stun_put_bytes(&e, STUN_ATTR_ACCESS_TOKEN, nothing, 0);
  if (attrs & 64)
    stun_put_bytes(&e, STUN_ATTR_MESSAGE_INTEGRITY, nothing, 20);
  if (attrs & 128)
    stun_put_fingerprint(&e);
  return (size_t)stun_end(&e);
}

static const uint16_t methods[] = {STUN_BINDING,           STUN_ALLOCATE,     STUN_REFRESH,
                                   STUN_CREATE_PERMISSION, STUN_CHANNEL_BIND, STUN_CONNECT};
enum { METHODS = sizeof(methods) / sizeof(methods[0]), HEADERS_V4 = 28, HEADERS_V6 = 48 };

/* Every request of eight attributes, in every method; the answers counted. The bytes count, and
 * where a realm is long or a request lacks what every Allocate has, those on the network. */
static size_t ask_all(void)
{
  size_t answered = 0;
  bool v6 = flow.client.family == ADDR_V6;
  for (size_t m = 0; m < METHODS; m++)
    for (int attrs = 0; attrs < 256; attrs++) {
      uint8_t request[STUN_MESSAGE_MAX];
      size_t len = put_request(request, methods[m], attrs);
      size_t got = ask(request, len);
      bool strict = methods[m] == STUN_BINDING ||
                    (attrs & 1 && world.realm[0].name.len <= 8 && !world.config.oauth);
      size_t headers = strict ? 0 : v6 ? HEADERS_V6 : HEADERS_V4;
      if (got + headers > 3 * (len + headers))
        fail_msg("method %u, attributes %d: %zu for %zu", methods[m], attrs, got, len);
      answered += got > 0;
      world_elapse(&world, 1000);
    }
  return answered;
}

static void test_no_answer_to_a_stranger_is_more_than_three_times_his_request(void **state)
{
  (void)state;
  static const char *const realm[] = {
      "viaduct", "example.org", "a-realm-of-sixty-four-characters.which-is-as-long-as-it-may-be.x"};
  assert_int_equal(strlen(realm[2]), TURN_REALM_MAX);
  for (int i = 0; i < 12; i++) {
    setup(state);
    world.realm[0].name = bytes_of(realm[i % 3]);
    world.config.fingerprint = i & 4;
    if (i >= 6)
      assert_int_equal(addr_parse(bytes_of("[2a00::7]:5000"), &flow.client), 0);
    assert_int_equal(world_start(&world), 0);
    assert_true(ask_all() > 700);
    assert_true(world_stop(&world));
  }
}

static void test_the_same_without_passwords(void **state)
{
  (void)state;
  world.config.auth_required = false;
  assert_int_equal(world_start(&world), 0);
  assert_true(ask_all() > 700);
}

/* THIRD-PARTY-AUTHORIZATION makes no answer longer than it may be: where the names are too long for
 * the request, it stays out. */
static void test_the_same_with_access_tokens(void **state)
{
  static const char *const realm[] = {
      "viaduct", "a-realm-of-thirty-two-characters",
      "a-realm-of-sixty-four-characters.which-is-as-long-as-it-may-be.x"};
  for (int i = 0; i < 9; i++) {
    setup(state);
    world.config.oauth = true;
    world.realm[0].name = bytes_of(realm[i % 3]);
    world.config.server_name = bytes_of(realm[i / 3]);
    assert_int_equal(world_start(&world), 0);
    assert_true(ask_all() > 700);
    assert_true(world_stop(&world));
  }
}

/* Exactly three times: 28 bytes (REQUESTED-TRANSPORT alone, as browsers send it), answered with 84.
 */
static void test_the_smallest_allocate_meets_a_challenge(void **state)
{
  (void)state;
  uint8_t request[STUN_MESSAGE_MAX];
  world.realm[0].name = bytes_of("viaduct");
  world.config.fingerprint = true;
  assert_int_equal(world_start(&world), 0);
  assert_int_equal(put_request(request, STUN_ALLOCATE, 1), 28);
  assert_int_equal(ask(request, 28), 84);
  assert_int_equal(stun_get_error(&answer), 401);
  assert_int_equal(stun_get_bytes(&answer, STUN_ATTR_ERROR_CODE).len, 4);
  assert_true(stun_has(&answer, STUN_ATTR_REALM) && stun_has(&answer, STUN_ATTR_NONCE) &&
              stun_has(&answer, STUN_ATTR_PASSWORD_ALGORITHMS));
  /* A longer one has room for the phrase and for a FINGERPRINT. */
  size_t len = put_request(request, STUN_ALLOCATE, 1 + 2 + 8 + 128);
  assert_int_equal(ask(request, len), 108);
  assert_true(stun_has(&answer, STUN_ATTR_FINGERPRINT));
  assert_int_equal(stun_get_bytes(&answer, STUN_ATTR_ERROR_CODE).len,
                   4 + strlen("Unauthenticated"));
}

/* Nobody sends an Allocate that long a challenge would be owed to: it is counted, not answered. */
static void test_what_would_amplify_is_not_answered(void **state)
{
  (void)state;
  uint8_t request[STUN_MESSAGE_MAX];
  world.realm[0].name = bytes_of("a-realm-of-forty-four-characters.example.org");
  assert_int_equal(world_start(&world), 0);
  size_t len = put_request(request, STUN_REFRESH, 0);
  assert_int_equal(ask(request, len), 0);
  assert_int_equal(turn_counters(world.turn)->unauthorized_unanswered, 1);
  flow.transport = TURN_TCP; /* a handshake has proven the address */
  assert_true(ask(request, len) > 0);
  assert_int_equal(stun_get_error(&answer), 401);
}

static void test_challenges_are_limited_per_address(void **state)
{
  (void)state;
  uint8_t request[STUN_MESSAGE_MAX];
  size_t answered = 0, len = put_request(request, STUN_ALLOCATE, 1);
  world.config.unauthorized_per_s = 5;
  assert_int_equal(world_start(&world), 0);
  for (int i = 0; i < 200; i++) {
    flow.client.port++;
    answered += ask(request, len) > 0;
  }
  assert_int_equal(answered, 50);
  assert_int_equal(turn_counters(world.turn)->unauthorized, 200);
  assert_int_equal(turn_counters(world.turn)->unauthorized_unanswered, 150);
  flow.client.ip[0]++;
  assert_true(ask(request, len) > 0);
  flow.client.ip[0]--;
  assert_true(ask(request, put_request(request, STUN_BINDING, 0)) > 0); /* no challenge */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_no_answer_to_a_stranger_is_more_than_three_times_his_request),
      cmocka_unit_test_setup_teardown(test_the_same_without_passwords, setup, teardown),
      cmocka_unit_test(test_the_same_with_access_tokens),
      cmocka_unit_test_setup_teardown(test_the_smallest_allocate_meets_a_challenge, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_what_would_amplify_is_not_answered, setup, teardown),
      cmocka_unit_test_setup_teardown(test_challenges_are_limited_per_address, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
