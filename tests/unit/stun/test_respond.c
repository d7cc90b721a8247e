/* stun/core/respond.c: what is answered, and with what. When it must be silent stands in
 * tests/vectors/hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "stun/core/decode.h"
#include "stun/core/integrity.h"
#include "stun/core/respond.h"
#include "tests/unit/stun/message.h"

static struct message m;
static struct stun_respond_config config;
static struct stun_path path;
static struct stun_quad quad;
static uint8_t out[STUN_RESPOND_MAX];
static struct stun_answer got;
static struct stun_view v;

static int setup(void **state)
{
  (void)state;
  config = (struct stun_respond_config){.classic = true};
  path = (struct stun_path){.source = addr_v4(192, 0, 2, 7, 5000),
                            .local = addr_v4(192, 0, 2, 1, 3478)};
  quad = (struct stun_quad){.ip = {addr_v4(192, 0, 2, 1, 0), addr_v4(198, 51, 100, 1, 0)},
                            .port = {3478, 3479}};
  message_begin(&m, 0x0001);
  return 0;
}

/* As a server with RFC 5780's four addresses. */
static int setup_four(void **state)
{
  setup(state);
  path.quad = &quad;
  return 0;
}

static int respond(void)
{
  got = (struct stun_answer){.at = out, .cap = sizeof out};
  return stun_respond_bytes(&config, &path, m.at, m.len, &got);
}

static void answer(enum stun_class class)
{
  int len = respond();
  assert_true(len > 0);
  assert_int_equal(stun_decode(out, (size_t)len, &v), 0);
  assert_int_equal(v.class, class);
  assert_int_equal(v.method, STUN_BINDING);
  assert_memory_equal(out + 4, m.at + 4, 16);
  assert_true(stun_check_fingerprint(&v));
}

static void assert_addr(const struct addr *a, const char *want)
{
  char text[ADDR_TEXT_SIZE];
  assert_string_equal(addr_format(a, text), want);
}

static void assert_mapped(enum stun_attr a, const char *want)
{
  struct addr in;
  assert_int_equal(stun_get_addr(&v, a, &in), 0);
  assert_addr(&in, want);
}

static void answer_code(int code)
{
  answer(code ? STUN_ERROR : STUN_SUCCESS);
  assert_int_equal(stun_get_error(&v), code);
  assert_int_equal(got.code, code);
}

static void test_plain_request(void **state)
{
  (void)state;
  answer(STUN_SUCCESS);
  assert_mapped(STUN_ATTR_XOR_MAPPED_ADDRESS, "192.0.2.7:5000");
  assert_int_equal(v.len, 32);
}

static void test_ipv6_source(void **state)
{
  (void)state;
  assert_int_equal(addr_parse(bytes_of("[2001:db8::7]:5000"), &path.source), 0);
  answer(STUN_SUCCESS);
  assert_mapped(STUN_ATTR_XOR_MAPPED_ADDRESS, "[2001:db8::7]:5000");
}

static void test_mapped_source_is_ipv4(void **state)
{
  (void)state;
  assert_int_equal(addr_parse(bytes_of("[::ffff:192.0.2.9]:5000"), &path.source), 0);
  answer(STUN_SUCCESS);
  assert_mapped(STUN_ATTR_XOR_MAPPED_ADDRESS, "192.0.2.9:5000");
}

static void test_software_and_fingerprint_as_configured(void **state)
{
  (void)state;
  config.software = "viaduct";
  config.fingerprint = true;
  answer(STUN_SUCCESS);
  assert_true(bytes_equal(stun_get_bytes(&v, STUN_ATTR_SOFTWARE), bytes_of("viaduct")));
  assert_true(stun_has(&v, STUN_ATTR_FINGERPRINT));
}

static void test_fingerprint_when_the_request_had_one(void **state)
{
  (void)state;
  struct stun_encoder e;
  answer(STUN_SUCCESS);
  assert_false(stun_has(&v, STUN_ATTR_FINGERPRINT));
  stun_begin(&e, m.at, sizeof m.at, STUN_REQUEST, STUN_BINDING, m.at + 8);
  stun_put_fingerprint(&e);
  m.len = (size_t)stun_end(&e);
  answer(STUN_SUCCESS);
  assert_true(stun_has(&v, STUN_ATTR_FINGERPRINT));
}

