/* base/proxy.c: headers of both versions whole, byte by byte, almost right, too long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/proxy.h"

enum { ROOM = PROXY_HEADER_MAX + 64 };

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static struct addr must_parse(const char *text)
{
  struct addr a;
  assert_int_equal(addr_parse(bytes_of(text), &a), 0);
  return a;
}

static void put_v2(struct buf *b, unsigned command, unsigned family, size_t len)
{
  buf_put(b, signature, sizeof(signature));
  buf_put_byte(b, (uint8_t)command);
  buf_put_byte(b, (uint8_t)family);
  buf_put_byte(b, (uint8_t)(len >> 8));
  buf_put_byte(b, (uint8_t)len);
}

/* What the bytes are, at whichever length they are cut: so far a header, until the header is whole.
 */
static struct proxy_header whole(struct bytes b, size_t len)
{
  struct proxy_header h = {.len = 1}, again;
  for (size_t n = 0; n < len; n++)
    assert_int_equal(proxy_parse((struct bytes){b.at, n}, &h), -ERR_MORE);
  assert_int_equal(h.len, 1);
  assert_int_equal(proxy_parse((struct bytes){b.at, len}, &h), 0);
  assert_int_equal(proxy_parse(b, &again), 0);
  assert_int_equal(h.len, len);
  assert_int_equal(again.len, len);
  return h;
}

static void assert_between(const struct proxy_header *h, const char *client, const char *server)
{
  struct addr a = must_parse(client), b = must_parse(server);
  assert_true(h->has_addresses);
  assert_true(addr_equal(&h->client, &a));
  assert_true(addr_equal(&h->server, &b));
}

static void lines(void **state)
{
  (void)state;
  static const struct {
    const char *line, *client, *server;
  } good[] = {
      {"PROXY TCP4 192.0.2.1 198.51.100.7 5000 3478\r\n", "192.0.2.1:5000", "198.51.100.7:3478"},
      {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535",
       "255.255.255.255:65535"},
      {"PROXY TCP6 2001:db8::1 2001:DB8::2 0 443\r\n", "2001:db8::1", "[2001:db8::2]:443"},
      {"PROXY TCP6 ffff:f1f2:ffff:ffff:ffff:ffff:ffff:ffff "
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:f3f4 65535 65535\r\n",
       "[ffff:f1f2:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
       "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:f3f4]:65535"},
      {"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "192.0.2.1:1", "[::1]:2"},
  };
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
    struct bytes line = bytes_of(good[i].line);
    struct proxy_header h = whole(line, line.len);
    assert_between(&h, good[i].client, good[i].server);
  }
  static const char *const unknown[] = {"PROXY UNKNOWN\r\n",
                                        "PROXY UNKNOWN who knows \x01\xff\r\n"};
  for (size_t i = 0; i < 2; i++)
    assert_false(whole(bytes_of(unknown[i]), strlen(unknown[i])).has_addresses);
}

static void lines_with_faults(void **state)
{
  (void)state;
  static const char *const bad[] = {
      "PROXY\r\n",
      "PROXY \r\n",
      "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY TCP 192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY TCP46 192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1  2\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
      "PROXY TCP4 192.0.2.1:5 192.0.2.2 1 2\r\n",
      "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
      "PROXY TCP4 ::1 ::2 1 2\r\n",
      "PROXY TCP4 ::ffff:192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY TCP6 192.0.2.1:0 ::1 1 2\r\n",
      "PROXY TCP6 [::1] ::2 1 2\r\n",
      "PROXY TCP6 fe80::1%2 ::2 1 2\r\n",
      "PROXY TCP6 ::1 ::2 1 2\rX",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n",
      "PROXX",
      "GET / HTTP/1.1\r\n",
      "\x16\x03\x01",
  };
  struct proxy_header h;
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    assert_int_equal(proxy_parse(bytes_of(bad[i]), &h), -ERR_BAD);
}

/* "107 chars" with the end: one more is none, whether its end has come or not. */
static void the_longest_line(void **state)
{
  (void)state;
  char line[PROXY_V1_MAX + 2];
  struct proxy_header h;
  memset(line, 'x', sizeof(line));
  memcpy(line, "PROXY UNKNOWN ", 14);
  assert_int_equal(proxy_parse((struct bytes){(uint8_t *)line, PROXY_V1_MAX - 2}, &h), -ERR_MORE);
  assert_int_equal(proxy_parse((struct bytes){(uint8_t *)line, PROXY_V1_MAX - 1}, &h), -ERR_BAD);
  memcpy(line + PROXY_V1_MAX - 2, "\r\n", 2);
  assert_int_equal(whole((struct bytes){(uint8_t *)line, PROXY_V1_MAX}, PROXY_V1_MAX).len,
                   PROXY_V1_MAX);
  memcpy(line + PROXY_V1_MAX - 2, "x\r\n", 3);
  assert_int_equal(proxy_parse((struct bytes){(uint8_t *)line, PROXY_V1_MAX + 1}, &h), -ERR_BAD);
}

