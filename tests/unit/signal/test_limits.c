/* signal/core/limits.c: buckets, sources, remembered ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "signal/core/core.h"
#include "tests/support/signal_world.h"

static struct sig_world world;

static int setup(void **state)
{
  (void)state;
  world_init(&world);
  world.config.limits.address_message_rate = 0;
  world.config.limits.address_byte_rate = 0;
  return 0;
}

static struct sig_client *connected(const char *name, const char *address)
{
  struct sig_client *c = world_client(&world, name);
  struct sig_link_setup s = {.transport = SIG_WEBSOCKET};
  assert_int_equal(addr_parse(bytes_of(address), &s.client), 0);
  assert_int_equal(world_connect(c, &s), 0);
  return c;
}

static struct sig_client *greeted(const char *name, const char *address)
{
  struct sig_client *c = connected(name, address);
  world_send(c, bytes_of("{\"type\":\"hello\"}"));
  assert_non_null(c->link->session);
  return c;
}

static uint32_t take(struct sig_client *c, size_t len)
{
  return sig__limits_take(world.sig, c->link, len, world.now_ms);
}

static void bucket_of_messages(void **state)
{
  (void)state;
  world.config.limits.message_rate = 10;
  world.config.limits.byte_rate = 0;
  assert_int_equal(world_start(&world), 0);
  struct sig_client *c = greeted("a", "192.0.2.1");
  for (int i = 0; i < 20; i++) {
    assert_int_equal(take(c, 1000000), 0);
  }
  assert_int_equal(take(c, 1), 1);
  world.now_ms += 99;
  assert_int_equal(take(c, 1), 1);
  world.now_ms += 1;
  assert_int_equal(take(c, 1), 0);
  assert_int_equal(take(c, 1), 1);
  /* Never fuller than full. */
  world.now_ms += 3600000;
  for (int i = 0; i < 20; i++) {
    assert_int_equal(take(c, 1), 0);
  }
  assert_int_equal(take(c, 1), 1);
  assert_true(world_fini(&world));
}

static void bucket_of_bytes(void **state)
{
  (void)state;
  world.config.limits.message_rate = 0;
  world.config.limits.byte_rate = 100;
  world.config.limits.message_size = 150;
  assert_int_equal(world_start(&world), 0);
  struct sig_client *c = greeted("a", "192.0.2.1");
  assert_int_equal(take(c, 150), 0);
  assert_int_equal(take(c, 50), 0);
  assert_int_equal(take(c, 101), 2);
  /* What was refused took nothing. */
  assert_int_equal(take(c, 1), 1);
  world.now_ms += 1000;
  assert_int_equal(take(c, 100), 0);
  /* A rate below the largest message lets that through still, now and then. */
  world.config.limits.message_size = 1000;
  assert_int_equal(take(c, 1000), 2);
  world.now_ms += 2000;
  assert_int_equal(take(c, 1000), 0);
  assert_true(world_fini(&world));
}

static void waits_are_never_zero_seconds(void **state)
{
  (void)state;
  world.config.limits.message_rate = 1000000;
  assert_int_equal(world_start(&world), 0);
  struct sig_client *c = greeted("a", "192.0.2.1");
  uint32_t wait_s = 0;
  for (int i = 0; i < 3000000 && wait_s == 0; i++) {
    wait_s = take(c, 0);
  }
  assert_int_equal(wait_s, 1);
  assert_true(world_fini(&world));
}

static struct sig_source *source(const char *address)
{
  struct addr a;
  struct sig_source *out;
  assert_int_equal(addr_parse(bytes_of(address), &a), 0);
  assert_int_equal(sig__source_get(world.sig, &a, &out), 0);
  return out;
}

static void sources_are_networks(void **state)
{
  (void)state;
  assert_int_equal(world_start(&world), 0);
  struct sig_source *v4 = source("192.0.2.1:5"), *v6 = source("[2001:db8:1:2::5]:7");
  assert_ptr_equal(source("192.0.2.1:9"), v4);
  assert_ptr_equal(source("::ffff:192.0.2.1"), v4);
  assert_ptr_not_equal(source("192.0.2.2"), v4);
  assert_ptr_equal(source("2001:db8:1:2:ffff::"), v6);
  assert_ptr_not_equal(source("2001:db8:1:3::5"), v6);
  assert_ptr_not_equal(source("::1"), source("::"));
  assert_true(world_fini(&world));
}

static void source_outlives_its_links_while_it_owes(void **state)
{
  (void)state;
  world.config.limits.address_message_rate = 1;
  world.config.limits.resume_s = 0;
  assert_int_equal(world_start(&world), 0);
  struct sig_client *c = connected("a", "192.0.2.1");
  assert_int_equal(world.sig->sources.count, 1);
  world_drop(c);
  assert_int_equal(world.sig->sources.count, 0);
  c = connected("a", "192.0.2.1");
  assert_int_equal(take(c, 1), 0);
  assert_int_equal(take(c, 1), 0);
  world_drop(c);
  assert_int_equal(world.sig->sources.count, 1);
  c = connected("a", "192.0.2.1");
  assert_int_equal(take(c, 1), 1);
  world_drop(c);
  world_elapse(&world, 1999);
  assert_int_equal(world.sig->sources.count, 1);
  world_elapse(&world, 10);
  assert_int_equal(world.sig->sources.count, 0);
  assert_true(world_fini(&world));
}

/* Nothing is kept of an address whose last session has ended long after its last link. */
static void source_goes_with_its_last_session(void **state)
{
  (void)state;
  assert_int_equal(world_start(&world), 0);
  struct sig_client *c = greeted("a", "192.0.2.1");
  world_elapse(&world, 60000);
  world_drop(c);
  assert_int_equal(world.sig->sources.count, 1);
  world_elapse(&world, 30000);
  assert_int_equal(world.sig->counters.sessions, 0);
  assert_int_equal(world.sig->sources.count, 0);
  assert_true(world_fini(&world));
}

static void remembers_the_last_ids(void **state)
{
  (void)state;
  assert_int_equal(world_start(&world), 0);
  struct sig_session *session = greeted("a", "192.0.2.1")->link->session;
  assert_false(sig__seen(world.sig, session, bytes_of("x")));
  assert_int_equal(sig__seen_reserve(world.sig, session), 0);
  for (uint32_t i = 0; i < 5 * SIG_SEEN; i++) {
    struct bytes id = {(const uint8_t *)&i, sizeof(i)};
    assert_false(sig__seen(world.sig, session, id));
    sig__seen_add(world.sig, session, id);
    assert_true(sig__seen(world.sig, session, id));
    uint32_t oldest = i - SIG_SEEN + 1, before = i - SIG_SEEN;
    if (i >= SIG_SEEN) {
      assert_true(sig__seen(world.sig, session, (struct bytes){(uint8_t *)&oldest, 4}));
      assert_false(sig__seen(world.sig, session, (struct bytes){(uint8_t *)&before, 4}));
    }
  }
  assert_true(world_fini(&world));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(bucket_of_messages, setup),
      cmocka_unit_test_setup(bucket_of_bytes, setup),
      cmocka_unit_test_setup(waits_are_never_zero_seconds, setup),
      cmocka_unit_test_setup(sources_are_networks, setup),
      cmocka_unit_test_setup(source_outlives_its_links_while_it_owes, setup),
      cmocka_unit_test_setup(source_goes_with_its_last_session, setup),
      cmocka_unit_test_setup(remembers_the_last_ids, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
