/* turn/userdb/cache.c: what is known of a user, for how long, and within which bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/support/failing_mem.h"
#include "turn/userdb/cache.h"

static const uint8_t key_of_bob[USERDB_KEY] = "0123456789abcde";
static struct failing_mem mem;
static struct userdb_cache cache;

static int set_up(void **state)
{
  (void)state;
  failing_mem_init(&mem);
  userdb_cache_init(&cache, &mem.mem, (struct hash_key){1, 2});
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  userdb_cache_fini(&cache);
  return mem.blocks != 0;
}

static int find(const char *name, uint64_t now_ms)
{
  uint8_t key[USERDB_KEY];
  uint64_t question;
  const int r =
      userdb_cache_find(&cache, bytes_of("realm"), bytes_of(name), now_ms, key, &question);
  if (r == 0)
    assert_memory_equal(key, key_of_bob, sizeof(key));
  return r;
}

static int ask_as(uint64_t asker, struct bytes name, uint64_t now_ms)
{
  uint64_t question;
  const struct userdb_asked a = {bytes_of("realm"), name, asker};
  return userdb_cache_ask(&cache, &a, now_ms, &question);
}

/* Each time for somebody else. */
static int ask(const char *name, uint64_t now_ms)
{
  static uint64_t asker = 100;
  return ask_as(asker++, bytes_of(name), now_ms);
}

static uint64_t answer(const char *name, int verdict, uint64_t now_ms)
{
  return userdb_cache_answer(&cache, bytes_of("realm"), bytes_of(name), verdict, key_of_bob,
                             now_ms);
}

static void found_for_a_while(void **state)
{
  (void)state;
  assert_int_equal(find("bob", 0), -ERR_DROP);
  assert_int_equal(ask("bob", 0), 0);
  assert_int_equal(find("bob", 1), -ERR_AGAIN);
  assert_int_equal(answer("bob", 0, 10), 1);
  assert_int_equal(find("bob", 10), 0);
  assert_int_equal(find("bo", 10), -ERR_DROP);
  assert_int_equal(find("bob", 9 + USERDB_FOUND_MS), 0);
  assert_int_equal(find("bob", 10 + USERDB_FOUND_MS), -ERR_DROP);
}

static void missing_for_less(void **state)
{
  (void)state;
  assert_int_equal(ask("eve", 0), 0);
  assert_int_equal(answer("eve", -ERR_MISSING, 0), 1);
  assert_int_equal(find("eve", USERDB_OTHERS_MS - 1), -ERR_MISSING);
  assert_int_equal(find("eve", USERDB_OTHERS_MS), -ERR_DROP);
}

/* The realm is part of the name. */
static void realms_are_apart(void **state)
{
  (void)state;
  uint8_t key[USERDB_KEY];
  uint64_t question;
  assert_int_equal(ask("bob", 0), 0);
  assert_int_equal(answer("bob", 0, 0), 1);
  assert_int_equal(userdb_cache_find(&cache, bytes_of("other"), bytes_of("bob"), 0, key, &question),
                   -ERR_DROP);
  assert_int_equal(userdb_cache_find(&cache, bytes_of("real"), bytes_of("mbob"), 0, key, &question),
                   -ERR_DROP);
}

/* A database that goes away takes no user with it who was known; a new name it does. */
static void away_changes_nothing(void **state)
{
  (void)state;
  assert_int_equal(ask("bob", 0), 0);
  assert_int_equal(answer("bob", 0, 0), 1);
  assert_int_equal(ask("bob", USERDB_FOUND_MS), 0);
  assert_int_equal(answer("bob", -ERR_IO, USERDB_FOUND_MS), 2);
  assert_int_equal(find("bob", USERDB_FOUND_MS), 0);
  assert_int_equal(find("bob", USERDB_FOUND_MS + USERDB_OTHERS_MS), -ERR_DROP);
  assert_int_equal(ask("eve", 0), 0);
  assert_int_equal(answer("eve", -ERR_IO, 0), 3);
  assert_int_equal(find("eve", 0), -ERR_IO);
  /* Gone is gone, though, and stays so when the database does too. */
  assert_int_equal(ask("bob", 20000), 0);
  assert_int_equal(answer("bob", -ERR_MISSING, 20000), 4);
  assert_int_equal(ask("bob", 30000), 0);
  assert_int_equal(answer("bob", -ERR_IO, 30000), 5);
  assert_int_equal(find("bob", 30000), -ERR_IO);
}

