/* base/json.c: bounded nesting, members as they were sent, strings that JSON can hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/json.h"

static int read_text(const char *text, size_t depth)
{
  json_t *value = NULL;
  int rc = json_read(bytes_of(text), depth, &value);
  assert_true((rc == 0) == (value != NULL));
  json_decref(value);
  return rc;
}

static void test_read(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    int rc;
  } cases[] = {
      {"{}", 0},
      {" [1, 2.5, true, null, \"x\"] \r\n\t", 0},
      {"\"text\"", 0},
      {"17", 0},
      {"{\"a\":\"\\u0000\"}", 0},
      {"", -ERR_BAD},
      {" ", -ERR_BAD},
      {"{", -ERR_BAD},
      {"{\"a\":1,}", -ERR_BAD},
      {"{\"a\":1}x", -ERR_BAD},
      {"{} {}", -ERR_BAD},
      {"{\"a\":1,\"a\":2}", -ERR_BAD},
      {"{\"a\":1,\"\\u0061\":2}", -ERR_BAD},
      {"{'a':1}", -ERR_BAD},
      {"\"\xff\"", -ERR_BAD},
      {"\"\xed\xa0\x80\"", -ERR_BAD},
      {"\"\\ud800\"", -ERR_BAD},
      {"\"a\nb\"", -ERR_BAD},
      {"01", -ERR_BAD},
      {"NaN", -ERR_BAD},
      {"]]]]", -ERR_BAD},
      {"\"\\", -ERR_BAD},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    if (read_text(cases[i].text, 8) != cases[i].rc) {
      fail_msg("%s: not %d", cases[i].text, cases[i].rc);
    }
  }
  json_t *value = NULL;
  static const uint8_t nul[] = "{}\0";
  assert_int_equal(json_read((struct bytes){nul, 3}, 8, &value), -ERR_BAD);
  assert_int_equal(json_read((struct bytes){NULL, 0}, 8, &value), -ERR_BAD);
  assert_null(value);
}

static void test_depth(void **state)
{
  (void)state;
  assert_int_equal(read_text("1", 0), 0);
  assert_int_equal(read_text("[]", 0), -ERR_RANGE);
  assert_int_equal(read_text("[[{}]]", 3), 0);
  assert_int_equal(read_text("[[{\"a\":[]}]]", 3), -ERR_RANGE);
  assert_int_equal(read_text("[\"[[[[[[\\\"[[[\",\"]]\",[]]", 2), 0);
  size_t levels = 100000;
  char *text = malloc(2 * levels + 1);
  assert_non_null(text);
  memset(text, '[', levels);
  memset(text + levels, ']', levels);
  text[2 * levels] = '\0';
  assert_int_equal(read_text(text, 64), -ERR_RANGE);
  assert_int_equal(read_text(text, SIZE_MAX), -ERR_RANGE); /* jansson's own limit */
  text[levels] = '\0';
  assert_int_equal(read_text(text, 64), -ERR_RANGE);
  /* json_span walks any depth, since it does not recurse */
  struct bytes value;
  memcpy(text, "{\"a\":", 5);
  text[levels] = ']';
  memset(text + levels, ']', levels - 6);
  memcpy(text + 2 * levels - 6, "]}", 3);
  assert_int_equal(json_span(bytes_of(text), "a", &value), 0);
  assert_int_equal(value.len, 2 * (levels - 5));
  free(text);
}

