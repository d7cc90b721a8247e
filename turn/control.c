/* A table of commands. Whoever may speak here is the owner of the socket's file (net/control), so
 * what has to be bounded is the answer and the wait. */
#include "turn/control.h"

#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "net/clock.h"
#include "turn/query.h"

enum {
  SESSIONS_SHOWN = 100,    /* unless another number is asked for */
  SESSIONS_MAX = 1000,     /* and at most */
  SESSION_ROOM = 512,      /* bytes of a line, on average */
  ANSWER_ROOM = 900 * 1024 /* of all lines: less than NET_CONTROL_ANSWER_MAX */
};

/* ---- answers ---- */

static void put_error(struct buf *out, const char *text)
{
  buf_put_text(out, "{\"error\":");
  json_put_string(out, bytes_of(text));
  buf_put_text(out, "}\n");
}

static void put_done(struct buf *out, const char *what)
{
  buf_put_text(out, "{\"done\":");
  json_put_string(out, bytes_of(what));
  buf_put_text(out, "}\n");
}

static void put_number(struct buf *out, const char *key, uint64_t value)
{
  buf_put_text(out, ",\"");
  buf_put_text(out, key);
  buf_put_text(out, "\":");
  buf_put_uint(out, value);
}

/* ---- commands ---- */

static struct turn_counters sum_of(const struct turnd_control *c)
{
  struct turnd_counters sum = {0};
  for (size_t i = 0; i < c->source->count; i++)
    turnd_worker_add_counters(c->source->worker[i], &sum);
  return sum.turn;
}

static enum log_level level_now(const struct log *log)
{
  enum log_level level = LOG_LEVEL_ERROR;
  while (level < LOG_LEVEL_DEBUG && log_is_on(log, (enum log_level)(level + 1)))
    level++;
  return level;
}

static void status(struct turnd_control *c, struct bytes argument, struct buf *out)
{
  (void)argument;
  const struct turn_counters sum = sum_of(c);
  buf_put_text(out, "{\"program\":\"viaduct-turnd\",\"version\":");
  json_put_string(out, bytes_of(c->version));
  put_number(out, "pid", (uint64_t)getpid());
  put_number(out, "uptime_s", (net_clock_wall_ms() - c->started_ms) / 1000);
  put_number(out, "workers", c->source->count);
  put_number(out, "sessions", sum.allocations);
  put_number(out, "sessions_created", sum.allocations_created);
  put_number(out, "from_client_bytes", sum.from_client_bytes);
  put_number(out, "from_peer_bytes", sum.from_peer_bytes);
  buf_put_text(out,
               atomic_load(&c->source->draining) ? ",\"draining\":true" : ",\"draining\":false");
  buf_put_text(out, ",\"log_level\":");
  json_put_string(out, bytes_of(log_level_name(level_now(c->log))));
  buf_put_text(out, "}\n");
}

/* Asks all workers. False, and the answer says why, when they do not answer. */
static bool ask(const struct turnd_control *c, struct turnd_query *q, struct buf *out)
{
  size_t asked = 0;
  for (size_t i = 0; i < c->source->count; i++)
    asked += turnd_worker_ask(c->source->worker[i], q) == 0;
  bool answered = turnd_query_wait(q, asked) && asked == c->source->count;
  if (!answered)
    put_error(out, "a worker is too busy to answer; ask again");
  return answered;
}

/* The first `most` lines of a part; how many there are. */
static size_t put_lines(struct buf *out, const struct turnd_query_part *p, size_t most)
{
  const uint8_t *at = p->lines.at, *end = at + p->lines.len;
  size_t count = 0;
  while (at < end && count < most) {
    const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
    size_t len = (size_t)(newline - at) + 1;
    if (out->cap - out->len < len + 128) /* the last line has its place */
      break;
    buf_put(out, at, len);
    at += len;
    count++;
  }
  return count;
}

static void sessions(struct turnd_control *c, struct bytes argument, struct buf *out)
{
  uint64_t most = SESSIONS_SHOWN;
  if (argument.len > 0 && (parse_uint(argument, SESSIONS_MAX, &most) != 0 || most == 0)) {
    put_error(out, "sessions takes a number up to 1000");
    return;
  }
  size_t workers = c->source->count, room = (size_t)most * SESSION_ROOM + 4096;
  if (room > ANSWER_ROOM / workers)
    room = ANSWER_ROOM / workers;
  struct turnd_query *q = turnd_query_new(TURND_QUERY_SHOW, workers, room);
  if (q == NULL) {
    put_error(out, err_text(-ERR_NOMEM));
    return;
  }
  q->most = (size_t)most;
  if (ask(c, q, out)) {
    size_t shown = 0;
    for (size_t i = 0; i < workers; i++)
      shown += put_lines(out, &q->part[i], (size_t)most - shown);
    buf_put_text(out, "{\"shown\":");
    buf_put_uint(out, shown);
    put_number(out, "sessions", sum_of(c).allocations);
    buf_put_text(out, "}\n");
  }
  turnd_query_leave(q);
}

