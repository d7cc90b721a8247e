/* The listeners of one worker: UDP and TCP at one port, DTLS and TLS at another. Each takes all
 * that its kind of socket can carry, told apart by the first byte (clients.c). */
#include <unistd.h>

#include "base/err.h"
#include "net/proxy.h"
#include "turn/worker_private.h"

enum {
  LISTEN_BUFFER = 4 * 1024 * 1024, /* what we ask for; the kernel caps it */
  LISTEN_TRIES = 32                /* ports that the system offers, until one is free for all */
};

static const char program[] = "viaduct-turnd";

/* What stands open at one port of an address. */
struct door {
  struct addr at;
  bool secure; /* the port for TLS and DTLS */
  bool udp, tcp;
  bool proxied;     /* tcp-proxy-port */
  const char *mend; /* the option that moves it */
};

static struct door door_of(const struct turnd_worker *w, const struct addr *ip, bool secure)
{
  const struct turnd_options *o = &w->settings->options;
  struct door d = {.at = *ip, .secure = secure};
  d.at.port = secure ? w->ports.tls : w->ports.plain;
  d.udp = secure ? w->dtls != NULL : !o->no_udp;
  d.tcp = secure ? w->tls.context != NULL : !o->no_tcp;
  d.mend = secure ? "tls-listening-port" : "listening-port";
  return d;
}

static void announce(struct turnd_worker *w, const char *transport, const struct addr *at)
{
  if (w->index == 0)
    log_event(w->log, LOG_LEVEL_INFO, "listening", LOG_TEXT("transport", transport),
              LOG_ADDR("address", at));
}

static const char *name_of(const struct net_listener *l)
{
  if (l->stream == &net_stream_proxied)
    return "proxy";
  return turnd__tag_is_secure(l->tag) ? "tls" : "tcp";
}

static void announce_all(struct turnd_worker *w)
{
  for (size_t i = 0; i < w->udp_count; i++)
    announce(w, w->udp[i].secure ? "dtls" : "udp", &w->udp[i].udp.local);
  for (size_t i = 0; i < w->listener_count; i++)
    announce(w, name_of(&w->listener[i]), &w->listener[i].local);
}

/* Several workers share a port; another program's port (or another turnd's) must still be noticed,
 * which SO_REUSEPORT would hide. */
static int probe(const struct turnd_worker *w, int type, const struct door *d, struct net_error *e)
{
  if (w->count == 1 || w->index > 0 || d->at.port == 0)
    return 0;
  const struct net_bind bind = {.type = type, .at = &d->at, .program = program, .mend = d->mend};
  int fd = net_bind(&bind, e);
  if (fd < 0)
    return fd;
  close(fd);
  return 0;
}

static int listen_udp(struct turnd_worker *w, const struct door *d, struct net_error *e)
{
  struct turnd_udp_listener *l = &w->udp[w->udp_count];
  const struct net_udp_setup s = {
      .at = d->at,
      .reuse_port = w->count > 1,
      .want_local = addr_is_unspecified(&d->at),
      .aggregate = true,
      .crowded = true,
      .receive_buffer = LISTEN_BUFFER,
      .send_buffer = LISTEN_BUFFER,
      .program = program,
      .mend = d->mend,
  };
  int r = probe(w, SOCK_DGRAM, d, e);
  if (r == 0)
    r = net_udp_open(&l->udp, &s, e);
  if (r != 0)
    return r;
  l->worker = w;
  l->secure = d->secure;
  l->no_plain = w->settings->options.no_udp;
  l->udp.watch.ready = turnd__udp_ready;
  r = net_loop_attach(&w->loop, &l->udp.watch);
  if (r != 0) {
    net_udp_close(&l->udp, w->batch);
    return r;
  }
  w->udp_count++;
  return 0;
}

static int listen_tcp(struct turnd_worker *w, const struct door *d, struct net_error *e)
{
  const struct net_stream *stream = w->tls.context != NULL ? &net_stream_tls_or_plain : NULL;
  const struct net_listen s = {
      .at = d->at,
      .reuse_port = w->count > 1,
      .stream = d->proxied ? &net_stream_proxied : stream,
      .stream_config = &w->tls,
      .tag = turnd__tag(w->listener_count, d->secure),
      .program = program,
      .mend = d->mend,
  };
  int r = probe(w, SOCK_STREAM, d, e);
  if (r == 0)
    r = net_tcp_listen(w->tcp, &s, &w->listener[w->listener_count], e);
  if (r == 0)
    w->listener_count++;
  return r;
}

/* Both transports at one port of an address; the first listener settles the port where it is 0. */
static int listen_at(struct turnd_worker *w, struct door d, uint16_t *port, struct net_error *e)
{
  int r = 0;
  if (d.udp) {
    r = listen_udp(w, &d, e);
    if (r == 0)
      d.at.port = *port = w->udp[w->udp_count - 1].udp.local.port;
  }
  if (r == 0 && d.tcp) {
    r = listen_tcp(w, &d, e);
    if (r == 0)
      *port = w->listener[w->listener_count - 1].local.port;
  }
  return r;
}

