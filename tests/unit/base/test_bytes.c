/* base/bytes.c and base/bytes.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/random.h"

static void loads_and_stores(void **state)
{
  (void)state;
  uint8_t b[10] = {0};
  store_be16(b + 1, 0xfedc);
  assert_memory_equal(b, "\0\xfe\xdc\0", 4);
  assert_int_equal(load_be16(b + 1), 0xfedc);
  store_be32(b + 1, 0xfedcba98);
  assert_memory_equal(b, "\0\xfe\xdc\xba\x98\0", 6);
  assert_true(load_be32(b + 1) == 0xfedcba98);
  store_be64(b + 1, 0xfedcba9876543210);
  assert_memory_equal(b, "\0\xfe\xdc\xba\x98\x76\x54\x32\x10\0", 10);
  assert_true(load_be64(b + 1) == 0xfedcba9876543210);
}

static void equality(void **state)
{
  (void)state;
  struct bytes none = {NULL, 0};
  assert_int_equal(bytes_of("").len, 0);
  assert_true(bytes_equal(none, bytes_of("")));
  assert_true(bytes_equal(bytes_of("abc"), bytes_of("abc")));
  assert_false(bytes_equal(bytes_of("abc"), bytes_of("abd")));
  assert_false(bytes_equal(bytes_of("abc"), bytes_of("ab")));
  assert_false(bytes_equal(none, bytes_of("a")));

  uint8_t a[33] = {0}, b[33] = {0};
  assert_true(bytes_equal_ct(NULL, NULL, 0));
  assert_true(bytes_equal_ct(a, b, sizeof(a)));
  for (size_t i = 0; i < sizeof(a); i++) /* every bit of every byte counts */
    for (unsigned bit = 0; bit < 8; bit++) {
      b[i] = (uint8_t)(1 << bit);
      assert_false(bytes_equal_ct(a, b, sizeof(a)));
      assert_true(bytes_equal_ct(a, b, i));
      b[i] = 0;
    }
}

static void wiping(void **state)
{
  (void)state;
  char secret[] = "xxsecretxx";
  bytes_wipe(secret + 2, 6);
  assert_memory_equal(secret, "xx\0\0\0\0\0\0xx", 10);
  bytes_wipe(NULL, 0);
}

static void a_buffer_fills_to_its_brim(void **state)
{
  (void)state;
  char storage[8] = "........";
  struct buf b;
  buf_init(&b, storage, 7);
  buf_put_text(&b, "abc");
  buf_put(&b, NULL, 0);
  buf_put_byte(&b, 'd');
  buf_put(&b, "efg", 3);
  assert_false(b.overflow);
  assert_int_equal(b.len, 7);
  buf_put(&b, NULL, 0); /* nothing always fits */
  assert_false(b.overflow);
  buf_put_byte(&b, 'h');
  assert_true(b.overflow);
  assert_int_equal(b.len, 7);
  assert_memory_equal(storage, "abcdefg.", 8);
}

static void an_overflow_stays(void **state)
{
  (void)state;
  char storage[4] = "....";
  struct buf b;
  buf_init(&b, storage, 4);
  buf_put_text(&b, "a");
  buf_put_text(&b, "bcde");
  assert_true(b.overflow);
  buf_put_text(&b, "x"); /* would fit, and would leave a hole before it */
  buf_put_uint(&b, 1);
  buf_put_hex(&b, "y", 1);
  buf_put_base64url(&b, "z", 1);
  assert_int_equal(b.len, 1);
  assert_memory_equal(storage, "a...", 4);
}

static void lengths_beyond_reason_overflow(void **state)
{
  (void)state;
  static const size_t len[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1, SIZE_MAX / 4 * 3 + 1};
  char storage[16];
  for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
    struct buf b[4];
    for (size_t k = 0; k < 4; k++) {
      buf_init(&b[k], storage, sizeof(storage));
      buf_put_byte(&b[k], 'x');
    }
    buf_put(&b[0], storage, len[i]);
    buf_put_hex(&b[1], storage, len[i]);
    buf_put_base64(&b[2], storage, len[i]);
    buf_put_base64url(&b[3], storage, len[i]);
    for (size_t k = 0; k < 4; k++)
      assert_true(b[k].overflow && b[k].len == 1);
  }
}

static void assert_buf(const struct buf *b, const char *want)
{
  assert_false(b->overflow);
  assert_true(bytes_equal((struct bytes){b->at, b->len}, bytes_of(want)));
}

