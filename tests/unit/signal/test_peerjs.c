/* signal/peerjs/core: sockets, ids, messages, what waits, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/support/peerjs_world.h"

static struct peerjs_world world;
static struct peer *const a = &world.peer[0], *const b = &world.peer[1], *const c = &world.peer[2];

static int setup(void **state)
{
  (void)state;
  peerjs_world_init(&world);
  return 0;
}

static void start(void)
{
  assert_int_equal(peerjs_world_start(&world), 0);
}

static void finish(void)
{
  if (!peerjs_world_fini(&world)) {
    fail_msg("%s", world.broken);
  }
}

static void got(struct peer *p, const char *text)
{
  const char *next = peer_next(p);
  assert_non_null(next);
  assert_string_equal(next, text);
}

static void got_nothing(struct peer *p)
{
  assert_null(peer_next(p));
}

static void say(struct peer *p, const char *text)
{
  peer_say(p, bytes_of(text));
}

static void enter(struct peer *p, const char *id)
{
  assert_int_equal(peer_connect(p, id, "t"), 0);
  got(p, "{\"type\":\"OPEN\"}");
}

static void three(void)
{
  start();
  enter(a, "a");
  enter(b, "b");
}

static const struct peerjs_counters *counters(void)
{
  return peerjs_counters(world.peerjs);
}

static void relays_byte_for_byte(void **state)
{
  (void)state;
  three();
  say(a, "{\"type\":\"OFFER\",\"dst\":\"b\",\"payload\":{\"sdp\":\"v=0\\r\\n\",\"n\":1.0, "
         "\"e\":1e999}}");
  got(b, "{\"type\":\"OFFER\",\"src\":\"a\",\"dst\":\"b\",\"payload\":{\"sdp\":\"v=0\\r\\n\",\"n\":"
         "1.0, "
         "\"e\":1e999}}");
  say(b, " { \"payload\" : [ 1 , 2 ] , \"x\":{}, \"dst\" : \"a\",\"src\":\"c\" , "
         "\"type\":\"ANSWER\" } ");
  got(a, "{\"type\":\"ANSWER\",\"src\":\"b\",\"dst\":\"a\",\"payload\":[ 1 , 2 ]}");
  say(b, "{\"type\":\"CANDIDATE\",\"dst\":\"a\",\"payload\":null}");
  got(a, "{\"type\":\"CANDIDATE\",\"src\":\"b\",\"dst\":\"a\",\"payload\":null}");
  say(b, "{\"type\":\"LEAVE\",\"dst\":\"a\"}");
  got(a, "{\"type\":\"LEAVE\",\"src\":\"b\",\"dst\":\"a\"}");
  say(b, "{\"type\":\"EXPIRE\",\"dst\":\"a\"}");
  got(a, "{\"type\":\"EXPIRE\",\"src\":\"b\",\"dst\":\"a\"}");
  say(a, "{\"type\":\"OFFER\",\"dst\":\"a\",\"payload\":1}");
  got(a, "{\"type\":\"OFFER\",\"src\":\"a\",\"dst\":\"a\",\"payload\":1}");
  got_nothing(b);
  assert_int_equal(counters()->relayed, 6);
  finish();
}

/* As JavaScript reads it: the last of two members of one name, names and types with escapes. */
static void reads_as_javascript(void **state)
{
  (void)state;
  three();
  say(a, "{\"type\":\"LEAVE\",\"type\":\"OFFER\",\"dst\":\"x\",\"dst\":\"b\",\"payload\":1,"
         "\"payload\":2}");
  got(b, "{\"type\":\"OFFER\",\"src\":\"a\",\"dst\":\"b\",\"payload\":2}");
  say(a, "{\"t\\u0079pe\":\"OFF\\u0045R\",\"d\\u0073t\":\"\\u0062\",\"payload\":3}");
  got(b, "{\"type\":\"OFFER\",\"src\":\"a\",\"dst\":\"\\u0062\",\"payload\":3}");
  say(a, "{\"type\":\"OFFER\",\"dst\":\"b\",\"payload\":1,\"dst\":null}");
  got_nothing(b);
  finish();
}

