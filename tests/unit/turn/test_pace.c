/* turn/pace.c: when a worker rests behind its rounds (stream-coalesce-us). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "turn/pace.h"

enum { BEGIN_MS = 1000 * 1000 };

static struct turnd_pace opened(void)
{
  struct turnd_pace p = {.messages = 0};
  assert_false(turnd_pace_rests(&p, BEGIN_MS));
  return p;
}

/* `per_ms` messages in each millisecond, and a round behind them; whether the last one rests. */
static bool run(struct turnd_pace *p, uint64_t *now_ms, uint64_t ms, uint32_t per_ms)
{
  bool rests = false;
  for (const uint64_t end_ms = *now_ms + ms; *now_ms < end_ms; ++*now_ms) {
    for (uint32_t i = 0; i < per_ms; i++)
      turnd_pace_message(p);
    rests = turnd_pace_rests(p, *now_ms + 1);
  }
  return rests;
}

static void test_few_and_many(void **state)
{
  (void)state;
  struct turnd_pace p = opened();
  uint64_t now_ms = BEGIN_MS;
  assert_false(run(&p, &now_ms, 100, TURND_PACE_PER_MS - 1));
  assert_false(run(&p, &now_ms, TURND_PACE_WINDOW_MS - 4 - 1, TURND_PACE_PER_MS));
  assert_true(run(&p, &now_ms, 2 * TURND_PACE_WINDOW_MS, TURND_PACE_PER_MS));
  assert_true(run(&p, &now_ms, 100, TURND_PACE_PER_MS));
  assert_false(run(&p, &now_ms, 2 * TURND_PACE_WINDOW_MS, TURND_PACE_PER_MS - 1));
}

/* What comes after a silence is handled at once, however much came before. */
static void test_silence(void **state)
{
  (void)state;
  struct turnd_pace p = opened();
  uint64_t now_ms = BEGIN_MS;
  assert_true(run(&p, &now_ms, 100, 100));
  turnd_pace_message(&p);
  assert_false(turnd_pace_rests(&p, now_ms + 1000));
}

static void test_one_burst_is_not_plenty(void **state)
{
  (void)state;
  struct turnd_pace p = opened();
  for (uint32_t i = 0; i < TURND_PACE_PER_MS * TURND_PACE_WINDOW_MS; i++)
    turnd_pace_message(&p);
  assert_false(turnd_pace_rests(&p, BEGIN_MS));
  assert_false(turnd_pace_rests(&p, BEGIN_MS + TURND_PACE_WINDOW_MS - 1));
  assert_false(turnd_pace_rests(&p, BEGIN_MS + TURND_PACE_WINDOW_MS + 1));
}

/* One of a flow over UDP, and none is held up for as long as its next could take. */
static void test_datagrams_go_first(void **state)
{
  (void)state;
  struct turnd_pace p = opened();
  uint64_t now_ms = BEGIN_MS;
  assert_true(run(&p, &now_ms, 100, 100));
  turnd_pace_datagram(&p);
  assert_false(run(&p, &now_ms, TURND_PACE_CLEAR_MS, 100));
  assert_true(run(&p, &now_ms, 1, 100));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_few_and_many),
      cmocka_unit_test(test_silence),
      cmocka_unit_test(test_one_burst_is_not_plenty),
      cmocka_unit_test(test_datagrams_go_first),
  };
  return cmocka_run_group_tests_name("turn-pace", tests, NULL, NULL);
}
