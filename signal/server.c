/* One worker: the event loop and its timers, the signals, opening and closing. */
#include "signal/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/clock.h"
#include "net/mem.h"
#include "net/signals.h"
#include "signal/auth/asker.h"
#include "signal/ayame/edge.h"
#include "signal/backend/webhook.h"
#include "signal/peerjs/edge.h"

enum {
  WALL_EVERY_MS = 30 * 1000,
  CLOSE_ROUNDS = 10000 /* of the loop, until every handle is closed */
};

uint64_t signald_now_ms(const struct signald *s)
{
  uint64_t now_us = net_clock_us();
  if (s->core)
    sig_set_tick(s->core, (uint32_t)(now_us / SIG_TICK_US));
  return now_us / 1000;
}

/* What the core asks for: noted at the connection, done when libwebsockets says that it may. */
static void on_wake(void *arg, void *edge)
{
  (void)arg;
  conn_wake(edge);
}

static void on_close(void *arg, void *edge, uint16_t code, const char *reason)
{
  struct conn *c = edge;
  (void)arg;
  if (c->task && c->task->close)
    c->task->close(c, code, reason);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
  return a < b ? a : b;
}

static void on_timer(uv_timer_t *timer)
{
  struct signald *s = timer->data;
  uint64_t now = signald_now_ms(s);
  s->timer_due_ms = WHEEL_NEVER;
  if (now - s->wall_set_ms >= WALL_EVERY_MS) {
    sig_set_wall(s->core, now, net_clock_wall_ms());
    s->wall_set_ms = now;
  }
  wheel_run(&s->wheel, now);
  sig_tick(s->core, now);
  peerjs_tick(s->peerjs, now);
  ayame_tick(s->ayame, now);
  drain_run(s, now);
  signald_settle(s);
}

void signald_settle(struct signald *s)
{
  uint64_t due = earlier(sig_next_ms(s->core), wheel_next_ms(&s->wheel));
  due = earlier(due, s->wall_set_ms + WALL_EVERY_MS);
  due = earlier(due, peerjs_next_ms(s->peerjs));
  due = earlier(due, ayame_next_ms(s->ayame));
  due = earlier(due, drain_next_ms(s));
  if (due >= s->timer_due_ms)
    return;
  uint64_t now = signald_now_ms(s);
  s->timer_due_ms = due;
  uv_update_time(&s->loop);
  /* Never 0: libuv would call a timer that is armed so by its own callback again before it looks at
   * a socket. */
  uv_timer_start(&s->timer, on_timer, due > now ? due - now : 1, 0);
}

static void on_signal(uv_poll_t *poll, int status, int events)
{
  struct signald *s = poll->data;
  int fd;
  (void)events;
  if (status != 0 || uv_fileno((uv_handle_t *)poll, &fd) != 0)
    return;
  for (int number = net_signals_next(fd); number; number = net_signals_next(fd)) {
    if (number == SIGHUP)
      signald_reload(s);
    else
      signald_end(s, number == SIGTERM);
  }
}

static void on_before_waiting(uv_prepare_t *prepare)
{
  signald_flush(prepare->data);
}

static int open_loop(struct signald *s, int signals)
{
  if (uv_loop_init(&s->loop) != 0)
    return -ERR_IO;
  s->has_loop = true;
  int err = uv_timer_init(&s->loop, &s->timer);
  if (!err)
    err = uv_timer_init(&s->loop, &s->resume_accept);
  if (!err)
    err = uv_poll_init(&s->loop, &s->signals, signals);
  if (!err)
    err = uv_prepare_init(&s->loop, &s->before_waiting);
  s->timer.data = s->resume_accept.data = s->signals.data = s->before_waiting.data = s;
  if (!err)
    err = hangup_open(s);
  if (!err)
    err = uv_poll_start(&s->signals, UV_READABLE, on_signal);
  if (!err)
    err = uv_prepare_start(&s->before_waiting, on_before_waiting);
  return err ? -ERR_IO : 0;
}

