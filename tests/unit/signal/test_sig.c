/* signal/core/sig.c: what a gateway relies on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/wheel.h"
#include "signal/core/core.h"
#include "tests/support/signal_world.h"

static struct sig_world world;

static int setup(void **state)
{
  (void)state;
  world_init(&world);
  return world_start(&world);
}

static struct sig_client *connected(const char *name)
{
  struct sig_client *c = world_client(&world, name);
  struct sig_link_setup s = {.client = addr_v4(192, 0, 2, 1, 1), .transport = SIG_WEBSOCKET};
  assert_int_equal(world_connect(c, &s), 0);
  return c;
}

static void say(struct sig_client *c, const char *text)
{
  world_send(c, bytes_of(text));
}

static void wakes_once_until_drained(void **state)
{
  (void)state;
  struct sig_client *a = connected("a");
  struct sig_out out;
  say(a, "{\"type\":\"hello\"}");
  a->held = true;
  say(a, "{\"type\":\"ping\",\"t\":1}");
  assert_true(a->woken);
  a->woken = false; /* a second wake would find it false, and the world would not complain */
  say(a, "{\"type\":\"ping\",\"t\":2}");
  assert_false(a->woken);
  assert_true(sig_next(world.sig, a->link, &out));
  say(a, "{\"type\":\"ping\",\"t\":3}");
  assert_false(a->woken);
  assert_true(sig_next(world.sig, a->link, &out));
  assert_true(sig_next(world.sig, a->link, &out));
  assert_false(sig_next(world.sig, a->link, &out));
  say(a, "{\"type\":\"ping\",\"t\":4}");
  assert_true(a->woken);
  assert_true(world_fini(&world));
}

/* Two pieces in one row, and views that live until the next call. */
static void gives_head_and_body(void **state)
{
  (void)state;
  struct sig_client *a = connected("a");
  struct sig_out out;
  say(a, "{\"type\":\"hello\"}");
  a->held = true;
  say(a, "{\"type\":\"join\",\"room\":\"r\"}");
  say(a, "{\"type\":\"ping\"}");
  assert_true(sig_next(world.sig, a->link, &out));
  assert_int_equal(out.seq, 1);
  assert_true(bytes_equal(out.head, bytes_of("{\"seq\":1,")));
  assert_true(bytes_equal(out.body, bytes_of("\"type\":\"joined\",\"room\":\"r\",\"peers\":[]}")));
  assert_true(sig_next(world.sig, a->link, &out));
  assert_int_equal(out.seq, 0);
  assert_true(bytes_equal(out.head, bytes_of("{")));
  assert_true(bytes_equal(out.body, bytes_of("\"type\":\"pong\"}")));
  assert_int_equal(sig_counters(world.sig)->messages_out, 3);
  assert_true(world_fini(&world));
}

static void refuses_links_without_an_effect(void **state)
{
  (void)state;
  struct sig_link *link = NULL;
  struct sig_link_setup s = {.client = addr_v4(192, 0, 2, 1, 1),
                             .origin = bytes_of("https://evil.example"),
                             .host = bytes_of("call.example")};
  assert_int_equal(sig_link_open(world.sig, &s, world.now_ms, &link), -ERR_DENIED);
  uint8_t *token = calloc(1, SIG_TOKEN_SIZE + 1);
  assert_non_null(token);
  s.origin = bytes_of("");
  s.token = (struct bytes){token, SIG_TOKEN_SIZE + 1};
  assert_int_equal(sig_link_open(world.sig, &s, world.now_ms, &link), -ERR_DENIED);
  s.token.len--;
  assert_int_equal(sig_link_open(world.sig, &s, world.now_ms, &link), 0);
  free(token);
  assert_int_equal(sig_counters(world.sig)->links_refused, 2);
  assert_int_equal(sig_counters(world.sig)->links_by_transport[SIG_WEBSOCKET], 1);
  sig_link_gone(world.sig, link, world.now_ms);
  assert_int_equal(sig_counters(world.sig)->links_by_transport[SIG_WEBSOCKET], 0);
  assert_true(world_fini(&world));
}

static void names_the_peer_and_not_the_key(void **state)
{
  (void)state;
  struct sig_client *a = connected("a");
  assert_int_equal(sig_link_peer(a->link).len, 0);
  say(a, "{\"type\":\"hello\"}");
  assert_int_equal(sig_link_peer(a->link).len, SIG_PEER_TEXT);
  const char *key = strstr(world_next(a), "\"key\":\"");
  assert_non_null(key);
  char text[SIG_KEY_TEXT + 1] = {0};
  memcpy(text, key + 7, SIG_KEY_TEXT);
  assert_null(strstr(world.log_text, text));
  assert_non_null(strstr(world.log_text, "session-opened"));
  assert_true(world_fini(&world));
}

