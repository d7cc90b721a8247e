/* turn/core/ledger.c: what is entered is counted, and what is left is there again. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/support/failing_mem.h"
#include "turn/core/ledger.h"

static struct failing_mem mem;
static struct random_seed seed;
static struct random source;
static struct turn_book book;

static int set_up(void **state)
{
  (void)state;
  failing_mem_init(&mem);
  source = random_seeded(&seed, 1);
  turn_book_init(&book, &mem.mem, &source);
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  const bool left = book.count == 0 && book.bps == 0 && book.accounts.count == 0;
  turn_book_fini(&book);
  return !left || mem.blocks != 0;
}

static struct turn_claim claim_of(const char *name, uint32_t count)
{
  return (struct turn_claim){
      .named = true, .realm = bytes_of("example.org"), .name = bytes_of(name), .count = count};
}

static int enter(const char *name, uint32_t count, uint32_t quota, struct turn_share *out)
{
  struct turn_claim c = claim_of(name, count);
  c.user_quota = quota;
  return turn_book_enter(&book, &c, out);
}

static void test_one_account_for_one_name(void **state)
{
  (void)state;
  struct turn_share a, b, c, more;
  assert_int_equal(enter("bob", 1, 2, &a), 0);
  assert_int_equal(enter("bob", 1, 2, &b), 0);
  assert_int_equal(enter("eve", 1, 2, &c), 0);
  assert_ptr_equal(a.account, b.account);
  assert_ptr_not_equal(a.account, c.account);
  assert_int_equal(enter("bob", 1, 2, &more), -ERR_FULL);
  assert_int_equal(enter("bo", 1, 2, &more), 0);
  turn_book_leave(&book, &more);
  turn_book_leave(&book, &b);
  assert_int_equal(enter("bob", 1, 2, &b), 0);
  turn_book_leave(&book, &a);
  turn_book_leave(&book, &b);
  turn_book_leave(&book, &c);
}

/* A time-limited username without a name has an account too, and it is one for all of them. */
static void test_the_empty_name(void **state)
{
  (void)state;
  struct turn_share a, b;
  assert_int_equal(enter("", 1, 1, &a), 0);
  assert_non_null(a.account);
  assert_int_equal(enter("", 1, 1, &b), -ERR_FULL);
  turn_book_leave(&book, &a);
}

/* A pair with its reserved port is entered at once, and left in two parts. */
static void test_parts(void **state)
{
  (void)state;
  struct turn_share pair, part, more;
  assert_int_equal(enter("bob", 3, 2, &pair), -ERR_FULL);
  assert_int_equal(enter("bob", 2, 2, &pair), 0);
  part = (struct turn_share){.account = pair.account, .count = 1};
  pair.count = 1;
  assert_int_equal(enter("bob", 1, 2, &more), -ERR_FULL);
  turn_book_leave(&book, &pair);
  /* Nothing more of an account that has something is over no quota. */
  assert_int_equal(enter("bob", 0, 1, &more), 0);
  assert_ptr_equal(more.account, part.account);
  turn_book_leave(&book, &more);
  assert_int_equal(book.accounts.count, 2); /* bob's, and the realm's */
  turn_book_leave(&book, &part);
}

