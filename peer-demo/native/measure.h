/* RFC 5780 over real sockets, from one place or from several network namespaces side by side. */
#ifndef VIADUCT_PEER_DEMO_NATIVE_MEASURE_H
#define VIADUCT_PEER_DEMO_NATIVE_MEASURE_H

#include "net/error.h"
#include "net/random.h"
#include "peer-demo/core/behaviour.h"

/* One place that is measured. `found` has the answer behind measure_run. */
struct measure {
  struct net_random random;
  struct behaviour_setup setup;
  struct behaviour_run run;
  int fd[BEHAVIOUR_SOCKETS]; /* -1: none */
  struct behaviour_found found;
};

/* Opens the sockets in the calling thread's network namespace, where they stay. `m` must not move.
 * -ERR_* where there is no socket or no route; measure_close in any case. */
int measure_open(struct measure *m, const struct addr *server, struct net_error *e);
/* Measures them side by side, at most about 12 s. A server that does not answer is an answer. */
void measure_run(struct measure *m, size_t count);
void measure_close(struct measure *m);

#endif
