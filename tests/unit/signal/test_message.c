/* signal/core/message.c: each type's members into struct sig_message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "signal/core/sig.h"

#include "signal/core/message.h"

static struct sig_limits limits(void)
{
  struct sig_config c;
  sig_config_defaults(&c);
  return c.limits;
}

static int read_text(const char *text, struct sig_message *m, struct sig_refusal *r)
{
  const struct sig_limits l = limits();
  return sig__message_read(bytes_of(text), &l, m, r);
}

#define assert_bytes(b, text) assert_true(bytes_equal((b), bytes_of(text)))

static void reads_each_type(void **state)
{
  (void)state;
  struct sig_message m;
  struct sig_refusal r;
  assert_int_equal(read_text("{\"type\":\"signal\",\"room\":\"r\",\"to\":\"p\",\"data\": [1, 2] ,"
                             "\"id\":\"7\"}",
                             &m, &r),
                   0);
  assert_int_equal(m.type, SIG_SIGNAL);
  assert_bytes(m.room, "r");
  assert_bytes(m.to, "p");
  assert_bytes(m.data, "[1, 2]");
  assert_bytes(m.id, "\"7\"");
  assert_null(m.name.at);
  assert_int_equal(
      read_text("{\"type\":\"join\",\"room\":\"r\",\"name\":\"\",\"meta\":{}}", &m, &r), 0);
  assert_int_equal(m.type, SIG_JOIN);
  assert_non_null(m.name.at);
  assert_int_equal(m.name.len, 0);
  assert_bytes(m.meta, "{}");
  assert_null(m.to.at);
  assert_int_equal(read_text("{\"type\":\"ack\",\"seq\":9007199254740991}", &m, &r), 0);
  assert_int_equal(m.type, SIG_ACK);
  assert_int_equal(m.seq, 9007199254740991);
  assert_int_equal(read_text("{\"type\":\"hello\",\"token\":\"t\",\"resume\":{\"after\":3,\"key\":"
                             "\"k\",\"session\":\"s\",\"token\":\"u\"}}",
                             &m, &r),
                   0);
  assert_int_equal(m.type, SIG_HELLO);
  assert_bytes(m.token, "t");
  assert_bytes(m.session, "s");
  assert_bytes(m.key, "k");
  assert_int_equal(m.after, 3);
  static const struct {
    const char *text;
    enum sig_type type;
  } bare[] = {
      {"{\"type\":\"hello\"}", SIG_HELLO},
      {"{\"type\":\"leave\",\"room\":\"r\"}", SIG_LEAVE},
      {"{\"type\":\"broadcast\",\"room\":\"r\",\"data\":0}", SIG_BROADCAST},
      {"{\"type\":\"ping\"}", SIG_PING},
      {"{\"type\":\"ice\"}", SIG_ICE},
      {"{\"type\":\"kick\",\"room\":\"r\",\"to\":\"p\"}", SIG_KICK},
      {"{\"type\":\"bye\"}", SIG_BYE},
  };
  for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++) {
    assert_int_equal(read_text(bare[i].text, &m, &r), 0);
    assert_int_equal(m.type, bare[i].type);
    assert_null(m.id.at);
    assert_null(m.resume.at);
  }
}

static void unfolds_names(void **state)
{
  (void)state;
  struct sig_message m;
  struct sig_refusal r;
  assert_int_equal(read_text("{\"typ\\u0065\":\"joi\\u006e\",\"room\":\"\\u0061\\\"\",\"name\":"
                             "\"\\u00e9\",\"meta\":\"\\u0041\"}",
                             &m, &r),
                   0);
  assert_bytes(m.room, "a\"");
  assert_bytes(m.name, "\xc3\xa9");
  assert_bytes(m.meta, "\"\\u0041\"");
}

/* What is not named by the type is not looked at. */
static void ignores_what_it_does_not_know(void **state)
{
  (void)state;
  struct sig_message m;
  struct sig_refusal r;
  assert_int_equal(
      read_text("{\"type\":\"ping\",\"room\":7,\"seq\":{},\"id\":[],\"x\":1,\"x\":2}", &m, &r), 0);
  assert_null(m.room.at);
  assert_null(m.id.at);
  assert_int_equal(m.seq, 0);
}

