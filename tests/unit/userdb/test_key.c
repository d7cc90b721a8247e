/* turn/userdb/key.c: hexadecimal keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "turn/userdb/database.h"

static void digits_of_both_cases(void **state)
{
  (void)state;
  uint8_t key[USERDB_KEY];
  assert_int_equal(userdb_key_parse(bytes_of("00ff0A1b00000000000000000000007f"), key), 0);
  assert_memory_equal(key, "\x00\xff\x0a\x1b", 4);
  assert_int_equal(key[15], 0x7f);
}

static void what_is_none(void **state)
{
  (void)state;
  static const char *const bad[] = {
      "",
      "secret",
      "00ff0a1b00000000000000000000007",
      "00ff0a1b00000000000000000000007f0",
      "00ff0a1b0000000000000000000000 f",
      "g0ff0a1b00000000000000000000007f",
      "\x10\x10"
      "ff0a1b00000000000000000000007f",
      "00ff0a1b00000000000000000000007f00ff0a1b00000000000000000000007f" /* SHA-256 */};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    uint8_t key[USERDB_KEY];
    assert_int_equal(userdb_key_parse(bytes_of(bad[i]), key), -ERR_BAD);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(digits_of_both_cases),
      cmocka_unit_test(what_is_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