/* The id is found from the key alone, which is all that an HTTP request brings. */
static void ids_follow_from_keys_and_differ(void **state)
{
  (void)state;
  struct sig_session *a, *b;
  say(connected("a"), "{\"type\":\"hello\"}");
  say(connected("b"), "{\"type\":\"hello\"}");
  a = world_client(&world, "a")->link->session;
  b = world_client(&world, "b")->link->session;
  assert_non_null(a);
  assert_non_null(b);
  assert_memory_not_equal(a->key, b->key, sizeof(a->key));
  assert_memory_not_equal(a->id, b->id, sizeof(a->id));
  assert_memory_not_equal(a->peer, b->peer, sizeof(a->peer));
  const struct bytes piece[] = {SIG_LIT("viaduct session"), SIG_ARRAY(a->key)};
  uint8_t digest[SHA256_SIZE];
  char id[SIG_SESSION_TEXT];
  struct buf text;
  digest_sha256(piece, 2, digest);
  buf_init(&text, id, sizeof(id));
  buf_put_base64url(&text, digest, 16);
  assert_memory_equal(a->id, id, sizeof(id));
  assert_true(world_fini(&world));
}

static void says_when_to_tick(void **state)
{
  (void)state;
  assert_true(sig_next_ms(world.sig) == WHEEL_NEVER);
  struct sig_client *a = connected("a");
  assert_true(sig_next_ms(world.sig) <= world.now_ms + 10000);
  say(a, "{\"type\":\"hello\"}");
  assert_true(sig_next_ms(world.sig) == WHEEL_NEVER);
  world_drop(a);
  assert_true(sig_next_ms(world.sig) <= world.now_ms + 30000);
  world_elapse(&world, 30000);
  /* The spent bucket of the address is all that may be left. */
  world_elapse(&world, 3000);
  assert_true(sig_next_ms(world.sig) == WHEEL_NEVER);
  assert_true(world_fini(&world));
}

static void follows_the_wall_clock(void **state)
{
  (void)state;
  assert_int_equal(sig__wall_s(world.sig, world.now_ms), world.wall_ms / 1000);
  assert_int_equal(sig__wall_s(world.sig, world.now_ms + 5000), world.wall_ms / 1000 + 5);
  sig_set_wall(world.sig, world.now_ms, 1000);
  assert_int_equal(sig__wall_s(world.sig, world.now_ms + 2000), 3);
  assert_true(world_fini(&world));
}

/* With everything in use: members in rooms, messages in outboxes, a slow reader, somebody away. */
static void frees_everything(void **state)
{
  (void)state;
  struct sig_client *a = connected("a"), *b = connected("b"), *c = connected("c");
  say(a, "{\"type\":\"hello\"}");
  say(b, "{\"type\":\"hello\"}");
  b->held = true;
  say(a, "{\"type\":\"join\",\"room\":\"r\"}");
  say(b, "{\"type\":\"join\",\"room\":\"r\"}");
  say(b, "{\"type\":\"join\",\"room\":\"s\"}");
  say(b, "{\"type\":\"ping\"}");
  say(a, "{\"type\":\"broadcast\",\"room\":\"r\",\"data\":1,\"id\":1}");
  say(c, "{\"type\":\"ping\"}");
  world_drop(a);
  assert_true(world_fini(&world));
  sig_free(NULL);
}

/* An answer that cannot be made would be missed in silence: the session ends instead, and no other.
 */
static void ends_rather_than_stay_silent(void **state)
{
  (void)state;
  struct sig_client *a = connected("a"), *b = connected("b");
  say(a, "{\"type\":\"hello\"}");
  say(b, "{\"type\":\"hello\"}");
  failing_mem_fail_all(&world.memory);
  say(a, "{\"type\":\"nonsense\"}");
  failing_mem_fail_at(&world.memory, 0);
  assert_true(a->closed);
  assert_false(b->closed);
  assert_int_equal(sig_counters(world.sig)->sessions, 1);
  assert_true(world_fini(&world));
}

static void is_full_by_sessions(void **state)
{
  (void)state;
  world.config.limits.sessions = 1;
  assert_false(sig_is_full(world.sig));
  say(connected("a"), "{\"type\":\"hello\"}");
  assert_true(sig_is_full(world.sig));
  world.config.limits.sessions = 0;
  assert_false(sig_is_full(world.sig));
  assert_true(world_fini(&world));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(wakes_once_until_drained, setup),
      cmocka_unit_test_setup(gives_head_and_body, setup),
      cmocka_unit_test_setup(refuses_links_without_an_effect, setup),
      cmocka_unit_test_setup(names_the_peer_and_not_the_key, setup),
      cmocka_unit_test_setup(ids_follow_from_keys_and_differ, setup),
      cmocka_unit_test_setup(says_when_to_tick, setup),
      cmocka_unit_test_setup(follows_the_wall_clock, setup),
      cmocka_unit_test_setup(frees_everything, setup),
      cmocka_unit_test_setup(ends_rather_than_stay_silent, setup),
      cmocka_unit_test_setup(is_full_by_sessions, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