static void test_unknown_attribute(void **state)
{
  (void)state;
  config.software = "viaduct";
  message_attr(&m, 0x7FFF, NULL, 0);
  message_attr(&m, 0x0027, "\0\1\0\0", 4); /* RESPONSE-PORT: known, not supported */
  answer(STUN_ERROR);
  assert_int_equal(stun_get_error(&v), 420);
  struct bytes list = stun_get_bytes(&v, STUN_ATTR_UNKNOWN_ATTRIBUTES);
  assert_int_equal(list.len, 4);
  assert_memory_equal(list.at, "\x7F\xFF\0\x27", 4);
  assert_false(stun_has(&v, STUN_ATTR_XOR_MAPPED_ADDRESS));
  assert_true(stun_has(&v, STUN_ATTR_SOFTWARE));
}

static void test_list_of_unknowns_never_overflows(void **state)
{
  (void)state;
  for (uint16_t i = 0; i < STUN_UNKNOWN_MAX; i++)
    message_attr(&m, (uint16_t)(0x4000 + i), NULL, 0);
  message_attr(&m, 0x0003, "\0\0\0\6", 4);
  message_attr(&m, 0x0027, "\0\1\0\0", 4);
  answer(STUN_ERROR);
  struct bytes list = stun_get_bytes(&v, STUN_ATTR_UNKNOWN_ATTRIBUTES);
  assert_int_equal(list.len, 2 * STUN_UNKNOWN_MAX);
}

static void test_malformed_attribute(void **state)
{
  (void)state;
  config.fingerprint = true;
  message_attr(&m, 0x000D, "\1", 1);
  answer(STUN_ERROR);
  assert_int_equal(stun_get_error(&v), 400);
  assert_true(stun_has(&v, STUN_ATTR_FINGERPRINT));
}

static void test_classic_client(void **state)
{
  (void)state;
  config.software = "viaduct";
  m.at[4] = 0x99;
  message_attr(&m, 0x0003, "\0\0\0\0", 4); /* CHANGE-REQUEST that asks for nothing */
  answer(STUN_SUCCESS);
  assert_true(v.classic);
  assert_mapped(STUN_ATTR_MAPPED_ADDRESS, "192.0.2.7:5000");
  assert_false(stun_has(&v, STUN_ATTR_XOR_MAPPED_ADDRESS));
  assert_false(stun_has(&v, STUN_ATTR_SOFTWARE));
  config.classic = false;
  assert_int_equal(respond(), -ERR_DROP);
}

static void test_change_request_of_a_modern_client(void **state)
{
  (void)state;
  message_attr(&m, 0x0003, "\0\0\0\0", 4); /* RFC 5780 6.1: 420, whatever its flags */
  answer(STUN_ERROR);
  assert_int_equal(stun_get_error(&v), 420);
}

static void test_ice_check_is_answered_as_plain_binding(void **state)
{
  (void)state;
  uint8_t mac[20] = {0};
  message_attr(&m, 0x0006, "evtj:h6vY", 9);
  message_attr(&m, 0x0024, "\x6e\0\1\xff", 4);
  message_attr(&m, 0x0025, NULL, 0);
  message_attr(&m, 0x0008, mac, 20);
  answer(STUN_SUCCESS);
}

static void test_other_method(void **state)
{
  (void)state;
  message_begin(&m, 0x0003);
  assert_int_equal(respond(), -ERR_DROP);
  message_begin(&m, 0x0011);
  assert_int_equal(respond(), -ERR_DROP);
}

static void test_not_stun(void **state)
{
  (void)state;
  m.at[0] = 0x40;
  assert_int_equal(respond(), -ERR_DROP);
  assert_int_equal(stun_respond(&config, &path, -ERR_BAD, &v, &got), -ERR_DROP);
}

