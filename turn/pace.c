/* See pace.h. */
#include "turn/pace.h"

bool turnd_pace_rests(struct turnd_pace *p, uint64_t now_ms)
{
  const uint64_t ms = now_ms - p->begin_ms;
  if (p->has_datagrams)
    p->datagrams_ms = now_ms;
  p->has_datagrams = false;
  if (ms >= TURND_PACE_WINDOW_MS) {
    p->plenty = p->messages >= TURND_PACE_PER_MS * ms;
    p->messages = 0;
    p->begin_ms = now_ms;
  }
  return p->plenty && now_ms - p->datagrams_ms >= TURND_PACE_CLEAR_MS;
}
