/* The side of the clients: what comes in over UDP, TCP, TLS and DTLS, and what goes back. The
 * listeners are opened by listen.c. */
#include <string.h>

#include "base/err.h"
#include "base/first.h"
#include "net/clock.h"
#include "stun/core/frame.h"
#include "turn/acme.h"
#include "turn/worker_private.h"

enum {
  HALF_OPEN_MAX = 1024,     /* of all workers: DTLS handshakes under way */
  HALF_OPEN_LEAST = 64,     /* of each worker */
  FIRST_MESSAGE_MAX = 4096, /* an Allocate with the longest names fits */
  OUTPUT_MAX = 256 * 1024,
  HANDSHAKE_MS = 10 * 1000,
  STALL_MS = 15 * 1000,
  PAUSE_LOG_MS = 10 * 1000
};

/* Without an allocation. */
static uint32_t unused_ms(const struct turnd_worker *w)
{
  return (uint32_t)w->settings->options.max_allocate_timeout * 1000;
}

static uint64_t wall_s(void)
{
  return net_clock_wall_ms() / 1000;
}

static void flush_connections(void *arg)
{
  struct turnd_worker *w = arg;
  net_tcp_flush(w->tcp, w->loop.now_ms);
}

void turnd__flush(struct turnd_worker *w)
{
  if (w->steer.outgoing != 0)
    turnd__steer_flush(w);
  net_udp_flush(w->batch);
  flush_connections(w);
  if (!list_is_empty(&w->steer.spent))
    turnd__steer_settle(w);
}

static void batch_end(void *arg)
{
  turnd__flush(arg);
}

/* ---- UDP ---- */

static struct turn_flow flow_of_message(const struct turnd_udp_listener *l,
                                        const struct net_udp_msg *m)
{
  return (struct turn_flow){
      .client = m->from,
      .server = m->local,
      .transport = TURN_UDP,
      .link = (uint64_t)(l - l->worker->udp),
      .listener = (uint16_t)(l - l->worker->udp),
  };
}

static void take(struct turnd_udp_listener *l, struct net_udp_msg *m, uint64_t now_ms,
                 uint64_t now_s)
{
  struct turnd_worker *w = l->worker;
  if (m->d.len > 0 && first_is_dtls(m->d.at[0]) && w->dtls != NULL) {
    net_dtls_input(w->dtls, &l->udp, m, now_ms);
    return;
  }
  if (l->no_plain)
    return;
  struct turn_flow flow = flow_of_message(l, m);
  turnd__input(w, &flow, &m->d, now_ms, now_s);
}

/* A burst that came as one, at once. */
static bool take_run(struct turnd_udp_listener *l, const struct net_udp_msg *m, uint64_t now_ms)
{
  struct turnd_worker *w = l->worker;
  if (l->no_plain || w->steer.guests.count > 0)
    return false;
  const struct turn_flow flow = flow_of_message(l, m);
  const struct dgram_run run = {m->d.at, m->d.len, m->each, 0};
  return turn_client_run(w->turn, &flow, &run, now_ms);
}

void turnd__udp_ready(struct net_watch *watch, uint32_t events, uint64_t now_ms)
{
  (void)events;
  struct net_udp *u = CONTAINER_OF(watch, struct net_udp, watch);
  struct turnd_udp_listener *l = CONTAINER_OF(u, struct turnd_udp_listener, udp);
  struct turnd_worker *w = l->worker;
  const size_t count = net_udp_receive_runs(w->batch, u);
  struct net_udp_msg *msg = net_udp_batch_messages(w->batch);
  const uint64_t now_s = count > 0 ? wall_s() : 0;
  turnd_pace_datagram(&w->pace);
  for (size_t i = 0; i < count; i++) {
    struct net_udp_msg *part = &msg[i];
    if (part->each != 0 && take_run(l, part, now_ms))
      continue;
    const size_t parts = part->each != 0 ? net_udp_cut(w->batch, part, &part) : 1;
    for (size_t k = 0; k < parts; k++)
      take(l, &part[k], now_ms, now_s);
  }
  w->loop.busy |= net_udp_batch_came(w->batch) >= TURND_PLENTY;
}

