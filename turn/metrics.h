/* What GET /metrics of turnd says. Called in the thread of net/metrics. */
#ifndef VIADUCT_TURN_METRICS_H
#define VIADUCT_TURN_METRICS_H

#include <stdatomic.h>

#include "turn/worker.h"

struct turnd_metrics_source {
  struct turnd_worker *const *worker; /* all of them live as long as the page is served */
  size_t count;
  const struct turnd_xdp *xdp; /* NULL: nothing is carried in the kernel */
  atomic_bool draining;
};

/* `arg` is a struct turnd_metrics_source. */
void turnd_metrics_render(void *arg, struct buf *out);
/* Whether new sessions are welcome: not while it drains. */
bool turnd_metrics_healthy(void *arg);

#endif