static void ignores_what_is_none(void **state)
{
  static const char *const texts[] = {
      "",
      "not json",
      "null",
      "5",
      "[]",
      "\"OFFER\"",
      "{}",
      "{\"type\":\"OFFER\"}",
      "{\"type\":\"OFFER\",\"dst\":\"\"}",
      "{\"type\":\"OFFER\",\"dst\":0}",
      "{\"type\":\"OFFER\",\"dst\":5}",
      "{\"type\":\"OFFER\",\"dst\":{}}",
      "{\"type\":\"OFFER\",\"dst\":[\"b\"]}",
      "{\"type\":\"OFFER\",\"dst\":true}",
      "{\"type\":5,\"dst\":\"b\"}",
      "{\"dst\":\"b\",\"payload\":1}",
      "{\"type\":\"OPEN\",\"dst\":\"b\"}",
      "{\"type\":\"ERROR\",\"dst\":\"b\",\"payload\":{\"msg\":\"x\"}}",
      "{\"type\":\"ID-TAKEN\",\"dst\":\"b\"}",
      "{\"type\":\"offer\",\"dst\":\"b\"}",
      "{\"type\":\"a type that is longer than any\",\"dst\":\"b\"}",
      "{\"type\":\"a type with an escape, as long as \\u0041\",\"dst\":\"b\"}",
      "{\"type\":\"LEAVE\",\"dst\":7}",
      "{\"type\":\"OFFER\",\"dst\":\"b\"} {}",
      "{\"type\":\"OFFER\",\"dst\":\"b\"",
      "{\"type\":\"OFFER\",\"dst\":\"b\",\"payload\":\"\\uD8\"}",
      "{\"type\":\"OFFER\",\"dst\":\"\\ud800\",\"payload\":1,}",
  };
  (void)state;
  three();
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    say(a, texts[i]);
  }
  assert_int_equal(counters()->ignored, sizeof(texts) / sizeof(texts[0]));
  got_nothing(b);
  say(a, "{\"type\":\"OFFER\",\"dst\":\"b\"}");
  got(b, "{\"type\":\"OFFER\",\"src\":\"a\",\"dst\":\"b\"}");
  assert_false(a->closed);
  finish();
}

static void refused(struct peerjs_hello hello, const char *text, enum peerjs_refusal why)
{
  assert_int_equal(peer_open(c, &hello), 0);
  got(c, text);
  got_nothing(c);
  assert_true(c->closed);
  assert_int_equal(counters()->refused[why], 1);
  assert_int_equal(counters()->clients, 1);
}

static void refuses_with_words(void **state)
{
  static char long_id[PEERJS_ID_SIZE + 1];
  (void)state;
  memset(long_id, 'x', sizeof(long_id));
  world.config.limit = 1;
  start();
  enter(a, "a");
  struct bytes id = bytes_of("c"), token = bytes_of("t"), key = bytes_of("peerjs");
  refused((struct peerjs_hello){.id = id, .key = key},
          "{\"type\":\"ERROR\",\"payload\":{\"msg\":\"No id, token, or key supplied to websocket "
          "server\"}}",
          PEERJS_INCOMPLETE);
  refused((struct peerjs_hello){.id = id, .token = token, .key = bytes_of("peerjx")},
          "{\"type\":\"ERROR\",\"payload\":{\"msg\":\"Invalid key provided\"}}", PEERJS_WRONG_KEY);
  refused((struct peerjs_hello){.id = bytes_of("a"), .token = bytes_of("u"), .key = key},
          "{\"type\":\"ID-TAKEN\",\"payload\":{\"msg\":\"ID is taken\"}}", PEERJS_ID_TAKEN);
  refused((struct peerjs_hello){.id = id, .token = token, .key = key},
          "{\"type\":\"ERROR\",\"payload\":{\"msg\":\"Server has reached its concurrent user "
          "limit\"}}",
          PEERJS_FULL);
  refused((struct peerjs_hello){.id = {(uint8_t *)long_id, sizeof(long_id)},
                                .token = token,
                                .key = key},
          "{\"type\":\"ERROR\",\"payload\":{\"msg\":\"The id, the token or the key is too long\"}}",
          PEERJS_TOO_LONG);
  /* Full, and yet the one that is there comes back. */
  enter(b, "a");
  assert_true(a->closed);
  finish();
}

