/* One thread of viaduct-stund. A request's way, top to bottom:
 *
 *   udp_ready       a batch of datagrams, one `now`
 *   tcp_message     or one message of a connection, cut out by stun/core/frame
 *   respond         stun/core/decode, stun/core/respond; counted
 *   net_udp_send, net_conn_send, and one flush for each batch
 */
#include "stun/worker.h"

#include "base/err.h"
#include "net/random.h"
#include "stun/core/frame.h"

enum {
  /* Nobody's Binding request is longer (RFC 8489 6.1 wants requests below the path's MTU). */
  MESSAGE_MAX = 2048,
  /* The answers to 64 KiB of the shortest requests, which is what one read brings at most. */
  OUTPUT_MAX = 256 * 1024,
  FIRST_REQUEST_MS = 10000,
  STALL_MS = 5000,
  UDP_ROUNDS = 4,               /* batches from one socket before the others have their turn */
  RECEIVE_BUFFER = 1024 * 1024, /* bytes: some 3,000 requests may come at once */
};

/* The answer, counted and, if wanted, logged; empty for silence. */
static struct bytes respond(struct stund_worker *w, const struct stun_path *path,
                            struct bytes request, struct stun_answer *out)
{
  int len = stun_respond_bytes(&w->config->respond, path, request.at, request.len, out);
  if (len <= 0) {
    w->count[STUND_DROPPED]++;
    return (struct bytes){NULL, 0};
  }
  w->count[out->code == 0     ? STUND_ANSWERED_SUCCESS
           : out->code == 400 ? STUND_ANSWERED_400
                              : STUND_ANSWERED_420]++;
  log_event(w->log, LOG_LEVEL_DEBUG, "answered", LOG_ADDR("client", &path->source),
            LOG_ADDR("server", &path->local),
            LOG_UINT("code", out->code ? (unsigned)out->code : 200));
  return (struct bytes){out->at, (size_t)len};
}

/* The socket of an address of RFC 5780: this one, or another of the four. */
static struct stund_socket *socket_at(struct stund_socket *s, const struct addr *from)
{
  struct stund_worker *w = s->worker;
  for (size_t i = 0; s->quad && i < w->socket_count; i++) {
    if (addr_equal(&w->socket[i].udp.local, from))
      return &w->socket[i];
  }
  return s;
}

static void udp_batch(struct stund_socket *s, size_t count)
{
  struct stund_worker *w = s->worker;
  const struct net_udp_msg *msg = net_udp_batch_messages(w->batch);
  for (size_t i = 0; i < count; i++) {
    uint8_t bytes[STUN_RESPOND_MAX];
    struct stun_answer out = {.at = bytes, .cap = sizeof bytes};
    struct stun_path path = {.source = msg[i].from, .local = msg[i].local, .quad = s->quad};
    w->count[STUND_UDP_RECEIVED]++;
    struct bytes answer = respond(w, &path, (struct bytes){msg[i].d.at, msg[i].d.len}, &out);
    if (answer.len == 0)
      continue;
    /* RFC 8489 6.3.1.2: "the source IP address and port of the response are equal to the
     * destination IP address and port of the received request message", also where the socket is
     * bound to all addresses; a CHANGE-REQUEST alone asks for another one. */
    struct stund_socket *from = socket_at(s, &out.from);
    net_udp_send(w->batch, &from->udp, from->udp.want_local ? &out.from : NULL, &out.to, answer, 0);
  }
  net_udp_flush(w->batch);
}

static void udp_ready(struct net_watch *watch, uint32_t events, uint64_t now_ms)
{
  (void)events;
  (void)now_ms;
  struct stund_socket *s = CONTAINER_OF(watch, struct stund_socket, udp.watch);
  for (int round = 0; round < UDP_ROUNDS; round++) {
    size_t count = net_udp_receive(s->worker->batch, &s->udp);
    if (count)
      udp_batch(s, count);
    if (count < NET_UDP_BATCH)
      return;
  }
}