static void binary(void **state)
{
  (void)state;
  uint8_t storage[ROOM];
  struct buf b;
  buf_init(&b, storage, sizeof(storage));
  put_v2(&b, 0x21, 0x11, 12);
  buf_put(&b, "\xc0\0\x02\x01\xc6\x33\x64\x07\x13\x88\x0d\x96", 12);
  struct proxy_header h = whole((struct bytes){b.at, b.len}, 28);
  assert_between(&h, "192.0.2.1:5000", "198.51.100.7:3478");

  buf_init(&b, storage, sizeof(storage));
  put_v2(&b, 0x21, 0x21, 36 + 7);
  buf_put(&b, must_parse("2001:db8::1").ip, 16);
  buf_put(&b, must_parse("2001:db8::2").ip, 16);
  buf_put(&b, "\0\x01\xff\xff", 4);
  buf_put(&b, "\x01\0\x04turn", 7); /* a TLV */
  buf_put(&b, "\x16\x03\x01", 3);   /* what comes behind */
  h = whole((struct bytes){b.at, b.len}, 16 + 36 + 7);
  assert_between(&h, "[2001:db8::1]:1", "[2001:db8::2]:65535");
}

static void binary_without_addresses(void **state)
{
  (void)state;
  /* LOCAL with whatever is in it; UNSPEC. */
  static const struct {
    uint8_t command, family;
    size_t len;
  } row[] = {{0x20, 0, 0},
             {0x20, 0x11, 12},
             {0x20, 0x11, 3},
             {0x20, 0xff, 5},
             {0x21, 0, 0},
             {0x21, 0, 40},
             {0x20, 0, PROXY_HEADER_MAX - 16}};
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    uint8_t storage[ROOM] = {0};
    struct buf b;
    buf_init(&b, storage, sizeof(storage));
    put_v2(&b, row[i].command, row[i].family, row[i].len);
    assert_false(whole((struct bytes){storage, ROOM}, 16 + row[i].len).has_addresses);
  }
}

static void binary_with_faults(void **state)
{
  (void)state;
  static const struct {
    uint8_t command, family;
    size_t len;
  } row[] = {
      {0x11, 0x11, 12},
      {0x31, 0x11, 12},
      {0x22, 0x11, 12},
      {0x2f, 0, 0}, /* version, command */
      {0x21, 0x11, 11},
      {0x21, 0x21, 35},
      {0x21, 0x21, 12},
      {0x21, 0x11, 0}, /* too short */
      {0x21, 0x12, 12},
      {0x21, 0x22, 36},
      {0x21, 0x31, 216},
      {0x21, 0x32, 216}, /* no TCP */
      {0x21, 0x10, 12},
      {0x21, 0x01, 12},
      {0x21, 0x13, 12},
      {0x21, 0x41, 12}, /* no such */
      {0x21, 0x11, PROXY_HEADER_MAX - 15},
      {0x20, 0, 65535}, /* too long */
  };
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    uint8_t storage[ROOM] = {0};
    struct proxy_header h;
    struct buf b;
    buf_init(&b, storage, sizeof(storage));
    put_v2(&b, row[i].command, row[i].family, row[i].len);
    /* As soon as its fixed part is there: nothing is waited for. */
    assert_int_equal(proxy_parse((struct bytes){storage, 16}, &h), -ERR_BAD);
    assert_int_equal(proxy_parse((struct bytes){storage, ROOM}, &h), -ERR_BAD);
  }
  uint8_t wrong[12];
  for (size_t i = 0; i < sizeof(wrong); i++) {
    struct proxy_header h;
    memcpy(wrong, signature, sizeof(wrong));
    wrong[i] ^= 0x20;
    assert_int_equal(proxy_parse((struct bytes){wrong, i + 1}, &h), -ERR_BAD);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines),
      cmocka_unit_test(lines_with_faults),
      cmocka_unit_test(the_longest_line),
      cmocka_unit_test(binary),
      cmocka_unit_test(binary_without_addresses),
      cmocka_unit_test(binary_with_faults),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