static void send_udp(struct turnd_worker *w, const struct turn_flow *flow, struct bytes message,
                     unsigned how)
{
  if (flow->link < w->udp_count)
    net_udp_send(w->batch, &w->udp[flow->link].udp, &flow->server, &flow->client, message, how);
}

/* RFC 5780 may want an answer to leave from another listener than the one that was asked. */
static void reply_udp(struct turnd_worker *w, const struct turn_flow *flow, struct bytes message)
{
  struct turn_flow from = *flow;
  bool elsewhere = flow->link < w->udp_count && !w->udp[flow->link].udp.want_local &&
                   !addr_equal(&w->udp[flow->link].udp.local, &flow->server);
  for (size_t i = 0; elsewhere && i < w->udp_count; i++)
    if (addr_equal(&w->udp[i].udp.local, &flow->server))
      from.link = i;
  send_udp(w, &from, message, 0);
}

/* ---- DTLS ---- */

static struct turn_flow flow_of_session(const struct net_dtls_session *s)
{
  const struct turnd_udp_listener *l = CONTAINER_OF(s->udp, struct turnd_udp_listener, udp);
  return (struct turn_flow){
      .client = s->client,
      .server = s->local,
      .transport = TURN_DTLS,
      .link = s->id,
      .listener = (uint16_t)(l - l->worker->udp),
  };
}

static void session_message(void *arg, struct net_dtls_session *s, struct dgram *d, uint64_t now_ms)
{
  struct turnd_worker *w = arg;
  struct turn_flow flow = flow_of_session(s);
  turnd__input(w, &flow, d, now_ms, wall_s());
}

/* Its client can reach its allocation no more: a new handshake is a new client. */
static void session_closed(void *arg, struct net_dtls_session *s, uint64_t now_ms)
{
  (void)now_ms;
  struct turnd_worker *w = arg;
  struct turn_flow flow = flow_of_session(s);
  turnd__park_forget(w, &flow);
  turnd__steer_gone(w, &flow);
  turn_client_gone(w->turn, &flow);
}

static int open_dtls(struct turnd_worker *w)
{
  uint32_t half_open = HALF_OPEN_MAX / w->count;
  const struct net_dtls_setup s = {
      .batch = w->batch,
      .wheel = &w->wheel,
      .random = &w->random.random,
      .limits = {.sessions = TURND_CONNECTIONS_MAX / w->count,
                 .handshakes = half_open > HALF_OPEN_LEAST ? half_open : HALF_OPEN_LEAST,
                 .handshake_ms = HANDSHAKE_MS,
                 .idle_ms = unused_ms(w),
                 .unused_ms = unused_ms(w)},
      .events = {.arg = w,
                 .message = session_message,
                 .batch_end = batch_end,
                 .closed = session_closed},
      .hash_key = {random_u64(&w->random.random), random_u64(&w->random.random)},
  };
  int r = net_dtls_new(&s, &w->dtls);
  if (r == 0)
    net_dtls_change(w->dtls, w->settings->tls);
  return r;
}

/* ---- TCP and TLS ---- */

static int cut(struct bytes stream, bool channel, size_t *len, size_t *padded)
{
  struct stun_frame f;
  int r = stun_frame_next(stream, channel, &f);
  *len = f.len;
  *padded = f.padded;
  return r;
}

static int frame(void *arg, struct bytes stream, size_t *len, size_t *padded)
{
  (void)arg;
  return cut(stream, true, len, padded);
}

/* No channel is bound yet: what looks like ChannelData is garbage at once, and not waited for. */
static int frame_first(void *arg, struct bytes stream, size_t *len, size_t *padded)
{
  (void)arg;
  return cut(stream, false, len, padded);
}

/* A browser or a health check at the wrong door learns what is behind it. */
static int answer_http(void *arg, struct net_conn *c, struct bytes stream)
{
  const struct turnd_worker *w = arg;
  static const char answer[] = "HTTP/1.1 400 Bad Request\r\n"
                               "Content-Type: text/plain\r\n"
                               "Content-Length: 62\r\n"
                               "Connection: close\r\n"
                               "\r\n"
                               "This port speaks STUN and TURN (RFC 8489, RFC 8656), not HTTP\n";
  int r = first_is_http(stream);
  if (r != 1)
    return r;
  const char *url = w->settings->options.acme_redirect;
  char redirection[TURND_ACME_MAX];
  r = url != NULL && url[0] != 0 ? turnd_acme_answer(stream, url, redirection) : 0;
  if (r < 0)
    return r;
  (void)net_conn_send(
      c, r > 0 ? (struct bytes){(const uint8_t *)redirection, (size_t)r} : bytes_of(answer), false);
  net_conn_end(c);
  return 0;
}