static void test_span(void **state)
{
  (void)state;
  static const struct {
    const char *text, *member, *value; /* value NULL: missing */
  } cases[] = {
      {"{\"data\":1}", "data", "1"},
      {" {\n\"x\" : {\"data\":1} , \"data\"\t:  [1, {\"data\" : 2}]  } ", "data",
       "[1, {\"data\" : 2}]"},
      {"{\"x\":\"data\",\"data\":\"v\"}", "data", "\"v\""},
      {"{\"x\":\"\\\"data\\\":1\",\"data\":2.50e+1}", "data", "2.50e+1"},
      {"{\"a\":\"}\",\"b\":\"]\\\\\",\"data\":true}", "data", "true"},
      {"{\"\\u0064\\u0061t\\u0061\":null}", "data", "null"},
      {"{\"d\\u00E4\":\"\\u00e4 \"}", "d\xc3\xa4", "\"\\u00e4 \""},
      {"{\"\\ud83d\\ude00\":0}", "\xf0\x9f\x98\x80", "0"},
      {"{\"\\u20ac\":-0.0}", "\xe2\x82\xac", "-0.0"},
      {"{\"a\\/b\\n\\\"\":{}}", "a/b\n\"", "{}"},
      {"{\"dat\":1,\"data2\":2,\"Data\":3}", "data", NULL},
      {"{\"\":5}", "", "5"},
      {"{\"x\":5}", "", NULL},
      {"{}", "data", NULL},
      {"[\"data\",1]", "data", NULL},
      {"[{\"data\":1}]", "data", NULL},
      {"\"data\"", "data", NULL},
      {"{\"a\\u0000b\":1}", "a", NULL},
      /* not what json_read accepts; all the same no byte beyond the text is touched */
      {"", "data", NULL},
      {"{", "data", NULL},
      {"{\"data", "data", NULL},
      {"{\"data\"", "data", NULL},
      {"{\"data\":", "data", NULL},
      {"{\"data\":}", "data", NULL},
      {"{\"x\":1 \"data\":1}", "data", NULL},
      {"{\"\\u00", "data", NULL},
      {"{\"\\ud83d\\u", "data", NULL},
      {"{\"x\\", "data", NULL},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    /* a copy of the exact size, so that a sanitizer sees a step beyond it */
    size_t len = strlen(cases[i].text);
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, cases[i].text, len);
    struct bytes value = {0};
    int rc = json_span((struct bytes){(uint8_t *)copy, len}, cases[i].member, &value);
    if (cases[i].value == NULL) {
      assert_int_equal(rc, -ERR_MISSING);
      assert_null(value.at);
    } else {
      assert_int_equal(rc, 0);
      assert_int_equal(value.len, strlen(cases[i].value));
      assert_memory_equal(value.at, cases[i].value, value.len);
    }
    free(copy);
  }
}

/* What json_span finds is what jansson reads there. */
static void test_span_agrees_with_jansson(void **state)
{
  (void)state;
  static const char *const texts[] = {
      "{\"a\":[1,2,{\"b\":\"}\"}],\"b\":\"\\\\\",\"\\u0063\":\"\\\"\",\"d\":-1.5E-3,\"e\":{\"a\":1}"
      "}",
      "\t{\"e\" :{ } ,\"d\":[ ] , \"c\":\"\",\"b\":false ,\"a\":null}\n",
  };
  for (size_t i = 0; i < 2; i++) {
    json_t *object;
    assert_int_equal(json_read(bytes_of(texts[i]), 4, &object), 0);
    for (char name[] = "a"; name[0] <= 'e'; name[0]++) {
      struct bytes value;
      json_t *again;
      assert_int_equal(json_span(bytes_of(texts[i]), name, &value), 0);
      assert_int_equal(json_read(value, 4, &again), 0);
      assert_true(json_equal(again, json_object_get(object, name)));
      json_decref(again);
    }
    json_decref(object);
  }
}

static void test_put_string(void **state)
{
  (void)state;
  static const uint8_t in[] = "a\"b\\c/\b\f\n\r\t\0\x01\x1f\x7f\xc3\xa4";
  char out[128];
  struct buf b;
  buf_init(&b, out, sizeof(out) - 1);
  json_put_string(&b, (struct bytes){in, sizeof(in) - 1});
  out[b.len] = '\0';
  assert_false(b.overflow);
  assert_string_equal(out, "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0000\\u0001\\u001f\x7f\xc3\xa4\"");
  size_t whole = b.len;
  buf_init(&b, out, sizeof(out));
  json_put_string(&b, (struct bytes){NULL, 0});
  assert_int_equal(b.len, 2);
  for (size_t cap = 0; cap < whole; cap++) {
    memset(out, 0x7e, sizeof(out));
    buf_init(&b, out, cap);
    json_put_string(&b, (struct bytes){in, sizeof(in) - 1});
    assert_true(b.overflow);
    assert_int_equal(out[cap], 0x7e);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_read),       cmocka_unit_test(test_depth),
      cmocka_unit_test(test_span),       cmocka_unit_test(test_span_agrees_with_jansson),
      cmocka_unit_test(test_put_string),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
