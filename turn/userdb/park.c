/* One list, walked where something waits: a few hundred rows at the most, and only while the
 * database is asked. */
#include "turn/userdb/park.h"

#include <string.h>

#include "base/err.h"

static struct userdb_parked *parked_of(struct list *l)
{
  return CONTAINER_OF(l, struct userdb_parked, link);
}

/* The number of a connection or session tells the new client at an old address from the last one.
 */
static bool is_same(const struct turn_flow *a, const struct turn_flow *b)
{
  return a->transport == b->transport && a->link == b->link && addr_equal(&a->client, &b->client) &&
         addr_equal(&a->server, &b->server);
}

static bool is_stream(const struct turn_flow *flow)
{
  return flow->transport == TURN_TCP || flow->transport == TURN_TLS;
}

void userdb_park_init(struct userdb_park *p, struct mem *mem)
{
  *p = (struct userdb_park){.mem = mem};
  list_init(&p->all);
}

void userdb_park_fini(struct userdb_park *p)
{
  while (!list_is_empty(&p->all))
    userdb_park_free(p, parked_of(p->all.next));
}

void userdb_park_free(struct userdb_park *p, struct userdb_parked *m)
{
  list_remove(&m->link);
  p->count--;
  p->bytes -= m->size;
  mem_free(p->mem, m, m->size);
}

/* What stands in the way of another message of this client: 0, -ERR_EXISTS, -ERR_FULL. */
static int may_wait(const struct userdb_park *p, const struct turn_flow *flow,
                    const struct dgram *d)
{
  size_t of_address = 0, of_client = 0;
  for (struct list *l = p->all.next; l != &p->all; l = l->next) {
    const struct userdb_parked *m = parked_of(l);
    of_address += addr_equal_ip(&m->flow.client, &flow->client);
    if (!is_same(&m->flow, flow))
      continue;
    of_client++;
    if (!is_stream(flow) && m->d.len == d->len && memcmp(m->d.at, d->at, d->len) == 0)
      return -ERR_EXISTS;
  }
  return of_address >= USERDB_PARKED_ADDRESS || of_client >= USERDB_PARKED_STREAM ? -ERR_FULL : 0;
}

int userdb_park_put(struct userdb_park *p, const struct turn_flow *flow, const struct dgram *d,
                    uint64_t question, uint64_t now_ms)
{
  const size_t cap = DGRAM_HEADROOM + d->len + DGRAM_TAILROOM;
  const size_t size = sizeof(struct userdb_parked) + cap;
  if (question != 0 && d->len > USERDB_PARKED_MESSAGE)
    return -ERR_RANGE;
  const int r = may_wait(p, flow, d);
  if (r == -ERR_EXISTS)
    return 0;
  if (r != 0 || p->count == USERDB_PARKED_MAX || size > USERDB_PARKED_BYTES - p->bytes)
    return -ERR_FULL;
  struct userdb_parked *m = mem_new(p->mem, size);
  if (!m)
    return -ERR_NOMEM;
  uint8_t *storage = (uint8_t *)(m + 1);
  *m = (struct userdb_parked){
      .flow = *flow,
      .due_ms = now_ms + USERDB_PARKED_MS,
      .question = question,
      .d = {storage, cap, storage + DGRAM_HEADROOM, d->len},
      .size = size,
  };
  if (d->len)
    memcpy(m->d.at, d->at, d->len);
  list_push_back(&p->all, &m->link);
  p->count++;
  p->bytes += size;
  return 0;
}

static bool has_before(const struct userdb_park *p, const struct turn_flow *flow,
                       const struct list *end)
{
  for (struct list *l = p->all.next; l != end; l = l->next)
    if (is_same(&parked_of(l)->flow, flow))
      return true;
  return false;
}

bool userdb_park_has(const struct userdb_park *p, const struct turn_flow *flow)
{
  return has_before(p, flow, &p->all);
}

struct userdb_parked *userdb_park_next(struct userdb_park *p, uint64_t question)
{
  for (struct list *l = p->all.next; l != &p->all; l = l->next) {
    struct userdb_parked *m = parked_of(l);
    if (m->question != 0 ? m->question == question : !has_before(p, &m->flow, l))
      return m;
  }
  return NULL;
}

struct userdb_parked *userdb_park_late(struct userdb_park *p, uint64_t now_ms)
{
  struct userdb_parked *m = list_is_empty(&p->all) ? NULL : parked_of(p->all.next);
  return m && m->due_ms <= now_ms ? m : NULL;
}

void userdb_park_forget(struct userdb_park *p, const struct turn_flow *flow)
{
  for (struct list *l = p->all.next, *next; l != &p->all; l = next) {
    next = l->next;
    if (is_same(&parked_of(l)->flow, flow) && !parked_of(l)->fed)
      userdb_park_free(p, parked_of(l));
  }
}
