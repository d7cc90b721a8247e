/* sig_setup.beside: two cores of one worker. What is shared, and what must not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "signal/core/core.h"
#include "tests/support/signal_world.h"

static struct sig_world world;
static struct sig *other;
static struct sig_config other_config;

static void start(void)
{
  assert_int_equal(world_start(&world), 0);
  const struct sig_setup setup = {.beside = world.sig,
                                  .config = &other_config,
                                  .effects = &world.effects,
                                  .mem = &world.memory.mem,
                                  .random = &world.random,
                                  .log = &world.log,
                                  .now_ms = world.now_ms,
                                  .wall_ms = world.wall_ms};
  assert_int_equal(sig_new(&setup, &other), 0);
}

static int setup(void **state)
{
  (void)state;
  world_init(&world);
  sig_config_defaults(&other_config);
  return 0;
}

/* The one that was made first goes last. */
static int finish(void **state)
{
  (void)state;
  sig_free(other);
  other = NULL;
  return world_fini(&world) ? 0 : 1;
}

static struct sig_link *open_link(struct sig *s, const char *name)
{
  struct sig_link *link = NULL;
  const struct sig_link_setup of = {.client = addr_v4(192, 0, 2, 1, 5000),
                                    .transport = SIG_WEBSOCKET,
                                    .edge = world_client(&world, name)};
  assert_int_equal(sig_link_open(s, &of, world.now_ms, &link), 0);
  return link;
}

/* The error that the answer is, SIG_ERROR_COUNT where it is none. */
static enum sig_error say(struct sig *s, struct sig_link *link, const char *text)
{
  struct sig_out out;
  sig_input(s, link, bytes_of(text), world.now_ms);
  return sig_next(s, link, &out) ? out.error : SIG_ERROR_COUNT;
}

static struct bytes key_of(struct sig_link *link, char text[SIG_KEY_TEXT])
{
  struct buf b;
  buf_init(&b, text, SIG_KEY_TEXT);
  buf_put_base64url(&b, link->session->key, sizeof(link->session->key));
  return (struct bytes){b.at, b.len};
}

static void an_address_is_counted_over_both(void **state)
{
  (void)state;
  world.config.limits.sessions_per_address = other_config.limits.sessions_per_address = 1;
  other_config.limits.links_per_address = 3;
  start();
  struct sig_link *a = open_link(world.sig, "a"), *b = open_link(other, "b");
  assert_ptr_equal(a->source, b->source);
  assert_int_equal(say(world.sig, a, "{\"type\":\"hello\"}"), SIG_ERROR_COUNT);
  assert_int_equal(say(other, b, "{\"type\":\"hello\"}"), SIG_ERROR_SERVER_FULL);
  (void)open_link(other, "c");
  struct sig_link *refused;
  const struct sig_link_setup of = {.client = addr_v4(192, 0, 2, 1, 5000), .edge = NULL};
  assert_int_equal(sig_link_open(other, &of, world.now_ms, &refused), -ERR_FULL);
}

static void what_an_address_has_used_up_is_gone_for_both(void **state)
{
  (void)state;
  world.config.limits.address_message_rate = other_config.limits.address_message_rate = 1;
  start();
  struct sig_link *a = open_link(world.sig, "a"), *b = open_link(other, "b");
  assert_int_equal(say(world.sig, a, "{\"type\":\"hello\"}"), SIG_ERROR_COUNT);
  assert_int_equal(say(other, b, "{\"type\":\"hello\"}"), SIG_ERROR_COUNT);
  sig_input(other, b, bytes_of("{\"type\":\"ping\"}"), world.now_ms);
  assert_int_equal(sig_counters(other)->errors[SIG_ERROR_RATE_LIMITED], 1);
}