static const struct stun_quad *quad_of(const struct stund_worker *w, const struct addr *local)
{
  for (size_t i = 0; i < w->quad_count; i++) {
    if (stun_quad_has(&w->quad[i], local))
      return &w->quad[i];
  }
  return NULL;
}

static int tcp_frame(void *arg, struct bytes stream, size_t *len, size_t *padded)
{
  (void)arg;
  struct stun_frame f;
  int err = stun_frame_next(stream, false, &f);
  *len = f.len;
  *padded = f.padded;
  return err;
}

static void tcp_message(void *arg, struct net_conn *c, struct dgram *d, uint64_t now_ms)
{
  (void)now_ms;
  struct stund_worker *w = arg;
  uint8_t bytes[STUN_RESPOND_MAX];
  struct stun_answer out = {.at = bytes, .cap = sizeof bytes};
  struct stun_path path = {
      .source = c->peer, .local = c->local, .stream = true, .quad = quad_of(w, &c->local)};
  w->count[STUND_TCP_RECEIVED]++;
  struct bytes answer = respond(w, &path, (struct bytes){d->at, d->len}, &out);
  if (answer.len) /* one that cannot take more is closed by net/, which counts it */
    (void)net_conn_send(c, answer, false);
}

static void tcp_batch_end(void *arg)
{
  struct stund_worker *w = arg;
  net_tcp_flush(w->tcp, w->loop.now_ms);
}

static void publish(struct stund_worker *w)
{
  const struct net_udp_counters *udp = net_udp_batch_counters(w->batch);
  w->count[STUND_UDP_SEND_FAILED] = udp->send_failed;
  w->count[STUND_UDP_SEND_FULL] = udp->send_buffer_full;
  if (w->tcp) {
    const struct net_tcp_counters *tcp = net_tcp_counters(w->tcp);
    w->count[STUND_CONNECTIONS] = tcp->connections;
    w->count[STUND_ACCEPTED] = tcp->accepted;
    w->count[STUND_REFUSED] = tcp->refused;
    w->count[STUND_CLOSED_BAD] = tcp->closed_bad;
    w->count[STUND_CLOSED_TIMEOUT] = tcp->closed_timeout;
    w->count[STUND_CLOSED_SLOW] = tcp->closed_slow;
  }
  for (int i = 0; i < STUND_FIGURE_COUNT; i++)
    atomic_store_explicit(&w->published[i], w->count[i], memory_order_relaxed);
}

static uint64_t next_ms(void *arg)
{
  struct stund_worker *w = arg;
  return wheel_next_ms(&w->wheel);
}

static void tick(void *arg, uint64_t now_ms)
{
  struct stund_worker *w = arg;
  wheel_run(&w->wheel, now_ms);
  publish(w);
}

static void mail_ready(struct net_watch *watch, uint32_t events, uint64_t now_ms)
{
  (void)events;
  (void)now_ms;
  struct stund_worker *w = CONTAINER_OF(watch, struct stund_worker, mail_watch);
  struct net_mail mail;
  while (net_mailbox_take(&w->mail, &mail))
    net_loop_stop(&w->loop);
}

static int open_tcp(struct stund_worker *w)
{
  const struct stund_config *c = w->config;
  struct net_random random;
  int err = net_random_init(&random);
  if (err)
    return err;
  struct net_tcp_setup setup = {
      .loop = &w->loop,
      .wheel = &w->wheel,
      .limits = {.connections = c->max_connections / c->workers,
                 .handshake_ms = c->idle_ms < FIRST_REQUEST_MS ? c->idle_ms : FIRST_REQUEST_MS,
                 .idle_ms = c->idle_ms,
                 .stall_ms = STALL_MS,
                 .first_max = MESSAGE_MAX,
                 .message_max = MESSAGE_MAX,
                 .output_max = OUTPUT_MAX},
      .events = {.arg = w, .frame = tcp_frame, .message = tcp_message, .batch_end = tcp_batch_end},
      .hash_key = {random_u64(&random.random), random_u64(&random.random)},
  };
  net_random_fini(&random);
  return net_tcp_new(&setup, &w->tcp);
}

