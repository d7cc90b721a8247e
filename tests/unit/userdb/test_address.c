/* turn/userdb/address.c: coturn's connection string of a Redis. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "turn/userdb/address.h"

static struct userdb_address parse(const char *text)
{
  struct userdb_address a;
  assert_int_equal(userdb_address_parse(bytes_of(text), &a), 0);
  return a;
}

static void nothing_is_the_default(void **state)
{
  (void)state;
  const struct userdb_address a = parse("");
  assert_string_equal(a.host, "127.0.0.1");
  assert_int_equal(a.port, 6379);
  assert_int_equal(a.database, 0);
  assert_string_equal(a.password, "");
  assert_string_equal(a.user, "");
  assert_int_equal(a.connect_s, 5);
}

static void all_words(void **state)
{
  (void)state;
  const struct userdb_address a =
      parse("  ip=192.0.2.1 \t dbname=7 password=a=b%s' user=tom port=6380 connect_timeout=3 ");
  assert_string_equal(a.host, "192.0.2.1");
  assert_int_equal(a.port, 6380);
  assert_int_equal(a.database, 7);
  assert_string_equal(a.password, "a=b%s'");
  assert_string_equal(a.user, "tom");
  assert_int_equal(a.connect_s, 3);
}

static void other_names(void **state)
{
  (void)state;
  const struct userdb_address a = parse("host=db db=1 secret=x name=n p=1 timeout=60");
  assert_string_equal(a.host, "db");
  assert_int_equal(a.port, 1);
  assert_int_equal(a.database, 1);
  assert_string_equal(a.password, "x");
  assert_string_equal(a.user, "n");
  assert_int_equal(a.connect_s, 5); /* not longer than the server may take to stop */
}

static void what_is_none(void **state)
{
  (void)state;
  static const char *const bad[] = {
      "127.0.0.1", "ip",     "ip=", "port=0",    "port=65536", "port=1x",          "dbname=-1",
      "dbname=",   "what=1", "=1",  "timeout=0", "ip=a port",  "dbname=2147483648"};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    struct userdb_address a = {.port = 9};
    assert_int_equal(userdb_address_parse(bytes_of(bad[i]), &a), -ERR_BAD);
    assert_int_equal(a.port, 9);
  }
  char text[300];
  struct userdb_address a;
  memset(text, 'p', sizeof(text));
  memcpy(text, "pwd=", 4);
  const struct bytes long_word = {(const uint8_t *)text, 4 + USERDB_REDIS_TEXT};
  assert_int_equal(userdb_address_parse(long_word, &a), -ERR_BAD);
  const struct bytes longest = {(const uint8_t *)text, 4 + USERDB_REDIS_TEXT - 1};
  assert_int_equal(userdb_address_parse(longest, &a), 0);
  const struct bytes nul = {(const uint8_t *)"pwd=a\0b", 7};
  assert_int_equal(userdb_address_parse(nul, &a), -ERR_BAD);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_the_default),
      cmocka_unit_test(all_words),
      cmocka_unit_test(other_names),
      cmocka_unit_test(what_is_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
