/* bench/load/signal_http.c and bench/load/signal_url.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/err.h"
#include "bench/load/signal_http.h"
#include "bench/load/signal_url.h"

static void test_a_head(void **state)
{
  (void)state;
  struct bytes text =
      bytes_of("HTTP/1.1 202 Accepted\r\nContent-Length:  14\r\nconnection: close\r\n\r\n{}");
  struct load_http_head head;
  assert_int_equal(load_http_decode(text, &head), (int)text.len - 2);
  assert_int_equal(head.status, 202);
  assert_true(head.has_length && head.closes && !head.is_chunked);
  assert_int_equal(head.length, 14);
  for (size_t len = 0; len < text.len - 2; len++)
    assert_int_equal(load_http_decode((struct bytes){text.at, len}, &head), -ERR_MORE);
}

static void test_an_upgrade(void **state)
{
  (void)state;
  struct load_http_head head;
  assert_true(
      load_http_decode(
          bytes_of(
              "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: abc=\r\nTransfer-Encoding: chunked\r\n\r\n"),
          &head) > 0);
  assert_true(bytes_equal(head.accept, bytes_of("abc=")));
  assert_true(head.is_chunked && !head.has_length);
}

static void test_heads_that_are_none(void **state)
{
  (void)state;
  static uint8_t long_one[LOAD_HTTP_HEAD_MOST];
  struct load_http_head head;
  static const char *const bad[] = {"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 2\r\n\r\n",
                                    "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
                                    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    assert_int_equal(load_http_decode(bytes_of(bad[i]), &head), -ERR_BAD);
  memset(long_one, 'a', sizeof(long_one));
  assert_int_equal(load_http_decode((struct bytes){long_one, sizeof(long_one)}, &head), -ERR_BAD);
}

static void test_events(void **state)
{
  (void)state;
  struct bytes data, text = bytes_of("id: 5\nevent: signal\ndata: {\"a\":1}\n\n: beat\n\nda");
  int used = load_sse_decode(text, &data);
  assert_true(bytes_equal(data, bytes_of("{\"a\":1}")));
  text = (struct bytes){text.at + used, text.len - (size_t)used};
  used = load_sse_decode(text, &data);
  assert_int_equal(used, 8);
  assert_int_equal(data.len, 0);
  text = (struct bytes){text.at + used, text.len - (size_t)used};
  assert_int_equal(load_sse_decode(text, &data), -ERR_MORE);
  assert_int_equal(load_sse_decode(bytes_of("data: {\ndata: }\n\n"), &data), -ERR_BAD);
}

static void check_url(const char *text, const char *host, unsigned port, const char *path)
{
  struct load_url url;
  assert_null(load_url_parse(bytes_of(text), &url));
  assert_true(bytes_equal(url.host, bytes_of(host)));
  assert_int_equal(url.port, port);
  assert_true(bytes_equal(url.path, bytes_of(path)));
}

static void test_urls(void **state)
{
  (void)state;
  struct load_url url;
  check_url("http://127.0.0.1:8080", "127.0.0.1", 8080, "");
  check_url("ws://[::1]:9000/peerjs/", "::1", 9000, "/peerjs");
  check_url("http://[::1]", "::1", 80, "");
  check_url("http://signal.example.org/a/b", "signal.example.org", 80, "/a/b");
  assert_non_null(strstr(load_url_parse(bytes_of("https://x"), &url), "TLS"));
  static const char *const bad[] = {"127.0.0.1:8080", "http://",     "http://:80",  "http://x:0",
                                    "http://x:70000", "http://x/?a", "http://x/ y", "http://]x"};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    assert_non_null(load_url_parse(bytes_of(bad[i]), &url));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_head),
      cmocka_unit_test(test_an_upgrade),
      cmocka_unit_test(test_heads_that_are_none),
      cmocka_unit_test(test_events),
      cmocka_unit_test(test_urls),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
