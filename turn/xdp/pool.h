/* Numbers of rows that are free, for several threads. A number that comes back rests for a second:
 * a program that found the row a moment ago may still look at it (map.h). */
#ifndef VIADUCT_TURN_XDP_POOL_H
#define VIADUCT_TURN_XDP_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TURND_XDP_REST_MS = 1000 };

struct turnd_xdp_free {
  uint64_t since_ms;
  uint32_t row;
};

struct turnd_xdp_pool {
  pthread_mutex_t lock;
  struct turnd_xdp_free *ring; /* NULL: not there */
  uint32_t cap, head, count;   /* the oldest stands at `head` */
};

/* All of `cap` rows are free. -ERR_NOMEM. */
int turnd_xdp_pool_init(struct turnd_xdp_pool *p, uint32_t cap);
void turnd_xdp_pool_fini(struct turnd_xdp_pool *p);
/* The row that was free the longest; false: all are taken, or rest. */
bool turnd_xdp_pool_take(struct turnd_xdp_pool *p, uint64_t now_ms, uint32_t *out);
/* One that was taken. */
void turnd_xdp_pool_give(struct turnd_xdp_pool *p, uint64_t now_ms, uint32_t row);

#endif
