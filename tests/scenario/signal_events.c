/* The events of the signalling scenarios: one function for each first word of a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/scenario/signal_script.h"

static struct sig_client *client(struct script *s, char **rest)
{
  char *name = script_word(rest);
  if (name == NULL) {
    script_fail(s, "whose? A client's name is missing");
  }
  struct sig_client *c = world_client(&s->world, name);
  s->actor = c;
  return c;
}

static enum sig_transport transport_of(const struct script *s, const char *name)
{
  static const char *const names[SIG_TRANSPORT_COUNT] = {"websocket", "sse", "longpoll", "poll"};
  for (int i = 0; i < SIG_TRANSPORT_COUNT; i++) {
    if (strcmp(names[i], name) == 0) {
      return (enum sig_transport)i;
    }
  }
  script_fail(s, "'%s' is no transport", name);
}

static struct sig_link_setup link_setup(struct script *s, char **rest, const char **refusal)
{
  struct sig_link_setup setup = {.client = addr_v4(192, 0, 2, 1, 40000)};
  *refusal = NULL;
  for (char *word = script_word(rest); word != NULL; word = script_word(rest)) {
    const char *value;
    if ((value = script_value(word, "address")) != NULL) {
      if (addr_parse(bytes_of(value), &setup.client) != 0) {
        script_fail(s, "'%s' is no address", value);
      }
    } else if ((value = script_value(word, "origin")) != NULL) {
      setup.origin = bytes_of(value);
    } else if ((value = script_value(word, "host")) != NULL) {
      setup.host = bytes_of(value);
    } else if ((value = script_value(word, "token")) != NULL) {
      setup.token = bytes_of(value);
    } else if ((value = script_value(word, "transport")) != NULL) {
      setup.transport = transport_of(s, value);
    } else if ((value = script_value(word, "refused")) != NULL) {
      *refusal = value;
    } else {
      script_fail(s, "CONNECT knows no '%s'", word);
    }
  }
  return setup;
}

static void connect_client(struct script *s, struct sig_client *c, char *rest)
{
  const char *refusal;
  struct sig_link_setup setup = link_setup(s, &rest, &refusal);
  int err = world_connect(c, &setup);
  int want = refusal == NULL                  ? 0
             : strcmp(refusal, "denied") == 0 ? -ERR_DENIED
             : strcmp(refusal, "full") == 0   ? -ERR_FULL
                                              : 1;
  if (err != want && !s->lenient) {
    script_fail(s, "the link was answered by '%s'", err == 0 ? "yes" : err_name(err));
  }
}

static void do_connect(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest);
  connect_client(s, c, rest);
}

static void send_text(struct script *s, struct sig_client *c, const char *from, unsigned n,
                      bool raw)
{
  size_t len;
  const char *text = script_expand(s, from, n, raw, &len);
  if (text == NULL) {
    return;
  }
  if (c->link == NULL && !s->lenient) {
    script_fail(s, "'%s' is not connected", c->name);
  }
  world_send(c, (struct bytes){(const uint8_t *)text, len});
}

static void do_send(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest);
  send_text(s, c, rest, 0, false);
}

/* The rest of the line, with \xNN for any byte. */
static void do_bytes(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest);
  send_text(s, c, rest, 0, true);
}

/* FLOOD client count text */
static void do_flood(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest);
  char *count = script_word(&rest);
  uint64_t times = count == NULL ? 0 : script_uint(s, count);
  for (uint64_t i = 0; i < times && c->link != NULL; i++) {
    send_text(s, c, rest, (unsigned)(i + 1), false);
  }
}

/* BAD client code: the edge's own judgement. */
static void do_bad(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest);
  char *code = script_word(&rest);
  int i = 0;
  while (i < SIG_ERROR_COUNT &&
         (code == NULL || strcmp(code, sig_error_code((enum sig_error)i)) != 0)) {
    i++;
  }
  if (i == SIG_ERROR_COUNT) {
    script_fail(s, "BAD client code-of-an-error");
  }
  world_send_bad(c, (enum sig_error)i);
}

