/* What sd_watchdog_enabled(3) describes: systemd, with WatchdogSec= in the unit, ends a service
 * that has not said for so long that it is well, and starts it again. turnd says so only while
 * every worker has been through its loop since it was last asked to: one that hangs is half of the
 * service, silently. server.c owns it. */
#ifndef VIADUCT_TURN_WATCHDOG_H
#define VIADUCT_TURN_WATCHDOG_H

#include "base/log.h"
#include "base/wheel.h"
#include "turn/worker.h"

struct turnd_watchdog {
  struct wheel *wheel;                /* borrowed until stop */
  struct log *log;                    /* borrowed until stop */
  struct turnd_worker *const *worker; /* borrowed until stop: `count` of them, which run */
  size_t count;

  /* private */
  struct timer timer;
  uint64_t every_ms;
  uint64_t *rounds; /* of each worker, when it was asked last */
};

/* Does nothing unless $WATCHDOG_USEC, and $WATCHDOG_PID if it is there, say that somebody waits for
 * this very process: then the main thread and each worker wake up twice in that time, and without
 * it never. -ERR_NOMEM. */
int turnd_watchdog_start(struct turnd_watchdog *d, uint64_t now_ms);
void turnd_watchdog_stop(struct turnd_watchdog *d);

#endif
