/* The pool of relay ports of one address: a random one in constant time, and a count that proves
 * that all come back. reserve.c takes and gives.
 *
 * `free` holds the free ports in no order; taking one moves the last into its place, so each draw
 * is uniform over what is free: a relayed port cannot be guessed from the one before (RFC 8656
 * section 21.2.x leaves the choice to the server; RFC 6056 asks for unpredictable ports).
 */
#include "base/err.h"
#include "turn/core/internal.h"

enum { PORT_TAKEN = 0xFFFF };

/* Workers share the range by pairs, since EVEN-PORT wants N and N + 1 from one of them. */
static bool is_ours(const struct turn_ports *p, uint32_t port)
{
  return port >= p->min && port <= p->max &&
         turn__ports_share(port, p->share_count) == p->share_index;
}

static bool is_free(const struct turn_ports *p, uint32_t port)
{
  return is_ours(p, port) && p->place[port - p->min] != PORT_TAKEN;
}

static size_t places(const struct turn_ports *p)
{
  return (size_t)p->max - p->min + 1;
}

int turn__ports_init(struct turn_ports *p, struct mem *mem, const struct turn_config *c,
                     uint32_t share_index, uint32_t share_count)
{
  struct turn_ports n = {
      .min = c->min_port ? c->min_port : 1, /* 0 is no port, and keeps places below PORT_TAKEN */
      .max = c->max_port,
      .share_index = share_index,
      .share_count = share_count ? share_count : 1,
  };
  if (n.max < n.min)
    n.max = n.min;
  n.free = mem_new(mem, places(&n) * sizeof(*n.free));
  n.place = mem_new(mem, places(&n) * sizeof(*n.place));
  if (!n.free || !n.place) {
    turn__ports_fini(&n, mem);
    return -ERR_NOMEM;
  }
  for (uint32_t port = n.min; port <= n.max; port++) {
    n.place[port - n.min] = PORT_TAKEN;
    if (!is_ours(&n, port))
      continue;
    n.place[port - n.min] = (uint16_t)n.count;
    n.free[n.count++] = (uint16_t)port;
  }
  n.free_count = n.count;
  *p = n;
  return 0;
}

void turn__ports_fini(struct turn_ports *p, struct mem *mem)
{
  mem_free(mem, p->free, places(p) * sizeof(*p->free));
  mem_free(mem, p->place, places(p) * sizeof(*p->place));
  *p = (struct turn_ports){0};
}

static bool is_of_kind(const struct turn_ports *p, uint16_t port, enum turn_parity parity)
{
  if (parity == TURN__ANY_PORT)
    return true;
  return port % 2 == 0 && (parity == TURN__EVEN_PORT || is_free(p, port + 1u));
}

bool turn__ports_take_at(struct turn_ports *p, uint16_t port)
{
  if (!p->free || !is_free(p, port))
    return false;
  const uint16_t place = p->place[port - p->min];
  const uint16_t last = p->free[--p->free_count];
  p->free[place] = last;
  p->place[last - p->min] = place;
  p->place[port - p->min] = PORT_TAKEN;
  return true;
}

bool turn__ports_take(struct turn_ports *p, struct random *r, enum turn_parity parity,
                      uint16_t *out)
{
  if (!p->free || p->free_count == 0)
    return false;
  /* From a random place on, round once: two steps on average for an even port, and never more than
   * there are free ones. */
  const uint32_t start = random_below(r, p->free_count);
  for (uint32_t i = 0; i < p->free_count; i++) {
    const uint16_t port = p->free[(start + i) % p->free_count];
    if (!is_of_kind(p, port, parity))
      continue;
    turn__ports_take_at(p, port);
    if (parity == TURN__EVEN_PAIR)
      turn__ports_take_at(p, (uint16_t)(port + 1));
    *out = port;
    return true;
  }
  return false;
}

void turn__ports_give(struct turn_ports *p, uint16_t port)
{
  if (!p->free || !is_ours(p, port) || is_free(p, port))
    return;
  p->place[port - p->min] = (uint16_t)p->free_count;
  p->free[p->free_count++] = port;
}