static void next_is(struct script *s, struct sig_client *c, const char *pattern)
{
  const char *text = world_next(c);
  if (s->lenient) {
    /* Only what variables it can still learn. */
    if (text != NULL && strchr(pattern, '$') != NULL) {
      (void)script_match(s, pattern, text);
    }
    return;
  }
  if (text == NULL) {
    script_fail(s, "'%s' got nothing", c->name);
  }
  if (!script_match(s, pattern, text)) {
    script_fail(s, "'%s' got %s", c->name, text);
  }
}

/* EXPECT client pattern | EXPECT client nothing | EXPECT nothing */
static void do_expect(struct script *s, char *rest)
{
  char *name = script_word(&rest);
  if (name != NULL && strcmp(name, "nothing") == 0) {
    script_nothing_left(s);
    return;
  }
  struct sig_client *c = world_client(&s->world, name == NULL ? "" : name);
  if (strcmp(rest, "nothing") != 0) {
    next_is(s, c, rest);
    return;
  }
  const char *text = world_next(c);
  if (text != NULL && !s->lenient) {
    script_fail(s, "'%s' got %s", c->name, text);
  }
}

/* EXACTLY client text: byte for byte. */
static void do_exactly(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest);
  const char *got = world_next(c);
  size_t len;
  const char *want = script_expand(s, rest, 0, true, &len);
  if (!s->lenient && (got == NULL || strcmp(got, want) != 0)) {
    script_fail(s, "'%s' got %s", c->name, got == NULL ? "nothing" : got);
  }
}

/* SKIP client count: messages that do not matter here. */
static void do_skip(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest);
  char *count = script_word(&rest);
  uint64_t times = count == NULL ? 1 : script_uint(s, count);
  for (uint64_t i = 0; i < times; i++) {
    if (world_next(c) == NULL && !s->lenient) {
      script_fail(s, "'%s' got only %llu", c->name, (unsigned long long)i);
    }
  }
}

/* HELLO client [as CONNECT]: connects, says hello, and knows $client.session, .key and .peer. */
static void do_hello(struct script *s, char *rest)
{
  char pattern[512];
  struct sig_client *c = client(s, &rest);
  connect_client(s, c, rest);
  send_text(s, c, "{\"type\":\"hello\"}", 0, false);
  snprintf(pattern, sizeof(pattern),
           "{\"type\":\"welcome\",\"session\":\"$%s.session\",\"key\":\"$%s.key\",\"peer\":"
           "\"$%s.peer\",\"resumed\":false,\"...\":0}",
           c->name, c->name, c->name);
  next_is(s, c, pattern);
}

/* RESUME client after=N [of=OTHER] [as CONNECT]: connects and goes on with its own session, or with
 * another's. */
static void do_resume(struct script *s, char *rest)
{
  char text[512], options[SCRIPT_LINE] = "";
  struct sig_client *c = client(s, &rest);
  const char *after = NULL, *of = c->name;
  for (char *word = script_word(&rest); word != NULL; word = script_word(&rest)) {
    if (script_value(word, "after") != NULL) {
      after = script_value(word, "after");
    } else if (script_value(word, "of") != NULL) {
      of = script_value(word, "of");
    } else {
      size_t len = strlen(options);
      snprintf(options + len, sizeof(options) - len, "%s ", word);
    }
  }
  if (after == NULL) {
    script_fail(s, "RESUME client after=N [of=OTHER]");
  }
  connect_client(s, c, options);
  snprintf(text, sizeof(text),
           "{\"type\":\"hello\",\"resume\":{\"session\":\"$%s.session\",\"key\":\"$%s.key\","
           "\"after\":%s}}",
           of, of, after);
  if (c->link != NULL || !s->lenient) {
    send_text(s, c, text, 0, false);
  }
}

/* The key of a client; NULL where a lenient run never learned it. */
static const char *key_of(struct script *s, const char *name)
{
  char var[WORLD_NAME + 8];
  snprintf(var, sizeof(var), "%s.key", name);
  const char *key = script_var(s, var);
  if (key == NULL && !s->lenient) {
    script_fail(s, "$%s was never set", var);
  }
  return key;
}