static void an_id_that_needs_escapes(void **state)
{
  (void)state;
  start();
  enter(b, "b");
  enter(a, "\"\\\n\xC3\xA9");
  say(a, "{\"type\":\"LEAVE\",\"dst\":\"b\"}");
  got(b, "{\"type\":\"LEAVE\",\"src\":\"\\\"\\\\\\n\xC3\xA9\",\"dst\":\"b\"}");
  say(b, "{\"type\":\"LEAVE\",\"dst\":\"\\u0022\\\\\\u000a\\u00e9\"}");
  got(a, "{\"type\":\"LEAVE\",\"src\":\"b\",\"dst\":\"\\u0022\\\\\\u000a\\u00e9\"}");
  struct peerjs_hello hello = {
      .id = bytes_of("\xFF"), .token = bytes_of("t"), .key = bytes_of("peerjs")};
  assert_int_equal(peer_open(c, &hello), 0);
  got(c, "{\"type\":\"ERROR\",\"payload\":{\"msg\":\"No id, token, or key supplied to websocket "
         "server\"}}");
  finish();
}

/* Who was taken over hears no more and cannot speak; what he had not read goes to the new socket.
 */
static void takeover(void **state)
{
  (void)state;
  three();
  peer_hold(a, true);
  say(b, "{\"type\":\"OFFER\",\"dst\":\"a\",\"payload\":1}");
  say(b, "{\"type\":\"CANDIDATE\",\"dst\":\"a\",\"payload\":2}");
  assert_int_equal(counters()->outbox_messages, 2);
  enter(c, "a");
  got(c, "{\"type\":\"OFFER\",\"src\":\"b\",\"dst\":\"a\",\"payload\":1}");
  got(c, "{\"type\":\"CANDIDATE\",\"src\":\"b\",\"dst\":\"a\",\"payload\":2}");
  assert_true(a->closed);
  assert_int_equal(a->close_code, SIG_CLOSE_TAKEN_OVER);
  peerjs_input(world.peerjs, a->link, bytes_of("{\"type\":\"OFFER\",\"dst\":\"b\"}"), world.now_ms);
  got_nothing(b);
  peer_hold(a, false);
  got_nothing(a);
  assert_null(a->link);
  say(b, "{\"type\":\"LEAVE\",\"dst\":\"a\"}");
  got(c, "{\"type\":\"LEAVE\",\"src\":\"b\",\"dst\":\"a\"}");
  assert_int_equal(counters()->clients, 2);
  assert_int_equal(counters()->taken_over, 1);
  assert_int_equal(counters()->outbox_messages, 0);
  finish();
}

static void leave_frees_the_id(void **state)
{
  (void)state;
  three();
  say(a, "{\"type\":\"LEAVE\"}");
  assert_false(a->closed);
  say(a, "{\"type\":\"OFFER\",\"dst\":\"b\"}");
  got_nothing(b);
  assert_int_equal(peer_connect(c, "a", "another token"), 0);
  got(c, "{\"type\":\"OPEN\"}");
  say(b, "{\"type\":\"LEAVE\",\"dst\":\"a\"}");
  got(c, "{\"type\":\"LEAVE\",\"src\":\"b\",\"dst\":\"a\"}");
  got_nothing(a);
  /* Nobody's heartbeats count any more. */
  peerjs_world_elapse(&world, 59999);
  say(a, "{\"type\":\"HEARTBEAT\"}");
  say(b, "{\"type\":\"HEARTBEAT\"}");
  say(c, "{\"type\":\"HEARTBEAT\"}");
  peerjs_world_elapse(&world, 1);
  assert_true(a->closed);
  assert_false(b->closed || c->closed);
  assert_int_equal(counters()->timed_out, 0);
  finish();
}

static void a_falsy_dst_is_none(void **state)
{
  static const char *const dst[] = {"null", "false", "0", "-0.0e5", "\"\""};
  (void)state;
  start();
  for (size_t i = 0; i < sizeof(dst) / sizeof(dst[0]); i++) {
    char text[64];
    snprintf(text, sizeof(text), "{\"type\":\"LEAVE\",\"dst\":%s}", dst[i]);
    enter(a, "a");
    say(a, text);
    assert_int_equal(counters()->clients, 0);
  }
  enter(a, "a");
  say(a, "{\"type\":\"LEAVE\",\"dst\":0.5}");
  say(a, "{\"type\":\"LEAVE\",\"dst\":\"b\"}");
  assert_int_equal(counters()->clients, 1);
  finish();
}