static int open_core(struct signald *s, struct net_error *e)
{
  wheel_init(&s->wheel, signald_now_ms(s));
  s->wall_set_ms = signald_now_ms(s);
  s->effects = (struct sig_effects){
      .arg = s, .wake = on_wake, .close = on_close, .ask = asker_ask, .forget = asker_forget};
  hash_table_init(&s->shares, &s->mem);
  s->share_key = (struct hash_key){random_u64(&s->random.random), random_u64(&s->random.random)};
  int err = apps_open(s, e);
  if (!err)
    err = peerjs_start(s);
  return err ? err : ayame_start(s);
}

static int open_listeners(struct signald *s, struct net_error *e)
{
  const struct signald_config *c = s->config;
  int err = 0;
  for (size_t i = 0; i < c->listen_count && !err; i++)
    err = signald_listen(s, c->listen[i], FACE_HTTP, e);
  for (size_t i = 0; i < c->tls_listen_count && !err; i++)
    err = signald_listen(s, c->tls_listen[i], FACE_HTTPS, e);
  for (size_t i = 0; i < c->api_listen_count && !err; i++)
    err =
        signald_listen(s, c->api_listen[i], signald_api_has_tls(c, i) ? FACE_API_TLS : FACE_API, e);
  if (!err && c->admin.family != ADDR_NONE)
    err = signald_listen(s, c->admin, FACE_ADMIN, e);
  return err;
}

static int open_web_root(struct signald *s, struct net_error *e)
{
  if (!s->config->web_root)
    return 0;
  s->web_root = open(s->config->web_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (s->web_root >= 0)
    return 0;
  net_error_set(e, "web-root %s cannot be read: %s", s->config->web_root, strerror(errno));
  return -ERR_BAD;
}

int signald_open(struct signald *s, struct signald_settings *settings, struct log *log, int signals,
                 struct net_error *e)
{
  *s = (struct signald){.settings = settings,
                        .config = &settings->config,
                        .log = log,
                        .mem = net_mem(),
                        .web_root = -1,
                        .hangups = -1,
                        .timer_due_ms = WHEEL_NEVER};
  list_init(&s->conns);
  list_init(&s->woken);
  net_error_set(e, "cannot start");
  int err = net_random_init(&s->random);
  if (err) {
    net_error_set(e, "the kernel gives no randomness");
    return err;
  }
  err = open_loop(s, signals);
  if (err)
    net_error_set(e, "cannot start: libuv gives no event loop");
  if (!err)
    err = open_core(s, e);
  if (!err)
    err = open_web_root(s, e);
  if (!err)
    err = signald_open_lws(s, e);
  if (!err)
    err = webhook_configure(s);
  if (!err)
    err = asker_configure(s);
  return err ? err : open_listeners(s, e);
}

void signald_run(struct signald *s)
{
  signald_settle(s);
  uv_run(&s->loop, UV_RUN_DEFAULT);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
  (void)arg;
  if (!uv_is_closing(handle))
    uv_close(handle, NULL);
}

/* libwebsockets closes in steps, through the loop; what is left of the loop then is ours. */
static void close_loop(struct signald *s)
{
  uv_handle_t *own[] = {(uv_handle_t *)&s->timer, (uv_handle_t *)&s->resume_accept,
                        (uv_handle_t *)&s->signals, (uv_handle_t *)&s->hangup_poll,
                        (uv_handle_t *)&s->before_waiting};
  if (s->lws)
    lws_context_destroy(s->lws);
  for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
    if (own[i]->loop)
      close_handle(own[i], NULL);
  }
  for (int i = 0; i < CLOSE_ROUNDS && uv_run(&s->loop, UV_RUN_NOWAIT) != 0; i++) {
  }
  for (int i = 0; i < 3 && s->lws; i++)
    lws_context_destroy(s->lws);
  (void)uv_loop_close(&s->loop);
}

void signald_close(struct signald *s)
{
  signald_stop_listening(s);
  webhook_close(s);
  asker_close(s);
  if (s->has_loop)
    close_loop(s);
  hangup_close(s);
  peerjs_free(s->peerjs);
  ayame_free(s->ayame);
  apps_close(s);
  hash_table_fini(&s->shares);
  mem_free(&s->mem, s->frame, s->frame_cap);
  if (s->web_root >= 0)
    close(s->web_root);
  net_random_fini(&s->random);
  signald_settings_free(s->settings);
}
