/* turn/userdb/rows.c: two readings of the same are the same, whatever their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/support/failing_mem.h"
#include "turn/userdb/rows.h"

static int add(struct userdb_rows *rows, enum userdb_kind kind, const char *a, const char *b)
{
  const struct bytes field[] = {bytes_of(a), bytes_of(b)};
  return userdb_rows_add(rows, kind, field, 2);
}

static void same_whatever_the_order(void **state)
{
  (void)state;
  struct failing_mem f;
  failing_mem_init(&f);
  struct userdb_rows one, two;
  uint8_t first[32], second[32];
  userdb_rows_init(&one, &f.mem);
  userdb_rows_init(&two, &f.mem);
  for (int i = 0; i < 40; i++) {
    const char digit[] = {(char)('0' + i), 0};
    assert_int_equal(add(&one, USERDB_SECRET, "realm", digit), 0);
  }
  for (int i = 39; i >= 0; i--) {
    const char digit[] = {(char)('0' + i), 0};
    assert_int_equal(add(&two, USERDB_SECRET, "realm", digit), 0);
  }
  userdb_rows_sort(&one);
  userdb_rows_sort(&two);
  userdb_rows_digest(&one, first);
  userdb_rows_digest(&two, second);
  assert_memory_equal(first, second, sizeof(first));
  assert_int_equal(add(&two, USERDB_DENIED, "", "10.0.0.0/8"), 0);
  userdb_rows_sort(&two);
  userdb_rows_digest(&two, second);
  assert_memory_not_equal(first, second, sizeof(first));
  userdb_rows_fini(&one);
  userdb_rows_fini(&two);
  assert_int_equal(f.blocks, 0);
}

/* Where one field ends and the next begins is part of it, and so is what it is. */
static void borders_count(void **state)
{
  (void)state;
  static const struct {
    enum userdb_kind kind;
    const char *a, *b;
  } rows[] = {{USERDB_SECRET, "ab", "c"}, {USERDB_SECRET, "a", "bc"}, {USERDB_ALLOWED, "ab", "c"}};
  uint8_t digest[3][32];
  struct failing_mem f;
  failing_mem_init(&f);
  for (size_t i = 0; i < 3; i++) {
    struct userdb_rows r;
    userdb_rows_init(&r, &f.mem);
    assert_int_equal(add(&r, rows[i].kind, rows[i].a, rows[i].b), 0);
    assert_true(bytes_equal(userdb_row_field(r.row[0], 1), bytes_of(rows[i].b)));
    assert_int_equal(userdb_row_field(r.row[0], 2).len, 0);
    userdb_rows_digest(&r, digest[i]);
    userdb_rows_fini(&r);
  }
  assert_memory_not_equal(digest[0], digest[1], 32);
  assert_memory_not_equal(digest[0], digest[2], 32);
  assert_int_equal(f.blocks, 0);
}

static void too_long_a_field(void **state)
{
  (void)state;
  struct failing_mem f;
  failing_mem_init(&f);
  struct userdb_rows r;
  char text[USERDB_FIELD_MAX + 2];
  memset(text, 'x', sizeof(text));
  text[USERDB_FIELD_MAX + 1] = 0;
  userdb_rows_init(&r, &f.mem);
  assert_int_equal(add(&r, USERDB_SECRET, "", text), -ERR_RANGE);
  text[USERDB_FIELD_MAX] = 0;
  assert_int_equal(add(&r, USERDB_SECRET, "", text), 0);
  failing_mem_fail_at(&f, 1);
  assert_int_equal(add(&r, USERDB_SECRET, "", "b"), -ERR_NOMEM);
  assert_int_equal(r.count, 1);
  userdb_rows_fini(&r);
  assert_int_equal(f.blocks, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_whatever_the_order),
      cmocka_unit_test(borders_count),
      cmocka_unit_test(too_long_a_field),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
