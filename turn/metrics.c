/* The figures of all workers as one page for Prometheus, from metrics.def. */
#include "turn/metrics.h"

#include "net/metrics.h"

static void put(struct buf *out, const struct turnd_counters *c)
{
#define METRIC(name, type, help) net_metrics_put_head(out, name, type, help);
#define VALUE(name, labels, member) net_metrics_put_labelled(out, name, labels, c->member);
#include "turn/metrics.def"
#undef METRIC
#undef VALUE
}

bool turnd_metrics_healthy(void *arg)
{
  const struct turnd_metrics_source *source = arg;
  return !atomic_load(&source->draining);
}

void turnd_metrics_render(void *arg, struct buf *out)
{
  const struct turnd_metrics_source *source = arg;
  struct turnd_counters sum = {0};
  for (size_t i = 0; i < source->count; i++)
    turnd_worker_add_counters(source->worker[i], &sum);
  put(out, &sum);
  net_metrics_put(out, "viaduct_turn_workers", "gauge", "Threads that relay.", source->count);
  net_metrics_put(out, "viaduct_turn_draining", "gauge",
                  "1 while no new session is taken and the last ones run out.",
                  atomic_load(&source->draining) ? 1 : 0);
}