static void heartbeats(void **state)
{
  (void)state;
  three();
  for (int i = 0; i < 20; i++) {
    peerjs_world_elapse(&world, 5000);
    say(a, "{\"type\":\"HEARTBEAT\"}");
    say(b, "{\"type\":\"OFFER\",\"dst\":\"b\"}");
  }
  assert_false(a->closed);
  assert_true(b->closed);
  assert_int_equal(counters()->timed_out, 1);
  peerjs_world_elapse(&world, 59999);
  assert_false(a->closed);
  peerjs_world_elapse(&world, 1);
  assert_true(a->closed);
  assert_int_equal(counters()->clients, 0);
  finish();
}

static void waits_for_the_absent(void **state)
{
  (void)state;
  start();
  enter(a, "a");
  enter(c, "c");
  say(a, "{\"type\":\"OFFER\",\"dst\":\"b\",\"payload\":1}");
  say(c, "{\"type\":\"OFFER\",\"dst\":\"b\",\"payload\":2}");
  say(a, "{\"type\":\"CANDIDATE\",\"dst\":\"b\",\"payload\":3}");
  say(a, "{\"type\":\"LEAVE\",\"dst\":\"b\"}");
  say(a, "{\"type\":\"EXPIRE\",\"dst\":\"b\"}");
  assert_int_equal(counters()->waiting_messages, 3);
  peerjs_world_elapse(&world, 4999);
  enter(b, "b");
  got(b, "{\"type\":\"OFFER\",\"src\":\"a\",\"dst\":\"b\",\"payload\":1}");
  got(b, "{\"type\":\"OFFER\",\"src\":\"c\",\"dst\":\"b\",\"payload\":2}");
  got(b, "{\"type\":\"CANDIDATE\",\"src\":\"a\",\"dst\":\"b\",\"payload\":3}");
  got_nothing(b);
  assert_int_equal(counters()->waiting_bytes, 0);
  peerjs_world_elapse(&world, 10000);
  got_nothing(a);
  got_nothing(c);
  finish();
}

static void expires_once_for_each_pair(void **state)
{
  (void)state;
  start();
  enter(a, "a");
  enter(c, "c");
  say(a, "{\"type\":\"OFFER\",\"dst\":\"b\",\"payload\":1}");
  peerjs_world_elapse(&world, 3000);
  say(a, "{\"type\":\"CANDIDATE\",\"dst\":\"b\",\"payload\":3}");
  say(c, "{\"type\":\"OFFER\",\"dst\":\"b\",\"payload\":2}");
  say(a, "{\"type\":\"OFFER\",\"dst\":\"x\",\"payload\":2}");
  peerjs_world_elapse(&world, 1999);
  got_nothing(a);
  peerjs_world_elapse(&world, 1);
  got(a, "{\"type\":\"EXPIRE\",\"src\":\"b\",\"dst\":\"a\"}");
  got_nothing(a);
  got_nothing(c);
  peerjs_world_elapse(&world, 3000);
  got(c, "{\"type\":\"EXPIRE\",\"src\":\"b\",\"dst\":\"c\"}");
  got(a, "{\"type\":\"EXPIRE\",\"src\":\"x\",\"dst\":\"a\"}");
  enter(b, "b");
  got_nothing(b);
  assert_int_equal(counters()->expired, 3);
  assert_int_equal(counters()->waiting_messages, 0);
  /* And the next time once more. */
  say(a, "{\"type\":\"OFFER\",\"dst\":\"y\"}");
  peer_drop(a);
  peerjs_world_elapse(&world, 5000);
  assert_int_equal(counters()->waiting_messages, 0);
  finish();
}

static void what_waits_is_bounded(void **state)
{
  (void)state;
  world.config.outbox_messages = 3;
  start();
  enter(a, "a");
  enter(c, "c");
  for (int i = 0; i < 3; i++) {
    say(a, "{\"type\":\"CANDIDATE\",\"dst\":\"b\"}");
  }
  got_nothing(a);
  /* No room for another sender: he is told at once. */
  say(c, "{\"type\":\"OFFER\",\"dst\":\"b\"}");
  got(c, "{\"type\":\"EXPIRE\",\"src\":\"b\",\"dst\":\"c\"}");
  /* Nor for one more of the first: there would be a gap, so that all of it is over. */
  say(a, "{\"type\":\"CANDIDATE\",\"dst\":\"b\"}");
  got(a, "{\"type\":\"EXPIRE\",\"src\":\"b\",\"dst\":\"a\"}");
  assert_int_equal(counters()->waiting_messages, 0);
  say(c, "{\"type\":\"OFFER\",\"dst\":\"b\"}");
  enter(b, "b");
  got(b, "{\"type\":\"OFFER\",\"src\":\"c\",\"dst\":\"b\"}");
  finish();
}