static void the_sum_of_sessions(void **state)
{
  (void)state;
  world.config.limits.all_sessions = other_config.limits.all_sessions = 2;
  start();
  struct sig_link *a = open_link(world.sig, "a"), *b = open_link(other, "b"),
                  *c = open_link(other, "c"), *d = open_link(world.sig, "d");
  assert_int_equal(say(world.sig, a, "{\"type\":\"hello\"}"), SIG_ERROR_COUNT);
  assert_false(sig_is_full(other));
  assert_int_equal(say(other, b, "{\"type\":\"hello\"}"), SIG_ERROR_COUNT);
  assert_true(sig_is_full(other) && sig_is_full(world.sig));
  assert_int_equal(say(other, c, "{\"type\":\"hello\"}"), SIG_ERROR_SERVER_FULL);
  sig_input(other, b, bytes_of("{\"type\":\"bye\"}"), world.now_ms);
  assert_int_equal(say(world.sig, d, "{\"type\":\"hello\"}"), SIG_ERROR_COUNT);
  /* And links, of which there may be twice as many. */
  struct sig_link *refused;
  const struct sig_link_setup of = {.client = addr_v4(192, 0, 2, 2, 5000), .edge = NULL};
  assert_int_equal(sig_link_open(other, &of, world.now_ms, &refused), -ERR_FULL);
}

static void a_key_opens_nothing_in_the_other(void **state)
{
  (void)state;
  char text[SIG_KEY_TEXT];
  start();
  struct sig_link *a = open_link(world.sig, "a"), *b = open_link(other, "b"),
                  *c = open_link(world.sig, "c");
  assert_int_equal(say(world.sig, a, "{\"type\":\"hello\"}"), SIG_ERROR_COUNT);
  struct bytes key = key_of(a, text);
  assert_false(sig_link_send(other, b, key, world.now_ms));
  assert_true(sig_link_send(world.sig, c, key, world.now_ms));
}

static void rooms_of_one_name_are_two(void **state)
{
  (void)state;
  struct sig_out out;
  start();
  struct sig_link *a = open_link(world.sig, "a"), *b = open_link(other, "b");
  assert_int_equal(say(world.sig, a, "{\"type\":\"hello\"}"), SIG_ERROR_COUNT);
  assert_int_equal(say(other, b, "{\"type\":\"hello\"}"), SIG_ERROR_COUNT);
  assert_int_equal(say(world.sig, a, "{\"type\":\"join\",\"room\":\"tea\"}"), SIG_ERROR_COUNT);
  sig_input(other, b, bytes_of("{\"type\":\"join\",\"room\":\"tea\"}"), world.now_ms);
  assert_true(sig_next(other, b, &out));
  assert_true(out.body.len > 11 &&
              memcmp(out.body.at + out.body.len - 11, "\"peers\":[]}", 11) == 0);
  assert_false(sig_next(world.sig, a, &out));
}

/* The first one's tick is everybody's. */
static void timers_run_for_both(void **state)
{
  (void)state;
  start();
  struct sig_link *b = open_link(other, "b"), *late = open_link(other, "late");
  assert_int_equal(say(other, b, "{\"type\":\"hello\"}"), SIG_ERROR_COUNT);
  sig_link_gone(other, b, world.now_ms);
  assert_int_equal(sig_counters(other)->sessions, 1);
  assert_true(sig_next_ms(world.sig) <= world.now_ms + 10000);
  world.now_ms += 31000;
  sig_tick(world.sig, world.now_ms);
  assert_int_equal(sig_counters(other)->sessions, 0);
  assert_int_equal(sig_counters(world.sig)->sessions_left[SIG_LEFT_TIMEOUT], 0);
  assert_int_equal(sig_counters(other)->sessions_left[SIG_LEFT_TIMEOUT], 1);
  assert_true(late->closing);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, finish)
  const struct CMUnitTest tests[] = {
      TEST(an_address_is_counted_over_both),
      TEST(what_an_address_has_used_up_is_gone_for_both),
      TEST(the_sum_of_sessions),
      TEST(a_key_opens_nothing_in_the_other),
      TEST(rooms_of_one_name_are_two),
      TEST(timers_run_for_both),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
