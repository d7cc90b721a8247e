/* viaduct/sections.c: one file cut into sections whose lines keep their numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/support/failing_mem.h"
#include "viaduct/sections.h"

static struct failing_mem memory;

static int setup(void **state)
{
  (void)state;
  failing_mem_init(&memory);
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  assert_int_equal(memory.blocks, 0);
  return 0;
}

static void assert_section(const struct sections *s, enum section which, const char *text)
{
  assert_int_equal(s->text[which].len, strlen(text));
  assert_memory_equal(s->text[which].at, text, strlen(text));
  assert_false(s->text[which].overflow);
}

static void test_split(void **state)
{
  (void)state;
  struct sections s;
  struct option_error error;
  static const char good[] = "\xef\xbb\xbf# for all\n"
                             "\n"
                             "[turnd]\n"
                             "min-port=1\r\n"
                             " [up] # ports\r\n"
                             "turn-port=5\n"
                             "# [stund]\n"
                             "[turnd]\n"
                             "realm=[x]\n"
                             "[signald]\n"
                             "auth=none";
  assert_int_equal(sections_split("f", bytes_of(good), &memory.mem, &s, &error), 0);
  assert_int_equal(s.line_count, 11);
  assert_section(&s, SECTION_TURND, "\n\n\nmin-port=1\r\n\n\n\n\nrealm=[x]\n\n\n");
  assert_section(&s, SECTION_UP, "\n\n\n\n\nturn-port=5\n# [stund]\n\n\n\n\n");
  assert_section(&s, SECTION_STUND, "\n\n\n\n\n\n\n\n\n\n\n");
  assert_section(&s, SECTION_SIGNALD, "\n\n\n\n\n\n\n\n\n\nauth=none\n");
  sections_free(&s, &memory.mem);
}

static void test_nothing(void **state)
{
  (void)state;
  struct sections s;
  struct option_error error;
  assert_int_equal(sections_split("", (struct bytes){0}, &memory.mem, &s, &error), 0);
  assert_int_equal(s.line_count, 0);
  assert_section(&s, SECTION_UP, "");
  sections_free(&s, &memory.mem);
  sections_free(&s, &memory.mem);
}

static void test_errors(void **state)
{
  (void)state;
  static const struct {
    const char *file, *message;
  } cases[] = {
      {"min-port=1",
       "f:1: this line belongs to no section; put [up], [turnd], [stund] or [signald] "
       "above it"},
      {"[up]\n\n[turn]\n", "f:3: unknown section [turn]; did you mean [turnd]? There are [up], "
                           "[turnd], [stund] and [signald]"},
      {"[Stund]", "f:1: unknown section [Stund]; did you mean [stund]? There are [up], [turnd], "
                  "[stund] and [signald]"},
      {"[elsewhere]",
       "f:1: '[elsewhere]' is no section; write [up], [turnd], [stund] or [signald]"},
      {"[]", "f:1: '[]' is no section; write [up], [turnd], [stund] or [signald]"},
      {"[", "f:1: '[' is no section; write [up], [turnd], [stund] or [signald]"},
      {"[turnd", "f:1: '[turnd' is no section; write [up], [turnd], [stund] or [signald]"},
      {"[turnd] min-port=1",
       "f:1: '[turnd] min-port=1' is no section; write [up], [turnd], [stund] "
       "or [signald]"},
      {"[a\x1b[2J]", "f:1: '[a?[2J]' is no section; write [up], [turnd], [stund] or [signald]"},
      {"[xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]",
       "f:1: '[xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is no section; "
       "write [up], [turnd], [stund] or [signald]"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    struct sections s;
    struct option_error error = {{0}};
    assert_int_equal(sections_split("f", bytes_of(cases[i].file), &memory.mem, &s, &error),
                     -ERR_BAD);
    assert_string_equal(error.text, cases[i].message);
  }
}

static void test_out_of_memory(void **state)
{
  (void)state;
  for (size_t n = 1; n <= SECTION_COUNT; n++) {
    struct sections s;
    struct option_error error;
    memory.asked = 0;
    memory.fail_at = n;
    assert_int_equal(sections_split("f", bytes_of("[up]\n"), &memory.mem, &s, &error), -ERR_NOMEM);
  }
  memory.fail_at = 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_split, setup, teardown),
      cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
      cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
      cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
