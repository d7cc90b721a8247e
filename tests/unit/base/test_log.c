/* base/log.c: lines and JSON objects that no value can forge, and what happens when room runs out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"

/* 2026-11-24T08:49:11.123Z */
#define WALL_MS 1795510151123u

struct taken {
  size_t count;
  enum log_level level;
  char text[1024], json[1024];
  bool text_cut, json_cut;
  size_t room;
};

static void take(void *arg, const struct log_record *record)
{
  struct taken *t = arg;
  struct buf b;
  size_t room = t->room > 0 ? t->room : sizeof(t->text) - 1;
  t->count++;
  t->level = record->level;
  buf_init(&b, t->text, room);
  log_format_text(&b, WALL_MS, "turnd", record);
  t->text[b.len] = '\0';
  t->text_cut = b.overflow;
  buf_init(&b, t->json, room);
  log_format_json(&b, WALL_MS, "turnd", record);
  t->json[b.len] = '\0';
  t->json_cut = b.overflow;
}

static struct log log_into(struct taken *t)
{
  *t = (struct taken){0};
  return (struct log){.level = LOG_LEVEL_INFO, .take = take, .arg = t};
}

static void test_one_line(void **state)
{
  (void)state;
  struct taken t;
  struct log log = log_into(&t);
  struct addr client = addr_v4(192, 0, 2, 1, 5);
  log_event(&log, LOG_LEVEL_INFO, "allocation-created", LOG_ADDR("client", &client),
            LOG_UINT("lifetime", 600), LOG_TEXT("nothing", NULL), LOG_TEXT("transport", "udp"),
            LOG_BYTES("user", bytes_of("bob")));
  assert_string_equal(t.text, "2026-11-24T08:49:11.123Z info turnd allocation-created "
                              "client=192.0.2.1:5 lifetime=600 transport=udp user=bob");
  assert_string_equal(t.json,
                      "{\"time\":\"2026-11-24T08:49:11.123Z\",\"level\":\"info\",\"program\":"
                      "\"turnd\",\"event\":\"allocation-created\",\"client\":\"192.0.2.1:5\","
                      "\"lifetime\":600,\"transport\":\"udp\",\"user\":\"bob\"}");
  assert_false(t.text_cut || t.json_cut);
}

static uint64_t evaluated(size_t *times)
{
  ++*times;
  return 1;
}

static void test_levels(void **state)
{
  (void)state;
  struct taken t;
  struct log log = log_into(&t);
  size_t times = 0;
  log_event(&log, LOG_LEVEL_DEBUG, "e", LOG_UINT("v", evaluated(&times)));
  assert_int_equal(t.count, 0);
  assert_int_equal(times, 0);
  log_event(&log, LOG_LEVEL_ERROR, "e", LOG_UINT("v", evaluated(&times)));
  assert_int_equal(t.count, 1);
  assert_int_equal(t.level, LOG_LEVEL_ERROR);
  assert_int_equal(times, 1);
  assert_string_equal(log_level_name(LOG_LEVEL_ERROR), "error");
  assert_string_equal(log_level_name(LOG_LEVEL_WARN), "warn");
  assert_string_equal(log_level_name(LOG_LEVEL_INFO), "info");
  assert_string_equal(log_level_name(LOG_LEVEL_DEBUG), "debug");
  assert_string_equal(log_level_name((enum log_level)77), "unknown");
}

static void test_dates(void **state)
{
  (void)state;
  static const struct {
    uint64_t ms;
    const char *text;
  } cases[] = {
      {0, "1970-01-01T00:00:00.000Z"},
      {86399999, "1970-01-01T23:59:59.999Z"},
      {951782400000, "2000-02-29T00:00:00.000Z"},
      {951868799001, "2000-02-29T23:59:59.001Z"},
      {951868800000, "2000-03-01T00:00:00.000Z"},
      {1709164800000, "2024-02-29T00:00:00.000Z"},
      {1735689599999, "2024-12-31T23:59:59.999Z"},
      {1735689600000, "2025-01-01T00:00:00.000Z"},
      {4107542400000, "2100-03-01T00:00:00.000Z"}, /* 2100 is no leap year */
      {4107542399999, "2100-02-28T23:59:59.999Z"},
      {253402300799999, "9999-12-31T23:59:59.999Z"},
      {253402300800000, "10000-01-01T00:00:00.000Z"},
  };
  const struct log_record record = {.level = LOG_LEVEL_WARN, .event = "e"};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    char line[128];
    struct buf b;
    buf_init(&b, line, sizeof(line) - 1);
    log_format_text(&b, cases[i].ms, "p", &record);
    line[b.len] = '\0';
    assert_memory_equal(line, cases[i].text, strlen(cases[i].text));
    assert_string_equal(line + strlen(cases[i].text), " warn p e");
  }
  char line[128];
  struct buf b;
  buf_init(&b, line, sizeof(line));
  log_format_text(&b, UINT64_MAX, "p", &record);
  assert_false(b.overflow);
}