/* A number is a session's id; "user=" is for a user whose name looks like one. */
static void end(struct turnd_control *c, struct bytes argument, struct buf *out)
{
  static const char named[] = "user=";
  uint64_t id = 0;
  size_t ended = 0;
  if (argument.len == 0 || argument.len > TURND_QUERY_USER_MAX) {
    put_error(out,
              "close takes a session's id or a user's name: close 17, close bob, close user=17");
    return;
  }
  if (argument.len >= sizeof(named) - 1 && memcmp(argument.at, named, sizeof(named) - 1) == 0)
    argument = (struct bytes){argument.at + sizeof(named) - 1, argument.len - (sizeof(named) - 1)};
  else if (parse_uint(argument, UINT64_MAX, &id) != 0)
    id = 0;
  struct turnd_query *q = turnd_query_new(TURND_QUERY_END, c->source->count, 0);
  if (q == NULL) {
    put_error(out, err_text(-ERR_NOMEM));
    return;
  }
  q->id = id;
  q->user_len = argument.len;
  memcpy(q->user, argument.at, argument.len);
  if (ask(c, q, out)) {
    for (size_t i = 0; i < q->part_count; i++)
      ended += q->part[i].ended;
    buf_put_text(out, "{\"closed\":");
    buf_put_uint(out, ended);
    buf_put_text(out, "}\n");
    log_event(c->log, LOG_LEVEL_INFO, "sessions-closed", LOG_UINT("count", ended),
              LOG_BYTES("asked", argument));
  }
  turnd_query_leave(q);
}

static void log_level(struct turnd_control *c, struct bytes argument, struct buf *out)
{
  enum log_level level;
  if (log_level_parse(argument, &level) != 0) {
    put_error(out, "log-level takes one of error, warn, info, debug");
    return;
  }
  log_set_level(c->log, level);
  put_done(out, "until the next reload, which takes the level of the configuration");
}

static void drain(struct turnd_control *c, struct bytes argument, struct buf *out)
{
  (void)argument;
  c->drain(c->arg);
  put_done(out, "no new session is taken; it ends with the last one");
}

static void reload(struct turnd_control *c, struct bytes argument, struct buf *out)
{
  (void)argument;
  struct option_error e = {{0}};
  if (c->reload(c->arg, &e) != 0)
    put_error(out, e.text);
  else
    put_done(out, "the configuration and the certificate are those of now");
}

static void help(struct turnd_control *c, struct bytes argument, struct buf *out);

static const struct command {
  const char *name;
  void (*run)(struct turnd_control *c, struct bytes argument, struct buf *out);
  const char *help;
} commands[] = {
    {"status", status, "what it is and how much it does"},
    {"sessions", sessions, "[N]: the first N sessions (100), one a line"},
    {"close", end, "ID or USER: ends a session, or all of a user"},
    {"log-level", log_level, "error, warn, info or debug"},
    {"drain", drain, "no new sessions, and the end with the last one (SIGUSR1)"},
    {"reload", reload, "reads configuration and certificate again (SIGHUP)"},
    {"help", help, "this"},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void help(struct turnd_control *c, struct bytes argument, struct buf *out)
{
  (void)c;
  (void)argument;
  for (size_t i = 0; i < COMMANDS; i++) {
    buf_put_text(out, "{\"command\":");
    json_put_string(out, bytes_of(commands[i].name));
    buf_put_text(out, ",\"help\":");
    json_put_string(out, bytes_of(commands[i].help));
    buf_put_text(out, "}\n");
  }
}

void turnd_control_command(void *arg, struct bytes line, struct buf *out)
{
  const uint8_t *space = line.len > 0 ? memchr(line.at, ' ', line.len) : NULL;
  struct bytes name = {line.at, space != NULL ? (size_t)(space - line.at) : line.len};
  struct bytes argument = {0};
  if (space != NULL)
    argument = (struct bytes){space + 1, line.len - name.len - 1};
  for (size_t i = 0; i < COMMANDS; i++)
    if (bytes_equal(name, bytes_of(commands[i].name))) {
      commands[i].run(arg, argument, out);
      return;
    }
  put_error(out, "no such command; help lists them");
}