/* POLL client after=N [of=OTHER] [key=K] [as CONNECT]: a request that reads. */
static void do_poll(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest);
  char options[512] = "";
  const char *of = c->name, *after = NULL, *key = NULL;
  for (char *word = script_word(&rest); word != NULL; word = script_word(&rest)) {
    if (script_value(word, "after") != NULL) {
      after = script_value(word, "after");
    } else if (script_value(word, "of") != NULL) {
      of = script_value(word, "of");
    } else if (script_value(word, "key") != NULL) {
      key = script_value(word, "key");
    } else {
      size_t len = strlen(options);
      snprintf(options + len, sizeof(options) - len, "%s ", word);
    }
  }
  if (after == NULL) {
    script_fail(s, "POLL client after=N [of=OTHER] [key=K]");
  }
  key = key != NULL ? key : key_of(s, of);
  connect_client(s, c, options);
  if (key != NULL && c->link != NULL) {
    (void)world_read(c, bytes_of(key), script_uint(s, after));
  }
}

/* POST client of=OTHER text: a request that brings one message or an array of them. */
static void do_post(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest);
  char *of = script_word(&rest), none[] = "";
  if (of == NULL || script_value(of, "of") == NULL) {
    script_fail(s, "POST client of=OTHER text");
  }
  const char *key = key_of(s, script_value(of, "of"));
  /* What it does to its session, the reader of that session may feel. */
  s->actor = world_client(&s->world, script_value(of, "of"));
  size_t len;
  const char *text = script_expand(s, rest, 0, true, &len);
  connect_client(s, c, none);
  if (key == NULL || text == NULL || c->link == NULL) {
    return;
  }
  int err = world_post(c, bytes_of(key), (struct bytes){(const uint8_t *)text, len});
  if (s->lenient) { /* its own line too: the actor can be only one of the two */
    c->closed = false;
  }
  if (err != 0 && err != -ERR_MISSING && !s->lenient) {
    script_fail(s, "the body was refused: %s", err_name(err));
  }
}

static void do_drop(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest);
  if (c->link == NULL && !s->lenient) {
    script_fail(s, "'%s' is not connected", c->name);
  }
  world_drop(c);
}

/* CLOSED client code [reason] */
static void do_closed(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest);
  char *code = script_word(&rest);
  bool was_closed = c->closed;
  c->closed = false;
  if (s->lenient) {
    return;
  }
  if (!was_closed) {
    script_fail(s, "'%s' was not closed", c->name);
  }
  if (code == NULL || c->close_code != script_uint(s, code) ||
      (*rest != 0 && strcmp(rest, c->close_reason) != 0)) {
    script_fail(s, "'%s' was closed with %u %s", c->name, c->close_code, c->close_reason);
  }
}

/* HOLD client: it reads nothing from here on. READ client: it reads again. */
static void do_hold(struct script *s, char *rest)
{
  client(s, &rest)->held = true;
}

static void do_read(struct script *s, char *rest)
{
  client(s, &rest)->held = false;
  world_settle(&s->world);
}

/* ELAPSE 31s | 500ms */
static void do_elapse(struct script *s, char *rest)
{
  char *word = script_word(&rest), *unit;
  unsigned long long v = word == NULL ? 0 : strtoull(word, &unit, 10);
  if (v == 0 || (strcmp(unit, "s") != 0 && strcmp(unit, "ms") != 0)) {
    script_fail(s, "ELAPSE 31s, or 500ms");
  }
  world_elapse(&s->world, strcmp(unit, "s") == 0 ? v * 1000 : v);
}

/* DRAIN 30s [url=U]: this node goes away. */
static void do_drain(struct script *s, char *rest)
{
  char *word = script_word(&rest), *unit;
  unsigned long long v = word == NULL ? 0 : strtoull(word, &unit, 10);
  if (word == NULL || strcmp(unit, "s") != 0) {
    script_fail(s, "DRAIN 30s [url=U]");
  }
  char *more = script_word(&rest);
  const char *url = more == NULL ? NULL : script_value(more, "url");
  sig_drain(s->world.sig, bytes_of(url == NULL ? "" : url), (uint32_t)v, s->world.now_ms);
  world_settle(&s->world);
}

