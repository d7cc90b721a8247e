/* signal/core/measure.c: how long messages waited, and what the outboxes hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "signal/core/core.h"
#include "tests/support/signal_world.h"

static struct sig_world world;

static struct sig_client *start(const char *name, enum sig_transport transport)
{
  struct sig_client *c = world_client(&world, name);
  struct sig_link_setup s = {.client = addr_v4(192, 0, 2, 1, 1), .transport = transport};
  assert_int_equal(world_connect(c, &s), 0);
  world_send(c, bytes_of("{\"type\":\"hello\"}"));
  assert_non_null(c->link->session);
  return c;
}

static int setup(void **state)
{
  (void)state;
  world_init(&world);
  return world_start(&world);
}

static void join(struct sig_client *c)
{
  world_send(c, bytes_of("{\"type\":\"join\",\"room\":\"r\"}"));
}

/* Each bound belongs to its own bucket, and ticks may wrap meanwhile. */
static void latencies_by_bound(void **state)
{
  (void)state;
  struct sig_client *c = start("c", SIG_SSE);
  const struct sig_counters *n = sig_counters(world.sig);
  uint32_t made = UINT32_MAX - 1;
  uint64_t sum = 0;
  for (size_t i = 0; i < SIG_LATENCY_BOUNDS; i++) {
    const uint32_t bound = sig_latency_bound_us[i] / SIG_TICK_US;
    for (uint32_t more = 0; more < 2; more++) {
      c->held = true;
      sig_set_tick(world.sig, made);
      join(c);
      sig_set_tick(world.sig, made + bound + more);
      c->held = false;
      world_settle(&world);
      sum += bound + more;
    }
    assert_int_equal(n->latency[SIG_SSE][i], i == 0 ? 1 : 2);
    assert_int_equal(n->latency[SIG_SSE][i + 1], 1);
    assert_int_equal(n->latency_ticks[SIG_SSE], sum);
  }
  assert_int_equal(n->latency[SIG_WEBSOCKET][0], 0);
  assert_true(world_fini(&world));
}

static void survey_of_sessions(void **state)
{
  (void)state;
  struct sig_survey survey = {0};
  sig_survey(world.sig, &survey);
  assert_int_equal(survey.away + survey.by_depth[0], 0);
  struct sig_client *a = start("a", SIG_WEBSOCKET), *b = start("b", SIG_SSE);
  for (int i = 0; i < 5; i++)
    join(a);
  join(b); /* tells a */
  (void)start("c", SIG_LONGPOLL);
  world_drop(a);
  survey = (struct sig_survey){0};
  sig_survey(world.sig, &survey);
  assert_int_equal(survey.away, 1);
  assert_int_equal(survey.by_transport[SIG_WEBSOCKET], 0);
  assert_int_equal(survey.by_transport[SIG_SSE], 1);
  assert_int_equal(survey.by_transport[SIG_LONGPOLL], 1);
  assert_int_equal(survey.by_depth[0], 1); /* c: none */
  assert_int_equal(survey.by_depth[1], 1); /* b: 1 of up to 4 */
  assert_int_equal(survey.by_depth[2], 1); /* a: 6 of up to 16 */
  assert_int_equal(survey.deepest_messages, 6);
  assert_in_range(survey.deepest_bytes, 6 * 20, 6 * 200);
  assert_true(world_fini(&world));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(latencies_by_bound, setup),
      cmocka_unit_test_setup(survey_of_sessions, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