static struct turn_flow flow_of(const struct net_conn *c)
{
  return (struct turn_flow){.client = c->peer,
                            .server = c->local,
                            .transport = net_tls_is(c) ? TURN_TLS : TURN_TCP,
                            .link = c->id,
                            .listener = turnd__tag_listener(c->tag)};
}

static void message(void *arg, struct net_conn *c, struct dgram *d, uint64_t now_ms)
{
  struct turnd_worker *w = arg;
  struct turn_flow flow = flow_of(c);
  turnd_pace_message(&w->pace);
  /* What a connection carries stays in order. */
  if (w->finder.park.count > 0 && turnd__park_behind(w, &flow, d))
    return;
  turnd__input(w, &flow, d, now_ms, wall_s());
}

static void closed(void *arg, struct net_conn *c, uint64_t now_ms)
{
  struct turnd_worker *w = arg;
  struct turn_flow flow = flow_of(c);
  if (c->taken_by != NULL)
    turnd__splice_lost(c->taken_by, now_ms);
  turnd__park_forget(w, &flow);
  turnd__steer_gone(w, &flow);
  turn_client_gone(w->turn, &flow);
}

/* Each listener says so every moment, as long as it lasts. */
static void paused(void *arg, int error)
{
  struct turnd_worker *w = arg;
  uint64_t held;
  if (log_pace_is_due(&w->pause_pace, w->loop.now_ms, PAUSE_LOG_MS, &held))
    log_event(w->log, LOG_LEVEL_WARN, "accept-paused", LOG_TEXT("reason", err_text(error)),
              LOG_UINT("worker", w->index), LOG_UINT("untold", held));
}

static int open_tcp(struct turnd_worker *w)
{
  const struct net_tcp_setup s = {
      .loop = &w->loop,
      .wheel = &w->wheel,
      .limits = {.connections = TURND_CONNECTIONS_MAX / w->count,
                 .below = w->below,
                 .handshake_ms = HANDSHAKE_MS,
                 .idle_ms = unused_ms(w),
                 .unused_ms = unused_ms(w),
                 .stall_ms = STALL_MS,
                 .first_max = FIRST_MESSAGE_MAX,
                 .unused_max = FIRST_MESSAGE_MAX,
                 .message_max = STUN_FRAME_MAX,
                 .output_max = OUTPUT_MAX},
      .events = {.arg = w,
                 .first = answer_http,
                 .frame = frame,
                 .frame_first = frame_first,
                 .message = message,
                 .batch_end = batch_end,
                 .closed = closed,
                 .paused = paused},
      .hash_key = {random_u64(&w->random.random), random_u64(&w->random.random)},
  };
  return net_tcp_new(&s, &w->tcp);
}

/* ---- all of them ---- */

int turnd__clients_init(struct turnd_worker *w)
{
  const struct turnd_settings *s = w->settings;
  int r = net_tls_init(&w->tls, s->options.no_tls ? NULL : s->tls);
  w->tls.no_plain = s->options.no_tcp;
  if (r == 0)
    r = open_tcp(w);
  if (r == 0 && s->tls != NULL && !s->options.no_dtls)
    r = open_dtls(w);
  return r;
}

void turnd__clients_renew(struct turnd_worker *w)
{
  if (w->tls.context != NULL)
    net_tls_change(&w->tls, w->settings->tls);
  if (w->dtls != NULL)
    net_dtls_change(w->dtls, w->settings->tls);
}

void turnd__clients_fini(struct turnd_worker *w)
{
  struct net_dtls *dtls = w->dtls;
  struct net_tcp *tcp = w->tcp;
  net_dtls_free(dtls, w->loop.now_ms); /* says goodbye through the listeners */
  w->dtls = NULL;
  if (tcp != NULL)
    turnd__listen_close(w);
  net_tcp_free(tcp);
  w->tcp = NULL;
  net_tls_fini(&w->tls);
}