static void bytes_that_wait_are_bounded(void **state)
{
  char text[64];
  (void)state;
  world.config.outbox_messages = 0;
  world.config.outbox_bytes = 0;
  world.config.waiting_bytes = 1000; /* three messages, with 256 each for what is around them */
  start();
  enter(a, "a");
  for (int i = 0; i < 4; i++) {
    got_nothing(a);
    snprintf(text, sizeof(text), "{\"type\":\"OFFER\",\"dst\":\"d%d\"}", i);
    say(a, text);
  }
  got(a, "{\"type\":\"EXPIRE\",\"src\":\"d3\",\"dst\":\"a\"}");
  assert_int_equal(counters()->waiting_messages, 3);
  finish();
}

static void a_dst_that_nobody_can_have(void **state)
{
  char text[512];
  (void)state;
  start();
  enter(a, "a");
  snprintf(text, sizeof(text), "{\"type\":\"OFFER\",\"dst\":\"%0*d\"}", PEERJS_ID_SIZE + 1, 0);
  say(a, text);
  assert_non_null(strstr(peer_next(a), "{\"type\":\"EXPIRE\",\"src\":\"000"));
  snprintf(text, sizeof(text), "{\"type\":\"OFFER\",\"dst\":\"\\u0030%0*d\"}", PEERJS_ID_SIZE, 0);
  say(a, text);
  assert_non_null(strstr(peer_next(a), "{\"type\":\"EXPIRE\",\"src\":\"\\u0030000"));
  assert_int_equal(counters()->waiting_messages, 0);
  finish();
}

static void a_slow_reader_is_closed(void **state)
{
  (void)state;
  world.config.outbox_messages = 3;
  three();
  peer_hold(b, true);
  for (int i = 0; i < 4; i++) {
    assert_false(b->closed);
    say(a, "{\"type\":\"CANDIDATE\",\"dst\":\"b\",\"payload\":1}");
  }
  assert_true(b->closed);
  assert_int_equal(b->close_code, SIG_CLOSE_OUTBOX_OVERFLOW);
  assert_int_equal(counters()->outbox_bytes, 0);
  assert_int_equal(counters()->clients, 1);
  /* What was too much waits for him as if he had not been there. */
  got_nothing(a);
  enter(c, "b");
  got(c, "{\"type\":\"CANDIDATE\",\"src\":\"a\",\"dst\":\"b\",\"payload\":1}");
  got_nothing(c);
  assert_int_equal(counters()->refused[PEERJS_SLOW_READER], 1);
  finish();
}

static void bytes_of_an_outbox(void **state)
{
  (void)state;
  world.config.outbox_bytes = 100;
  three();
  peer_hold(b, true);
  say(a, "{\"type\":\"OFFER\",\"dst\":\"b\",\"payload\":1}");
  assert_int_equal(counters()->outbox_bytes, 48);
  say(a, "{\"type\":\"OFFER\",\"dst\":\"b\",\"payload\":12}");
  assert_int_equal(counters()->outbox_bytes, 97);
  say(b, "{\"type\":\"LEAVE\",\"dst\":\"b\"}");
  assert_true(b->closed);
  finish();
}

static void too_many_messages(void **state)
{
  (void)state;
  world.sig_config.limits.message_rate = 2;
  three();
  for (int i = 0; i < 4; i++) {
    say(a, "{\"type\":\"OFFER\",\"dst\":\"b\"}");
    got(b, "{\"type\":\"OFFER\",\"src\":\"a\",\"dst\":\"b\"}");
  }
  say(a, "{\"type\":\"OFFER\",\"dst\":\"b\"}");
  got(a, "{\"type\":\"ERROR\",\"payload\":{\"msg\":\"Too many messages\"}}");
  assert_true(a->closed);
  got_nothing(b);
  assert_int_equal(counters()->refused[PEERJS_RATE], 1);
  finish();
}

