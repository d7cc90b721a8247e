/* signal/ayame/core: rooms of two, who may enter them, and what ends them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/support/ayame_world.h"

static struct ayame_world world;
static struct ayame_peer *const ada = &world.peer[0], *const ben = &world.peer[1],
                                *const cleo = &world.peer[2];

static const char address[] = "192.0.2.1";
static const char tea[] = "{\"type\":\"register\",\"roomId\":\"tea\"}";

static int setup(void **state)
{
  (void)state;
  ayame_world_init(&world);
  return 0;
}

static void start(void)
{
  assert_int_equal(ayame_world_start(&world), 0);
}

static void end(void)
{
  assert_true(ayame_world_fini(&world));
}

static void say(struct ayame_peer *p, const char *text)
{
  ayame_world_send(p, bytes_of(text));
}

static void enter(struct ayame_peer *p, const char *text)
{
  assert_int_equal(ayame_world_connect(p, address), 0);
  say(p, text);
}

static void expect(struct ayame_peer *p, const char *text)
{
  assert_string_equal(ayame_world_next(p), text);
}

static void expect_accept(struct ayame_peer *p, bool has_other)
{
  char tail[128];
  const char *text = ayame_world_next(p), *at = strchr(text, ',');
  static const char head[] = "{\"type\":\"accept\",\"connectionId\":\"";
  assert_memory_equal(text, head, sizeof(head) - 1);
  assert_non_null(at);
  snprintf(tail, sizeof(tail), "\"isExistClient\":%s,\"isExistUser\":%s,\"iceServers\":[]}",
           has_other ? "true" : "false", has_other ? "true" : "false");
  at = strchr(at + 1, ',');
  assert_non_null(at);
  assert_string_equal(at + 1, tail);
  assert_int_equal(at - text, sizeof(head) - 1 + AYAME_CONNECTION + 1);
}

static void expect_closed(const struct ayame_peer *p, uint16_t code)
{
  assert_null(p->link);
  assert_int_equal(p->close_code, code);
}

/* Both registered, and their accepts read. */
static void pair_up(void)
{
  enter(ada, tea);
  expect_accept(ada, false);
  enter(ben, tea);
  expect_accept(ben, true);
}

static const struct ayame_counters *counters(void)
{
  return ayame_counters(world.ayame);
}

static void two_in_a_room(void **state)
{
  (void)state;
  start();
  pair_up();
  /* As they came, byte for byte. */
  static const char offer[] =
      "\t{ \"sdp\" : \"v=0\\r\\n\\ud800 \\u0041\", \"type\":\"off\\u0065r\", \"n\":1e400 } ";
  static const char answer[] = "{\"type\":\"answer\",\"sdp\":\"\",\"type\":\"answer\"}";
  static const char candidate[] = "{\"type\":\"candidate\",\"ice\":{\"candidate\":\"x\"}}";
  say(ben, offer);
  say(ada, answer);
  say(ada, candidate);
  expect(ada, offer);
  expect(ben, answer);
  expect(ben, candidate);
  expect(ada, "");
  assert_int_equal(counters()->relayed, 3);
  assert_int_equal(counters()->clients, 2);
  assert_int_equal(counters()->rooms, 1);
  assert_int_equal(counters()->outbox_bytes, 0);
  assert_null(strstr(world.sig.log_text, "v=0"));
  end();
}

static void third(void **state)
{
  (void)state;
  start();
  pair_up();
  enter(cleo, tea);
  expect(cleo, "{\"type\":\"reject\",\"reason\":\"full\"}");
  expect_closed(cleo, SIG_CLOSE_NORMAL);
  assert_int_equal(counters()->refused[AYAME_FULL], 1);
  say(ada, "{\"type\":\"offer\"}");
  expect(ben, "{\"type\":\"offer\"}");
  enter(cleo, "{\"type\":\"register\",\"roomId\":\"coffee\"}");
  expect_accept(cleo, false);
  say(cleo, "{\"type\":\"offer\"}"); /* to nobody */
  expect(ada, "");
  assert_int_equal(counters()->alone, 1);
  end();
}