static void numbers_and_hex(void **state)
{
  (void)state;
  static const struct {
    uint64_t v;
    const char *text;
  } row[] = {
      {0, "0"}, {9, "9"}, {10, "10"}, {65535, "65535"}, {UINT64_MAX, "18446744073709551615"}};
  char storage[64];
  struct buf b;
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    uint64_t back;
    buf_init(&b, storage, sizeof(storage));
    buf_put_uint(&b, row[i].v);
    assert_buf(&b, row[i].text);
    assert_int_equal(parse_uint(bytes_of(row[i].text), UINT64_MAX, &back), 0);
    assert_true(back == row[i].v);
  }
  buf_init(&b, storage, sizeof(storage));
  buf_put_hex(&b, "\x00\x0f\xf0\xab\x7f", 5);
  assert_buf(&b, "000ff0ab7f");
  buf_init(&b, storage, 3);
  buf_put_hex(&b, "\x00\x0f", 2);
  assert_true(b.overflow);
}

/* RFC 4648 section 10, and one with the two digits in which the alphabets differ. */
static void base64_rfc4648(void **state)
{
  (void)state;
  static const char *const row[][3] = {
      {"", "", ""},
      {"f", "Zg==", "Zg"},
      {"fo", "Zm8=", "Zm8"},
      {"foo", "Zm9v", "Zm9v"},
      {"foob", "Zm9vYg==", "Zm9vYg"},
      {"fooba", "Zm9vYmE=", "Zm9vYmE"},
      {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
      {"\xfb\xff\xbf\xfe", "+/+//g==", "-_-__g"},
  };
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    char storage[64], out[64];
    struct buf b;
    struct bytes want = bytes_of(row[i][0]);
    buf_init(&b, storage, sizeof(storage));
    buf_put_base64(&b, want.at, want.len);
    assert_buf(&b, row[i][1]);
    buf_init(&b, storage, strlen(row[i][2])); /* exactly as long */
    buf_put_base64url(&b, want.at, want.len);
    assert_buf(&b, row[i][2]);
    for (size_t k = 1; k <= 2; k++) {
      assert_int_equal(base64_decode(bytes_of(row[i][k]), out, want.len), want.len);
      assert_memory_equal(out, want.at, want.len);
      if (want.len > 0)
        assert_int_equal(base64_decode(bytes_of(row[i][k]), out, want.len - 1), -ERR_FULL);
    }
    if (want.len > 0) {
      buf_init(&b, storage, strlen(row[i][1]) - 1);
      buf_put_base64(&b, want.at, want.len);
      assert_true(b.overflow);
    }
  }
  assert_int_equal(base64_decode((struct bytes){NULL, 0}, NULL, 0), 0);
}

static void base64_refused(void **state)
{
  (void)state;
  static const char *const text[] = {"A", "AAAAA", "=",
                                     "==", "===", "====", "A=", "A==", "A===", "AA=", "AAA==",
                                     "AAAA=", "AAAA==", "AAAA====", "AA==AA==", "=AAA", "A=AA",
                                     "AA=A", "AA A", "AAA\n", "AA*A", "AA.A", "\xc3\xa4==",
                                     /* bits behind the last byte that are not zero */
                                     "Zh==", "Zh", "Zm9=", "Zm9", "AB==", "AAB="};
  for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
    char out[16];
    if (base64_decode(bytes_of(text[i]), out, sizeof(out)) != -ERR_BAD)
      fail_msg("accepted: '%s'", text[i]);
  }
}

static void base64_round_trips(void **state)
{
  (void)state;
  struct random_seed seed;
  struct random random = random_seeded(&seed, 3);
  for (unsigned i = 0; i < 20000; i++) {
    uint8_t data[100], back[100], storage[140];
    struct buf b;
    size_t len = random_below(&random, sizeof(data) + 1);
    random.fill(random.arg, data, len);
    buf_init(&b, storage, sizeof(storage));
    if (i % 2)
      buf_put_base64(&b, data, len);
    else
      buf_put_base64url(&b, data, len);
    assert_false(b.overflow);
    assert_int_equal(base64_decode((struct bytes){b.at, b.len}, back, len), len);
    assert_memory_equal(back, data, len);
  }
}

