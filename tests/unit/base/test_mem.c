/* base/mem.c, and the failing_mem that the other tests lean on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/support/failing_mem.h"

static void new_memory_is_zeroed(void **state)
{
  (void)state;
  struct failing_mem f;
  failing_mem_init(&f);
  uint8_t *p = mem_new(&f.mem, 100);
  assert_non_null(p);
  for (size_t i = 0; i < 100; i++)
    assert_int_equal(p[i], 0);
  assert_int_equal(f.bytes, 100);
  mem_free(&f.mem, p, 100);
  mem_free(&f.mem, NULL, 0);
  mem_free(&f.mem, NULL, 100);
  assert_int_equal(f.bytes, 0);
  assert_int_equal(f.blocks, 0);
}

static void resizing_keeps_and_zeroes(void **state)
{
  (void)state;
  struct failing_mem f;
  failing_mem_init(&f);
  uint8_t *p = mem_new(&f.mem, 4);
  assert_non_null(p);
  for (uint8_t i = 0; i < 4; i++)
    p[i] = i + 1;
  p = mem_resize(&f.mem, p, 4, 10);
  assert_non_null(p);
  assert_memory_equal(p, "\1\2\3\4\0\0\0\0\0\0", 10);
  p = mem_resize(&f.mem, p, 10, 2);
  assert_non_null(p);
  assert_memory_equal(p, "\1\2", 2);
  assert_int_equal(f.bytes, 2);
  mem_free(&f.mem, p, 2);
  assert_int_equal(f.blocks, 0);
}

static void a_failure_leaves_the_block_alone(void **state)
{
  (void)state;
  struct failing_mem f;
  failing_mem_init(&f);
  uint8_t *p = mem_new(&f.mem, 2);
  assert_non_null(p);
  p[1] = 7;
  failing_mem_fail_all(&f);
  assert_null(mem_new(&f.mem, 5));
  assert_null(mem_resize(&f.mem, p, 2, 100));
  assert_null(mem_copy_text(&f.mem, "abc", 3));
  assert_null(mem_resize(&f.mem, p, 2, 0)); /* a size of 0 is refused, not freed */
  assert_int_equal(p[1], 7);
  assert_int_equal(f.bytes, 2);
  mem_free(&f.mem, p, 2);
}

static void size_zero_is_no_memory(void **state)
{
  (void)state;
  struct failing_mem f;
  failing_mem_init(&f);
  assert_null(mem_new(&f.mem, 0));
  assert_int_equal(f.asked, 0);
}

static void copies_of_text(void **state)
{
  (void)state;
  struct failing_mem f;
  failing_mem_init(&f);
  char *a = mem_copy_text(&f.mem, "abcdef", 3), *b = mem_copy_text(&f.mem, NULL, 0);
  assert_non_null(a);
  assert_non_null(b);
  assert_string_equal(a, "abc");
  assert_string_equal(b, "");
  assert_null(mem_copy_text(&f.mem, "abc", SIZE_MAX));
  mem_free(&f.mem, a, 4);
  mem_free(&f.mem, b, 1);
  assert_int_equal(f.bytes, 0);
}

struct two {
  bool leaks;
  void *leaked;
};

/* Two allocations; when the second is refused, the first is given back, or forgotten on demand. */
static bool take_two(struct failing_mem *f, void *arg)
{
  struct two *two = arg;
  void *a = mem_new(&f->mem, 8);
  if (!a)
    return true;
  void *b = mem_new(&f->mem, 8);
  mem_free(&f->mem, b, 8);
  if (b || !two->leaks)
    mem_free(&f->mem, a, 8);
  else
    two->leaked = a;
  return true;
}

static void each_allocation_fails_once(void **state)
{
  (void)state;
  struct two two = {.leaks = false};
  size_t which;
  assert_true(failing_mem_each(take_two, &two, &which));
  assert_int_equal(which, 3); /* the run that asked for only two */
}

static void a_leak_is_found(void **state)
{
  (void)state;
  struct two two = {.leaks = true};
  struct failing_mem f;
  size_t which;
  assert_false(failing_mem_each(take_two, &two, &which));
  assert_int_equal(which, 2);
  failing_mem_init(&f);
  mem_free(&f.mem, two.leaked, 8); /* any failing_mem can give it back to malloc */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(new_memory_is_zeroed),
      cmocka_unit_test(resizing_keeps_and_zeroes),
      cmocka_unit_test(a_failure_leaves_the_block_alone),
      cmocka_unit_test(size_zero_is_no_memory),
      cmocka_unit_test(copies_of_text),
      cmocka_unit_test(each_allocation_fails_once),
      cmocka_unit_test(a_leak_is_found),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