/* COUNT name=value ... */
static void do_count(struct script *s, char *rest)
{
  const struct sig_counters *n = sig_counters(s->world.sig);
  const struct {
    const char *name;
    uint64_t value;
  } row[] = {
      {"links", n->links},
      {"sessions", n->sessions},
      {"sessions-linked", n->sessions_linked},
      {"rooms", n->rooms},
      {"members", n->members},
      {"outbox-messages", n->outbox_messages},
      {"outbox-bytes", n->outbox_bytes},
      {"deliveries", n->deliveries},
      {"duplicates", n->duplicates},
      {"taken-over", n->sessions_taken_over},
      {"resumed", n->sessions_resumed},
      {"left-bye", n->sessions_left[SIG_LEFT_BYE]},
      {"left-timeout", n->sessions_left[SIG_LEFT_TIMEOUT]},
      {"left-overflow", n->sessions_left[SIG_LEFT_OUTBOX_OVERFLOW]},
      {"rate-limited", n->errors[SIG_ERROR_RATE_LIMITED]},
      {"links-refused", n->links_refused},
  };
  const size_t rows = sizeof(row) / sizeof(row[0]);
  for (char *word = script_word(&rest); word != NULL; word = script_word(&rest)) {
    size_t i = 0;
    while (i < rows && script_value(word, row[i].name) == NULL) {
      i++;
    }
    if (i == rows) {
      script_fail(s, "COUNT knows no '%s'", word);
    }
    if (!s->lenient && row[i].value != script_uint(s, script_value(word, row[i].name))) {
      script_fail(s, "%s is %llu", row[i].name, (unsigned long long)row[i].value);
    }
  }
}

void script_nothing_left(struct script *s)
{
  for (size_t i = 0; i < s->world.client_count && !s->lenient; i++) {
    struct sig_client *c = &s->world.client[i];
    const char *text = world_next(c);
    if (text != NULL) {
      script_fail(s, "'%s' got what nobody expects: %s", c->name, text);
    }
    if (c->closed) {
      script_fail(s, "'%s' was closed with %u %s", c->name, c->close_code, c->close_reason);
    }
  }
}

void script_run_line(struct script *s, char *line)
{
  static const struct {
    const char *word;
    void (*run)(struct script *s, char *rest);
    bool wants_core;
  } row[] = {
      {"CONFIG", script_config, false},
      {"TOKEN", script_token, false},
      {"ASKER", script_asker, false},
      {"ASKED", script_asked, true},
      {"ANSWER", script_answer, true},
      {"FORGOTTEN", script_forgotten, true},
      {"WATCH", script_watch, false},
      {"API", script_api, true},
      {"CONNECT", do_connect, true},
      {"HELLO", do_hello, true},
      {"POLL", do_poll, true},
      {"POST", do_post, true},
      {"RESUME", do_resume, true},
      {"SEND", do_send, true},
      {"BYTES", do_bytes, true},
      {"FLOOD", do_flood, true},
      {"BAD", do_bad, true},
      {"EXPECT", do_expect, true},
      {"EXACTLY", do_exactly, true},
      {"SKIP", do_skip, true},
      {"DROP", do_drop, true},
      {"CLOSED", do_closed, true},
      {"HOLD", do_hold, true},
      {"READ", do_read, true},
      {"ELAPSE", do_elapse, true},
      {"DRAIN", do_drain, true},
      {"COUNT", do_count, true},
  };
  char *rest = line, *word = script_word(&rest);
  if (word == NULL || word[0] == '#') {
    return;
  }
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    if (strcmp(word, row[i].word) == 0) {
      if (row[i].wants_core) {
        script_start(s);
      }
      if (!row[i].wants_core || s->world.sig != NULL) {
        row[i].run(s, rest);
      }
      return;
    }
  }
  script_fail(s, "unknown word '%s'", word);
}
