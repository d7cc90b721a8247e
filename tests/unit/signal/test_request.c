/* signal/core/request.c, and sig_batch_cut: what the transports over HTTP rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "signal/core/core.h"
#include "tests/support/signal_world.h"

static struct sig_world world;

static int setup(void **state)
{
  (void)state;
  world_init(&world);
  return world_start(&world);
}

static struct sig_client *connected(const char *name, enum sig_transport transport)
{
  struct sig_client *c = world_client(&world, name);
  struct sig_link_setup s = {.client = addr_v4(192, 0, 2, 1, 1), .transport = transport};
  assert_int_equal(world_connect(c, &s), 0);
  return c;
}

static const char *take(struct sig_client *c, const char *begin)
{
  const char *text = world_next(c);
  assert_non_null(text);
  assert_int_equal(strncmp(text, begin, strlen(begin)), 0);
  return text;
}

/* A session that nobody reads at the moment: its key. */
static void opened(const char *name, char key[SIG_KEY_TEXT + 1])
{
  struct sig_client *c = connected(name, SIG_POLL);
  world_send(c, bytes_of("{\"type\":\"hello\"}"));
  const char *at = strstr(take(c, "{\"type\":\"welcome\""), "\"key\":\"");
  assert_non_null(at);
  memcpy(key, at + strlen("\"key\":\""), SIG_KEY_TEXT);
  key[SIG_KEY_TEXT] = 0;
  world_drop(c);
}

/* Such a session, with two messages in its outbox. */
static void told_two(char key[SIG_KEY_TEXT + 1])
{
  opened("a", key);
  struct sig_client *p = connected("p", SIG_POLL);
  assert_int_equal(world_post(p, bytes_of(key),
                              bytes_of("[{\"type\":\"join\",\"room\":\"r\"},{\"type\":\"ice\"}]")),
                   0);
}

static void reads_behind_its_cursor(void **state)
{
  (void)state;
  char key[SIG_KEY_TEXT + 1];
  told_two(key);
  struct sig_client *l = connected("l", SIG_LONGPOLL);
  assert_true(world_read(l, bytes_of(key), 0));
  take(l, "{\"seq\":1,\"type\":\"joined\"");
  take(l, "{\"seq\":2,\"type\":\"ice-servers\"");
  assert_int_equal(sig_link_last(l->link), 2);
  l = connected("l", SIG_LONGPOLL);
  assert_true(world_read(l, bytes_of(key), 1));
  take(l, "{\"seq\":2,");
  /* Below what was acknowledged there is nothing any more. */
  l = connected("l", SIG_LONGPOLL);
  assert_true(world_read(l, bytes_of(key), 0));
  take(l, "{\"seq\":2,");
  assert_null(world_next(l));
  assert_true(world_fini(&world));
}

/* An earlier reader got further than the one of now: what is confirmed meanwhile is skipped, not
 * read where it was. */
static void skips_what_is_confirmed_beside_it(void **state)
{
  (void)state;
  char key[SIG_KEY_TEXT + 1];
  told_two(key);
  struct sig_client *earlier = connected("l", SIG_LONGPOLL);
  assert_true(world_read(earlier, bytes_of(key), 0));
  take(earlier, "{\"seq\":1,");
  take(earlier, "{\"seq\":2,");
  struct sig_client *now = connected("s", SIG_SSE), *q = connected("q", SIG_POLL);
  /* The socket of the one takes nothing until the other has said what it has to say. */
  assert_true(sig_link_read(world.sig, now->link, bytes_of(key), 0, world.now_ms));
  assert_int_equal(world_post(q, bytes_of(key), bytes_of("[{\"type\":\"ack\",\"seq\":2}]")), 0);
  assert_null(world_next(now));
  assert_int_equal(
      world_post(connected("q", SIG_POLL), bytes_of(key), bytes_of("[{\"type\":\"ice\"}]")), 0);
  take(now, "{\"seq\":3,\"type\":\"ice-servers\"");
  assert_true(world_fini(&world));
}

/* The edge answers with the error's own status and Retry-After. */
static void tells_errors_beside_the_text(void **state)
{
  (void)state;
  char key[SIG_KEY_TEXT + 1];
  struct sig_out out;
  world.config.limits.address_message_rate = 1;
  opened("a", key);
  struct sig_client *l = connected("l", SIG_LONGPOLL);
  assert_false(sig_link_read(world.sig, l->link, bytes_of("rubbish"), 0, world.now_ms));
  assert_true(sig_next(world.sig, l->link, &out));
  assert_int_equal(out.error, SIG_ERROR_SESSION_GONE);
  assert_int_equal(out.retry_s, 0);
  assert_false(sig_link_read(world.sig, l->link, bytes_of(key), 0, world.now_ms));
  assert_true(sig_next(world.sig, l->link, &out));
  assert_int_equal(out.error, SIG_ERROR_RATE_LIMITED);
  assert_int_equal(out.retry_s, 1);
  assert_true(bytes_equal(sig_out_type(&out), bytes_of("error")));
  assert_false(sig_next(world.sig, l->link, &out));
  assert_true(world_fini(&world));
}