static void one_leaves(void **state)
{
  (void)state;
  start();
  pair_up();
  ben->held = true;
  say(ada, "{\"type\":\"offer\"}");
  ayame_world_drop(ada);
  ben->held = false;
  ayame_world_settle(&world);
  expect(ben, "{\"type\":\"offer\"}");
  expect(ben, "{\"type\":\"bye\"}");
  expect(ben, "");
  expect_closed(ben, SIG_CLOSE_NORMAL);
  assert_int_equal(counters()->byes, 1);
  assert_int_equal(counters()->clients, 0);
  assert_int_equal(counters()->rooms, 0);
  pair_up(); /* the room is as good as new */
  say(ben, "{\"type\":\"bye\"}");
  expect(ada, "{\"type\":\"bye\"}");
  expect_closed(ada, SIG_CLOSE_NORMAL);
  expect_closed(ben, SIG_CLOSE_NORMAL);
  expect(ben, "");
  end();
}

static void registers(void **state)
{
  (void)state;
  start();
  static const char *const good[] = {
      "{\"type\":\"register\",\"roomId\":\"r\",\"clientId\":\"c\",\"authnMetadata\":{\"a\":[1]}}",
      "{\"type\":\"register\",\"roomId\":\"r\",\"clientId\":null,\"key\":null,\"standalone\":null}",
      "{\"clientId\":\"\",\"roomId\":\"\\u0072\",\"typ\\u0065\":\"register\",\"standalone\":false}",
      "{\"type\":\"register\",\"roomId\":1,\"roomId\":\"r\",\"key\":\"nobody asks for it\"}",
  };
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
    enter(ada, "{\"type\":\"register\",\"roomId\":\"r\"}");
    expect_accept(ada, false);
    enter(ben, good[i]);
    expect_accept(ben, true);
    ayame_world_drop(ada);
    ayame_world_settle(&world);
    ayame_world_drop(ben);
  }
  char long_room[AYAME_ROOM_SIZE + 64];
  snprintf(long_room, sizeof(long_room), "{\"type\":\"register\",\"roomId\":\"%0*d\"}",
           AYAME_ROOM_SIZE + 1, 0);
  const char *const bad[] = {
      "{\"type\":\"register\"}",
      "{\"type\":\"register\",\"roomId\":null}",
      "{\"type\":\"register\",\"roomId\":\"\"}",
      "{\"type\":\"register\",\"roomId\":[\"r\"]}",
      "{\"type\":\"register\",\"roomId\":\"r\",\"clientId\":7}",
      "{\"type\":\"register\",\"roomId\":\"r\",\"signalingKey\":{}}",
      "{\"type\":\"register\",\"roomId\":\"r\",\"standalone\":\"true\"}",
      "{\"type\":\"register\",\"roomId\":\"\\ud800\"}",
      long_room,
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    enter(ada, bad[i]);
    expect(ada, "{\"type\":\"reject\",\"reason\":\"bad register\"}");
    expect_closed(ada, SIG_CLOSE_POLICY);
  }
  assert_int_equal(counters()->refused[AYAME_BAD_REGISTER], sizeof(bad) / sizeof(bad[0]));
  end();
}

static void keys(void **state)
{
  (void)state;
  world.config.key = bytes_of("s\"ame");
  start();
  static const char *const good[] = {
      "{\"type\":\"register\",\"roomId\":\"r\",\"signalingKey\":\"s\\\"ame\"}",
      "{\"type\":\"register\",\"roomId\":\"r\",\"key\":\"s\\\"ame\",\"signalingKey\":null}",
      "{\"type\":\"register\",\"roomId\":\"r\",\"key\":\"other\",\"signalingKey\":\"s\\\"ame\"}",
  };
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
    enter(ada, good[i]);
    expect_accept(ada, false);
    ayame_world_drop(ada);
  }
  static const char *const bad[] = {
      "{\"type\":\"register\",\"roomId\":\"r\"}",
      "{\"type\":\"register\",\"roomId\":\"r\",\"key\":\"\"}",
      "{\"type\":\"register\",\"roomId\":\"r\",\"key\":\"s\\\"amE\"}",
      "{\"type\":\"register\",\"roomId\":\"r\",\"key\":\"s\\\"ame\",\"signalingKey\":\"other\"}",
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    enter(ada, bad[i]);
    expect(ada, "{\"type\":\"reject\",\"reason\":\"wrong signalingKey\"}");
    expect_closed(ada, SIG_CLOSE_POLICY);
  }
  assert_int_equal(counters()->rooms, 0);
  assert_null(strstr(world.sig.log_text, "ame\""));
  end();
}