static void questions_are_bounded(void **state)
{
  (void)state;
  char name[32];
  for (int i = 0; i < USERDB_ASKED_MAX; i++) {
    snprintf(name, sizeof(name), "%d", i);
    assert_int_equal(ask(name, 0), 0);
  }
  assert_int_equal(ask("more", USERDB_ASKED_MS - 1), -ERR_FULL);
  assert_int_equal(answer("3", -ERR_MISSING, 1), 4);
  assert_int_equal(ask("more", 1), 0);
  /* Nobody waits for the oldest any more. */
  assert_int_equal(ask("late", USERDB_ASKED_MS), 0);
  assert_int_equal(answer("0", 0, USERDB_ASKED_MS), 0);
  assert_int_equal(cache.asked_count, USERDB_ASKED_MAX);
}

static void nobody_asks_for_all(void **state)
{
  (void)state;
  char name[] = "a";
  for (int i = 0; i < USERDB_ASKED_ADDRESS; i++, name[0]++)
    assert_int_equal(ask_as(7, bytes_of(name), 0), 0);
  assert_int_equal(ask_as(7, bytes_of("more"), 0), -ERR_FULL);
  assert_int_equal(ask_as(8, bytes_of("more"), 0), 0);
  assert_int_equal(answer("a", -ERR_MISSING, 0), 1);
  assert_int_equal(ask_as(7, bytes_of("again"), 0), 0);
  assert_int_equal(ask_as(7, bytes_of("late"), USERDB_ASKED_MS), 0);
}

/* A flood of names that are no users costs a bounded number of rows, and no user his. */
static void floods_are_bounded(void **state)
{
  (void)state;
  char name[32];
  assert_int_equal(ask("bob", 0), 0);
  assert_int_equal(answer("bob", 0, 0), 1);
  for (int i = 0; i < USERDB_OTHERS_MAX + 10; i++) {
    snprintf(name, sizeof(name), "%d", i);
    assert_int_equal(ask(name, 1), 0);
    assert_true(answer(name, -ERR_MISSING, 1) > 0);
  }
  assert_int_equal(cache.others_count, USERDB_OTHERS_MAX);
  assert_int_equal(find("bob", 1), 0);
  assert_int_equal(find("265", 1), -ERR_MISSING);
  for (int i = 0; i < USERDB_FOUND_MAX; i++) {
    snprintf(name, sizeof(name), "u%d", i);
    assert_int_equal(ask(name, 1), 0);
    assert_true(answer(name, 0, 1) > 0);
  }
  assert_int_equal(cache.found_count, USERDB_FOUND_MAX);
  assert_int_equal(find("bob", 1), -ERR_DROP); /* the oldest */
}

static void hostile_names(void **state)
{
  (void)state;
  uint8_t name[USERDB_NAME_MAX + 1], key[USERDB_KEY];
  uint64_t question;
  memset(name, 0, sizeof(name));
  const struct bytes longest = {name, USERDB_NAME_MAX}, longer = {name, USERDB_NAME_MAX + 1};
  const struct bytes realm = bytes_of("realm"), empty = {NULL, 0};
  assert_int_equal(ask_as(1, longer, 0), -ERR_RANGE);
  assert_int_equal(ask_as(1, longest, 0), 0);
  assert_int_equal(ask_as(1, empty, 0), 0);
  assert_int_equal(userdb_cache_answer(&cache, realm, longest, 0, key_of_bob, 0), 1);
  assert_int_equal(userdb_cache_find(&cache, realm, longest, 0, key, &question), 0);
  assert_int_equal(userdb_cache_find(&cache, realm, empty, 0, key, &question), -ERR_AGAIN);
}

static void without_memory(void **state)
{
  (void)state;
  for (size_t n = 1; n <= 2; n++) {
    failing_mem_fail_at(&mem, n);
    assert_int_equal(ask("bob", 0), -ERR_NOMEM);
    assert_int_equal(cache.asked_count, 0);
  }
  failing_mem_fail_at(&mem, 0);
  assert_int_equal(ask("bob", 0), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(found_for_a_while),    TEST(missing_for_less),      TEST(realms_are_apart),
      TEST(away_changes_nothing), TEST(questions_are_bounded), TEST(floods_are_bounded),
      TEST(nobody_asks_for_all),  TEST(hostile_names),         TEST(without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