/* The same name in another realm is another user; a realm has a limit of its own. */
static void test_realms(void **state)
{
  (void)state;
  struct turn_share a, b, c, more;
  struct turn_claim claim = claim_of("bob", 1);
  claim.user_quota = 1;
  assert_int_equal(turn_book_enter(&book, &claim, &a), 0);
  claim.realm = bytes_of("example.com");
  claim.realm_quota = 2;
  assert_int_equal(turn_book_enter(&book, &claim, &b), 0);
  assert_ptr_not_equal(a.account, b.account);
  assert_true(turn_account_is(b.account, bytes_of("example.com"), bytes_of("bob")));
  assert_false(turn_account_is(b.account, bytes_of("example.org"), bytes_of("bob")));
  assert_false(turn_account_is(b.account, bytes_of("example.com"), bytes_of("eve")));
  assert_int_equal(turn_book_enter(&book, &claim, &more), -ERR_FULL);
  claim.name = bytes_of("eve");
  assert_int_equal(turn_book_enter(&book, &claim, &c), 0);
  claim.name = bytes_of("joe");
  assert_int_equal(turn_book_enter(&book, &claim, &more), -ERR_FULL);
  turn_book_leave(&book, &b);
  assert_int_equal(turn_book_enter(&book, &claim, &more), 0);
  /* A user who is called as a realm is. */
  claim.realm = bytes_of("example.org");
  claim.name = bytes_of("example.org");
  assert_int_equal(turn_book_enter(&book, &claim, &b), 0);
  assert_non_null(b.account->realm);
  turn_book_leave(&book, &a);
  turn_book_leave(&book, &b);
  turn_book_leave(&book, &c);
  turn_book_leave(&book, &more);
}

static void test_in_all(void **state)
{
  (void)state;
  struct turn_share a, b, c;
  struct turn_claim bob = claim_of("bob", 1), nobody = {.count = 1, .total_quota = 2};
  bob.total_quota = 2;
  assert_int_equal(turn_book_enter(&book, &bob, &a), 0);
  assert_int_equal(turn_book_enter(&book, &nobody, &b), 0);
  assert_null(b.account);
  assert_int_equal(turn_book_enter(&book, &bob, &c), -ERR_FULL);
  assert_int_equal(turn_book_enter(&book, &nobody, &c), -ERR_FULL);
  turn_book_leave(&book, &a);
  assert_int_equal(turn_book_enter(&book, &nobody, &c), 0);
  turn_book_leave(&book, &b);
  turn_book_leave(&book, &c);
}

/* Each takes its limit, the last one the rest, and then there is nothing (as in coturn). */
static void test_bandwidth(void **state)
{
  (void)state;
  struct turn_share share[3], more;
  struct turn_claim c = claim_of("bob", 1);
  c.bps = 400;
  c.bps_capacity = 1000;
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(turn_book_enter(&book, &c, &share[i]), 0);
  assert_int_equal(share[0].bps, 400);
  assert_int_equal(share[2].bps, 200);
  assert_int_equal(turn_book_enter(&book, &c, &more), -ERR_BUSY);
  assert_int_equal(book.count, 3);
  /* A capacity that a reload made smaller than what is out. */
  c.bps_capacity = 500;
  assert_int_equal(turn_book_enter(&book, &c, &more), -ERR_BUSY);
  c.bps_capacity = 0;
  assert_int_equal(turn_book_enter(&book, &c, &more), 0);
  assert_int_equal(more.bps, 400);
  turn_book_leave(&book, &more);
  /* No limit for itself, so nothing of the capacity. */
  c.bps = 0;
  c.bps_capacity = 1000;
  assert_int_equal(turn_book_enter(&book, &c, &more), 0);
  assert_int_equal(more.bps, 0);
  turn_book_leave(&book, &more);
  for (size_t i = 0; i < 3; i++)
    turn_book_leave(&book, &share[i]);
}

static void test_no_memory(void **state)
{
  (void)state;
  struct turn_share share;
  for (size_t n = 1; n <= 3; n++) {
    failing_mem_fail_at(&mem, n);
    assert_int_equal(enter("bob", 1, 1, &share), -ERR_NOMEM);
    assert_int_equal(book.count + book.accounts.count, 0);
  }
  failing_mem_fail_at(&mem, 0);
  assert_int_equal(enter("bob", 1, 1, &share), 0);
  turn_book_leave(&book, &share);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_one_account_for_one_name, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_the_empty_name, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_parts, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_realms, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_in_all, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_bandwidth, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("turn-ledger", tests, NULL, NULL);
}