static void test_no_room(void **state)
{
  (void)state;
  got = (struct stun_answer){.at = out, .cap = 31};
  assert_int_equal(stun_respond_bytes(&config, &path, m.at, m.len, &got), -ERR_FULL);
  got.cap = 32;
  assert_int_equal(stun_respond_bytes(&config, &path, m.at, m.len, &got), 32);
  /* What may be left out is left out. */
  path.quad = &quad;
  config.software = "viaduct";
  assert_int_equal(stun_respond_bytes(&config, &path, m.at, m.len, &got), 32);
  got.cap = 44;
  assert_int_equal(stun_respond_bytes(&config, &path, m.at, m.len, &got), 44);
}

/* RFC 3489 11.2.9 and 11.2.10: lengths are multiples of four, by spaces and by repetition. */
static void test_errors_for_a_classic_client_need_no_padding(void **state)
{
  (void)state;
  m.at[4] = 0x99;
  message_attr(&m, 0x0002, "\0\1\0\x35\xC6\x33\x64\1", 8); /* RESPONSE-ADDRESS */
  answer_code(420);
  assert_memory_equal(out + 20, "\0\11\0\30\0\0\4\24Unknown Attribute   ", 28);
  assert_memory_equal(out + 48, "\0\12\0\4\0\2\0\2", 8);
  assert_int_equal(v.len, 56);
  message_attr(&m, 0x7FFF, NULL, 0);
  answer_code(420);
  assert_memory_equal(out + 48, "\0\12\0\4\0\2\x7F\xFF", 8);
}

/* ---- RFC 5780 ---- */

static const char *const four[2][2] = {{"192.0.2.1:3478", "192.0.2.1:3479"},
                                       {"198.51.100.1:3478", "198.51.100.1:3479"}};

static void put_change(uint8_t flags)
{
  uint8_t value[4] = {0, 0, 0, flags};
  message_attr(&m, 0x0003, value, sizeof value);
}

static void put_response_port(uint16_t port)
{
  uint8_t value[4] = {(uint8_t)(port >> 8), (uint8_t)port};
  message_attr(&m, 0x0027, value, sizeof value);
}

static void put_padding(size_t len)
{
  static const uint8_t value[2048];
  message_attr(&m, 0x0026, value, len);
}

static void arrive_at(int ip, int port)
{
  path.local = quad.ip[ip];
  path.local.port = quad.port[port];
}

/* 6.1, table 1: each flag at each of the four. */
static void test_change_request_chooses_the_source(void **state)
{
  (void)state;
  for (int i = 0; i < 16; i++) {
    int ip = i & 1, port = (i >> 1) & 1, change_ip = (i >> 2) & 1, change_port = (i >> 3) & 1;
    arrive_at(ip, port);
    message_begin(&m, 0x0001);
    put_change((uint8_t)(change_ip * 4 + change_port * 2));
    answer_code(0);
    assert_addr(&got.from, four[ip ^ change_ip][port ^ change_port]);
    assert_addr(&got.to, "192.0.2.7:5000");
    assert_mapped(STUN_ATTR_RESPONSE_ORIGIN, four[ip ^ change_ip][port ^ change_port]);
    assert_mapped(STUN_ATTR_OTHER_ADDRESS, four[!ip][!port]);
    assert_mapped(STUN_ATTR_XOR_MAPPED_ADDRESS, "192.0.2.7:5000");
    assert_mapped(STUN_ATTR_MAPPED_ADDRESS, "192.0.2.7:5000");
  }
}

/* "If the Binding Request does not contain any attributes from this document, OTHER-ADDRESS and
 * RESPONSE-ORIGIN are still included"; MAPPED-ADDRESS would be more than 60 bytes. */
static void test_plain_request_learns_of_the_others(void **state)
{
  (void)state;
  config.software = "viaduct";
  answer_code(0);
  assert_addr(&got.from, four[0][0]);
  assert_mapped(STUN_ATTR_OTHER_ADDRESS, four[1][1]);
  assert_mapped(STUN_ATTR_RESPONSE_ORIGIN, four[0][0]);
  assert_false(stun_has(&v, STUN_ATTR_MAPPED_ADDRESS));
  assert_false(stun_has(&v, STUN_ATTR_SOFTWARE));
  assert_int_equal(v.len, 56);
}

