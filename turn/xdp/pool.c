#include "turn/xdp/pool.h"

#include <stdlib.h>

#include "base/err.h"

int turnd_xdp_pool_init(struct turnd_xdp_pool *p, uint32_t cap)
{
  *p = (struct turnd_xdp_pool){.ring = calloc(cap, sizeof(*p->ring)), .cap = cap, .count = cap};
  if (p->ring == NULL || pthread_mutex_init(&p->lock, NULL) != 0) {
    free(p->ring);
    p->ring = NULL;
    return -ERR_NOMEM;
  }
  for (uint32_t i = 0; i < cap; i++)
    p->ring[i].row = i;
  return 0;
}

void turnd_xdp_pool_fini(struct turnd_xdp_pool *p)
{
  if (p->ring == NULL)
    return;
  free(p->ring);
  p->ring = NULL;
  pthread_mutex_destroy(&p->lock);
}

bool turnd_xdp_pool_take(struct turnd_xdp_pool *p, uint64_t now_ms, uint32_t *out)
{
  bool found = false;
  pthread_mutex_lock(&p->lock);
  const struct turnd_xdp_free *oldest = &p->ring[p->head];
  if (p->count > 0 && (oldest->since_ms == 0 || now_ms >= oldest->since_ms + TURND_XDP_REST_MS)) {
    *out = oldest->row;
    p->head = (p->head + 1) % p->cap;
    p->count--;
    found = true;
  }
  pthread_mutex_unlock(&p->lock);
  return found;
}

void turnd_xdp_pool_give(struct turnd_xdp_pool *p, uint64_t now_ms, uint32_t row)
{
  pthread_mutex_lock(&p->lock);
  p->ring[(p->head + p->count) % p->cap] = (struct turnd_xdp_free){now_ms, row};
  p->count++;
  pthread_mutex_unlock(&p->lock);
}