int stund_worker_open(struct stund_worker *w, const struct stund_config *config, struct log *log,
                      struct net_mailbox *boss)
{
  *w = (struct stund_worker){.config = config, .log = log, .boss = boss};
  w->loop.epoll_fd = w->mail.fd = -1;
  int err = net_loop_open(&w->loop);
  if (err)
    return err;
  wheel_init(&w->wheel, w->loop.now_ms);
  err = net_mailbox_open(&w->mail);
  if (err) {
    w->mail.fd = -1;
    return err;
  }
  w->mail_watch = (struct net_watch){.fd = w->mail.fd, .events = EPOLLIN, .ready = mail_ready};
  err = net_loop_attach(&w->loop, &w->mail_watch);
  if (!err)
    err = net_udp_batch_new(&w->batch);
  if (!err && config->tcp)
    err = open_tcp(w);
  return err;
}

void stund_worker_set_quads(struct stund_worker *w, const struct stun_quad *quad, size_t count)
{
  w->quad = quad;
  w->quad_count = count;
}

const char *stund_worker_mend(const struct stund_worker *w, const struct addr *at)
{
  const struct stun_quad *q = quad_of(w, at);
  return q && at->port == q->port[1] ? "alt-listening-port" : "listening-port";
}

int stund_worker_listen_udp(struct stund_worker *w, struct addr *at, bool shared,
                            struct net_error *e)
{
  struct stund_socket *s = &w->socket[w->socket_count];
  const struct net_udp_setup setup = {
      .crowded = true,
      .at = *at,
      .reuse_port = shared,
      .want_local = addr_is_unspecified(at),
      .receive_buffer = RECEIVE_BUFFER,
      .program = "viaduct-stund",
      .mend = stund_worker_mend(w, at),
  };
  int err = net_udp_open(&s->udp, &setup, e);
  if (err)
    return err;
  s->worker = w;
  s->quad = quad_of(w, &s->udp.local);
  s->udp.watch.ready = udp_ready;
  w->socket_count++;
  *at = s->udp.local;
  err = net_loop_attach(&w->loop, &s->udp.watch);
  if (err)
    net_error_set(e, "cannot watch a UDP socket: %s", err_text(err));
  return err;
}

int stund_worker_listen_tcp(struct stund_worker *w, struct addr *at, bool shared,
                            struct net_error *e)
{
  struct net_listener *l = &w->listener[w->listener_count];
  const struct net_listen listen = {.at = *at,
                                    .reuse_port = shared,
                                    .program = "viaduct-stund",
                                    .mend = stund_worker_mend(w, at)};
  int err = net_tcp_listen(w->tcp, &listen, l, e);
  if (err)
    return err;
  w->listener_count++;
  *at = l->local;
  return 0;
}

static void *run(void *arg)
{
  struct stund_worker *w = arg;
  const struct net_loop_hooks hooks = {.arg = w, .next_ms = next_ms, .tick = tick};
  if (net_loop_run(&w->loop, &hooks) != 0)
    (void)net_mailbox_post(w->boss, (struct net_mail){0});
  return NULL;
}

int stund_worker_start(struct stund_worker *w)
{
  if (pthread_create(&w->thread, NULL, run, w) != 0)
    return -ERR_IO;
  w->running = true;
  return 0;
}

void stund_worker_close(struct stund_worker *w)
{
  if (w->running) {
    /* Full means that mail which stops it is there already. */
    (void)net_mailbox_post(&w->mail, (struct net_mail){0});
    pthread_join(w->thread, NULL);
    w->running = false;
  }
  for (size_t i = 0; i < w->listener_count; i++)
    net_listener_close(&w->listener[i]);
  for (size_t i = 0; i < w->socket_count; i++) {
    net_loop_detach(&w->loop, &w->socket[i].udp.watch);
    net_udp_close(&w->socket[i].udp, w->batch);
  }
  net_tcp_free(w->tcp);
  net_udp_batch_free(w->batch);
  if (w->mail.fd >= 0)
    net_mailbox_close(&w->mail);
  net_loop_close(&w->loop);
}
