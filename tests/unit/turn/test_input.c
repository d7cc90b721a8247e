/* turn/core/input.c: Binding at RFC 5780's four addresses, and without attributes. Everything else
 * that comes in has its scenarios. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "stun/core/decode.h"
#include "stun/core/encode.h"
#include "stun/core/respond.h"
#include "tests/support/turn_world.h"

static struct world world;
static struct stun_quad quad;
static struct turn_flow flow;
static struct stun_view answer;
static const struct world_output *out;

static int setup(void **state)
{
  (void)state;
  world_init(&world);
  quad = (struct stun_quad){.ip = {addr_v4(9, 9, 9, 1, 0), addr_v4(9, 9, 9, 2, 0)},
                            .told = {addr_v4(7, 7, 7, 1, 0), addr_v4(7, 7, 7, 2, 0)},
                            .port = {3478, 3479}};
  world.config.quad = &quad;
  world.config.quad_count = 1;
  flow = (struct turn_flow){
      .client = addr_v4(8, 8, 8, 8, 50000), .server = addr_v4(9, 9, 9, 1, 3478), .link = 7};
  return world_start(&world);
}

static int teardown(void **state)
{
  (void)state;
  assert_true(world_stop(&world));
  return 0;
}

static void ask(uint32_t flags, uint32_t response_port)
{
  static const uint8_t txid[STUN_TXID_LEN] = "transaction";
  uint8_t request[STUN_MESSAGE_MAX];
  struct stun_encoder e;
  stun_begin(&e, request, sizeof(request), STUN_REQUEST, STUN_BINDING, txid);
  stun_put_uint(&e, STUN_ATTR_CHANGE_REQUEST, flags);
  if (response_port)
    stun_put_uint(&e, STUN_ATTR_RESPONSE_PORT, response_port);
  world_clear(&world);
  world_client_input(&world, &flow, request, (size_t)stun_end(&e));
  out = world_next(&world);
  assert_non_null(out);
  assert_int_equal(out->kind, WORLD_REPLY);
  assert_int_equal(stun_decode(out->at, out->len, &answer), 0);
}

static void assert_text(const struct addr *a, const char *want)
{
  char text[ADDR_TEXT_SIZE];
  assert_string_equal(addr_format(a, text), want);
}

static void test_change_request_chooses_the_listener(void **state)
{
  (void)state;
  static const char *const from[] = {"9.9.9.1:3478", "9.9.9.1:3479", "9.9.9.2:3478",
                                     "9.9.9.2:3479"};
  for (uint32_t i = 0; i < 4; i++) {
    struct addr other;
    ask(2 * i, 0);
    assert_text(&out->flow.server, from[i]);
    assert_text(&out->flow.client, "8.8.8.8:50000");
    assert_int_equal(out->flow.link, 7);
    assert_int_equal(stun_get_addr(&answer, STUN_ATTR_OTHER_ADDRESS, &other), 0);
    assert_text(&other, "7.7.7.2:3479");
  }
  assert_int_equal(turn_counters(world.turn)->bindings, 4);
}

static void test_response_port(void **state)
{
  (void)state;
  ask(6, 6000);
  assert_text(&out->flow.server, "9.9.9.2:3479");
  assert_text(&out->flow.client, "8.8.8.8:6000");
}

static void test_a_connection_is_answered_where_it_came(void **state)
{
  (void)state;
  for (int i = TURN_TCP; i <= TURN_DTLS; i++) {
    flow.transport = (enum turn_transport)i;
    ask(0, 0);
    assert_true(stun_has(&answer, STUN_ATTR_OTHER_ADDRESS));
    ask(2, 0);
    assert_int_equal(stun_get_error(&answer), 420);
    assert_text(&out->flow.server, "9.9.9.1:3478");
  }
}

static void test_a_listener_apart(void **state)
{
  (void)state;
  flow.server.port = 5349;
  ask(2, 0);
  assert_int_equal(stun_get_error(&answer), 420);
}

static void set_bare(uint32_t number, uint8_t request[STUN_HEADER_LEN])
{
  static const uint8_t header[] = {0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42};
  memcpy(request, header, sizeof(header));
  for (uint32_t i = 0; i < STUN_TXID_LEN; i++)
    request[8 + i] = (uint8_t)((number * 2654435761u) >> i);
  flow.client = addr_from_ip(request + 4, number & 1 ? 16 : 4, (uint16_t)number);
  flow.transport = (enum turn_transport)(number / 2 % 4);
  world.config.quad_count = number % 16 == 15;
  world.config.fingerprint = number % 16 == 14;
  world.config.no_stun = number % 16 == 13;
  world_reload(&world);
}

/* turn_binding decodes and encodes. */
static void test_bare_requests_are_answered_as_all_others(void **state)
{
  (void)state;
  uint8_t request[STUN_HEADER_LEN], bytes[STUN_RESPOND_MAX];
  uint64_t answered = 0;
  for (uint32_t number = 0; number < 4000; number++) {
    set_bare(number, request);
    struct stun_answer at_length = {.at = bytes, .cap = sizeof(bytes)};
    const int len =
        turn_binding(&world.config, &flow, (struct bytes){request, sizeof(request)}, &at_length);
    world_clear(&world);
    world_client_input(&world, &flow, request, sizeof(request));
    out = world_next(&world);
    assert_int_equal(out != NULL, len > 0);
    if (out == NULL)
      continue;
    assert_true(bytes_equal((struct bytes){bytes, (size_t)len}, (struct bytes){out->at, out->len}));
    assert_true(addr_equal(&out->flow.client, &flow.client) &&
                addr_equal(&out->flow.server, &flow.server));
    assert_int_equal(turn_counters(world.turn)->bindings, ++answered);
  }
  assert_int_equal(answered, 4000 * 15 / 16);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_change_request_chooses_the_listener, setup, teardown),
      cmocka_unit_test_setup_teardown(test_response_port, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_connection_is_answered_where_it_came, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_listener_apart, setup, teardown),
      cmocka_unit_test_setup_teardown(test_bare_requests_are_answered_as_all_others, setup,
                                      teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
