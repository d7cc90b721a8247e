/* The side of the clients: listeners, what comes in from them, and what goes back. */
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/clock.h"
#include "stun/core/frame.h"
#include "turn/worker_private.h"

enum {
  LISTEN_BUFFER = 4 * 1024 * 1024, /* what we ask for; the kernel caps it */
  LISTEN_TRIES = 32,               /* ports that the system offers, until one is free for all */
  CONNECTIONS_MAX = 16384,         /* of all workers */
  FIRST_MESSAGE_MAX = 4096,        /* an Allocate with the longest names fits */
  OUTPUT_MAX = 256 * 1024,
  HANDSHAKE_MS = 10 * 1000,
  IDLE_MS = 60 * 1000, /* without an allocation */
  STALL_MS = 15 * 1000
};

static const char program[] = "viaduct-turnd";
static const char mend[] = "listening-port";

static uint64_t wall_s(void)
{
  return net_clock_wall_ms() / 1000;
}

void turnd__flush(struct turnd_worker *w)
{
  net_udp_flush(w->batch);
  net_tcp_flush(w->tcp, w->loop.now_ms);
}

/* ---- UDP ---- */

static void udp_ready(struct net_watch *watch, uint32_t events, uint64_t now_ms)
{
  (void)events;
  struct net_udp *u = CONTAINER_OF(watch, struct net_udp, watch);
  struct turnd_udp_listener *l = CONTAINER_OF(u, struct turnd_udp_listener, udp);
  struct turnd_worker *w = l->worker;
  size_t count = net_udp_receive(w->batch, u);
  struct net_udp_msg *msg = net_udp_batch_messages(w->batch);
  uint64_t now_s = count > 0 ? wall_s() : 0;
  for (size_t i = 0; i < count; i++) {
    struct turn_flow flow = {
        .client = msg[i].from,
        .server = msg[i].local,
        .transport = TURN_UDP,
        .link = (uint64_t)(l - w->udp),
    };
    turn_client_input(w->turn, &flow, &msg[i].d, now_ms, now_s);
  }
  turnd__flush(w);
}

static void send_udp(struct turnd_worker *w, const struct turn_flow *flow, struct bytes message,
                     unsigned how)
{
  if (flow->link < w->udp_count)
    net_udp_send(w->batch, &w->udp[flow->link].udp, &flow->server, &flow->client, message, how);
}

/* ---- TCP ---- */

static int cut(struct bytes stream, bool channel, size_t *len, size_t *padded)
{
  struct stun_frame f;
  int r = stun_frame_next(stream, channel, &f);
  if (r == 0) {
    *len = f.len;
    *padded = f.padded;
  }
  return r;
}

static int frame(void *arg, struct bytes stream, size_t *len, size_t *padded)
{
  (void)arg;
  return cut(stream, true, len, padded);
}

/* No channel is bound yet. So "GET /" and the like are no ChannelData of 21536 bytes that we wait
 * for, but garbage at once. */
static int frame_first(void *arg, struct bytes stream, size_t *len, size_t *padded)
{
  (void)arg;
  return cut(stream, false, len, padded);
}

static struct turn_flow flow_of(const struct net_conn *c)
{
  return (struct turn_flow){
      .client = c->peer, .server = c->local, .transport = TURN_TCP, .link = c->id};
}

static void message(void *arg, struct net_conn *c, struct dgram *d, uint64_t now_ms)
{
  struct turnd_worker *w = arg;
  struct turn_flow flow = flow_of(c);
  w->talking = c;
  turn_client_input(w->turn, &flow, d, now_ms, wall_s());
  w->talking = NULL;
}

static void batch_end(void *arg)
{
  turnd__flush(arg);
}

static void closed(void *arg, struct net_conn *c, uint64_t now_ms)
{
  struct turnd_worker *w = arg;
  struct turn_flow flow = flow_of(c);
  turn_client_gone(w->turn, &flow, now_ms);
}

int turnd__tcp_new(struct turnd_worker *w)
{
  struct net_tcp_setup s = {
      .loop = &w->loop,
      .wheel = &w->wheel,
      .limits = {.connections = CONNECTIONS_MAX / w->count,
                 .handshake_ms = HANDSHAKE_MS,
                 .idle_ms = IDLE_MS,
                 .stall_ms = STALL_MS,
                 .first_max = FIRST_MESSAGE_MAX,
                 .message_max = STUN_FRAME_MAX,
                 .output_max = OUTPUT_MAX},
      .events = {.arg = w,
                 .frame = frame,
                 .frame_first = frame_first,
                 .message = message,
                 .batch_end = batch_end,
                 .closed = closed},
      .hash_key = {random_u64(&w->random.random), random_u64(&w->random.random)},
  };
  return net_tcp_new(&s, &w->tcp);
}

/* ---- back to the client ---- */

static void send_to(struct turnd_worker *w, const struct turn_flow *flow, struct bytes message,
                    bool relayed)
{
  if (flow->transport == TURN_UDP) {
    send_udp(w, flow, message, relayed ? NET_UDP_IN_PLACE : 0);
    return;
  }
  struct net_conn *c = net_tcp_find(w->tcp, flow->link);
  if (c != NULL)
    (void)net_conn_send(c, message, relayed); /* counted there */
}

