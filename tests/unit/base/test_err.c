/* base/err.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <limits.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void every_error_has_a_name_and_a_sentence(void **state)
{
  (void)state;
  for (int err = 0; err < ERR_COUNT; err++) {
    assert_true(strlen(err_name(-err)) > 0);
    assert_true(strlen(err_text(-err)) > 0);
    for (int other = 0; other < err; other++) {
      assert_string_not_equal(err_name(-err), err_name(-other));
      assert_string_not_equal(err_text(-err), err_text(-other));
    }
  }
  assert_string_equal(err_name(-ERR_NOMEM), "NOMEM");
  assert_string_equal(err_text(-ERR_NOMEM), "out of memory");
  assert_string_equal(err_name(0), "NONE");
}

static void numbers_that_are_none(void **state)
{
  (void)state;
  static const int none[] = {1, ERR_NOMEM, ERR_COUNT, -ERR_COUNT, -ERR_COUNT - 1, INT_MAX, INT_MIN};
  for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
    assert_string_equal(err_text(none[i]), "unknown error");
    assert_string_equal(err_name(none[i]), "UNKNOWN");
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_error_has_a_name_and_a_sentence),
      cmocka_unit_test(numbers_that_are_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