static void test_ipv6_tells_what_the_request_has_room_for(void **state)
{
  (void)state;
  static const size_t room[] = {44, 68, 92, 116};
  assert_int_equal(addr_parse(bytes_of("2001:db8::1"), &quad.ip[0]), 0);
  assert_int_equal(addr_parse(bytes_of("2001:db8::2"), &quad.ip[1]), 0);
  assert_int_equal(addr_parse(bytes_of("[2001:db8:1::7]:5000"), &path.source), 0);
  for (size_t i = 0; i < 4; i++) {
    arrive_at(1, 0);
    message_begin(&m, 0x0001);
    if (i)
      message_attr(&m, 0x8022, "longer, yet longer..", 8 * i - 4);
    answer_code(0);
    assert_int_equal(v.len, room[i]);
    assert_int_equal(stun_has(&v, STUN_ATTR_OTHER_ADDRESS), i >= 1);
    assert_int_equal(stun_has(&v, STUN_ATTR_RESPONSE_ORIGIN), i >= 2);
    assert_int_equal(stun_has(&v, STUN_ATTR_MAPPED_ADDRESS), i >= 3);
  }
  assert_mapped(STUN_ATTR_OTHER_ADDRESS, "[2001:db8::1]:3479");
}

static void test_an_address_apart_has_no_other(void **state)
{
  (void)state;
  path.local = addr_v4(203, 0, 113, 1, 3478);
  answer_code(0);
  assert_int_equal(v.len, 32);
  put_change(0);
  answer_code(420);
  path.local = addr_v4(192, 0, 2, 1, 3480);
  answer_code(420);
  assert_addr(&got.from, "192.0.2.1:3480");
}

static void test_behind_a_nat_the_public_addresses_are_told(void **state)
{
  (void)state;
  quad.told[0] = addr_v4(203, 0, 113, 1, 0);
  quad.told[1] = addr_v4(203, 0, 113, 2, 0);
  put_change(4);
  answer_code(0);
  assert_addr(&got.from, four[1][0]);
  assert_mapped(STUN_ATTR_RESPONSE_ORIGIN, "203.0.113.2:3478");
  assert_mapped(STUN_ATTR_OTHER_ADDRESS, "203.0.113.2:3479");
}

static void test_response_port_moves_the_port_alone(void **state)
{
  (void)state;
  put_response_port(6000);
  put_change(6);
  answer_code(0);
  assert_addr(&got.to, "192.0.2.7:6000");
  assert_addr(&got.from, four[1][1]);
  assert_mapped(STUN_ATTR_XOR_MAPPED_ADDRESS, "192.0.2.7:5000");
}

static void test_response_port_that_cannot_be(void **state)
{
  (void)state;
  put_response_port(0);
  answer_code(400);
  assert_addr(&got.to, "192.0.2.7:5000");
  /* 6.1: "If the Request also contains the RESPONSE-PORT attribute the server MUST return an error
   * response of type 400": to the source, since the request is not processed. */
  message_begin(&m, 0x0001);
  put_response_port(6000);
  put_change(6);
  put_padding(100);
  answer_code(400);
  assert_addr(&got.to, "192.0.2.7:5000");
  assert_addr(&got.from, four[0][0]);
  assert_false(stun_has(&v, STUN_ATTR_PADDING));
  /* Not processed either: what is unknown goes first. */
  message_attr(&m, 0x7FFF, NULL, 0);
  answer_code(420);
  assert_addr(&got.to, "192.0.2.7:5000");
}

/* The answer is padded up to the request's length, and to Ethernet's MTU. */
static void test_padding_is_no_longer_than_the_request(void **state)
{
  (void)state;
  static const struct {
    size_t asked, given;
  } row[] = {{0, 0}, {4, 0}, {48, 0}, {52, 4}, {200, 152}, {1500, 1452}, {1996, 1500}};
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    message_begin(&m, 0x0001);
    put_padding(row[i].asked);
    answer_code(0);
    assert_true(stun_has(&v, STUN_ATTR_PADDING));
    assert_int_equal(stun_get_bytes(&v, STUN_ATTR_PADDING).len, row[i].given);
    assert_true(stun_has(&v, STUN_ATTR_MAPPED_ADDRESS));
    assert_true(row[i].given == 0 || v.len <= m.len);
  }
}

