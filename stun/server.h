/* viaduct-stund as a whole: all workers, one set of listeners, one page of metrics. Called by
 * main.c. */
#ifndef VIADUCT_STUN_SERVER_H
#define VIADUCT_STUN_SERVER_H

#include "net/metrics.h"
#include "stun/worker.h"

struct stund_server {
  const struct stund_config *config; /* borrowed until close */
  struct log *log;                   /* the same */
  struct net_mailbox mail;     /* whatever comes means: a worker failed; main.c waits for it */
  struct stund_worker *worker; /* owned */
  size_t worker_count;
  struct stun_quad quad[STUND_QUAD_MAX]; /* the configuration's, with ports that are chosen */
  struct net_metrics *metrics;
};

/* Binds everything and logs each listener. `s` must not move afterwards, and stund_server_close
 * follows in any case. -ERR_BUSY, -ERR_DENIED, -ERR_UNREACHABLE, -ERR_UNSUPPORTED: an address
 * cannot be had; -ERR_NOMEM, -ERR_IO; `e` says why. */
int stund_server_open(struct stund_server *s, const struct stund_config *config, struct log *log,
                      struct net_error *e);
/* Lets the workers run, and the metrics. -ERR_IO. */
int stund_server_start(struct stund_server *s, struct net_error *e);
/* Stops and frees what there is. */
void stund_server_close(struct stund_server *s);

#endif