/* One character of another key, every length: no key but the one. */
static void knows_its_key(void **state)
{
  (void)state;
  char key[SIG_KEY_TEXT + 1];
  world.config.limits.address_message_rate = 0;
  opened("a", key);
  for (size_t i = 0; i < SIG_KEY_TEXT; i++) {
    char wrong[SIG_KEY_TEXT + 1];
    memcpy(wrong, key, sizeof(wrong));
    wrong[i] = wrong[i] == 'A' ? 'E' : 'A';
    struct sig_client *l = connected("l", SIG_LONGPOLL);
    assert_false(world_read(l, bytes_of(wrong), 0));
    assert_false(world_read(l, (struct bytes){(const uint8_t *)key, i}, 0));
  }
  struct sig_client *l = connected("l", SIG_LONGPOLL);
  assert_true(world_read(l, bytes_of(key), 0));
  assert_true(world_fini(&world));
}

static void names_types(void **state)
{
  (void)state;
  const struct sig_out out = {.body = SIG_LIT("\"type\":\"peer-joined\",\"room\":\"type\"}")};
  assert_true(bytes_equal(sig_out_type(&out), bytes_of("peer-joined")));
  assert_true(world_fini(&world));
}

static int cut(const char *text, struct sig_batch *out)
{
  static uint8_t *copy;
  size_t len = strlen(text);
  free(copy);
  copy = malloc(len == 0 ? 1 : len);
  assert_non_null(copy);
  memcpy(copy, text, len);
  return sig_batch_cut((struct bytes){copy, len}, out);
}

static void cuts_bodies(void **state)
{
  (void)state;
  static struct sig_batch b;
  static const struct {
    const char *text;
    int err;
    size_t count;
  } row[] = {
      {"", 0, 1},
      {"{\"type\":\"ping\"}", 0, 1},
      {"rubbish ]", 0, 1},
      {"[]", 0, 0},
      {" [ ] ", 0, 0},
      {"[1]", 0, 1},
      {" [ {\"a\":[1,2]} , \"],[\" ,\n3 ] ", 0, 3},
      {"[", -ERR_BAD, 0},
      {"[1", -ERR_BAD, 0},
      {"[1,", -ERR_BAD, 0},
      {"[1,]", -ERR_BAD, 0},
      {"[,1]", -ERR_BAD, 0},
      {"[1 2]", -ERR_BAD, 0},
      {"[1]x", -ERR_BAD, 0},
      {"[1][2]", -ERR_BAD, 0},
      {"[\"\\uZZZZ\"]", -ERR_BAD, 0},
      {"[{\"a\"}]", -ERR_BAD, 0},
  };
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    int err = cut(row[i].text, &b);
    if (err != row[i].err || (err == 0 && b.count != row[i].count)) {
      fail_msg("'%s': %s, %zu", row[i].text, err_name(err), b.count);
    }
  }
  assert_int_equal(cut(" [ {\"a\":[1,2]} , \"],[\" ,\n3 ] ", &b), 0);
  assert_true(b.is_array);
  assert_true(bytes_equal(b.message[0], bytes_of("{\"a\":[1,2]}")));
  assert_true(bytes_equal(b.message[1], bytes_of("\"],[\"")));
  assert_true(bytes_equal(b.message[2], bytes_of("3")));
  assert_true(world_fini(&world));
}

static void bounds_bodies(void **state)
{
  (void)state;
  static struct sig_batch b;
  char text[4 * SIG_BATCH + 8];
  struct buf t;
  for (size_t n = SIG_BATCH; n <= SIG_BATCH + 1; n++) {
    buf_init(&t, text, sizeof(text) - 1);
    for (size_t i = 0; i < n; i++) {
      buf_put_text(&t, i == 0 ? "[1" : ",1");
    }
    buf_put_text(&t, "]");
    text[t.len] = 0;
    assert_int_equal(cut(text, &b), n == SIG_BATCH ? 0 : -ERR_FULL);
  }
  for (size_t depth = SIG_DEPTH; depth <= SIG_DEPTH + 1; depth++) {
    memset(text, '[', depth + 1);
    memset(text + depth + 1, ']', depth + 1);
    text[2 * depth + 2] = 0;
    assert_int_equal(cut(text, &b), depth == SIG_DEPTH ? 0 : -ERR_RANGE);
  }
  assert_true(world_fini(&world));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(reads_behind_its_cursor, setup),
      cmocka_unit_test_setup(skips_what_is_confirmed_beside_it, setup),
      cmocka_unit_test_setup(tells_errors_beside_the_text, setup),
      cmocka_unit_test_setup(knows_its_key, setup),
      cmocka_unit_test_setup(names_types, setup),
      cmocka_unit_test_setup(cuts_bodies, setup),
      cmocka_unit_test_setup(bounds_bodies, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
