/* How it ends. SIGTERM tells every session that this node goes away (`drain`), opens no new ones,
 * and leaves those that there are to go on: they end by themselves, or go elsewhere. When the last
 * one has gone, when drain-timeout is over, or when it is asked again, everybody is closed and has
 * a moment to take it. SIGINT, and SIGTERM without a drain-timeout, begin with that. Called by
 * server.c. */
#include "signal/backend/webhook.h"
#include "signal/server.h"

enum {
  STOP_MS = 1000, /* how long clients have to take their goodbye */
  LOOK_MS = 200,  /* whether somebody is still there; to go through all connections costs a bit */
  ECHO_MS = 500   /* a second signal so soon is the same wish: some send to a group and to us */
};

bool signald_takes_new(const struct signald *s)
{
  return !s->draining && !s->stopping;
}

static bool is_done(const struct signald *s)
{
  return s->conn_count == 0 && !webhook_is_busy(s);
}

/* To the sessions of every application. */
static void tell(struct signald *s, uint32_t seconds, uint64_t now_ms)
{
  for (size_t i = 0; i < s->app_count; i++)
    sig_drain(s->app[i].core, s->config->drain_url, seconds, now_ms);
}

static uint64_t session_count(const struct signald *s)
{
  struct sig_counters all;
  apps_count(s, &all);
  return all.sessions;
}

static void stop(struct signald *s)
{
  if (s->stopping)
    return;
  uint64_t now_ms = signald_now_ms(s);
  tell(s, 0, now_ms);
  s->stopping = true;
  s->stop_by_ms = now_ms + STOP_MS;
  log_event(s->log, LOG_LEVEL_INFO, "stopping", LOG_UINT("connections", s->conn_count),
            LOG_UINT("sessions", session_count(s)));
  uv_timer_stop(&s->resume_accept);
  signald_stop_listening(s);
  for (struct list *l = s->conns.next, *next; l != &s->conns; l = next) {
    struct conn *c = CONTAINER_OF(l, struct conn, link);
    next = l->next;
    if (c->task && c->task->close)
      c->task->close(c, SIG_CLOSE_GOING_AWAY, "the server stops");
    else if (!c->task)
      conn_cut(c);
  }
  webhook_stop(s);
  signald_settle(s);
}

static void drain(struct signald *s)
{
  uint64_t now_ms = signald_now_ms(s);
  s->draining = true;
  s->drain_since_ms = now_ms;
  s->drain_by_ms = now_ms + (uint64_t)s->config->drain_s * 1000;
  s->drain_look_ms = now_ms;
  log_event(s->log, LOG_LEVEL_INFO, "draining", LOG_UINT("seconds", s->config->drain_s),
            LOG_UINT("sessions", session_count(s)));
  tell(s, s->config->drain_s, now_ms);
  signald_settle(s);
}

void signald_end(struct signald *s, bool gently)
{
  bool is_echo = s->draining && gently && signald_now_ms(s) - s->drain_since_ms < ECHO_MS;
  if (s->stopping || is_echo)
    return;
  if (gently && !s->draining && s->config->drain_s > 0)
    drain(s);
  else
    stop(s);
}

/* Of any protocol: what the core calls a session, and whoever could still be told something. */
static bool is_anybody_there(const struct signald *s)
{
  if (session_count(s) > 0)
    return true;
  for (const struct list *l = s->conns.next; l != &s->conns; l = l->next) {
    const struct conn *c = CONTAINER_OF(l, struct conn, link);
    if (c->task && c->task->close)
      return true;
  }
  return false;
}

uint64_t drain_next_ms(const struct signald *s)
{
  if (s->stopping)
    return is_done(s) ? 0 : s->stop_by_ms;
  if (!s->draining)
    return WHEEL_NEVER;
  return s->drain_look_ms < s->drain_by_ms ? s->drain_look_ms : s->drain_by_ms;
}

void drain_run(struct signald *s, uint64_t now_ms)
{
  if (s->stopping) {
    if (is_done(s) || now_ms >= s->stop_by_ms)
      uv_stop(&s->loop);
  } else if (s->draining && (now_ms >= s->drain_by_ms || !is_anybody_there(s))) {
    stop(s);
  } else if (s->draining) {
    s->drain_look_ms = now_ms + LOOK_MS;
  }
}
