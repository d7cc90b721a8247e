/* See supervise.h. */
#include "viaduct/supervise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "net/clock.h"
#include "net/signals.h"

enum {
  READS_MAX = 16, /* of one server's output before the others have their turn */
  FROZEN_MS =
      1000 /* so late, a timer says that nobody ran: a container that was paused, a laptop */
};

static struct log *log_of(struct supervisor *s)
{
  return &s->log->log;
}

static struct bytes last_line(const struct child *c)
{
  return (struct bytes){(const uint8_t *)c->last, c->last_len};
}

/* ---- output ---- */

/* While the servers start, the last line of each waits: it may be the one that explains why the
 * start fails, which is shown alone and not twice. */
static void log_held(struct supervisor *s, struct child *c)
{
  if (c->held)
    merged_log_line(s->log, last_line(c), line_level(last_line(c)));
  c->held = false;
}

static void take_line(struct supervisor *s, struct child *c, struct bytes line)
{
  if (line.len == 0)
    return;
  log_held(s, c);
  memcpy(c->last, line.at, line.len);
  c->last_len = line.len;
  c->held = true;
  if (s->started)
    log_held(s, c);
}

static void take_output(struct supervisor *s, struct child *c)
{
  for (int i = 0; i < READS_MAX && c->output >= 0; i++) {
    uint8_t storage[8192];
    ssize_t n = read(c->output, storage, sizeof(storage));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (n <= 0) {
      take_line(s, c, lines_rest(&c->lines));
      close(c->output);
      c->output = -1;
      return;
    }
    for (struct bytes in = {storage, (size_t)n}; in.len > 0;) {
      struct bytes line;
      size_t used = lines_take(&c->lines, in, &line);
      take_line(s, c, line);
      in = (struct bytes){in.at + used, in.len - used};
    }
  }
}

/* All that a server which is gone left in its pipe; whoever else holds the pipe is not waited for.
 */
static void take_rest(struct supervisor *s, struct child *c)
{
  take_output(s, c);
  if (c->output < 0)
    return;
  take_line(s, c, lines_rest(&c->lines));
  close(c->output);
  c->output = -1;
}

/* ---- starting and stopping ---- */

static void stop_all(struct supervisor *s, int status)
{
  if (s->stopping)
    return;
  s->stopping = true;
  s->status = status;
  s->stop_asked_ms = net_clock_ms();
  s->kill_at_ms = s->stop_asked_ms + SUPERVISE_STOP_MS;
  for (size_t i = 0; i < SERVER_COUNT; i++) {
    s->child[i].start_at_ms = 0;
    s->child[i].ready_by_ms = 0;
    s->child[i].well_by_ms = 0;
    if (s->child[i].pid > 0)
      kill(s->child[i].pid, SIGTERM);
  }
}

static void kill_all(struct supervisor *s, const char *reason)
{
  for (size_t i = 0; i < SERVER_COUNT; i++) {
    if (s->child[i].pid <= 0)
      continue;
    log_event(log_of(s), LOG_LEVEL_WARN, "server-killed",
              LOG_TEXT("server", server_name(s->child[i].server)), LOG_TEXT("reason", reason));
    kill(s->child[i].pid, SIGKILL);
  }
}

static void start_later(struct child *c, uint64_t wait_ms)
{
  c->start_at_ms = net_clock_ms() + wait_ms;
  c->ready_by_ms = 0;
}

static void start(struct supervisor *s, struct child *c)
{
  struct net_error e = {{0}};
  uint64_t now_ms = net_clock_ms();
  backoff_started(&c->backoff, now_ms);
  if (child_start(c, s->readiness->path, &e) != 0) {
    log_event(log_of(s), LOG_LEVEL_ERROR, "server-not-started",
              LOG_TEXT("server", server_name(c->server)), LOG_TEXT("reason", e.text));
    start_later(c, backoff_stopped(&c->backoff, now_ms));
    return;
  }
  /* While all start, there is one deadline for them together, however often one comes back. */
  if (s->started || c->ready_by_ms == 0)
    c->ready_by_ms = now_ms + SUPERVISE_READY_MS;
  log_event(log_of(s), LOG_LEVEL_INFO, "server-started", LOG_TEXT("server", server_name(c->server)),
            LOG_UINT("pid", (uint64_t)c->pid));
}

/* ---- the end of a server ---- */

/* How a user of `viaduct up` chooses other ports: the servers name their own options. */
static const char *port_options(enum server server)
{
  static const char *const options[SERVER_COUNT] = {"--turn-port, --turns-port, --metrics-port",
                                                    "--stun-port, --metrics-port",
                                                    "--http-port, --https-port, --metrics-port"};
  return options[server];
}

static void put_last(const struct supervisor *s, const struct child *c, struct buf *b)
{
  if (s->file_name != NULL)
    line_rename(b, last_line(c), c->config, s->file_name, s->file_lines);
  else
    buf_put(b, c->last, c->last_len);
}

