/* peer-demo/core/uri.c: RFC 7064 and RFC 7065. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "peer-demo/core/uri.h"

static void test_good(void **state)
{
  (void)state;
  static const struct {
    const char *text, *whole, *host;
    enum uri_transport transport;
    uint16_t port;
    bool is_turn;
  } rows[] = {
      {"stun:example.org", "stun:example.org:3478", "example.org", URI_UDP, 3478, false},
      {"stuns:example.org", "stuns:example.org:5349", "example.org", URI_TLS, 5349, false},
      {"turn:192.0.2.1:80", "turn:192.0.2.1:80?transport=udp", "192.0.2.1", URI_UDP, 80, true},
      {"turn:a-b_c.d?transport=tcp", "turn:a-b_c.d:3478?transport=tcp", "a-b_c.d", URI_TCP, 3478,
       true},
      {"turns:example.org:443", "turns:example.org:443?transport=tcp", "example.org", URI_TLS, 443,
       true},
      {"turns:example.org?transport=udp", "turns:example.org:5349?transport=udp", "example.org",
       URI_DTLS, 5349, true},
      {"turn:[2001:db8::1]", "turn:[2001:db8::1]:3478?transport=udp", "2001:db8::1", URI_UDP, 3478,
       true},
      {"turn:[2001:db8::1]:65535?transport=tcp", "turn:[2001:db8::1]:65535?transport=tcp",
       "2001:db8::1", URI_TCP, 65535, true},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct uri uri, again;
    const char *why = NULL;
    char text[URI_TEXT_SIZE];
    assert_int_equal(uri_parse(bytes_of(rows[i].text), &uri, &why), 0);
    assert_string_equal(uri.host, rows[i].host);
    assert_int_equal(uri.transport, rows[i].transport);
    assert_int_equal(uri.port, rows[i].port);
    assert_int_equal(uri.is_turn, rows[i].is_turn);
    assert_string_equal(uri_format(&uri, text), rows[i].whole);
    assert_int_equal(uri_parse(bytes_of(text), &again, &why), 0);
    assert_string_equal(again.host, uri.host);
  }
}

static void test_bad(void **state)
{
  (void)state;
  static const char *const bad[] = {"",
                                    "turn",
                                    "turn:",
                                    "http://example.org",
                                    "turn://example.org",
                                    "TURN:example.org",
                                    "turn:example.org:",
                                    "turn:example.org:0",
                                    "turn:example.org:65536",
                                    "turn:example.org:34x",
                                    "turn:exam ple.org",
                                    "turn:example.org/",
                                    "turn:user@example.org",
                                    "turn:2001:db8::1",
                                    "turn:[2001:db8::1",
                                    "turn:[192.0.2.1]",
                                    "turn:[]",
                                    "turn:[",
                                    "turn:example.org?transport=",
                                    "turn:example.org?transport=sctp",
                                    "turn:example.org?transport=udpx",
                                    "turn:example.org?ttl=3",
                                    "stun:example.org?transport=udp"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct uri uri = {.port = 4711};
    const char *why = NULL;
    assert_int_equal(uri_parse(bytes_of(bad[i]), &uri, &why), -ERR_BAD);
    assert_non_null(why);
    assert_int_equal(uri.port, 4711);
  }
}

static void test_length(void **state)
{
  (void)state;
  char text[400] = "turn:";
  struct uri uri;
  const char *why;
  memset(text + 5, 'a', 255);
  assert_int_equal(uri_parse(bytes_of(text), &uri, &why), 0);
  assert_int_equal(strlen(uri.host), 255);
  memset(text + 5, 'a', 256);
  assert_int_equal(uri_parse(bytes_of(text), &uri, &why), -ERR_BAD);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_good),
      cmocka_unit_test(test_bad),
      cmocka_unit_test(test_length),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
