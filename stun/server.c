/* Opens the listeners of all workers, starts and stops them, and adds their figures up. */
#include "stun/server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

enum { QUAD_TRIES = 32 }; /* ports that the system offers, until one is free everywhere */

/* The metrics: rows of one family stand together. */
static const struct {
  enum stund_figure figure;
  const char *name, *labels, *type, *help;
} table[] = {
    {STUND_UDP_RECEIVED, "viaduct_stun_received_total", "transport=\"udp\"", "counter",
     "Datagrams and messages that came in."},
    {STUND_TCP_RECEIVED, "viaduct_stun_received_total", "transport=\"tcp\"", NULL, NULL},
    {STUND_ANSWERED_SUCCESS, "viaduct_stun_responses_total", "code=\"success\"", "counter",
     "Responses by what they say."},
    {STUND_ANSWERED_400, "viaduct_stun_responses_total", "code=\"400\"", NULL, NULL},
    {STUND_ANSWERED_420, "viaduct_stun_responses_total", "code=\"420\"", NULL, NULL},
    {STUND_DROPPED, "viaduct_stun_dropped_total", "", "counter",
     "What came in and is not to be answered: no STUN, indications, responses, other methods, a "
     "wrong fingerprint."},
    {STUND_UDP_SEND_FAILED, "viaduct_stun_send_failures_total", "reason=\"refused\"", "counter",
     "Datagrams that could not be sent."},
    {STUND_UDP_SEND_FULL, "viaduct_stun_send_failures_total", "reason=\"buffer-full\"", NULL, NULL},
    {STUND_CONNECTIONS, "viaduct_stun_connections", "", "gauge", "TCP connections now."},
    {STUND_ACCEPTED, "viaduct_stun_connections_accepted_total", "", "counter",
     "TCP connections accepted."},
    {STUND_REFUSED, "viaduct_stun_connections_refused_total", "", "counter",
     "TCP connections closed at once, over max-connections."},
    {STUND_CLOSED_BAD, "viaduct_stun_connections_closed_total", "reason=\"not-stun\"", "counter",
     "TCP connections closed by this side."},
    {STUND_CLOSED_TIMEOUT, "viaduct_stun_connections_closed_total", "reason=\"idle\"", NULL, NULL},
    {STUND_CLOSED_SLOW, "viaduct_stun_connections_closed_total", "reason=\"slow-reader\"", NULL,
     NULL},
};

static uint64_t sum(const struct stund_server *s, enum stund_figure figure)
{
  uint64_t total = 0;
  for (size_t i = 0; i < s->worker_count; i++)
    total += atomic_load_explicit(&s->worker[i].published[figure], memory_order_relaxed);
  return total;
}

/* In the metrics' own thread. */
static void render(void *arg, struct buf *out)
{
  const struct stund_server *s = arg;
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    if (table[i].type)
      net_metrics_put_head(out, table[i].name, table[i].type, table[i].help);
    net_metrics_put_labelled(out, table[i].name, table[i].labels, sum(s, table[i].figure));
  }
}

static int open_metrics(struct stund_server *s, struct net_error *e)
{
  const struct net_metrics_setup setup = {
      .at = s->config->metrics,
      .render = render,
      .arg = s,
      .program = "viaduct-stund",
      .mend = "metrics-listen",
  };
  if (setup.at.family == ADDR_NONE)
    return 0;
  int err = net_metrics_open(&setup, &s->metrics, e);
  if (err)
    return err;
  struct addr at = net_metrics_address(s->metrics);
  log_event(s->log, LOG_LEVEL_INFO, "listening", LOG_TEXT("transport", "metrics"),
            LOG_ADDR("address", &at));
  return 0;
}

/* Takes the address alone for a moment, which fails where somebody has it. `e` may be NULL. Returns
 * the address with its port in `at`. */
static int probe(int type, struct addr *at, const char *mend, struct net_error *e)
{
  const struct net_bind bind = {.type = type, .at = at, .program = "viaduct-stund", .mend = mend};
  int fd = net_bind(&bind, e);
  if (fd < 0)
    return fd;
  *at = net_sockaddr_local(fd);
  close(fd);
  return 0;
}

/* One address and transport, in every worker: the first takes the port, the others share it. */
static int listen_one(struct stund_server *s, int type, struct addr at, struct net_error *e)
{
  bool shared = s->worker_count > 1;
  /* SO_REUSEPORT lets several sockets share a port, another server's too, in silence. */
  struct addr alone = at;
  int err = shared ? probe(type, &alone, stund_worker_mend(&s->worker[0], &at), e) : 0;
  for (size_t i = 0; i < s->worker_count && !err; i++) {
    err = type == SOCK_DGRAM ? stund_worker_listen_udp(&s->worker[i], &at, shared, e)
                             : stund_worker_listen_tcp(&s->worker[i], &at, shared, e);
  }
  if (err)
    return err;
  log_event(s->log, LOG_LEVEL_INFO, "listening",
            LOG_TEXT("transport", type == SOCK_DGRAM ? "udp" : "tcp"), LOG_ADDR("address", &at));
  return 0;
}

/* A machine without IPv6 (or IPv4) has no such sockets or no such address. */
static bool may_be_left_out(const struct stund_config *c, int err)
{
  return c->listen_default && (err == -ERR_UNSUPPORTED || err == -ERR_UNREACHABLE);
}