/* Without a last line, or where that cannot be the cause. */
static void put_reason(const struct child *c, const char *reason, struct buf *b)
{
  buf_put_text(b, "viaduct-");
  buf_put_text(b, server_name(c->server));
  buf_put_text(b, " could not start: ");
  buf_put_text(b, reason);
}

/* `reason` NULL: the server's last line says it. */
static void fail_start(struct supervisor *s, const struct child *c, int status, const char *reason)
{
  struct buf b;
  if (s->stopping)
    return; /* the first failure is the one to tell */
  buf_init(&b, s->message, sizeof(s->message) - 1);
  if (reason != NULL)
    put_reason(c, reason, &b);
  if (reason != NULL && c->last_len > 0)
    buf_put_text(&b, "; its last line: ");
  if (c->last_len > 0)
    put_last(s, c, &b);
  if (status == EXIT_BIND) {
    buf_put_text(&b, " (viaduct up: ");
    buf_put_text(&b, port_options(c->server));
    buf_put_byte(&b, ')');
  }
  s->message[b.len] = '\0';
  merged_log_file(s->log, (struct bytes){b.at, b.len});
  stop_all(s, status);
}

/* Wrong options and ports that are taken do not get better by trying; a program that is not there
 * (126, 127) does not either. */
static bool is_hopeless(int wait_status)
{
  if (!WIFEXITED(wait_status))
    return false;
  int status = WEXITSTATUS(wait_status);
  return status == EXIT_USAGE || status == EXIT_BIND || status == 126 || status == 127;
}

static void ended(struct supervisor *s, struct child *c, int wait_status)
{
  char reason[CHILD_REASON_SIZE];
  child_reason(wait_status, reason);
  take_rest(s, c);
  c->pid = 0;
  c->ready = false;
  c->well_by_ms = 0;
  if (!s->started && !s->stopping && is_hopeless(wait_status)) {
    int status = WEXITSTATUS(wait_status);
    c->held = false;
    fail_start(s, c, status == EXIT_BIND ? EXIT_BIND : EXIT_USAGE, c->last_len > 0 ? NULL : reason);
    return;
  }
  log_held(s, c);
  if (s->stopping) {
    log_event(log_of(s), LOG_LEVEL_INFO, "server-stopped",
              LOG_TEXT("server", server_name(c->server)), LOG_TEXT("reason", reason));
    return;
  }
  uint64_t wait_ms = backoff_stopped(&c->backoff, net_clock_ms());
  log_event(log_of(s), LOG_LEVEL_WARN, "server-stopped", LOG_TEXT("server", server_name(c->server)),
            LOG_TEXT("reason", reason), LOG_UINT("again_in_ms", wait_ms),
            LOG_BYTES("last", last_line(c)));
  uint64_t ready_by_ms = c->ready_by_ms;
  start_later(c, wait_ms);
  if (!s->started)
    c->ready_by_ms = ready_by_ms;
}

static void reap(struct supervisor *s)
{
  int wait_status;
  pid_t pid;
  while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
    for (size_t i = 0; i < SERVER_COUNT; i++)
      if (s->child[i].pid == pid)
        ended(s, &s->child[i], wait_status);
}

/* ---- what happens ---- */

static void take_hangup(struct supervisor *s)
{
  if (s->stopping || !s->reload(s->reload_arg))
    return;
  log_event(log_of(s), LOG_LEVEL_INFO, "reload", LOG_TEXT("signal", "SIGHUP"));
  for (size_t i = 0; i < SERVER_COUNT; i++) {
    struct child *c = &s->child[i];
    if (c->pid > 0 && c->ready)
      kill(c->pid, SIGHUP);
    else
      c->hang_up = c->pid > 0;
  }
}