/* A start at ports that the system chooses where `asked` has 0, and which port stood in the way. */
struct attempt {
  struct turnd_ports asked;
  bool chosen; /* the one that could not be had was the system's choice: another may do */
};

/* One port for all is one door: it takes TLS and DTLS anyway, wherever its transport is open. */
static int listen_ip(struct turnd_worker *w, const struct addr *ip, struct attempt *t,
                     struct net_error *e)
{
  struct door plain = door_of(w, ip, false);
  bool one = plain.at.port != 0 && w->ports.tls == plain.at.port;
  struct door secure = door_of(w, ip, true);
  if (one) {
    secure.udp = secure.udp && !plain.udp;
    secure.tcp = secure.tcp && !plain.tcp;
  }
  t->chosen = t->asked.plain == 0;
  int r = listen_at(w, plain, &w->ports.plain, e);
  if (r != 0)
    return r;
  t->chosen = t->asked.tls == 0;
  return listen_at(w, secure, &w->ports.tls, e);
}

/* The second port of RFC 5780, where this address is one of the four. */
static int listen_other(struct turnd_worker *w, const struct addr *ip, struct attempt *t,
                        struct net_error *e)
{
  const struct turn_config *c = &w->settings->core;
  for (size_t i = 0; i < c->quad_count; i++) {
    const struct stun_quad *q = &c->quad[i];
    if (!addr_equal_ip(&q->ip[0], ip) && !addr_equal_ip(&q->ip[1], ip))
      continue;
    struct door d = door_of(w, ip, false);
    d.at.port = q->port[1];
    d.mend = "alt-listening-port";
    uint16_t settled = q->port[1];
    t->chosen = settled == 0;
    return listen_at(w, d, &settled, e);
  }
  return 0;
}

static int listen_proxied(struct turnd_worker *w, const struct addr *ip, struct attempt *t,
                          struct net_error *e)
{
  uint16_t port = (uint16_t)w->settings->options.tcp_proxy_port;
  struct door d = {.at = *ip, .tcp = port != 0, .proxied = true, .mend = "tcp-proxy-port"};
  d.at.port = port;
  t->chosen = false;
  return listen_at(w, d, &port, e);
}

/* Auxiliary listeners have their port, and take all that comes by its transport. */
static int listen_aux(struct turnd_worker *w, struct attempt *t, struct net_error *e)
{
  const struct turn_config *c = &w->settings->core;
  for (size_t i = 0; i < c->aux_count; i++) {
    struct door d = door_of(w, &c->aux[i], false);
    d.at.port = c->aux[i].port;
    d.udp = d.udp || w->dtls != NULL;
    d.tcp = d.tcp || w->tls.context != NULL;
    d.mend = "aux-server";
    uint16_t settled = d.at.port;
    t->chosen = false;
    const int r = listen_at(w, d, &settled, e);
    if (r != 0)
      return r;
  }
  return 0;
}

static int listen_all(struct turnd_worker *w, struct attempt *t, struct net_error *e)
{
  const struct turnd_settings *s = w->settings;
  for (size_t i = 0; i < s->listen_count; i++) {
    int r = listen_ip(w, &s->listen[i], t, e);
    if (r == 0)
      r = listen_other(w, &s->listen[i], t, e);
    if (r == 0)
      r = listen_proxied(w, &s->listen[i], t, e);
    /* Without listening-ip, a machine that has no IPv6 (or no IPv4) is fine as it is. */
    bool lacks = r == -ERR_UNSUPPORTED || r == -ERR_UNREACHABLE;
    if (r != 0 && !(s->listen_all && lacks))
      return r;
  }
  const int r = listen_aux(w, t, e);
  if (r != 0)
    return r;
  return w->udp_count + w->listener_count > 0 ? 0 : -ERR_UNREACHABLE;
}

int turnd__listen(struct turnd_worker *w, struct turnd_ports ports, struct net_error *e)
{
  struct attempt t = {.asked = ports, .chosen = true};
  int r = -ERR_BUSY;
  for (int i = 0; i < LISTEN_TRIES && r == -ERR_BUSY && t.chosen; i++) {
    w->ports = ports;
    r = listen_all(w, &t, e);
    if (r != 0)
      turnd__listen_close(w);
  }
  if (r == 0)
    announce_all(w);
  return r;
}

struct addr turnd_worker_listener(const struct turnd_worker *w, uint16_t listener)
{
  if (listener < w->udp_count)
    return w->udp[listener].udp.local;
  if (listener >= TURND_DOORS_MAX && listener - TURND_DOORS_MAX < (int)w->listener_count)
    return w->listener[listener - TURND_DOORS_MAX].local;
  return (struct addr){.family = ADDR_NONE};
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
