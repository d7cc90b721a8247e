/* base/addr.c: the texts of RFC 5952, what must be refused, ranges, and long seeded comparisons
 * with inet_pton and inet_ntop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/random.h"

static struct addr must_parse(const char *text)
{
  struct addr a;
  if (addr_parse(bytes_of(text), &a) != 0)
    fail_msg("refused: '%s'", text);
  return a;
}

/* Pairs of a text and how it is written again. */
static void assert_rewritten(const char *const (*pair)[2], size_t count)
{
  char out[ADDR_TEXT_SIZE];
  for (size_t i = 0; i < count; i++) {
    struct addr a = must_parse(pair[i][0]);
    assert_ptr_equal(addr_format(&a, out), out);
    assert_string_equal(out, pair[i][1]);
    struct addr again = must_parse(out);
    assert_true(addr_equal(&a, &again));
    assert_memory_equal(&a, &again, sizeof(a));
  }
}

static void texts_with_ports(void **state)
{
  (void)state;
  static const char *const pair[][2] = {
      {"192.0.2.1", "192.0.2.1"},
      {"192.0.2.1:80", "192.0.2.1:80"},
      {"192.0.2.1:0", "192.0.2.1"},
      {"0.0.0.0:65535", "0.0.0.0:65535"},
      {"255.255.255.255", "255.255.255.255"},
      {"2001:db8::1", "2001:db8::1"},
      {"[2001:db8::1]", "2001:db8::1"},
      {"[2001:DB8::1]:80", "[2001:db8::1]:80"},
      {"::", "::"},
      {"[::]:3478", "[::]:3478"},
      {"fe80::1%3", "fe80::1%3"},
      {"[fe80::1%4294967295]:65535", "[fe80::1%4294967295]:65535"},
      {"ff02::1%2", "ff02::1%2"},
      {"fe80::1%0", "fe80::1"},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
      {"::ffff:c000:201", "::ffff:192.0.2.1"},
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
      {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
  };
  assert_rewritten(pair, sizeof(pair) / sizeof(pair[0]));
}

/* The examples of RFC 5952, sections 1 to 4. */
static void texts_of_rfc5952(void **state)
{
  (void)state;
  static const char *const pair[][2] = {
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:db8::1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:db8::0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:0db8::1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:db8:0:0:1::1", "2001:db8::1:0:0:1"},
      {"2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"},
      {"2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"},
      {"2001:db8:aaaa:bbbb:cccc:dddd:0:1", "2001:db8:aaaa:bbbb:cccc:dddd:0:1"},
      {"2001:db8:aaaa:bbbb:cccc:dddd::1", "2001:db8:aaaa:bbbb:cccc:dddd:0:1"},
      {"2001:db8:0:0:0::1", "2001:db8::1"},
      {"2001:db8::", "2001:db8::"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
      {"2001:db8:0:0:1:0:0:0", "2001:db8:0:0:1::"},
      {"0:0:1:0:0:1:0:0", "::1:0:0:1:0:0"},
      {"1:0:0:0:0:0:0:0", "1::"},
      {"0:0:0:0:0:0:0:1", "::1"},
      {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
      {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
  };
  assert_rewritten(pair, sizeof(pair) / sizeof(pair[0]));
}

static void refused_texts(void **state)
{
  (void)state;
  static const char *const text[] = {
      "", " ", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.1.1.1", "1.2.3.400",
      "01.2.3.4", "1.2.3.00", "0x1.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.-4", "+1.2.3.4",
      "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:080808", "1.2.3.4:-1", "1.2.3.4:80x",
      "1.2.3.4:80:", "1.2.3.4%1", "[1.2.3.4]:80", "localhost", "localhost:80", ":80", ":",
      ":::", "::::", "1:2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", ":1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9", "1::2::3", "::1::", "1:2:3:4::5:6:7:8", "12345::", "g::", "::1.2.3",
      "::1.2.3.4.5", "::1.2.3.4:5", "1.2.3.4::", "1:2:3:4:5:6:7:1.2.3.4", "::256.0.0.1", "[::1",
      "::1]", "[::1]x", "[::1]:", "[::1]:x", "[::1]:65536", "[[::1]]", "[]", "[", "[]:80", "%1",
      "::1%1", "2001:db8::1%1", "fe80::1%", "fe80::1%eth0", "fe80::1%4294967296", "fe80::1%-1",
      "fe80::%1%1", "fe80::1%1:80", "1::%",
      /* more groups than the storage of an address holds */
      "1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1",
      "1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1::",
      "::1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1.2.3.4", "2001:db8::1/64",
      "none"};
  for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
    struct addr a = {.port = 4711};
    if (addr_parse(bytes_of(text[i]), &a) != -ERR_BAD)
      fail_msg("accepted: '%s'", text[i]);
    assert_int_equal(a.port, 4711); /* written on success only */
  }
  struct addr a;
  assert_int_equal(addr_parse((struct bytes){NULL, 0}, &a), -ERR_BAD);
  assert_int_equal(addr_parse((struct bytes){(const uint8_t *)"1.2.3.4\0", 8}, &a), -ERR_BAD);
  char longest[200];
  memset(longest, '0', sizeof(longest));
  longest[sizeof(longest) - 1] = 0;
  assert_int_equal(addr_parse(bytes_of(longest), &a), -ERR_BAD);
}

/* Every group zero in half of the cases, so that runs of zeros of all lengths come. */
static void draw_ip(struct random *random, uint8_t ip[16])
{
  uint64_t zeros = random_u64(random);
  for (unsigned i = 0; i < 8; i++) {
    uint16_t group = (uint16_t)random_u64(random);
    group = (uint16_t)(group >> (4 * random_below(random, 4)));
    store_be16(ip + 2 * i, zeros >> i & 1 ? 0 : group);
  }
  if (random_below(random, 20) == 0)
    memcpy(ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
}

static void v6_agrees_with_inet_ntop(void **state)
{
  (void)state;
  static const uint8_t zero[12];
  struct random_seed seed;
  struct random random = random_seeded(&seed, 5);
  for (unsigned i = 0; i < 100000; i++) {
    uint8_t ip[16], back[16];
    char ours[ADDR_TEXT_SIZE], theirs[INET6_ADDRSTRLEN];
    draw_ip(&random, ip);
    struct addr a = addr_from_ip(ip, sizeof(ip), 0);
    addr_format(&a, ours);
    assert_non_null(inet_ntop(AF_INET6, ip, theirs, sizeof(theirs)));
    struct addr parsed = must_parse(theirs);
    assert_memory_equal(parsed.ip, ip, sizeof(ip));
    assert_int_equal(inet_pton(AF_INET6, ours, back), 1);
    assert_memory_equal(back, ip, sizeof(ip));
    /* glibc writes the deprecated IPv4-compatible ::a.b.c.d in mixed notation. */
    if (memcmp(ip, zero, sizeof(zero)) != 0)
      assert_string_equal(ours, theirs);
  }
}

/* Whatever a few wild edits make of a good text: both accept it and mean the same, or both refuse.
 */
static void edited_texts_agree_with_inet_pton(void **state)
{
  (void)state;
  static const char alphabet[] = ":::...0123456789abcdefABCDEF%[]/-g ";
  struct random_seed seed;
  struct random random = random_seeded(&seed, 6);
  unsigned accepted = 0;
  for (unsigned i = 0; i < 200000; i++) {
    uint8_t ip[16], want[16];
    char text[INET6_ADDRSTRLEN];
    bool is_v4 = random_below(&random, 3) == 0;
    draw_ip(&random, ip);
    assert_non_null(inet_ntop(is_v4 ? AF_INET : AF_INET6, ip, text, sizeof(text)));
    for (uint32_t edits = random_below(&random, 4); edits > 0 && text[0]; edits--) {
      size_t len = strlen(text), at = random_below(&random, (uint32_t)len);
      if (random_below(&random, 2) == 0)
        text[at] = alphabet[random_below(&random, sizeof(alphabet) - 1)];
      else
        memmove(text + at, text + at + 1, len - at);
    }
    struct addr a;
    bool ours = addr_parse(bytes_of(text), &a) == 0;
    bool has_v6 = inet_pton(AF_INET6, text, want) == 1;
    bool has_v4 = !has_v6 && inet_pton(AF_INET, text, want) == 1;
    if (!has_v4 && !has_v6) {
      /* Ours alone may read a port, brackets or a scope. */
      assert_true(!ours || a.port || strpbrk(text, "[%:"));
      continue;
    }
    assert_true(ours);
    assert_int_equal(a.family, has_v4 ? ADDR_V4 : ADDR_V6);
    assert_memory_equal(a.ip, want, has_v4 ? 4 : 16);
    accepted++;
  }
  assert_true(accepted > 20000);
}

static void construction(void **state)
{
  (void)state;
  static const uint8_t ip[16] = {192, 0, 2, 1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  struct addr a = addr_v4(192, 0, 2, 1, 80), b = addr_from_ip(ip, 4, 80);
  assert_memory_equal(&a, &b, sizeof(a)); /* nothing of ip[4] and behind gets in */
  assert_int_equal(addr_ip_len(&a), 4);
  struct addr six = addr_from_ip(ip, 16, 80);
  assert_int_equal(addr_ip_len(&six), 16);
  assert_int_equal(six.family, ADDR_V6);
  struct addr none = addr_from_ip(ip, 5, 80);
  assert_int_equal(none.family, ADDR_NONE);
  assert_int_equal(addr_ip_len(&none), 0);
  assert_int_equal(sizeof(struct addr), 24); /* no padding */
  char text[ADDR_TEXT_SIZE];
  assert_string_equal(addr_format(&none, text), "none");
  assert_string_equal(addr_format_ip(&a, text), "192.0.2.1");
  a = must_parse("[fe80::1%7]:80");
  assert_string_equal(addr_format_ip(&a, text), "fe80::1%7");
}

static void comparison(void **state)
{
  (void)state;
  struct addr a = addr_v4(192, 0, 2, 1, 80), b = addr_v4(192, 0, 2, 1, 81);
  assert_true(addr_equal(&a, &a));
  assert_false(addr_equal(&a, &b));
  assert_true(addr_equal_ip(&a, &b));
  b = addr_v4(192, 0, 2, 2, 80);
  assert_false(addr_equal_ip(&a, &b));
  struct addr x = must_parse("fe80::1%1"), y = must_parse("fe80::1%2");
  assert_false(addr_equal_ip(&x, &y));
  assert_false(addr_equal(&x, &y));
  struct addr v4 = addr_v4(0, 0, 0, 0, 0), v6 = must_parse("::");
  assert_false(addr_equal(&v4, &v6));
}

static void mapped_addresses(void **state)
{
  (void)state;
  struct addr want = addr_v4(192, 0, 2, 1, 80);
  struct addr got = addr_unmap(must_parse("[::ffff:192.0.2.1]:80"));
  assert_memory_equal(&got, &want, sizeof(got));
  static const char *const others[] = {"::192.0.2.1", "::fffe:192.0.2.1", "64:ff9b::192.0.2.1",
                                       "1::ffff:192.0.2.1", "192.0.2.1"};
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
    struct addr a = must_parse(others[i]), same = addr_unmap(a);
    assert_memory_equal(&a, &same, sizeof(a));
  }
}

static void kinds(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    bool unspecified, loopback, multicast;
  } row[] = {
      {"0.0.0.0", true, false, false},
      {"::", true, false, false},
      {"::ffff:0.0.0.0", true, false, false},
      {"0.0.0.1", false, false, false},
      {"127.0.0.1", false, true, false},
      {"127.255.255.255", false, true, false},
      {"::1", false, true, false},
      {"::ffff:127.0.0.1", false, true, false},
      {"126.255.255.255", false, false, false},
      {"128.0.0.0", false, false, false},
      {"::2", false, false, false},
      {"1::1", false, false, false},
      {"224.0.0.0", false, false, true},
      {"239.255.255.255", false, false, true},
      {"223.255.255.255", false, false, false},
      {"240.0.0.0", false, false, false},
      {"ff02::1", false, false, true},
      {"::ffff:224.0.0.1", false, false, true},
      {"feff::", false, false, false},
      {"192.0.2.1", false, false, false},
  };
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    struct addr a = must_parse(row[i].text);
    assert_int_equal(addr_is_unspecified(&a), row[i].unspecified);
    assert_int_equal(addr_is_loopback(&a), row[i].loopback);
    assert_int_equal(addr_is_multicast(&a), row[i].multicast);
  }
  struct addr none = {.family = ADDR_NONE};
  assert_false(addr_is_unspecified(&none));
  assert_false(addr_is_loopback(&none));
  assert_false(addr_is_multicast(&none));
}

static void ranges(void **state)
{
  (void)state;
  /* What the range begins and ends with, and its neighbours outside (NULL: there is none). */
  static const char *const row[][5] = {
      {"10.0.0.0/8", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"},
      {"10.1.2.3/8", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"},
      {"100.64.0.0/10", "100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"},
      {"192.0.2.77/31", "192.0.2.76", "192.0.2.77", "192.0.2.75", "192.0.2.78"},
      {"192.0.2.1/32", "192.0.2.1", "192.0.2.1", "192.0.2.0", "192.0.2.2"},
      {"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.0", "192.0.2.2"},
      {"0.0.0.0/0", "0.0.0.0", "255.255.255.255", NULL, NULL},
      {"10.0.0.1-10.0.0.9", "10.0.0.1", "10.0.0.9", "10.0.0.0", "10.0.0.10"},
      {"10.0.0.9-10.1.0.0", "10.0.0.9", "10.1.0.0", "10.0.0.8", "10.1.0.1"},
      {"fc00::/7", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fbff::", "fe00::"},
      {"2001:db8::/33", "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff",
       "2001:db7:ffff::", "2001:db8:8000::"},
      {"::1/128", "::1", "::1", "::", "::2"},
      {"::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
      {"2001:db8::1-2001:db8::ff", "2001:db8::1", "2001:db8::ff", "2001:db8::", "2001:db8::100"},
      {"::ffff:0:0/96", "::ffff:0.0.0.0", "::ffff:255.255.255.255", "::fffe:ffff:ffff",
       "::1:0:0:0"},
  };
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    struct addr_range r;
    assert_int_equal(addr_range_parse(bytes_of(row[i][0]), &r), 0);
    struct addr first = must_parse(row[i][1]), last = must_parse(row[i][2]);
    assert_memory_equal(&r.first, &first, sizeof(first));
    assert_memory_equal(&r.last, &last, sizeof(last));
    first.port = 99; /* ports do not count */
    assert_true(addr_range_has(&r, &first));
    assert_true(addr_range_has(&r, &last));
    for (size_t k = 3; k < 5; k++) {
      struct addr outside = {.family = ADDR_NONE};
      if (row[i][k])
        outside = must_parse(row[i][k]);
      assert_false(addr_range_has(&r, &outside));
    }
    struct addr other = must_parse(r.first.family == ADDR_V4 ? "::" : "0.0.0.0");
    assert_false(addr_range_has(&r, &other));
  }
}

static void refused_ranges(void **state)
{
  (void)state;
  static const char *const text[] = {"",
                                     "/",
                                     "/8",
                                     "10.0.0.0/",
                                     "10.0.0.0/33",
                                     "10.0.0.0/-1",
                                     "10.0.0.0/0008",
                                     "10.0.0.0/8/8",
                                     "10.0.0.0/a",
                                     "10.0.0/8",
                                     "::/129",
                                     "::/",
                                     "10.0.0.0:80/8",
                                     "10.0.0.1:80",
                                     "[::1]/128",
                                     "[::1]:80",
                                     "fe80::%1/10",
                                     "fe80::1%1",
                                     "-",
                                     "10.0.0.1-",
                                     "-10.0.0.1",
                                     "10.0.0.9-10.0.0.1",
                                     "10.0.0.1-::1",
                                     "::1-10.0.0.1",
                                     "10.0.0.1-10.0.0.2-10.0.0.3",
                                     "10.0.0.1-10.0.0.2:80",
                                     "10.0.0.1 - 10.0.0.2",
                                     "10.0.0.0/8-11.0.0.0",
                                     "10.0.0.0-11.0.0.0/8",
                                     "localhost",
                                     "10.0.0.0/255.0.0.0",
                                     "2001:db8::2-2001:db8::1"};
  for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
    struct addr_range r = {.first.port = 4711};
    if (addr_range_parse(bytes_of(text[i]), &r) != -ERR_BAD)
      fail_msg("accepted: '%s'", text[i]);
    assert_int_equal(r.first.port, 4711);
  }
}

/* Each length of prefix, against the definition: the first bits of both are the same. */
static void prefixes_of_every_length(void **state)
{
  (void)state;
  struct random_seed seed;
  struct random random = random_seeded(&seed, 8);
  for (unsigned bits = 0; bits <= 128; bits++) {
    for (unsigned flip = 0; flip < 128; flip++) {
      uint8_t ip[16];
      char text[ADDR_TEXT_SIZE + 4], plain[ADDR_TEXT_SIZE];
      struct addr_range r;
      draw_ip(&random, ip);
      struct addr a = addr_from_ip(ip, 16, 0);
      snprintf(text, sizeof(text), "%s/%u", addr_format(&a, plain), bits);
      assert_int_equal(addr_range_parse(bytes_of(text), &r), 0);
      assert_true(addr_range_has(&r, &a));
      a.ip[flip / 8] ^= (uint8_t)(0x80 >> flip % 8);
      assert_int_equal(addr_range_has(&r, &a), flip >= bits);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_with_ports),
      cmocka_unit_test(texts_of_rfc5952),
      cmocka_unit_test(refused_texts),
      cmocka_unit_test(v6_agrees_with_inet_ntop),
      cmocka_unit_test(edited_texts_agree_with_inet_pton),
      cmocka_unit_test(construction),
      cmocka_unit_test(comparison),
      cmocka_unit_test(mapped_addresses),
      cmocka_unit_test(kinds),
      cmocka_unit_test(ranges),
      cmocka_unit_test(refused_ranges),
      cmocka_unit_test(prefixes_of_every_length),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