/* Whether both transports are free at all four. */
static bool is_quad_free(const struct stun_quad *q)
{
  for (int i = 0; i < 8; i++) {
    struct addr at = q->ip[i & 1];
    at.port = q->port[(i >> 1) & 1];
    if (probe(i & 4 ? SOCK_STREAM : SOCK_DGRAM, &at, NULL, NULL) != 0)
      return false;
  }
  return true;
}

/* With listening-port 0: RFC 5780 wants the same two ports at both addresses, so a port that the
 * system offers at one has to be free at the other too, and so does the next. */
static int choose_ports(struct stun_quad *q, struct net_error *e)
{
  uint16_t alternate = q->port[1];
  for (int tries = 0; tries < QUAD_TRIES; tries++) {
    struct addr at = q->ip[0];
    int err = probe(SOCK_DGRAM, &at, "listening-port", e);
    if (err)
      return err;
    q->port[0] = at.port;
    q->port[1] = alternate ? alternate : (uint16_t)(at.port + 1);
    if (q->port[0] != q->port[1] && q->port[1] != 0 && is_quad_free(q))
      return 0;
  }
  net_error_set(e, "found no port that is free at both listening-ip; give listening-port one");
  return -ERR_BUSY;
}

/* Fills in the ports of RFC 5780 and says, in one line each, what there is or what is missing. */
static int open_quads(struct stund_server *s, struct net_error *e)
{
  const struct stund_config *c = s->config;
  for (size_t i = 0; i < c->quad_count; i++) {
    struct stun_quad *q = &s->quad[i];
    *q = c->quad[i];
    int err = q->port[0] == 0 ? choose_ports(q, e) : 0;
    if (err)
      return err;
    struct addr first = q->ip[0], other = q->ip[1];
    first.port = q->port[0];
    other.port = q->port[1];
    log_event(s->log, LOG_LEVEL_INFO, "rfc5780", LOG_ADDR("address", &first),
              LOG_ADDR("other", &other));
  }
  if (c->no_quad)
    log_event(s->log, LOG_LEVEL_INFO, "rfc5780-off", LOG_TEXT("reason", c->no_quad));
  for (size_t i = 0; i < s->worker_count; i++)
    stund_worker_set_quads(&s->worker[i], s->quad, c->quad_count);
  return 0;
}

static int listen_at(struct stund_server *s, struct addr at, struct net_error *e)
{
  int err = s->config->udp ? listen_one(s, SOCK_DGRAM, at, e) : 0;
  if (!err && s->config->tcp)
    err = listen_one(s, SOCK_STREAM, at, e);
  return err;
}

/* One of listening-ip, and its second port where RFC 5780 has it listen at one. */
static int listen_both(struct stund_server *s, struct addr at, struct net_error *e)
{
  const struct stun_quad *quad = NULL;
  for (size_t i = 0; i < s->config->quad_count; i++) {
    if (addr_equal_ip(&s->quad[i].ip[0], &at) || addr_equal_ip(&s->quad[i].ip[1], &at))
      quad = &s->quad[i];
  }
  if (quad)
    at.port = quad->port[0];
  int err = listen_at(s, at, e);
  if (err || !quad)
    return err;
  at.port = quad->port[1];
  return listen_at(s, at, e);
}

static int listen_all(struct stund_server *s, struct net_error *e)
{
  const struct stund_config *c = s->config;
  size_t opened = 0;
  int err = open_quads(s, e);
  if (err)
    return err;
  for (size_t i = 0; i < c->listen_count; i++) {
    err = listen_both(s, c->listen[i], e);
    if (!err) {
      opened++;
    } else if (may_be_left_out(c, err)) {
      log_event(s->log, LOG_LEVEL_WARN, "left-out", LOG_TEXT("reason", e->text));
    } else {
      return err;
    }
  }
  return opened ? 0 : err;
}

int stund_server_open(struct stund_server *s, const struct stund_config *config, struct log *log,
                      struct net_error *e)
{
  *s = (struct stund_server){.config = config, .log = log};
  int err = net_mailbox_open(&s->mail);
  if (err)
    s->mail.fd = -1;
  if (!err) {
    s->worker = calloc(config->workers, sizeof *s->worker);
    err = s->worker ? 0 : -ERR_NOMEM;
  }
  for (size_t i = 0; i < config->workers && !err; i++) {
    err = stund_worker_open(&s->worker[i], config, log, &s->mail);
    s->worker_count = i + 1;
  }
  if (err) {
    net_error_set(e, "cannot start: %s", err_text(err));
    return err;
  }
  err = listen_all(s, e);
  return err ? err : open_metrics(s, e);
}

int stund_server_start(struct stund_server *s, struct net_error *e)
{
  for (size_t i = 0; i < s->worker_count; i++) {
    int err = stund_worker_start(&s->worker[i]);
    if (err) {
      net_error_set(e, "cannot start a thread: %s", err_text(err));
      return err;
    }
  }
  return s->metrics ? net_metrics_start(s->metrics, e) : 0;
}

void stund_server_close(struct stund_server *s)
{
  net_metrics_stop(s->metrics);
  for (size_t i = 0; i < s->worker_count; i++)
    stund_worker_close(&s->worker[i]);
  free(s->worker);
  if (s->mail.fd >= 0)
    net_mailbox_close(&s->mail);
}
