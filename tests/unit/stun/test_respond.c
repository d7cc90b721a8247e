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
static uint8_t out[STUN_MESSAGE_MAX];
static struct stun_view v;

static int setup(void **state)
{
  (void)state;
  config = (struct stun_respond_config){.classic = true};
  path = (struct stun_path){.source = addr_v4(192, 0, 2, 7, 5000),
                            .local = addr_v4(192, 0, 2, 1, 3478)};
  message_begin(&m, 0x0001);
  return 0;
}

static int respond(void)
{
  return stun_respond_bytes(&config, &path, m.at, m.len, out, sizeof out);
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

static void assert_mapped(enum stun_attr a, const char *want)
{
  struct addr got;
  char text[ADDR_TEXT_SIZE];
  assert_int_equal(stun_get_addr(&v, a, &got), 0);
  assert_string_equal(addr_format(&got, text), want);
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
  assert_int_equal(stun_respond(&config, &path, -ERR_BAD, &v, out, sizeof out), -ERR_DROP);
}

static void test_no_room(void **state)
{
  (void)state;
  assert_int_equal(stun_respond_bytes(&config, &path, m.at, m.len, out, 31), -ERR_FULL);
  assert_int_equal(stun_respond_bytes(&config, &path, m.at, m.len, out, 32), 32);
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
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
