/* signal/core/scan.c: what is JSON, where its members are, and that jansson agrees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/json.h"
#include "signal/core/message.h"

struct seen {
  struct sig_found found[32];
  size_t count;
};

static void note(void *arg, const struct sig_found *found)
{
  struct seen *seen = arg;
  if (seen->count < 32) {
    seen->found[seen->count] = *found;
  }
  seen->count++;
}

/* In a block of exactly its size, so that AddressSanitizer sees a byte too much. */
static int scan(const char *text, size_t len, struct seen *seen, size_t *stop)
{
  static uint8_t *copy;
  free(copy);
  copy = malloc(len == 0 ? 1 : len);
  assert_non_null(copy);
  memcpy(copy, text, len);
  seen->count = 0;
  struct sig_scan s = {.arg = seen, .member = note};
  int err = sig__scan(&s, (struct bytes){copy, len}, SIG_DEPTH);
  if (stop != NULL) {
    *stop = s.stop;
  }
  return err;
}

static int scan_text(const char *text)
{
  struct seen seen;
  return scan(text, strlen(text), &seen, NULL);
}

static void finds_members(void **state)
{
  (void)state;
  struct seen seen;
  const char text[] = " { \"a\" : 1 , \"b\":\"x\\\"y\", \"\\u0063\": [ {\"d\":null} ],\"e\":true,"
                      "\"f\":null ,\"g\":{ } }\n";
  assert_int_equal(scan(text, strlen(text), &seen, NULL), 0);
  static const struct {
    const char *name, *value;
    enum sig_kind kind;
    bool escapes;
  } want[] = {
      {"a", "1", SIG_KIND_NUMBER, false},
      {"b", "\"x\\\"y\"", SIG_KIND_STRING, false},
      {"\\u0063", "[ {\"d\":null} ]", SIG_KIND_ARRAY, true},
      {"e", "true", SIG_KIND_BOOL, false},
      {"f", "null", SIG_KIND_NULL, false},
      {"g", "{ }", SIG_KIND_OBJECT, false},
  };
  assert_int_equal(seen.count, 6);
  for (size_t i = 0; i < 6; i++) {
    assert_true(bytes_equal(seen.found[i].name, bytes_of(want[i].name)));
    assert_true(bytes_equal(seen.found[i].value, bytes_of(want[i].value)));
    assert_int_equal(seen.found[i].kind, want[i].kind);
    assert_int_equal(seen.found[i].name_has_escapes, want[i].escapes);
  }
}

static const char *const good[] = {
    "{}",
    "{\"\":0}",
    "{\"a\":-0}",
    "{\"a\":-0.0e-0}",
    "{\"a\":1E+5}",
    "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u12aF\"}",
    "{\"a\":[[],{},[[]],[{}],\"\",0,null]}",
    "{\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}",
    "\t\r\n {\"a\"\n:\t[ 1 ,\r2 ] }  ",
    "{\"a\":\"0123456701234567\\n012345670123456701234567\"}",
    "{\"a\":\"\x7f\"}",
};

static const char *const bad[] = {
    "",
    " ",
    "{",
    "}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,\"a\":1}",
    "{\"a\":1 \"b\":2}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{\"a\":1}}",
    "{\"a\":1}x",
    "{\"a\":[1,]}",
    "{\"a\":[,1]}",
    "{\"a\":[1 2]}",
    "{\"a\":[1}",
    "{\"a\":{]}",
    "{\"a\":[}]",
    "{\"a\":01}",
    "{\"a\":1.}",
    "{\"a\":.1}",
    "{\"a\":+1}",
    "{\"a\":-}",
    "{\"a\":1e}",
    "{\"a\":1e+}",
    "{\"a\":0x1}",
    "{\"a\":NaN}",
    "{\"a\":Infinity}",
    "{\"a\":tru}",
    "{\"a\":truex}",
    "{\"a\":nulL}",
    "{\"a\":True}",
    "{\"a\":\"}",
    "{\"a\":\"\\\"}",
    "{\"a\":\"\\x41\"}",
    "{\"a\":\"\\u12G4\"}",
    "{\"a\":\"\\u123\"}",
    "{\"a\":\"\\u",
    "{\"a\":\"\\",
    "{\"a\":\"\n\"}",
    "{\"a\":\"0123456\t\"}",
    "{\"a\":\"\x1f\"}",
    "{\"a\":\"\xff\"}",
    "{\"a\":\"0123456701234567\xc3\"}",
    "{\"a\":\"\xc0\x80\"}",
    "{\"\xed\xa0\x80\":1}",
    "{\"a\":1//\n}",
    "\xef\xbb\xbf{}",
    "{\"a\":1",
    "{\"a\":[1",
    "{\"a\":{\"b\":1",
};

static void accepts_and_refuses(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
    assert_int_equal(scan_text(good[i]), 0);
  }
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    if (scan_text(bad[i]) != -ERR_BAD) {
      fail_msg("accepted: %s", bad[i]);
    }
  }
}

