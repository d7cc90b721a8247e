/* The fake edge between allocations: payloads for another one of this worker's wait until the input
 * that they belong to is done; those for another worker's are outputs. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/support/turn_world.h"

static bool is_neighbour(const struct world *w, const struct addr *a)
{
  for (size_t i = 0; i < w->neighbour_count; i++)
    if (addr_equal(&w->neighbour[i], a))
      return true;
  return false;
}

int world_inside(void *arg, uint32_t share, const struct addr *relayed, const struct addr *from,
                 const struct dgram *d)
{
  struct world *w = arg;
  if (d->at < d->storage || d->at + d->len > d->storage + d->cap)
    w->broken = "a payload that reaches outside of its storage";
  if (share >= w->share_count)
    w->broken = "a payload for a worker that is not there";
  if (share != w->share_index) {
    if (!is_neighbour(w, relayed))
      return -ERR_MISSING;
    struct world_output *o = world_record(w, WORLD_INSIDE, d->at, d->len);
    o->share = share;
    o->relay = *from;
    o->peer = *relayed;
    return 0;
  }
  if (w->inside_count == WORLD_INSIDES)
    return 0; /* lost */
  struct world_inside *i = &w->inside[w->inside_count++];
  *i = (struct world_inside){*relayed, *from, malloc(d->len > 0 ? d->len : 1), d->len};
  if (!i->at)
    abort();
  memcpy(i->at, d->at, d->len);
  return 0;
}

void world_take_inside(struct world *w)
{
  const size_t count = w->inside_count;
  for (size_t i = 0; i < count; i++) {
    world_inside_input(w, &w->inside[i].relayed, &w->inside[i].from, w->inside[i].at,
                       w->inside[i].len);
    free(w->inside[i].at);
  }
  if (w->inside_count != count)
    w->broken = "what came from inside goes inside again";
  w->inside_count = 0;
}

void world_inside_input(struct world *w, const struct addr *relayed, const struct addr *from,
                        const uint8_t *p, size_t len)
{
  struct dgram d = world_dgram(p, len);
  turn_inside_input(w->turn, relayed, from, &d, w->now_ms);
  free(d.storage);
}

void world_relayed(void *arg, const struct addr *relayed, bool on)
{
  struct world *w = arg;
  size_t i = 0;
  while (i < w->relayed_count && !addr_equal(&w->relayed[i], relayed))
    i++;
  if (on != (i == w->relayed_count))
    w->broken = on ? "a relayed address given to two" : "a relayed address that nobody has";
  else if (!on)
    w->relayed[i] = w->relayed[--w->relayed_count];
  else if (i < WORLD_RELAYS)
    w->relayed[w->relayed_count++] = *relayed;
}
