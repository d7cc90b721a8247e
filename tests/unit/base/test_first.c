/* base/first.c: each of the 256 first bytes of a datagram against the ranges of RFC 7983, and
 * HTTP's methods whole, cut short and almost right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/first.h"

static void every_first_byte_of_a_datagram(void **state)
{
  (void)state;
  for (unsigned byte = 0; byte < 256; byte++)
    assert_int_equal(first_is_dtls((uint8_t)byte), byte >= 20 && byte <= 63);
  assert_true(first_is_dtls(FIRST_TLS_HANDSHAKE));
}

static void methods_of_http(void **state)
{
  (void)state;
  static const char *const request[] = {
      "GET / HTTP/1.1\r\n", "HEAD / HTTP/1.0\r\n",    "POST /a HTTP/1.1\r\n", "PUT /a HTTP/1.1\r\n",
      "DELETE /a HTTP/1.1", "CONNECT a:1 HTTP/1.1",   "OPTIONS * HTTP/1.1",   "TRACE / HTTP/1.1",
      "PATCH /a HTTP/1.1",  "PRI * HTTP/2.0\r\n\r\n",
  };
  for (size_t i = 0; i < sizeof(request) / sizeof(request[0]); i++) {
    struct bytes text = bytes_of(request[i]);
    size_t method_len = (size_t)(strchr(request[i], ' ') - request[i]) + 1;
    for (size_t len = 1; len <= text.len; len++)
      assert_int_equal(first_is_http((struct bytes){text.at, len}),
                       len < method_len ? -ERR_MORE : 1);
  }
}

static void what_is_no_http(void **state)
{
  (void)state;
  static const char *const other[] = {
      "get /", "GET\t/", "GETS /", "POKE", "PRIX ", "\x16\x03\x01", "HELO x", "Q", "\r\nGET / ",
  };
  for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
    assert_int_equal(first_is_http(bytes_of(other[i])), 0);
  static const uint8_t binding[] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  for (size_t len = 1; len <= sizeof(binding); len++)
    assert_int_equal(first_is_http((struct bytes){binding, len}), 0);
  /* ChannelData with the number 0x4745, "GE". */
  static const uint8_t channel[] = {'G', 'E', 0, 4, 1, 2, 3, 4};
  assert_int_equal(first_is_http((struct bytes){channel, sizeof(channel)}), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_first_byte_of_a_datagram),
      cmocka_unit_test(methods_of_http),
      cmocka_unit_test(what_is_no_http),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
