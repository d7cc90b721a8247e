/* GET /metrics (Prometheus text) and GET /healthz over HTTP/1.1, by libwebsockets in a thread of
 * its own. The callbacks run in that thread: they read what the workers publish through atomics. */
#ifndef VIADUCT_NET_METRICS_H
#define VIADUCT_NET_METRICS_H

#include "base/addr.h"
#include "base/bytes.h"
#include "net/error.h"

enum { NET_METRICS_MAX = 256 * 1024 }; /* bytes of one page */

struct net_metrics_setup {
  struct addr at;   /* port 0: the kernel chooses */
  const char *path; /* NULL: /metrics; borrowed until stop */
  void (*render)(void *arg, struct buf *out);
  bool (*healthy)(void *arg); /* may be NULL: always; false answers /healthz with 503 */
  void (*died)(void *arg);    /* may be NULL: the thread has ended by itself */
  void *arg;
  const char *program, *mend; /* as in struct net_bind */
};

struct net_metrics;

/* Listens, and nobody answers yet. Returns owned. -ERR_BUSY and the like as net_bind, -ERR_NOMEM,
 * -ERR_IO. */
int net_metrics_open(const struct net_metrics_setup *s, struct net_metrics **out,
                     struct net_error *e);
/* Starts the thread. -ERR_IO. */
int net_metrics_start(struct net_metrics *m, struct net_error *e);
/* With the port that it listens at. */
struct addr net_metrics_address(const struct net_metrics *m);
/* Ends the thread, if there is one, waits for it, and frees. NULL is fine. */
void net_metrics_stop(struct net_metrics *m);

/* "# HELP", "# TYPE" and one value. `type` is "counter" or "gauge". */
void net_metrics_put(struct buf *out, const char *name, const char *type, const char *help,
                     uint64_t value);
/* A further line of the same family with labels: name{labels} value. */
void net_metrics_put_labelled(struct buf *out, const char *name, const char *labels,
                              uint64_t value);
/* The head of a family alone. */
void net_metrics_put_head(struct buf *out, const char *name, const char *type, const char *help);

#endif