static void not_for_the_server(void **state)
{
  (void)state;
  start();
  char deep[256];
  snprintf(deep, sizeof(deep), "{\"type\":\"offer\",\"sdp\":%.*s", 200,
           "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
           "[[[[[");
  const struct {
    const char *text;
    enum ayame_refusal why;
  } bad[] = {
      {"", AYAME_BAD_JSON},
      {"hello", AYAME_BAD_JSON},
      {"null", AYAME_BAD_JSON},
      {"[{\"type\":\"offer\"}]", AYAME_BAD_JSON},
      {"{\"type\":\"offer\"} {}", AYAME_BAD_JSON},
      {deep, AYAME_BAD_JSON},
      {"{}", AYAME_UNKNOWN_TYPE},
      {"{\"type\":null}", AYAME_UNKNOWN_TYPE},
      {"{\"type\":\"ping\"}", AYAME_UNKNOWN_TYPE},
      {"{\"type\":\"accept\"}", AYAME_UNKNOWN_TYPE},
      {"{\"type\":\"OFFER\"}", AYAME_UNKNOWN_TYPE},
      {tea, AYAME_REGISTERED_TWICE},
      {"{\"type\":\"register\"}", AYAME_REGISTERED_TWICE},
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    pair_up();
    uint64_t before = counters()->refused[bad[i].why];
    say(ada, bad[i].text);
    assert_int_equal(counters()->refused[bad[i].why], before + 1);
    expect(ada, "");
    expect_closed(ada, SIG_CLOSE_POLICY);
    expect(ben, "{\"type\":\"bye\"}");
    expect_closed(ben, SIG_CLOSE_NORMAL);
  }
  static const char *const early[] = {"offer", "answer", "candidate", "bye", "connected"};
  for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++) {
    char text[64];
    snprintf(text, sizeof(text), "{\"type\":\"%s\"}", early[i]);
    enter(ada, "{\"type\":\"pong\"}"); /* does no harm */
    say(ada, text);
    expect_closed(ada, SIG_CLOSE_POLICY);
    assert_int_equal(counters()->refused[AYAME_NOT_REGISTERED], i + 1);
  }
  end();
}

static void pings(void **state)
{
  (void)state;
  start();
  pair_up();
  for (int i = 0; i < 30; i++) {
    ayame_world_elapse(&world, AYAME_PING_EVERY_MS);
    for (struct ayame_peer *p = ada; p <= ben; p++) {
      expect(p, "{\"type\":\"ping\"}");
      expect(p, "");
      say(p, "{\"type\":\"pong\"}");
    }
  }
  assert_int_equal(counters()->refused[AYAME_NO_PONG], 0);
  end();
}

static void no_pong(void **state)
{
  (void)state;
  start();
  pair_up();
  ayame_world_elapse(&world, 30000);
  say(ada, "{\"type\":\"pong\"}");
  ayame_world_elapse(&world, 29999);
  assert_non_null(ben->link);
  ayame_world_elapse(&world, 1);
  expect_closed(ben, SIG_CLOSE_POLICY);
  assert_string_equal(ben->close_reason, "no pong in time");
  expect_closed(ada, SIG_CLOSE_NORMAL); /* who is alone now */
  assert_int_equal(counters()->refused[AYAME_NO_PONG], 1);
  end();
}

/* Whoever does not read is told once, however long it lasts. */
static void pings_do_not_pile_up(void **state)
{
  (void)state;
  world.config.pong_ms = 0;
  start();
  enter(ada, tea);
  expect_accept(ada, false);
  ada->held = true;
  ayame_world_elapse(&world, 3600000);
  ada->held = false;
  ayame_world_settle(&world);
  expect(ada, "{\"type\":\"ping\"}");
  expect(ada, "");
  assert_non_null(ada->link);
  end();
}

