/* Opens the listeners of all workers, starts and stops them, and adds their figures up. */
#include "stun/server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

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
  int err = net_metrics_start(&setup, &s->metrics, e);
  if (err)
    return err;
  struct addr at = net_metrics_address(s->metrics);
  log_event(s->log, LOG_LEVEL_INFO, "listening", LOG_TEXT("transport", "metrics"),
            LOG_ADDR("address", &at));
  return 0;
}

/* SO_REUSEPORT lets several sockets share a port, another server's too, in silence. So the port is
 * taken alone for a moment first: that fails where somebody has it. */
static int probe(int type, const struct addr *at, struct net_error *e)
{
  const struct net_bind bind = {
      .type = type, .at = at, .program = "viaduct-stund", .mend = "listening-port"};
  int fd = net_bind(&bind, e);
  if (fd < 0)
    return fd;
  close(fd);
  return 0;
}

/* One address and transport, in every worker: the first takes the port, the others share it. */
static int listen_one(struct stund_server *s, int type, struct addr at, struct net_error *e)
{
  bool shared = s->worker_count > 1;
  int err = shared ? probe(type, &at, e) : 0;
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

static int listen_all(struct stund_server *s, struct net_error *e)
{
  const struct stund_config *c = s->config;
  size_t opened = 0;
  int err = 0;
  for (size_t i = 0; i < c->listen_count; i++) {
    err = c->udp ? listen_one(s, SOCK_DGRAM, c->listen[i], e) : 0;
    if (!err && c->tcp)
      err = listen_one(s, SOCK_STREAM, c->listen[i], e);
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
  return 0;
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