static void take_signals(struct supervisor *s)
{
  int number;
  while ((number = net_signals_next(s->signals)) != 0) {
    if (number == SIGCHLD) {
      reap(s);
    } else if (number == SIGHUP) {
      take_hangup(s);
    } else if (s->stopping) {
      /* Asked again: at once. Not the echo of the same wish, which some send to us and to our
       * group. */
      if (net_clock_ms() - s->stop_asked_ms >= SUPERVISE_ECHO_MS)
        kill_all(s, "asked to stop a second time");
    } else {
      log_event(log_of(s), LOG_LEVEL_INFO, "stopping",
                LOG_TEXT("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
      stop_all(s, 0);
    }
  }
}

static void take_readiness(struct supervisor *s)
{
  pid_t pid;
  bool well;
  while ((pid = readiness_next(s->readiness, &well)) != 0) {
    for (size_t i = 0; i < SERVER_COUNT; i++) {
      struct child *c = &s->child[i];
      if (c->pid == pid && well && !s->stopping)
        c->well_by_ms = net_clock_ms() + CHILD_WATCHDOG_MS;
      if (c->pid != pid || c->ready || well)
        continue;
      c->ready = true;
      c->ready_by_ms = 0;
      log_event(log_of(s), s->started ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "server-ready",
                LOG_TEXT("server", server_name(c->server)), LOG_UINT("pid", (uint64_t)pid));
      if (c->hang_up)
        kill(c->pid, SIGHUP);
      c->hang_up = false;
    }
  }
}

static void not_ready(struct supervisor *s, struct child *c)
{
  c->ready_by_ms = 0;
  if (!s->started) {
    c->held = false;
    fail_start(s, c, 1, "it was not ready within 15 seconds");
    return;
  }
  log_event(log_of(s), LOG_LEVEL_WARN, "server-killed", LOG_TEXT("server", server_name(c->server)),
            LOG_TEXT("reason", "it was not ready within 15 seconds"));
  if (c->pid > 0)
    kill(c->pid, SIGKILL); /* its end starts it again */
}

/* It has said so before, and does no more: then it hangs, in part at least. */
static void not_well(struct supervisor *s, struct child *c)
{
  c->well_by_ms = 0;
  log_event(log_of(s), LOG_LEVEL_WARN, "server-killed", LOG_TEXT("server", server_name(c->server)),
            LOG_TEXT("reason", "its watchdog has been silent for 20 seconds"));
  if (c->pid > 0)
    kill(c->pid, SIGKILL); /* its end starts it again */
}

static void run_timers(struct supervisor *s, uint64_t now_ms)
{
  if (s->stopping && now_ms >= s->kill_at_ms) {
    kill_all(s, "it did not stop within 5 seconds");
    s->kill_at_ms = now_ms + SUPERVISE_STOP_MS;
  }
  for (size_t i = 0; i < SERVER_COUNT && !s->stopping; i++) {
    struct child *c = &s->child[i];
    if (c->ready_by_ms != 0 && now_ms >= c->ready_by_ms)
      not_ready(s, c);
    else if (c->well_by_ms != 0 && now_ms >= c->well_by_ms + FROZEN_MS)
      c->well_by_ms = now_ms + CHILD_WATCHDOG_MS; /* we did not run, nor did it perhaps */
    else if (c->well_by_ms != 0 && now_ms >= c->well_by_ms)
      not_well(s, c);
    else if (c->start_at_ms != 0 && now_ms >= c->start_at_ms)
      start(s, c);
  }
}

/* Milliseconds until the next timer, for poll. */
static int next_timer(const struct supervisor *s, uint64_t now_ms)
{
  uint64_t next_ms = s->stopping ? s->kill_at_ms : UINT64_MAX;
  for (size_t i = 0; i < SERVER_COUNT; i++) {
    const struct child *c = &s->child[i];
    if (c->ready_by_ms != 0 && c->ready_by_ms < next_ms)
      next_ms = c->ready_by_ms;
    if (c->well_by_ms != 0 && c->well_by_ms < next_ms)
      next_ms = c->well_by_ms;
    if (c->start_at_ms != 0 && c->start_at_ms < next_ms)
      next_ms = c->start_at_ms;
  }
  if (next_ms == UINT64_MAX)
    return -1;
  return next_ms > now_ms ? (int)(next_ms - now_ms) : 0;
}

/* Waits for one thing to happen, and does what it asks for. */
static void step(struct supervisor *s)
{
  struct pollfd fds[2 + SERVER_COUNT] = {{.fd = s->signals, .events = POLLIN},
                                         {.fd = s->readiness->fd, .events = POLLIN}};
  for (size_t i = 0; i < SERVER_COUNT; i++)
    fds[2 + i] = (struct pollfd){.fd = s->child[i].output, .events = POLLIN};
  if (poll(fds, 2 + SERVER_COUNT, next_timer(s, net_clock_ms())) < 0)
    return; /* EINTR: a signal that is not ours */
  /* Readiness before ends: who said READY=1 and then stopped was ready. Output before both, so that
   * the log has what was said in the order it was. */
  for (size_t i = 0; i < SERVER_COUNT; i++)
    if (fds[2 + i].revents != 0)
      take_output(s, &s->child[i]);
  if (fds[1].revents != 0)
    take_readiness(s);
  if (fds[0].revents != 0)
    take_signals(s);
  run_timers(s, net_clock_ms());
}

static bool all_ready(const struct supervisor *s)
{
  for (size_t i = 0; i < SERVER_COUNT; i++)
    if (!s->child[i].ready)
      return false;
  return true;
}

static bool any_left(const struct supervisor *s)
{
  for (size_t i = 0; i < SERVER_COUNT; i++)
    if (s->child[i].pid > 0)
      return true;
  return false;
}

int supervise_start(struct supervisor *s)
{
  for (size_t i = 0; i < SERVER_COUNT; i++)
    start(s, &s->child[i]);
  while (!s->stopping && !all_ready(s))
    step(s);
  if (s->stopping) {
    supervise_run(s);
    return s->status;
  }
  s->started = true;
  for (size_t i = 0; i < SERVER_COUNT; i++)
    log_held(s, &s->child[i]);
  return 0;
}

void supervise_run(struct supervisor *s)
{
  while (!s->stopping || any_left(s))
    step(s);
}