static void test_a_connection_is_answered_where_it_came(void **state)
{
  (void)state;
  path.stream = true;
  put_change(0);
  put_padding(0);
  answer_code(0);
  assert_addr(&got.from, four[0][0]);
  assert_mapped(STUN_ATTR_OTHER_ADDRESS, four[1][1]);
  message_begin(&m, 0x0001);
  put_change(2);
  answer_code(420);
  message_begin(&m, 0x0001);
  put_response_port(6000);
  answer_code(420);
}

static void test_classic_client_with_change_request(void **state)
{
  (void)state;
  m.at[4] = 0x99;
  put_change(6);
  answer_code(0);
  assert_addr(&got.from, four[1][1]);
  assert_mapped(STUN_ATTR_MAPPED_ADDRESS, "192.0.2.7:5000");
  assert_mapped(STUN_ATTR_SOURCE_ADDRESS, four[1][1]);
  assert_mapped(STUN_ATTR_CHANGED_ADDRESS, four[1][1]);
  assert_int_equal(v.len, 56);
  /* What RFC 5780 brought is unknown to it. */
  put_padding(4);
  answer_code(420);
  message_begin(&m, 0x0001);
  m.at[4] = 0x99;
  put_response_port(6000);
  answer_code(420);
  assert_addr(&got.to, "192.0.2.7:5000");
}

static void test_what_stands_in_responses_alone_is_unknown(void **state)
{
  (void)state;
  message_attr(&m, 0x0004, "\0\1\x0D\x96\xC0\0\2\1", 8);
  message_attr(&m, 0x0005, "\0\1\x0D\x96\xC0\0\2\1", 8);
  answer_code(420);
  struct bytes list = stun_get_bytes(&v, STUN_ATTR_UNKNOWN_ATTRIBUTES);
  assert_int_equal(list.len, 4);
  assert_memory_equal(list.at, "\0\4\0\5", 4);
}

/* ---- no answer has more than three times the bytes of its request ---- */

enum { SHAPES = 3 * 3 * 7 * 6 * 2 * 2 * 2 }; /* what put_shape tells apart */

static void put_unknown(int count)
{
  for (int i = 0; i < count; i++)
    message_attr(&m, (uint16_t)(0x4000 + i), NULL, 0);
}

/* The request of that number: every combination of what the responder looks at. */
static void put_shape(int shape)
{
  static const size_t padding[] = {0, 1, 4, 40, 300, 1500};
  static const int unknown[] = {0, 1, 2, 3, 16, 20};
  int classic = shape % 2, fingerprint = shape / 2 % 2, malformed = shape / 4 % 2;
  int change = shape / 8 % 3, port = shape / 24 % 3, pad = shape / 72 % 7;
  message_begin(&m, 0x0001);
  if (classic)
    m.at[4] = 0x99;
  if (change)
    put_change(change == 1 ? 0 : 6);
  if (port)
    put_response_port(port == 1 ? 0 : 6000);
  if (pad)
    put_padding(padding[pad - 1]);
  put_unknown(unknown[shape / 504]);
  if (malformed)
    message_attr(&m, 0x0025, "x", 0 + (size_t)malformed);
  if (!fingerprint)
    return;
  struct stun_encoder e = {.at = m.at, .len = m.len, .cap = sizeof m.at};
  stun_put_fingerprint(&e);
  m.len = (size_t)stun_end(&e);
}

