/* What moved for each listener, transport and realm, from a worker's thread to the metrics'.
 * Private to the files of a worker and to metrics.c. */
#ifndef VIADUCT_TURN_TRAFFIC_H
#define VIADUCT_TURN_TRAFFIC_H

#include <stdatomic.h>

#include "turn/core/turn.h"

/* The numbers of a row of struct turn_traffic, in its order. */
enum { TURND_TRAFFIC_NUMBERS = 6 };

struct turnd_traffic {
  struct turn_traffic
      row[TURN_TRAFFIC_MAX]; /* whose; written before `count` says that it is there */
  _Atomic uint64_t number[TURN_TRAFFIC_MAX][TURND_TRAFFIC_NUMBERS];
  atomic_size_t count;
};

/* In the worker's thread: shows the rows as they are. */
void turnd_traffic_publish(struct turnd_traffic *p, const struct turn *t);
/* From any thread: adds what is shown to the rows of `sum`, of which there are *count. */
void turnd_traffic_add(const struct turnd_traffic *p, struct turn_traffic sum[TURN_TRAFFIC_MAX],
                       size_t *count);

#endif