static void names_the_message_in_the_refusal(void **state)
{
  (void)state;
  struct sig_message m;
  struct sig_refusal r;
  assert_int_equal(read_text("{\"id\":\"x\",\"type\":\"signal\"}", &m, &r), -ERR_BAD);
  assert_int_equal(r.error, SIG_ERROR_BAD_MESSAGE);
  assert_bytes(r.id, "\"x\"");
  assert_string_equal(r.prose, "'signal' needs the member 'room'");
  assert_int_equal(read_text("{\"id\":{},\"type\":\"dance\"}", &m, &r), -ERR_BAD);
  assert_int_equal(r.error, SIG_ERROR_UNKNOWN_TYPE);
  assert_int_equal(r.id.len, 0);
  assert_int_equal(read_text("{\"id\":1,\"type\":\"ping\"", &m, &r), -ERR_BAD);
  assert_int_equal(r.error, SIG_ERROR_BAD_JSON);
  assert_string_equal(r.prose, "this is not JSON in UTF-8: see byte 22");
  assert_int_equal(r.id.len, 0);
}

/* A text with escapes is unfolded into a bounded place. */
static void bounds_what_it_unfolds(void **state)
{
  (void)state;
  struct sig_limits l = limits();
  struct sig_message m;
  struct sig_refusal r;
  static char text[SIG_SCRATCH + 100];
  l.room_length = 0;
  for (int more = 0; more < 2; more++) {
    int len = snprintf(text, sizeof(text), "{\"type\":\"leave\",\"room\":\"\\n");
    text[len - 2] = '\\';
    text[len - 1] = '/';
    memset(text + len, 'x', SIG_SCRATCH - 1 + (size_t)more);
    snprintf(text + len + SIG_SCRATCH - 1 + more, 3, "\"}");
    int err = sig__message_read(bytes_of(text), &l, &m, &r);
    assert_int_equal(err, more ? -ERR_BAD : 0);
    if (!more) {
      assert_int_equal(m.room.len, SIG_SCRATCH);
      assert_int_equal(m.room.at[0], '/');
    }
  }
  assert_int_equal(r.error, SIG_ERROR_BAD_MESSAGE);
}

static void token_has_a_limit(void **state)
{
  (void)state;
  struct sig_message m;
  struct sig_refusal r;
  static char text[SIG_TOKEN_SIZE + 100];
  for (size_t more = 0; more < 2; more++) {
    int len = snprintf(text, sizeof(text), "{\"type\":\"hello\",\"token\":\"");
    memset(text + len, 't', SIG_TOKEN_SIZE + more);
    snprintf(text + (size_t)len + SIG_TOKEN_SIZE + more, 3, "\"}");
    assert_int_equal(read_text(text, &m, &r), more ? -ERR_BAD : 0);
  }
}

static void refuses_numbers_that_are_none(void **state)
{
  (void)state;
  struct sig_message m;
  struct sig_refusal r;
  static const char *const bad[] = {"-1",    "1.0",  "1e2", "9007199254740992",
                                    "\"1\"", "null", "true"};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    char text[80];
    snprintf(text, sizeof(text), "{\"type\":\"ack\",\"seq\":%s}", bad[i]);
    assert_int_equal(read_text(text, &m, &r), -ERR_BAD);
    assert_int_equal(r.error, SIG_ERROR_BAD_MESSAGE);
    assert_string_equal(r.prose, "'seq' must be a whole number from 0 to 9007199254740991");
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_each_type),
      cmocka_unit_test(unfolds_names),
      cmocka_unit_test(ignores_what_it_does_not_know),
      cmocka_unit_test(names_the_message_in_the_refusal),
      cmocka_unit_test(bounds_what_it_unfolds),
      cmocka_unit_test(token_has_a_limit),
      cmocka_unit_test(refuses_numbers_that_are_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