static void utf8(void **state)
{
  (void)state;
  static const char *const good[] = {"",
                                     "plain",
                                     "\x7f",
                                     "\xc2\x80",
                                     "\xdf\xbf",
                                     "\xe0\xa0\x80",
                                     "\xed\x9f\xbf",
                                     "\xee\x80\x80",
                                     "\xef\xbf\xbf",
                                     "\xf0\x90\x80\x80",
                                     "\xf4\x8f\xbf\xbf",
                                     "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"};
  static const char *const bad[] = {"\x80",
                                    "\xbf",
                                    "a\x80",
                                    "\xc0\x80",
                                    "\xc1\xbf",
                                    "\xe0\x80\x80",
                                    "\xe0\x9f\xbf",
                                    "\xf0\x80\x80\x80",
                                    "\xf0\x8f\xbf\xbf", /* overlong */
                                    "\xed\xa0\x80",
                                    "\xed\xbf\xbf", /* surrogates */
                                    "\xf4\x90\x80\x80",
                                    "\xf5\x80\x80\x80",
                                    "\xf8\x88\x80\x80\x80",
                                    "\xfe",
                                    "\xff",
                                    "\xc2",
                                    "\xe2\x82",
                                    "\xf0\x9f\x98",
                                    "\xc2"
                                    "a",
                                    "\xe2\x82"
                                    "a",
                                    "\xe2"
                                    "a\x82",
                                    "\xf0\x9f\x98z"};
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
    assert_true(utf8_is_valid(bytes_of(good[i])));
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    assert_false(utf8_is_valid(bytes_of(bad[i])));
  assert_true(utf8_is_valid((struct bytes){NULL, 0}));
  assert_true(utf8_is_valid((struct bytes){(const uint8_t *)"a\0b", 3}));
}

/* A scalar value as RFC 3629 section 3 writes it; returns the length. */
static size_t encode_utf8(uint32_t c, uint8_t out[4])
{
  size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = len; i-- > 1; c >>= 6)
    out[i] = (uint8_t)(0x80 | (c & 0x3f));
  out[0] = (uint8_t)(lead[len] | c);
  return len;
}

static void utf8_of_every_scalar_value(void **state)
{
  (void)state;
  for (uint32_t c = 0; c < 0x120000; c++) {
    uint8_t text[4];
    size_t len = encode_utf8(c, text);
    bool want = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
    if (utf8_is_valid((struct bytes){text, len}) != want)
      fail_msg("U+%X", c);
    for (size_t cut = 1; cut < len; cut++)
      assert_false(utf8_is_valid((struct bytes){text, cut}));
  }
}

static void strict_numbers(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    uint64_t max;
    int result;
    uint64_t value;
  } row[] = {
      {"0", 0, 0, 0},
      {"1", 0, -ERR_RANGE, 0},
      {"65535", 65535, 0, 65535},
      {"65536", 65535, -ERR_RANGE, 0},
      {"007", 10, 0, 7},
      {"00000000000000000001", 10, 0, 1},
      {"000000000000000000001", 10, -ERR_BAD, 0},
      {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
      {"18446744073709551616", UINT64_MAX, -ERR_RANGE, 0},
      {"18446744073709551620", UINT64_MAX, -ERR_RANGE, 0},
      {"99999999999999999999", UINT64_MAX, -ERR_RANGE, 0},
      {"9999999999999999999x", UINT64_MAX, -ERR_BAD, 0},
      {"", 10, -ERR_BAD, 0},
      {"-1", 10, -ERR_BAD, 0},
      {"+1", 10, -ERR_BAD, 0},
      {" 1", 10, -ERR_BAD, 0},
      {"1 ", 10, -ERR_BAD, 0},
      {"0x1", 10, -ERR_BAD, 0},
      {"1e1", 10, -ERR_BAD, 0},
      {"/", 10, -ERR_BAD, 0},
      {":", 10, -ERR_BAD, 0},
  };
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    uint64_t v = 4711;
    if (parse_uint(bytes_of(row[i].text), row[i].max, &v) != row[i].result)
      fail_msg("'%s'", row[i].text);
    assert_true(v == (row[i].result == 0 ? row[i].value : 4711));
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loads_and_stores),
      cmocka_unit_test(equality),
      cmocka_unit_test(wiping),
      cmocka_unit_test(a_buffer_fills_to_its_brim),
      cmocka_unit_test(an_overflow_stays),
      cmocka_unit_test(lengths_beyond_reason_overflow),
      cmocka_unit_test(numbers_and_hex),
      cmocka_unit_test(base64_rfc4648),
      cmocka_unit_test(base64_refused),
      cmocka_unit_test(base64_round_trips),
      cmocka_unit_test(utf8),
      cmocka_unit_test(utf8_of_every_scalar_value),
      cmocka_unit_test(strict_numbers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