static const struct {
  struct bytes value;
  const char *text, *json;
} values[] = {
#define V(bytes)                                                                                   \
  {                                                                                                \
    (const uint8_t *)(bytes), sizeof(bytes) - 1                                                    \
  }
    {V(""), "\"\"", "\"\""},
    {V("plain-1.2/3:4"), "plain-1.2/3:4", "\"plain-1.2/3:4\""},
    {V("two words"), "\"two words\"", "\"two words\""},
    {V("a=b"), "\"a=b\"", "\"a=b\""},
    {V("say \"hi\"\\"), "\"say \\\"hi\\\"\\\\\"", "\"say \\\"hi\\\"\\\\\""},
    {V("x\n2026-01-01 error turnd forged"), "\"x\\n2026-01-01 error turnd forged\"",
     "\"x\\n2026-01-01 error turnd forged\""},
    {V("\r\t\0\x1b[31m\x7f"), "\"\\r\\t\\u0000\\u001b[31m\\u007f\"",
     "\"\\r\\t\\u0000\\u001b[31m\\u007f\""},
    {V("\xc2\x9b"
       "31m"),
     "\"\\u009b31m\"", "\"\\u009b31m\""}, /* CSI as one C1 character */
    {V("\xe2\x80\xae"
       "evil"),
     "\"\\u202eevil\"", "\"\\u202eevil\""},            /* right to left */
    {V("\xe2\x80\x8e"), "\"\\u200e\"", "\"\\u200e\""}, /* a mark of direction */
    {V("\xe2\x80\xa8"), "\"\\u2028\"", "\"\\u2028\""},
    {V("\xc3\xa4\xf0\x9f\x98\x80"), "\xc3\xa4\xf0\x9f\x98\x80", "\"\xc3\xa4\xf0\x9f\x98\x80\""},
    {V("\xff\xc3"), "\"\\xff\\xc3\"", "\"\\ufffd\\ufffd\""},
    {V("\xc0\xaf\xed\xa0\x80"), "\"\\xc0\\xaf\\xed\\xa0\\x80\"", /* overlong, surrogate */
     "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\""},
    {V("\xf4\x90\x80\x80"), "\"\\xf4\\x90\\x80\\x80\"", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
    {V("\xf0\x9f\x98"), "\"\\xf0\\x9f\\x98\"", "\"\\ufffd\\ufffd\\ufffd\""},
};

static void test_hostile_values(void **state)
{
  (void)state;
  struct taken t;
  struct log log = log_into(&t);
  for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
    char text[256], json[256];
    snprintf(text, sizeof(text), "2026-11-24T08:49:11.123Z info turnd e v=%s w=1", values[i].text);
    snprintf(json, sizeof(json), "\"event\":\"e\",\"v\":%s,\"w\":1}", values[i].json);
    log_event(&log, LOG_LEVEL_INFO, "e", LOG_BYTES("v", values[i].value), LOG_UINT("w", 1));
    assert_string_equal(t.text, text);
    assert_non_null(strstr(t.json, json));
    json_t *parsed;
    assert_int_equal(json_read(bytes_of(t.json), 2, &parsed), 0);
    json_decref(parsed);
  }
}

/* In whatever room: no byte beyond it, a line that ends between two characters, an object that is
 * one, and a mark that something is missing. */
static void test_too_little_room(void **state)
{
  (void)state;
  struct taken t;
  struct log log = log_into(&t);
  log_event(&log, LOG_LEVEL_INFO, "e", LOG_TEXT("v", "\xc3\xa4\xc3\xa4 \xf0\x9f\x98\x80\n"),
            LOG_TEXT("w", "plain\xc3\xa4"));
  size_t text_len = strlen(t.text), json_len = strlen(t.json);
  char whole[1024];
  memcpy(whole, t.text, text_len + 1);
  for (t.room = 1; t.room < json_len + 20; t.room++) {
    memset(t.text, 0x7e, sizeof(t.text));
    memset(t.json, 0x7e, sizeof(t.json));
    log_event(&log, LOG_LEVEL_INFO, "e", LOG_TEXT("v", "\xc3\xa4\xc3\xa4 \xf0\x9f\x98\x80\n"),
              LOG_TEXT("w", "plain\xc3\xa4"));
    assert_true(t.text[t.room + 1] == 0x7e && t.json[t.room + 1] == 0x7e);
    assert_int_equal(t.text_cut, t.room < text_len);
    assert_memory_equal(t.text, whole, strlen(t.text));
    assert_true(utf8_is_valid(bytes_of(t.text)));
    if (!t.json_cut) {
      json_t *parsed;
      assert_int_equal(json_read(bytes_of(t.json), 2, &parsed), 0);
      bool all = json_object_get(parsed, "v") != NULL && json_object_get(parsed, "w") != NULL;
      assert_int_equal(all, json_object_get(parsed, "cut") == NULL);
      json_decref(parsed);
    }
  }
  assert_false(t.json_cut);
  assert_null(strstr(t.json, "cut"));
}