/* ---- back to the client ---- */

void turnd__client_send(struct turnd_worker *w, const struct turn_flow *flow, struct bytes message,
                        bool relayed)
{
  if (turnd__is_foreign(flow)) {
    turnd__steer_output(w, flow, message, relayed);
    return;
  }
  if (flow->transport == TURN_UDP) {
    turnd_pace_datagram(&w->pace);
    if (relayed)
      send_udp(w, flow, message, NET_UDP_IN_PLACE);
    else
      reply_udp(w, flow, message);
    return;
  }
  if (flow->transport == TURN_DTLS) {
    struct net_dtls_session *s = w->dtls != NULL ? net_dtls_find(w->dtls, flow->link) : NULL;
    turnd_pace_datagram(&w->pace);
    if (s != NULL)
      net_dtls_send(w->dtls, s, message);
    return;
  }
  struct net_conn *c = net_tcp_find(w->tcp, flow->link);
  if (c == NULL)
    return;
  if (relayed) {
    turnd_pace_message(&w->pace);
    net_udp_keep(w->batch, flush_connections, w);
    (void)net_conn_send_in_place(c, message); /* counted there */
  } else {
    (void)net_conn_send(c, message, false);
  }
}

void turnd__reply(void *arg, const struct turn_flow *flow, struct bytes bytes)
{
  struct turnd_worker *w = arg;
  if (w->asked != NULL) { /* the client's connection is another worker's */
    turnd__letter_answer(w->asked, bytes);
    return;
  }
  turnd__client_send(arg, flow, bytes, false);
}

void turnd__to_client(void *arg, const struct turn_flow *flow, struct dgram *d)
{
  turnd__client_send(arg, flow, (struct bytes){d->at, d->len}, true);
}

bool turnd__to_client_run(void *arg, const struct turn_flow *flow, struct dgram_run run,
                          uint16_t channel)
{
  struct turnd_worker *w = arg;
  if (turnd__is_foreign(flow) || flow->link >= w->udp_count)
    return false;
  turnd_pace_datagram(&w->pace);
  const size_t last = (run.len - 1) % run.each + 1;
  struct net_udp_run out = {.at = run.at, .len = run.len, .each = run.each, .has_head = true};
  store_be16(out.head, channel);
  store_be16(out.head + 2, (uint16_t)run.each);
  store_be16(out.last_head, channel);
  store_be16(out.last_head + 2, (uint16_t)last);
  return net_udp_send_run(w->batch, &w->udp[flow->link].udp, &flow->server, &flow->client, &out);
}

/* A connection with an allocation is not idle, however long it is silent: the lifetime of the
 * allocation bounds it. At the very end the connections go first. */
void turnd__hold(void *arg, const struct turn_flow *flow, bool on)
{
  struct turnd_worker *w = arg;
  if (turnd__is_foreign(flow)) {
    turnd__steer_hold(w, flow, on);
    return;
  }
  if (flow->transport == TURN_DTLS) {
    struct net_dtls_session *s = w->dtls != NULL ? net_dtls_find(w->dtls, flow->link) : NULL;
    if (s != NULL) {
      s->keep += on ? 1u : -1u;
      s->unused_ms = w->loop.now_ms;
    }
  } else if (flow->transport != TURN_UDP) {
    struct net_conn *c = w->tcp != NULL ? net_tcp_find(w->tcp, flow->link) : NULL;
    if (c != NULL) {
      c->keep += on ? 1u : -1u;
      c->unused_ms = w->loop.now_ms;
    }
  }
}

/* One at another worker is, as far as this one knows. */
bool turnd__client_is_there(const struct turnd_worker *w, const struct turn_flow *flow)
{
  if (flow->transport == TURN_UDP || turnd__is_foreign(flow))
    return true;
  if (flow->transport == TURN_DTLS)
    return w->dtls != NULL && net_dtls_find(w->dtls, flow->link) != NULL;
  return w->tcp != NULL && net_tcp_find(w->tcp, flow->link) != NULL;
}
