/* How long a server that stopped waits until it is started again: twice as long each time, and from
 * the beginning once it lived for a while. Pure. */
#ifndef VIADUCT_VIADUCT_BACKOFF_H
#define VIADUCT_VIADUCT_BACKOFF_H

#include <stdint.h>

enum { BACKOFF_FIRST_MS = 250, BACKOFF_LONGEST_MS = 10000, BACKOFF_FORGET_MS = 30000 };

struct backoff {
  uint64_t started_ms;
  uint64_t next_ms; /* the wait after the next stop; 0 counts as the first */
};

void backoff_started(struct backoff *b, uint64_t now_ms);
/* How many milliseconds to wait from now on. */
uint64_t backoff_stopped(struct backoff *b, uint64_t now_ms);

#endif
