/* The nouns of viaduct-signald around the pure core: read this first.
 *
 *   main.c -> server.c    the event loop (libuv), timers, signals, the one struct signald
 *             drain.c     how it ends: SIGTERM, SIGINT
 *             reload.c    another configuration on SIGHUP
 *             listen.c    accepts sockets, and hands each to libwebsockets as a struct conn
 *             gateway.c   libwebsockets' callbacks, sorted by what a connection is doing
 *             http.c      one request: which method, which path -> whose answer
 *             frames.c    a WebSocket: whole messages in, text frames out, for any protocol
 *             apps.c      whose request: each application has a core of its own
 *             body.c      puts the body of a request together, within budget.c's bounds
 *             web.c       files of the call page
 *             api.c       /healthz, /readyz, /v1/ice-servers
 *             metrics.c   /metrics
 *             backend/    the application's backend: keys, rooms, kick, close, what it is told
 *             peerjs/     clients of the npm package peerjs
 *             ayame/      clients of OpenAyame
 *             deliver/    websocket.c, sse.c, longpoll.c, poll.c: the transports; post.c, their way
 *                         in where it is not a WebSocket
 *
 * One thread, no global: another worker is another struct signald. */
#ifndef VIADUCT_SIGNAL_SERVER_H
#define VIADUCT_SIGNAL_SERVER_H

#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <uv.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/wheel.h"
#include "net/random.h"
#include "signal/apps.h"
#include "signal/core/sig.h"
#include "signal/settings.h"

struct signald;
struct conn;
struct asker;
struct webhook;

/* Who a listener is for. */
enum face { FACE_HTTP, FACE_HTTPS, FACE_ADMIN, FACE_API, FACE_API_TLS, FACE_COUNT };

enum {
  SIGNALD_IDLE_MS = 30 * 1000,  /* from an answer to the end of the next request's head */
  SIGNALD_STALL_MS = 20 * 1000, /* a client that takes nothing of its answer */
  SIGNALD_CLOSE_MS = 3 * 1000,  /* a client that does not answer a Close frame */
  SIGNALD_LISTENERS = 3 * SIGNALD_LISTEN_MAX + 1,
  SIGNALD_BODIES_SIZE = 64 * 1024 * 1024 /* of all requests that are not whole yet, together */
};

/* What a connection is doing beyond waiting for a request: a body on its way, a WebSocket. A
 * transport is one of these and a handler in http.c's table of paths. */
struct conn_task {
  /* The socket takes more. 0; -1 closes the connection. */
  int (*writable)(struct conn *c);
  /* The same for what was woken while the socket may well take it: asked once before the loop waits
   * again, behind all that this turn has brought. NULL: `writable` is asked. 0; -1 closes. */
  int (*flush)(struct conn *c);
  /* A piece of a WebSocket message; NULL where none can come. 0; -1 closes. */
  int (*receive)(struct conn *c, struct bytes piece);
  /* The connection ends, or the task does: frees c->state. */
  void (*end)(struct conn *c);
  /* Says what is still to be said, then closes with this code and reason (static). NULL where the
   * client cannot be told. */
  void (*close)(struct conn *c, uint16_t code, const char *reason);
};

/* One TCP connection. libwebsockets holds it as the opaque pointer of its wsi. */
struct conn {
  struct signald *s;
  struct app *app;    /* whose request this is; the default one until that is known */
  struct lws *wsi;    /* NULL once libwebsockets has closed it */
  struct addr client; /* with its port */
  enum face face;
  struct timer deadline; /* when it fires, the connection is cut */
  uint32_t pace_ms;      /* and else only if it has taken too little in so long; 0: it is cut */
  uint64_t taken_len;    /* of what was sent, when the deadline was set */
  struct list link;      /* signald.conns */
  struct list woken;     /* signald.woken, while it is */
  bool is_websocket;     /* the upgrade is through */
  const struct conn_task *task;
  void *state;      /* the task's own */
  bool close_after; /* the answer is the last one on this connection */
  bool watched;     /* by hangup.c */
  int watched_fd;
};

struct listener {
  struct signald *s;
  uv_poll_t poll;
  int fd; /* -1: closed */
  enum face face;
  struct addr local;
};

struct signald_counters {
  uint64_t accepted[FACE_COUNT], refused_connections, cut_by_deadline;
  uint64_t requests, answers[6]; /* by the first digit of the status */
  uint64_t upgrades_refused;
  uint64_t bodies_refused_address, bodies_refused; /* by max-address-bodies; by the bound of all */
};

