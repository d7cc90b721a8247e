/* turn/core/challenge.c: so many 401s for each address and second, in a fixed amount of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "turn/core/internal.h"

static struct turn t;
static struct turn_config config;

static int setup(void **state)
{
  (void)state;
  memset(&t, 0, sizeof(t));
  t.hash_key = (struct hash_key){1, 2};
  config = (struct turn_config){.unauthorized_per_s = 10};
  t.config = &config;
  t.share_count = 1;
  return 0;
}

static bool may(const char *client, enum turn_transport transport, uint64_t now_ms)
{
  struct turn_flow f = {.transport = transport};
  assert_int_equal(addr_parse(bytes_of(client), &f.client), 0);
  return turn__challenge_may(&t, &f, now_ms);
}

static size_t count(const char *client, uint64_t now_ms)
{
  size_t n = 0;
  while (n < 100000 && may(client, TURN_UDP, now_ms))
    n++;
  return n;
}

static void test_a_burst_and_then_a_rate(void **state)
{
  (void)state;
  assert_int_equal(count("8.8.8.8:1", 5000), 100);
  assert_false(may("8.8.8.8:1", TURN_UDP, 5099));
  assert_true(may("8.8.8.8:1", TURN_UDP, 5100));
  assert_false(may("8.8.8.8:1", TURN_UDP, 5100));
  assert_int_equal(count("8.8.8.8:1", 6100), 10);
  assert_int_equal(count("8.8.8.8:1", 1000000), 100); /* and no more than that, however long */
  assert_int_equal(t.counters.unauthorized_unanswered, 5);
}

/* Four workers give together what one alone would; and none of them gives nothing at all. */
static void test_a_share_of_the_rate(void **state)
{
  (void)state;
  t.share_count = 4;
  assert_int_equal(count("8.8.8.8:1", 5000), 25);
  assert_false(may("8.8.8.8:1", TURN_UDP, 5399));
  assert_true(may("8.8.8.8:1", TURN_UDP, 5400));
  config.unauthorized_per_s = 1;
  t.share_count = 64;
  assert_int_equal(count("8.8.8.9:1", 0), 1);
}

static void test_another_port_is_the_same_address(void **state)
{
  (void)state;
  assert_int_equal(count("8.8.8.8:1", 0), 100);
  assert_false(may("8.8.8.8:2", TURN_UDP, 0));
  assert_true(may("8.8.8.9:1", TURN_UDP, 0));
}

static void test_ipv6_counts_by_64_bits(void **state)
{
  (void)state;
  assert_int_equal(count("[2a00:1:2:3::1]:1", 0), 100);
  assert_false(may("[2a00:1:2:3:ffff::2]:1", TURN_UDP, 0));
  assert_true(may("[2a00:1:2:4::1]:1", TURN_UDP, 0));
}

/* A forged address uses up nobody's allowance for connections. */
static void test_streams_have_their_own(void **state)
{
  (void)state;
  assert_int_equal(count("8.8.8.8:1", 0), 100);
  assert_true(may("8.8.8.8:1", TURN_TCP, 0));
  for (int i = 0; i < 99; i++)
    assert_true(may("8.8.8.8:1", i % 2 ? TURN_TLS : TURN_DTLS, 0));
  assert_false(may("8.8.8.8:1", TURN_TCP, 0));
}

static void test_0_is_no_limit(void **state)
{
  (void)state;
  config.unauthorized_per_s = 0;
  assert_int_equal(count("8.8.8.8:1", 0), 100000);
  assert_int_equal(t.counters.unauthorized_unanswered, 0);
}

/* A flood from everywhere: the others still get theirs, as far as the rows go round. */
static void test_a_flood_of_addresses(void **state)
{
  (void)state;
  size_t answered = 0;
  config.unauthorized_per_s = 1;
  for (uint32_t i = 0; i < 1000000; i++) {
    struct turn_flow f = {.client =
                              addr_v4((uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 1, 9)};
    answered += turn__challenge_may(&t, &f, 0);
  }
  assert_int_equal(answered, TURN__CHALLENGE_ROWS * 10);
  assert_true(may("8.8.8.8:1", TURN_UDP, 1000));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_a_burst_and_then_a_rate, setup),
      cmocka_unit_test_setup(test_a_share_of_the_rate, setup),
      cmocka_unit_test_setup(test_another_port_is_the_same_address, setup),
      cmocka_unit_test_setup(test_ipv6_counts_by_64_bits, setup),
      cmocka_unit_test_setup(test_streams_have_their_own, setup),
      cmocka_unit_test_setup(test_0_is_no_limit, setup),
      cmocka_unit_test_setup(test_a_flood_of_addresses, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