static void short_patience(void **state)
{
  (void)state;
  world.config.pong_ms = 3000;
  start();
  enter(ada, tea);
  expect_accept(ada, false);
  ayame_world_elapse(&world, 2999);
  expect(ada, "{\"type\":\"ping\"}");
  expect(ada, "{\"type\":\"ping\"}");
  expect(ada, "");
  ayame_world_elapse(&world, 1001);
  expect_closed(ada, SIG_CLOSE_POLICY);
  end();
}

static void no_register(void **state)
{
  (void)state;
  start();
  assert_int_equal(ayame_world_connect(ada, address), 0);
  ayame_world_elapse(&world, 9999);
  say(ada, "{\"type\":\"pong\"}"); /* changes nothing */
  assert_non_null(ada->link);
  ayame_world_elapse(&world, 1);
  expect_closed(ada, SIG_CLOSE_POLICY);
  assert_string_equal(ada->close_reason, "no register in time");
  end();
}

static void rates(void **state)
{
  (void)state;
  world.sig.config.limits.message_rate = 2;
  start();
  pair_up();
  for (int i = 0; i < 3; i++) {
    say(ada, "{\"type\":\"candidate\"}");
    expect(ben, "{\"type\":\"candidate\"}");
  }
  say(ada, "{\"type\":\"candidate\"}");
  expect_closed(ada, SIG_CLOSE_POLICY);
  expect(ben, "{\"type\":\"bye\"}");
  assert_int_equal(counters()->refused[AYAME_RATE], 1);
  end();
}

static void slow_reader(void **state)
{
  (void)state;
  for (int bytes = 0; bytes < 2; bytes++) {
    ayame_world_init(&world);
    world.config.outbox_messages = bytes ? 0 : 3;
    world.config.outbox_bytes = bytes ? 60 : 0;
    start();
    pair_up();
    ben->held = true;
    for (int i = 0; i < 3; i++) {
      say(ada, "{\"type\":\"candidate\"}");
    }
    assert_int_equal(counters()->outbox_messages, 3);
    assert_non_null(ben->link);
    say(ada, "{\"type\":\"candidate\"}");
    expect_closed(ben, SIG_CLOSE_OUTBOX_OVERFLOW);
    expect(ada, "{\"type\":\"bye\"}");
    assert_int_equal(counters()->refused[AYAME_SLOW_READER], 1);
    assert_int_equal(counters()->outbox_bytes, 0);
    end();
  }
}

static void full(void **state)
{
  (void)state;
  world.config.limit = 1;
  start();
  enter(ada, tea);
  expect_accept(ada, false);
  enter(ben, tea);
  expect(ben, "{\"type\":\"reject\",\"reason\":\"server full\"}");
  expect_closed(ben, SIG_CLOSE_TRY_LATER);
  assert_non_null(ada->link);
  ayame_world_drop(ada);
  enter(ben, tea);
  expect_accept(ben, false);
  end();
}

static void limits_of_an_address(void **state)
{
  (void)state;
  world.sig.config.limits.sessions_per_address = 1;
  world.sig.config.limits.links_per_address = 2;
  start();
  enter(ada, tea);
  expect_accept(ada, false);
  enter(ben, tea);
  expect(ben, "{\"type\":\"reject\",\"reason\":\"server full\"}");
  assert_int_equal(ayame_world_connect(ben, address), 0);
  assert_int_equal(ayame_world_connect(cleo, address), -ERR_FULL);
  assert_int_equal(ayame_world_connect(cleo, "192.0.2.2"), 0);
  say(cleo, tea);
  expect_accept(cleo, true);
  /* It counts no longer from when it leaves, though its socket is there for a while. */
  ayame_input(world.ayame, ada->link, bytes_of("{\"type\":\"bye\"}"), world.sig.now_ms);
  ayame_input(world.ayame, ben->link, bytes_of(tea), world.sig.now_ms);
  assert_non_null(ada->link);
  ayame_world_settle(&world);
  expect_accept(ben, false);
  end();
}