/* Where it comes from and how the server is set up: `world` from 0 to 63. */
static void set_world(int world)
{
  bool v6 = world & 1;
  config.fingerprint = world & 2;
  config.software = world & 4 ? "a name as long as they may be, or nearly so: 1.2.3.4.5.6" : NULL;
  path.stream = world & 8;
  path.quad = world & 16 ? &quad : NULL;
  path.source = addr_v4(192, 0, 2, 7, 5000);
  quad.ip[0] = addr_v4(192, 0, 2, 1, 0);
  quad.ip[1] = addr_v4(198, 51, 100, 1, 0);
  if (v6) {
    assert_int_equal(addr_parse(bytes_of("[2001:db8:1::7]:5000"), &path.source), 0);
    assert_int_equal(addr_parse(bytes_of("2001:db8::1"), &quad.ip[0]), 0);
    assert_int_equal(addr_parse(bytes_of("2001:db8::2"), &quad.ip[1]), 0);
  }
  arrive_at(0, 0);
  path.local.port = world & 32 ? 3479 : 3478;
}

static void test_no_answer_is_more_than_three_times_its_request(void **state)
{
  (void)state;
  size_t answered = 0, most = 0;
  for (int world = 0; world < 64; world++) {
    set_world(world);
    for (int shape = 0; shape < SHAPES; shape++) {
      put_shape(shape);
      int len = respond();
      assert_true(len > 0 || len == -ERR_DROP);
      if (len < 0)
        continue;
      if ((size_t)len > STUN_GAIN_MAX * m.len)
        fail_msg("world %d, shape %d: %d bytes for %zu", world, shape, len, m.len);
      assert_int_equal(stun_decode(out, (size_t)len, &v), 0);
      assert_true(addr_equal_ip(&got.to, &path.source));
      assert_true(addr_equal(&got.from, &path.local) ||
                  (path.quad && stun_quad_has(&quad, &got.from)));
      answered++;
      most = (size_t)len * 100 / m.len > most ? (size_t)len * 100 / m.len : most;
    }
  }
  assert_true(answered > 100000);
  print_message("%zu answers, at most %zu%% of their requests\n", answered, most);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_plain_request, setup),
      cmocka_unit_test_setup(test_ipv6_source, setup),
      cmocka_unit_test_setup(test_mapped_source_is_ipv4, setup),
      cmocka_unit_test_setup(test_software_and_fingerprint_as_configured, setup),
      cmocka_unit_test_setup(test_fingerprint_when_the_request_had_one, setup),
      cmocka_unit_test_setup(test_unknown_attribute, setup),
      cmocka_unit_test_setup(test_list_of_unknowns_never_overflows, setup),
      cmocka_unit_test_setup(test_malformed_attribute, setup),
      cmocka_unit_test_setup(test_classic_client, setup),
      cmocka_unit_test_setup(test_change_request_of_a_modern_client, setup),
      cmocka_unit_test_setup(test_ice_check_is_answered_as_plain_binding, setup),
      cmocka_unit_test_setup(test_other_method, setup),
      cmocka_unit_test_setup(test_not_stun, setup),
      cmocka_unit_test_setup(test_no_room, setup),
      cmocka_unit_test_setup(test_errors_for_a_classic_client_need_no_padding, setup),
      cmocka_unit_test_setup(test_change_request_chooses_the_source, setup_four),
      cmocka_unit_test_setup(test_plain_request_learns_of_the_others, setup_four),
      cmocka_unit_test_setup(test_ipv6_tells_what_the_request_has_room_for, setup_four),
      cmocka_unit_test_setup(test_an_address_apart_has_no_other, setup_four),
      cmocka_unit_test_setup(test_behind_a_nat_the_public_addresses_are_told, setup_four),
      cmocka_unit_test_setup(test_response_port_moves_the_port_alone, setup_four),
      cmocka_unit_test_setup(test_response_port_that_cannot_be, setup_four),
      cmocka_unit_test_setup(test_padding_is_no_longer_than_the_request, setup_four),
      cmocka_unit_test_setup(test_a_connection_is_answered_where_it_came, setup_four),
      cmocka_unit_test_setup(test_classic_client_with_change_request, setup_four),
      cmocka_unit_test_setup(test_what_stands_in_responses_alone_is_unknown, setup_four),
      cmocka_unit_test_setup(test_no_answer_is_more_than_three_times_its_request, setup_four),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
