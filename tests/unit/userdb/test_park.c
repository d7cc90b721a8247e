/* turn/userdb/park.c: who waits, in which order, and how many. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/support/failing_mem.h"
#include "turn/userdb/park.h"

static struct failing_mem mem;
static struct userdb_park park;

static int set_up(void **state)
{
  (void)state;
  failing_mem_init(&mem);
  userdb_park_init(&park, &mem.mem);
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  userdb_park_fini(&park);
  return mem.blocks != 0 || park.count != 0 || park.bytes != 0;
}

static struct turn_flow flow_of(enum turn_transport transport, uint8_t ip, uint16_t port)
{
  return (struct turn_flow){.client = addr_v4(192, 0, 2, ip, port),
                            .server = addr_v4(192, 0, 2, 99, 3478),
                            .transport = transport,
                            .link = transport == TURN_UDP ? 0 : port};
}

static int put(const struct turn_flow *flow, const char *text, uint64_t question, uint64_t now_ms)
{
  uint8_t bytes[64];
  const struct dgram d = {bytes, sizeof(bytes), bytes, strlen(text)};
  memcpy(bytes, text, d.len);
  return userdb_park_put(&park, flow, &d, question, now_ms);
}

static void expect_next(uint64_t question, const char *text)
{
  struct userdb_parked *m = userdb_park_next(&park, question);
  if (text == NULL) {
    assert_null(m);
    return;
  }
  assert_non_null(m);
  assert_int_equal(m->d.len, strlen(text));
  assert_memory_equal(m->d.at, text, m->d.len);
  assert_true(dgram_headroom(&m->d) >= DGRAM_HEADROOM && dgram_tailroom(&m->d) >= DGRAM_TAILROOM);
  userdb_park_free(&park, m);
}

static void by_question(void **state)
{
  (void)state;
  const struct turn_flow a = flow_of(TURN_UDP, 1, 1), b = flow_of(TURN_UDP, 1, 2);
  assert_int_equal(put(&a, "one", 1, 0), 0);
  assert_int_equal(put(&b, "two", 2, 0), 0);
  assert_int_equal(put(&b, "three", 1, 0), 0);
  expect_next(3, NULL);
  expect_next(1, "one");
  expect_next(1, "three");
  expect_next(1, NULL);
  expect_next(2, "two");
}

/* A retransmission waits once; a stream has none, there the same bytes are two messages. */
static void retransmissions(void **state)
{
  (void)state;
  const struct turn_flow a = flow_of(TURN_UDP, 1, 1), s = flow_of(TURN_TCP, 1, 1);
  assert_int_equal(put(&a, "one", 1, 0), 0);
  assert_int_equal(put(&a, "one", 1, 5), 0);
  assert_int_equal(park.count, 1);
  assert_int_equal(put(&s, "one", 1, 0), 0);
  assert_int_equal(put(&s, "one", 0, 0), 0);
  assert_int_equal(park.count, 3);
}

static void streams_stay_in_order(void **state)
{
  (void)state;
  const struct turn_flow s = flow_of(TURN_TLS, 1, 1), t = flow_of(TURN_TLS, 1, 2);
  assert_false(userdb_park_has(&park, &s));
  assert_int_equal(put(&s, "one", 1, 0), 0);
  assert_true(userdb_park_has(&park, &s));
  assert_false(userdb_park_has(&park, &t));
  assert_int_equal(put(&s, "two", 0, 0), 0);
  assert_int_equal(put(&t, "other", 2, 0), 0);
  assert_int_equal(put(&s, "three", 0, 0), 0);
  expect_next(1, "one");
  expect_next(1, "two");
  expect_next(1, "three");
  expect_next(1, NULL);
  /* The number of a connection is part of it: the next one of that client is another. */
  struct turn_flow next = t;
  next.link++;
  assert_false(userdb_park_has(&park, &next));
}

static void bounds(void **state)
{
  (void)state;
  const struct turn_flow a = flow_of(TURN_UDP, 1, 1);
  char text[] = "a";
  for (int i = 0; i < USERDB_PARKED_STREAM; i++, text[0]++)
    assert_int_equal(put(&a, text, 1, 0), 0);
  assert_int_equal(put(&a, "more", 1, 0), -ERR_FULL);
  for (uint16_t i = USERDB_PARKED_STREAM; i < USERDB_PARKED_ADDRESS; i++) {
    const struct turn_flow f = flow_of(TURN_UDP, 1, i);
    assert_int_equal(put(&f, "x", 1, 0), 0);
  }
  const struct turn_flow more = flow_of(TURN_UDP, 1, 1000);
  assert_int_equal(put(&more, "x", 1, 0), -ERR_FULL);
  for (uint8_t ip = 2; park.count < USERDB_PARKED_MAX; ip++) {
    const struct turn_flow f = flow_of(TURN_UDP, ip, 1);
    assert_int_equal(put(&f, "x", 1, 0), 0);
  }
  const struct turn_flow last = flow_of(TURN_UDP, 255, 1);
  assert_int_equal(put(&last, "x", 1, 0), -ERR_FULL);
}

static void bounds_of_bytes(void **state)
{
  (void)state;
  static uint8_t bytes[65536];
  const struct turn_flow s = flow_of(TURN_TCP, 1, 1);
  struct dgram d = {bytes, sizeof(bytes), bytes, USERDB_PARKED_MESSAGE + 1};
  assert_int_equal(userdb_park_put(&park, &s, &d, 1, 0), -ERR_RANGE);
  d.len--;
  assert_int_equal(userdb_park_put(&park, &s, &d, 1, 0), 0);
  d.len = sizeof(bytes);
  int r = 0;
  for (uint16_t i = 1; i < 20 && r == 0; i++) {
    const struct turn_flow f = flow_of(TURN_TCP, 1, i);
    r = userdb_park_put(&park, &f, &d, 0, 0);
  }
  assert_int_equal(r, -ERR_FULL);
  assert_true(park.bytes <= USERDB_PARKED_BYTES);
}

static void late_and_gone(void **state)
{
  (void)state;
  const struct turn_flow a = flow_of(TURN_UDP, 1, 1), s = flow_of(TURN_TCP, 1, 1);
  assert_int_equal(put(&a, "one", 1, 0), 0);
  assert_int_equal(put(&s, "two", 1, 1), 0);
  assert_int_equal(put(&s, "three", 0, 2), 0);
  assert_null(userdb_park_late(&park, USERDB_PARKED_MS - 1));
  userdb_park_free(&park, userdb_park_late(&park, USERDB_PARKED_MS));
  assert_null(userdb_park_late(&park, USERDB_PARKED_MS));
  struct userdb_parked *fed = userdb_park_next(&park, 1);
  fed->fed = true; /* its owner works on it: it stays until he frees it */
  userdb_park_forget(&park, &s);
  assert_int_equal(park.count, 1);
  userdb_park_free(&park, fed);
}

static void without_memory(void **state)
{
  (void)state;
  const struct turn_flow a = flow_of(TURN_UDP, 1, 1);
  failing_mem_fail_at(&mem, 1);
  assert_int_equal(put(&a, "one", 1, 0), -ERR_NOMEM);
  assert_int_equal(put(&a, "", 1, 0), 0);
  expect_next(1, "");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(by_question),     TEST(retransmissions), TEST(streams_stay_in_order), TEST(bounds),
      TEST(bounds_of_bytes), TEST(late_and_gone),   TEST(without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