void turnd__reply(void *arg, const struct turn_flow *flow, struct bytes bytes)
{
  send_to(arg, flow, bytes, false);
}

void turnd__to_client(void *arg, const struct turn_flow *flow, struct dgram *d)
{
  send_to(arg, flow, (struct bytes){d->at, d->len}, true);
}

/* ---- listeners ---- */

static void announce(struct turnd_worker *w, const char *transport, const struct addr *at)
{
  if (w->index == 0)
    log_event(w->log, LOG_LEVEL_INFO, "listening", LOG_TEXT("transport", transport),
              LOG_ADDR("address", at));
}

/* Several workers share a port; another program's port (or another turnd's) must still be noticed,
 * which SO_REUSEPORT would hide. */
static int probe(const struct turnd_worker *w, int type, const struct addr *at, struct net_error *e)
{
  if (w->count == 1 || w->index > 0 || at->port == 0)
    return 0;
  const struct net_bind bind = {.type = type, .at = at, .program = program, .mend = mend};
  int fd = net_bind(&bind, e);
  if (fd < 0)
    return fd;
  close(fd);
  return 0;
}

static int listen_udp(struct turnd_worker *w, const struct addr *at, struct net_error *e)
{
  struct turnd_udp_listener *l = &w->udp[w->udp_count];
  const struct net_udp_setup s = {
      .at = *at,
      .reuse_port = w->count > 1,
      .want_local = addr_is_unspecified(at),
      .receive_buffer = LISTEN_BUFFER,
      .send_buffer = LISTEN_BUFFER,
      .program = program,
      .mend = mend,
  };
  int r = probe(w, SOCK_DGRAM, at, e);
  if (r == 0)
    r = net_udp_open(&l->udp, &s, e);
  if (r != 0)
    return r;
  l->worker = w;
  l->udp.watch.ready = udp_ready;
  r = net_loop_attach(&w->loop, &l->udp.watch);
  if (r != 0) {
    net_udp_close(&l->udp, w->batch);
    return r;
  }
  w->udp_count++;
  return 0;
}

static int listen_tcp(struct turnd_worker *w, const struct addr *at, struct net_error *e)
{
  const struct net_listen s = {
      .at = *at,
      .reuse_port = w->count > 1,
      .tag = TURN_TCP,
      .program = program,
      .mend = mend,
  };
  int r = probe(w, SOCK_STREAM, at, e);
  if (r == 0)
    r = net_tcp_listen(w->tcp, &s, &w->listener[w->listener_count], e);
  if (r == 0)
    w->listener_count++;
  return r;
}

/* Both transports at one address; the first listener settles the port where it is 0. */
static int listen_at(struct turnd_worker *w, struct addr at, struct net_error *e)
{
  const struct turnd_options *o = &w->settings->options;
  int r = 0;
  at.port = w->port;
  if (!o->no_udp) {
    r = listen_udp(w, &at, e);
    if (r == 0)
      at.port = w->port = w->udp[w->udp_count - 1].udp.local.port;
  }
  if (r == 0 && !o->no_tcp) {
    r = listen_tcp(w, &at, e);
    if (r == 0)
      w->port = w->listener[w->listener_count - 1].local.port;
  }
  return r;
}

static int listen_all(struct turnd_worker *w, struct net_error *e)
{
  const struct turnd_settings *s = w->settings;
  for (size_t i = 0; i < s->listen_count; i++) {
    int r = listen_at(w, s->listen[i], e);
    /* Without listening-ip, a machine that has no IPv6 (or no IPv4) is fine as it is. */
    bool lacks = r == -ERR_UNSUPPORTED || r == -ERR_UNREACHABLE;
    if (r != 0 && !(s->listen_all && lacks))
      return r;
  }
  return w->udp_count + w->listener_count > 0 ? 0 : -ERR_UNREACHABLE;
}

int turnd__listen(struct turnd_worker *w, uint16_t port, struct net_error *e)
{
  int r = -ERR_BUSY;
  for (int i = 0; i < LISTEN_TRIES && r == -ERR_BUSY; i++) {
    w->port = port;
    r = listen_all(w, e);
    if (r != 0)
      turnd__listen_close(w);
    if (port != 0)
      break;
  }
  for (size_t i = 0; r == 0 && i < w->udp_count; i++)
    announce(w, "udp", &w->udp[i].udp.local);
  for (size_t i = 0; r == 0 && i < w->listener_count; i++)
    announce(w, "tcp", &w->listener[i].local);
  return r;
}

void turnd__listen_close(struct turnd_worker *w)
{
  for (size_t i = 0; i < w->udp_count; i++) {
    net_loop_detach(&w->loop, &w->udp[i].udp.watch);
    net_udp_close(&w->udp[i].udp, w->batch);
  }
  for (size_t i = 0; i < w->listener_count; i++)
    net_listener_close(&w->listener[i]);
  w->udp_count = w->listener_count = 0;
}
