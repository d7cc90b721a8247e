/* The listening side of sd_notify's protocol: servers say READY=1 at a datagram socket in the state
 * folder, and who has a watchdog WATCHDOG=1. The kernel tells who sent it. Called by supervise.c.
 */
#ifndef VIADUCT_VIADUCT_READINESS_H
#define VIADUCT_VIADUCT_READINESS_H

#include <sys/types.h>

#include "viaduct/state.h"

struct readiness {
  const struct state *state;
  char path[STATE_PATH_SIZE]; /* for $NOTIFY_SOCKET */
  int fd;
};

int readiness_open(struct readiness *r, const struct state *state, struct net_error *e);
void readiness_close(struct readiness *r);
/* The process that said READY=1, or WATCHDOG=1 and then *well; 0: nothing more to read. What else
 * is said is skipped. */
pid_t readiness_next(struct readiness *r, bool *well);

#endif