static void test_anonymous(void **state)
{
  (void)state;
  static const struct {
    const char *address, *shown;
  } row[] = {
      {"192.0.2.129:5", "192.0.2.0:5"},
      {"255.255.255.255:65535", "255.255.255.0:65535"},
      {"[2001:db8:1:2:3:4:5:6]:7", "[2001:db8:1::]:7"},
      {"[fe80::1]:7", "[fe80::]:7"},
      {"[64:ff9b::192.0.2.1]:7", "[64:ff9b::]:7"},
      {"[2002:c000:0281:1::1]:7", "[2002:c000:200::]:7"},
      {"[2001:0:c000:281:1:2:3:4]:7", "[2001:0:c000::]:7"},
  };
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    struct taken t;
    struct log log = log_into(&t);
    struct addr a;
    char text[128], json[128];
    assert_int_equal(addr_parse(bytes_of(row[i].address), &a), 0);
    log_set_anonymous(&log, true);
    log_event(&log, LOG_LEVEL_INFO, "e", LOG_ADDR("client", &a));
    snprintf(text, sizeof(text), "2026-11-24T08:49:11.123Z info turnd e client=%s", row[i].shown);
    snprintf(json, sizeof(json), "\"client\":\"%s\"}", row[i].shown);
    assert_string_equal(t.text, text);
    assert_non_null(strstr(t.json, json));
    log_set_anonymous(&log, false);
    log_event(&log, LOG_LEVEL_INFO, "e", LOG_ADDR("client", &a));
    assert_null(strstr(t.text, text));
  }
}

static void test_levels_by_name(void **state)
{
  (void)state;
  struct taken t;
  struct log log = log_into(&t);
  for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
    enum log_level level;
    assert_int_equal(log_level_parse(bytes_of(log_level_name((enum log_level)i)), &level), 0);
    assert_int_equal(level, i);
    log_set_level(&log, level);
    t.count = 0;
    for (int of = LOG_LEVEL_ERROR; of <= LOG_LEVEL_DEBUG; of++)
      log_event(&log, (enum log_level)of, "e", LOG_UINT("n", 1));
    assert_int_equal(t.count, i + 1);
  }
  static const char *const no[] = {"", "INFO", "inf", "info ", "unknown"};
  for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
    enum log_level level = LOG_LEVEL_WARN;
    assert_int_equal(log_level_parse(bytes_of(no[i]), &level), -ERR_BAD);
    assert_int_equal(level, LOG_LEVEL_WARN);
  }
}

static void test_a_message_alone(void **state)
{
  (void)state;
  char storage[64];
  struct buf b;
  const struct log_field field = LOG_TEXT("k", "two words");
  const struct log_record record = {.event = "e", .field = &field, .field_count = 1};
  buf_init(&b, storage, sizeof(storage));
  log_format_message(&b, &record);
  assert_true(bytes_equal((struct bytes){b.at, b.len}, bytes_of("e k=\"two words\"")));
}

static void test_what_happens_often_is_told_now_and_then(void **state)
{
  (void)state;
  struct log_pace p = {0};
  uint64_t held = 99;
  assert_true(log_pace_is_due(&p, 0, 1000, &held));
  assert_int_equal(held, 0);
  for (uint64_t now_ms = 0; now_ms < 1000; now_ms += 100)
    assert_false(log_pace_is_due(&p, now_ms, 1000, &held));
  assert_true(log_pace_is_due(&p, 1000, 1000, &held));
  assert_int_equal(held, 10);
  assert_true(log_pace_is_due(&p, 2000, 1000, &held));
  assert_int_equal(held, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_anonymous),
      cmocka_unit_test(test_levels_by_name),
      cmocka_unit_test(test_a_message_alone),
      cmocka_unit_test(test_one_line),
      cmocka_unit_test(test_levels),
      cmocka_unit_test(test_dates),
      cmocka_unit_test(test_hostile_values),
      cmocka_unit_test(test_too_little_room),
      cmocka_unit_test(test_what_happens_often_is_told_now_and_then),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
