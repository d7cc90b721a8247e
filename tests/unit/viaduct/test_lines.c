/* viaduct/lines.c: bounded whole lines, their level, and the name of the file that the user wrote.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "viaduct/lines.h"

static void assert_text(struct bytes text, const char *expected)
{
  assert_int_equal(text.len, strlen(expected));
  assert_memory_equal(text.at, expected, text.len);
}

static void test_pieces(void **state)
{
  (void)state;
  struct lines l = {0};
  struct bytes line;
  static const char in[] = "one\r\ntw";
  assert_int_equal(lines_take(&l, bytes_of(in), &line), 5);
  assert_text(line, "one");
  assert_int_equal(lines_take(&l, bytes_of(in + 5), &line), 2);
  assert_null(line.at);
  assert_int_equal(lines_take(&l, bytes_of("o\n\nx"), &line), 2);
  assert_text(line, "two");
  assert_int_equal(lines_take(&l, bytes_of("\nx"), &line), 1);
  assert_text(line, "");
  assert_non_null(line.at);
  lines_take(&l, bytes_of("rest"), &line);
  assert_text(lines_rest(&l), "rest");
  assert_text(lines_rest(&l), "");
}

static void test_bound(void **state)
{
  (void)state;
  static char in[1 << 20];
  static struct lines l;
  struct bytes line;
  memset(in, 'x', sizeof(in));
  assert_int_equal(lines_take(&l, (struct bytes){(uint8_t *)in, sizeof(in)}, &line), sizeof(in));
  assert_null(line.at);
  lines_take(&l, bytes_of("\n"), &line);
  assert_int_equal(line.len, LINES_MAX + 3);
  assert_memory_equal(line.at + LINES_MAX - 1, "x...", 4);
  lines_take(&l, (struct bytes){(uint8_t *)in, LINES_MAX}, &line);
  lines_take(&l, bytes_of("\n"), &line);
  assert_int_equal(line.len, LINES_MAX);
  lines_take(&l, bytes_of("short\n"), &line);
  assert_text(line, "short");
}

static void test_control_characters(void **state)
{
  (void)state;
  struct lines l = {0};
  struct bytes line;
  static const uint8_t in[] = "a\x1b[2J\0\x7f\t\xc3\xa4\n";
  lines_take(&l, (struct bytes){in, sizeof(in) - 1}, &line);
  assert_text(line, "a?[2J??\t\xc3\xa4");
}

static void test_level(void **state)
{
  (void)state;
  assert_int_equal(line_level(bytes_of("2026-11-24T08:49:11.123Z info turnd ready")),
                   LOG_LEVEL_INFO);
  assert_int_equal(line_level(bytes_of("2026-11-24T08:49:11.123Z error x y")), LOG_LEVEL_ERROR);
  assert_int_equal(line_level(bytes_of("2026-11-24T08:49:11.123Z debug x y")), LOG_LEVEL_DEBUG);
  static const char *const prints[] = {"",
                                       "Z",
                                       "Z ",
                                       "double free or corruption",
                                       " info x",
                                       "2026-11-24T08:49:11.123Z info",
                                       "2026-11-24 info x"};
  for (size_t i = 0; i < sizeof(prints) / sizeof(prints[0]); i++)
    assert_int_equal(line_level(bytes_of(prints[i])), LOG_LEVEL_WARN);
}

static void assert_renamed(const char *line, const char *path, const char *expected)
{
  char out[4096];
  struct buf b;
  buf_init(&b, out, sizeof(out));
  line_rename(&b, bytes_of(line), path, "my.conf", 20);
  assert_text((struct bytes){b.at, b.len}, expected);
}

static void test_rename(void **state)
{
  (void)state;
  assert_renamed("viaduct-turnd: /s/turnd.conf:12: bad", "/s/turnd.conf",
                 "viaduct-turnd: my.conf:12: bad");
  assert_renamed("/s/turnd.conf:20", "/s/turnd.conf", "my.conf:20");
  /* a line that 'viaduct up' added is not in the user's file */
  assert_renamed("/s/turnd.conf:21: bad", "/s/turnd.conf", "/s/turnd.conf:21: bad");
  assert_renamed("/s/turnd.conf:0: bad", "/s/turnd.conf", "/s/turnd.conf:0: bad");
  assert_renamed("cannot read /s/turnd.conf: gone", "/s/turnd.conf",
                 "cannot read /s/turnd.conf: gone");
  assert_renamed("/s/turnd.conf:", "/s/turnd.conf", "/s/turnd.conf:");
  assert_renamed("/s/turnd.conf:99999999999999999999999", "/s/turnd.conf",
                 "/s/turnd.conf:99999999999999999999999");
  assert_renamed("", "/s/turnd.conf", "");
  char path[301], line[200];
  memset(path, 'p', 300);
  path[300] = '\0';
  snprintf(line, sizeof(line), "x: %s:3: bad", path + 300 - 128);
  assert_renamed(line, path, "x: my.conf:3: bad");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pieces),
      cmocka_unit_test(test_bound),
      cmocka_unit_test(test_control_characters),
      cmocka_unit_test(test_level),
      cmocka_unit_test(test_rename),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