struct signald {
  struct signald_settings *settings;   /* owned */
  const struct signald_config *config; /* of them; another one after SIGHUP */
  struct log *log;
  struct mem mem;
  struct net_random random;
  struct app *app; /* owned; apps.c */
  size_t app_count;
  struct sig *core; /* the default application's */
  struct peerjs *peerjs;
  struct ayame *ayame;
  struct sig_effects effects;
  struct asker *asker;     /* auth/asker.c; NULL: nobody is asked */
  struct webhook *webhook; /* backend/webhook.c; NULL: nobody is told */

  uv_loop_t loop;
  bool has_loop;
  uv_timer_t timer, resume_accept;
  uv_prepare_t before_waiting;
  uv_poll_t signals, hangup_poll;
  int hangups;        /* an epoll, hangup.c; -1: none */
  struct wheel wheel; /* deadlines of connections */
  struct list conns, woken;
  size_t conn_count;
  uint64_t timer_due_ms; /* WHEEL_NEVER: not armed */
  uint64_t wall_set_ms;  /* when the core was last told what the wall clock shows */
  bool draining;         /* no new sessions; drain.c waits for the last one */
  uint64_t drain_since_ms, drain_by_ms, drain_look_ms;
  bool stopping; /* everybody is closed */
  uint64_t stop_by_ms;

  struct lws_context *lws;
  struct lws_vhost *vhost[FACE_COUNT];
  lws_retry_bo_t keepalive;
  SSL_CTX *tls; /* the HTTPS vhost's; borrowed from libwebsockets */
  struct listener listener[SIGNALD_LISTENERS];
  size_t listener_count;

  int web_root;   /* a descriptor; -1: no page */
  uint8_t *frame; /* scratch of the transports: LWS_PRE bytes, then one message */
  size_t frame_cap;
  size_t bodies_len;         /* of requests that are not whole yet */
  struct hash_table shares;  /* of addresses in them: budget.c */
  struct hash_key share_key; /* random */
  struct signald_counters counters;
};

/* server.c */

/* Opens listeners and everything else. `signals`: net_signals_open's descriptor. `s` must not move.
 * Takes `settings` in any case. On failure `e` is one line; signald_close has to be called in any
 * case. */
int signald_open(struct signald *s, struct signald_settings *settings, struct log *log, int signals,
                 struct net_error *e);
/* Until a signal asks to stop. */
void signald_run(struct signald *s);
void signald_close(struct signald *s);

/* The timers changed, or something was noted for libwebsockets outside its callbacks: called behind
 * each use of the core. */
void signald_settle(struct signald *s);
/* Reads the clock; the core's tick with it. */
uint64_t signald_now_ms(const struct signald *s);

/* drain.c: how it ends. SIGTERM, SIGINT: `gently` says which. */
void signald_end(struct signald *s, bool gently);
/* Whether sessions are opened: for each protocol to ask before it opens one. */
bool signald_takes_new(const struct signald *s);
/* When drain_run wants to be called; it may stop the loop. */
uint64_t drain_next_ms(const struct signald *s);
void drain_run(struct signald *s, uint64_t now_ms);

/* reload.c: SIGHUP. */
void signald_reload(struct signald *s);

/* listen.c */
int signald_listen(struct signald *s, struct addr at, enum face face, struct net_error *e);
void signald_stop_listening(struct signald *s);
void signald_resume_accept(uv_timer_t *timer);

/* hangup.c: cuts this connection when its client ends it, also while nobody reads it. */
int hangup_open(struct signald *s);
void hangup_close(struct signald *s);
void hangup_watch(struct conn *c);
void hangup_forget(struct conn *c); /* no harm where nobody watches */

/* gateway.c */
int signald_open_lws(struct signald *s, struct net_error *e);
/* ping_s, from each connection's next sign of life on. */
void signald_set_keepalive(struct signald *s);
/* Takes the socket in any case. */
void conn_adopt(struct signald *s, int fd, struct addr client, enum face face);
void conn_deadline(struct conn *c, uint64_t in_ms);
/* The task's `flush` is called soon; without one its `writable`, when the socket takes more. Safe
 * anywhere. */
void conn_wake(struct conn *c);
/* As conn_deadline, but begun anew as long as the client takes a good deal of what it is sent: slow
 * is not dead. */
void conn_deadline_at_pace(struct conn *c, uint32_t each_ms);
/* The task's `writable`, when the socket takes more. Safe anywhere. */
void conn_wake_writable(struct conn *c);
/* Before the loop waits: whoever was woken writes. */
void signald_flush(struct signald *s);
/* Cuts the connection soon, without ceremony; safe anywhere. */
void conn_cut(struct conn *c);
/* The task's `end`, at most once. */
void conn_end_task(struct conn *c);
/* Room for LWS_PRE bytes and one frame of `len` behind it, until the next call; NULL: no memory. */
uint8_t *signald_frame(struct signald *s, size_t len);

#endif