static void standalone(void **state)
{
  (void)state;
  start();
  static const char alone[] = "{\"type\":\"register\",\"roomId\":\"tea\",\"standalone\":true}";
  enter(ada, alone);
  enter(ben, alone);
  expect_accept(ada, false);
  expect_accept(ben, true);
  /* The media stand: neither is told that the other has gone from the server. */
  say(ada, "{\"type\":\"connected\"}");
  expect_closed(ada, SIG_CLOSE_NORMAL);
  expect(ben, "");
  assert_non_null(ben->link);
  say(ben, "{\"type\":\"connected\"}");
  expect_closed(ben, SIG_CLOSE_NORMAL);
  assert_int_equal(counters()->byes, 0);
  assert_int_equal(counters()->rooms, 0);
  /* Before that it is gone like anybody else. */
  enter(ada, alone);
  enter(ben, tea);
  ayame_world_drop(ada);
  ayame_world_settle(&world);
  expect_accept(ben, true);
  expect(ben, "{\"type\":\"bye\"}");
  /* And who has not asked for it stays when it is connected. */
  pair_up();
  say(ada, "{\"type\":\"connected\"}");
  assert_non_null(ada->link);
  ayame_world_drop(ada);
  ayame_world_settle(&world);
  expect(ben, "{\"type\":\"bye\"}");
  end();
}

static void ice_servers(void **state)
{
  (void)state;
  static const struct bytes uri[] = {{(const uint8_t *)"turn:192.0.2.7:3478", 19}};
  world.sig.config.turn_uri = uri;
  world.sig.config.turn_uri_count = 1;
  world.sig.config.turn_secret = bytes_of("secret");
  start();
  enter(ada, tea);
  const char *text = ayame_world_next(ada);
  assert_non_null(
      strstr(text, ",\"iceServers\":[{\"urls\":[\"turn:192.0.2.7:3478\"],\"username\":\""));
  assert_non_null(strstr(text, "\",\"credential\":\""));
  assert_int_equal(text[strlen(text) - 1], '}');
  end();
}

static void reload(void **state)
{
  (void)state;
  start();
  enter(ada, tea);
  struct ayame_config other = world.config;
  other.key = bytes_of("new");
  other.pong_ms = 0;
  ayame_set_config(world.ayame, &other);
  enter(ben, tea);
  expect(ben, "{\"type\":\"reject\",\"reason\":\"wrong signalingKey\"}");
  ayame_world_elapse(&world, 3600000);
  assert_non_null(ada->link);
  end();
}

/* The newcomer is told, the one who waits is not disturbed. */
static void no_memory(void **state)
{
  (void)state;
  start();
  enter(ada, tea);
  assert_int_equal(ayame_world_connect(ben, address), 0);
  failing_mem_fail_all(&world.sig.memory);
  say(ben, tea);
  failing_mem_fail_at(&world.sig.memory, 0);
  expect(ben, "{\"type\":\"reject\",\"reason\":\"InternalServerError\"}");
  expect_closed(ben, SIG_CLOSE_TRY_LATER);
  assert_non_null(ada->link);
  enter(ben, tea);
  expect_accept(ben, true);
  failing_mem_fail_all(&world.sig.memory);
  say(ben, "{\"type\":\"offer\"}");
  failing_mem_fail_at(&world.sig.memory, 0);
  expect_closed(ben, SIG_CLOSE_TRY_LATER);
  expect(ben, "");
  end();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(two_in_a_room, setup),
      cmocka_unit_test_setup(third, setup),
      cmocka_unit_test_setup(one_leaves, setup),
      cmocka_unit_test_setup(registers, setup),
      cmocka_unit_test_setup(keys, setup),
      cmocka_unit_test_setup(not_for_the_server, setup),
      cmocka_unit_test_setup(pings, setup),
      cmocka_unit_test_setup(no_pong, setup),
      cmocka_unit_test_setup(pings_do_not_pile_up, setup),
      cmocka_unit_test_setup(short_patience, setup),
      cmocka_unit_test_setup(no_register, setup),
      cmocka_unit_test_setup(rates, setup),
      cmocka_unit_test_setup(slow_reader, setup),
      cmocka_unit_test_setup(full, setup),
      cmocka_unit_test_setup(limits_of_an_address, setup),
      cmocka_unit_test_setup(standalone, setup),
      cmocka_unit_test_setup(ice_servers, setup),
      cmocka_unit_test_setup(reload, setup),
      cmocka_unit_test_setup(no_memory, setup),
  };
  return cmocka_run_group_tests_name("ayame", tests, NULL, NULL);
}
