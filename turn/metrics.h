/* What GET /metrics of turnd says. Called in the thread of net/metrics. */
#ifndef VIADUCT_TURN_METRICS_H
#define VIADUCT_TURN_METRICS_H

#include "turn/worker.h"

struct turnd_metrics_source {
  struct turnd_worker *const *worker; /* all of them live as long as the page is served */
  size_t count;
};

/* `arg` is a struct turnd_metrics_source. */
void turnd_metrics_render(void *arg, struct buf *out);

#endif
