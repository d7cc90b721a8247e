/* See backoff.h. */
#include "viaduct/backoff.h"

void backoff_started(struct backoff *b, uint64_t now_ms)
{
  b->started_ms = now_ms;
}

uint64_t backoff_stopped(struct backoff *b, uint64_t now_ms)
{
  if (b->next_ms == 0 || now_ms - b->started_ms >= BACKOFF_FORGET_MS)
    b->next_ms = BACKOFF_FIRST_MS;
  uint64_t wait_ms = b->next_ms;
  b->next_ms = 2 * wait_ms < BACKOFF_LONGEST_MS ? 2 * wait_ms : BACKOFF_LONGEST_MS;
  return wait_ms;
}