/* Values that are no object are JSON all the same, and that is another error. */
static void tells_json_from_objects(void **state)
{
  (void)state;
  static const char *const other[] = {"[]", "[1,{}]", "1", "\"x\"", "null", " true ", "[{}]"};
  for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
    assert_int_equal(scan_text(other[i]), -ERR_MISSING);
  }
  assert_int_equal(scan_text("[] x"), -ERR_BAD);
  assert_int_equal(scan_text("[1,]"), -ERR_BAD);
  assert_int_equal(scan_text("nul"), -ERR_BAD);
  struct sig_scan s = {.arg = &(struct seen){.count = 0}, .member = note};
  assert_int_equal(sig__scan(&s, (struct bytes){NULL, 0}, SIG_DEPTH), -ERR_BAD);
}

/* Whatever jansson takes, this takes, and where it stands is where base/json finds it. */
static void agrees_with_jansson(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
    json_t *tree;
    struct seen seen;
    assert_int_equal(json_read(bytes_of(good[i]), SIG_DEPTH, &tree), 0);
    assert_int_equal(scan(good[i], strlen(good[i]), &seen, NULL), 0);
    assert_int_equal(seen.count, json_object_size(tree));
    struct bytes span;
    if (seen.count == 1 && json_span(bytes_of(good[i]), "a", &span) == 0) {
      assert_true(bytes_equal(span, seen.found[0].value));
    }
    json_decref(tree);
  }
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    json_t *tree;
    assert_int_not_equal(json_read(bytes_of(bad[i]), SIG_DEPTH, &tree), 0);
  }
}

/* Each prefix of a good text is refused, and read no further than its end. */
static void refuses_every_prefix(void **state)
{
  (void)state;
  struct seen seen;
  const char text[] = "{\"type\":\"signal\",\"data\":{\"sdp\":\"v=0\\r\\n\\u00e9\xc3\xa9\",\"n\":"
                      "[-1.5e+3,true,false,null]},\"x\":{}}";
  for (size_t len = 0; len < strlen(text); len++) {
    assert_int_equal(scan(text, len, &seen, NULL), -ERR_BAD);
  }
  assert_int_equal(scan(text, strlen(text), &seen, NULL), 0);
}

static void bounds_depth(void **state)
{
  (void)state;
  struct seen seen;
  char text[300];
  for (unsigned levels = 60; levels <= 70; levels++) {
    size_t len = (size_t)snprintf(text, sizeof(text), "{\"a\":");
    memset(text + len, '[', levels - 1);
    memset(text + len + levels - 1, ']', levels - 1);
    len += 2 * (levels - 1);
    text[len++] = '}';
    assert_int_equal(scan(text, len, &seen, NULL), levels <= SIG_DEPTH ? 0 : -ERR_RANGE);
  }
  /* Objects and arrays in turn, so that each level's own kind is remembered. */
  assert_int_equal(scan_text("{\"a\":[{\"b\":[{\"c\":[]}]}]}"), 0);
  assert_int_equal(scan_text("{\"a\":[{\"b\":[{\"c\":[]]}]}]}"), -ERR_BAD);
  assert_int_equal(scan_text("{\"a\":[{\"b\":[{\"c\":[}}]}]}"), -ERR_BAD);
}

static void says_where(void **state)
{
  (void)state;
  struct seen seen;
  size_t stop;
  assert_int_equal(scan("{\"a\":1,x}", 9, &seen, &stop), -ERR_BAD);
  assert_int_equal(stop, 7);
  assert_int_equal(scan("nonsense", 8, &seen, &stop), -ERR_BAD);
  assert_int_equal(stop, 0);
  assert_int_equal(scan("{} {}", 5, &seen, &stop), -ERR_BAD);
  assert_int_equal(stop, 3);
}

static int unescape(const char *text, char *out, size_t cap)
{
  struct buf b;
  buf_init(&b, out, cap - 1);
  int err = sig__unescape(bytes_of(text), &b);
  out[b.len] = 0;
  return err;
}

static void resolves_escapes(void **state)
{
  (void)state;
  char out[32];
  assert_int_equal(unescape("a\\\"\\\\\\/\\b\\f\\n\\r\\tz", out, sizeof(out)), 0);
  assert_string_equal(out, "a\"\\/\b\f\n\r\tz");
  assert_int_equal(unescape("\\u0041\\u00e9\\u20AC\\uD83D\\uDE00", out, sizeof(out)), 0);
  assert_string_equal(out, "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  assert_int_equal(unescape("\\ud83d", out, sizeof(out)), -ERR_BAD);
  assert_int_equal(unescape("\\ud83dx", out, sizeof(out)), -ERR_BAD);
  assert_int_equal(unescape("\\ud83d\\u0041", out, sizeof(out)), -ERR_BAD);
  assert_int_equal(unescape("\\udc00", out, sizeof(out)), -ERR_BAD);
  assert_int_equal(unescape("\\udfff", out, sizeof(out)), -ERR_BAD);
  assert_int_equal(unescape("\\ud7ff\\ue000", out, sizeof(out)), 0);
  assert_int_equal(unescape("\\q", out, sizeof(out)), -ERR_BAD);
  assert_int_equal(unescape("\\", out, sizeof(out)), -ERR_BAD);
  assert_int_equal(unescape("\\u00e9\\u00e9", out, 4), -ERR_FULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_members),
      cmocka_unit_test(accepts_and_refuses),
      cmocka_unit_test(tells_json_from_objects),
      cmocka_unit_test(agrees_with_jansson),
      cmocka_unit_test(refuses_every_prefix),
      cmocka_unit_test(bounds_depth),
      cmocka_unit_test(says_where),
      cmocka_unit_test(resolves_escapes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