static void limits_of_an_address(void **state)
{
  (void)state;
  world.sig_config.limits.sessions_per_address = 1;
  world.sig_config.limits.links_per_address = 3;
  start();
  enter(a, "a");
  assert_int_equal(peer_connect(b, "b", "t"), 0);
  got(b, "{\"type\":\"ERROR\",\"payload\":{\"msg\":\"Server has reached its concurrent user "
         "limit\"}}");
  struct peerjs_hello hello = {.client = addr_v4(192, 0, 2, 2, 9),
                               .id = bytes_of("b"),
                               .token = bytes_of("t"),
                               .key = bytes_of("peerjs")};
  assert_int_equal(peer_open(b, &hello), 0);
  got(b, "{\"type\":\"OPEN\"}");
  /* From the address that is full already: he may not take over, and nothing changes. */
  assert_int_equal(peer_connect(c, "b", "t"), 0);
  assert_true(c->closed);
  assert_false(b->closed);
  /* On his own address he may. */
  enter(c, "a");
  assert_true(a->closed);
  for (int i = 3; i < 5; i++) { /* sockets without an id count too */
    assert_int_equal(peer_connect(&world.peer[i], "a", "u"), 0);
    assert_true(world.peer[i].closed);
  }
  peer_hold(&world.peer[3], false);
  finish();
}

static void connections_of_an_address(void **state)
{
  (void)state;
  world.sig_config.limits.links_per_address = 2;
  start();
  enter(a, "a");
  enter(b, "b");
  assert_int_equal(peer_connect(c, "c", "t"), -ERR_FULL);
  peer_drop(a);
  enter(c, "c");
  assert_int_equal(counters()->links, 2);
  finish();
}

static void ids(void **state)
{
  char one[PEERJS_UUID], two[PEERJS_UUID], text[256];
  struct buf out;
  (void)state;
  start();
  peerjs_make_id(world.peerjs, one);
  peerjs_make_id(world.peerjs, two);
  assert_memory_not_equal(one, two, sizeof(one));
  for (size_t i = 0; i < PEERJS_UUID; i++) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    assert_true(dash ? one[i] == '-' : strchr("0123456789abcdef", one[i]) != NULL);
  }
  assert_int_equal(one[14], '4');
  assert_non_null(strchr("89ab", one[19]));
  buf_init(&out, text, sizeof(text));
  peerjs_put_ids(world.peerjs, &out);
  assert_int_equal(out.len, 2);
  enter(a, "a");
  enter(b, "\"b\"");
  assert_int_equal(peer_connect(c, "a", "u"), 0);
  buf_init(&out, text, sizeof(text));
  peerjs_put_ids(world.peerjs, &out);
  assert_memory_equal(text, "[\"a\",\"\\\"b\\\"\"]", out.len);
  assert_true(out.len <= peerjs_ids_size(world.peerjs));
  finish();
}

static void deep(void **state)
{
  static char text[200100];
  (void)state;
  three();
  size_t len =
      (size_t)snprintf(text, sizeof(text), "{\"type\":\"OFFER\",\"dst\":\"b\",\"payload\":");
  memset(text + len, '[', 100000);
  memset(text + len + 100000, ']', 100000);
  text[len + 200000] = '}';
  peer_say(a, (struct bytes){(const uint8_t *)text, len + 200001});
  got_nothing(b);
  assert_false(a->closed);
  finish();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(relays_byte_for_byte, setup),
      cmocka_unit_test_setup(reads_as_javascript, setup),
      cmocka_unit_test_setup(ignores_what_is_none, setup),
      cmocka_unit_test_setup(refuses_with_words, setup),
      cmocka_unit_test_setup(an_id_that_needs_escapes, setup),
      cmocka_unit_test_setup(takeover, setup),
      cmocka_unit_test_setup(leave_frees_the_id, setup),
      cmocka_unit_test_setup(a_falsy_dst_is_none, setup),
      cmocka_unit_test_setup(heartbeats, setup),
      cmocka_unit_test_setup(waits_for_the_absent, setup),
      cmocka_unit_test_setup(expires_once_for_each_pair, setup),
      cmocka_unit_test_setup(what_waits_is_bounded, setup),
      cmocka_unit_test_setup(bytes_that_wait_are_bounded, setup),
      cmocka_unit_test_setup(a_dst_that_nobody_can_have, setup),
      cmocka_unit_test_setup(a_slow_reader_is_closed, setup),
      cmocka_unit_test_setup(bytes_of_an_outbox, setup),
      cmocka_unit_test_setup(too_many_messages, setup),
      cmocka_unit_test_setup(limits_of_an_address, setup),
      cmocka_unit_test_setup(connections_of_an_address, setup),
      cmocka_unit_test_setup(ids, setup),
      cmocka_unit_test_setup(deep, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
