/* Deletions remembered for a while: a Refresh with lifetime 0 whose answer was lost comes again,
 * and RFC 8656 section 5 asks to "recognize this case and treat the request as idempotent", while
 * the allocation that it named is gone. input.c asks here before it answers 437. Only who had an
 * allocation gets a place, and the oldest gives way.
 */
#include <string.h>

#include "base/err.h"
#include "turn/core/internal.h"

static void forget(struct turn *t, struct turn_deleted *d)
{
  hash_table_remove(&t->deleted_by_flow, &d->by_flow);
  list_remove(&d->link);
  t->deleted_count--;
  mem_free(t->mem, d, sizeof(*d));
}

static struct turn_deleted *oldest(const struct turn *t)
{
  return CONTAINER_OF(t->deleted.next, struct turn_deleted, link);
}

void turn__deleted_expire(struct timer *timer, uint64_t now_ms)
{
  struct turn *t = CONTAINER_OF(timer, struct turn, deleted_expiry);
  while (!list_is_empty(&t->deleted) && oldest(t)->due_ms <= now_ms)
    forget(t, oldest(t));
  if (!list_is_empty(&t->deleted))
    wheel_arm(&t->wheel, timer, oldest(t)->due_ms);
}

void turn__deleted_remember(struct turn_request *rq)
{
  struct turn *t = rq->t;
  if (t->deleted_count == TURN__DELETED_MAX)
    forget(t, oldest(t));
  struct turn_deleted *d = mem_new(t->mem, sizeof(*d));
  /* Without memory a retransmission gets 437, which RFC 8656 8.3 lets a client take for success. */
  if (!d)
    return;
  d->flow = *rq->flow;
  d->due_ms = rq->now_ms + TURN__DELETED_MS;
  memcpy(d->txid, stun_txid(rq->view), STUN_TXID_LEN);
  if (hash_table_insert(&t->deleted_by_flow, &d->by_flow, turn__flow_hash(t, rq->flow))) {
    mem_free(t->mem, d, sizeof(*d));
    return;
  }
  list_push_back(&t->deleted, &d->link);
  t->deleted_count++;
  if (!timer_is_armed(&t->deleted_expiry))
    wheel_arm(&t->wheel, &t->deleted_expiry, d->due_ms);
}

bool turn__deleted_has(const struct turn_request *rq)
{
  const struct turn *t = rq->t;
  struct hash_node *n = hash_table_first(&t->deleted_by_flow, turn__flow_hash(t, rq->flow));
  for (; n; n = hash_table_next(n)) {
    const struct turn_deleted *d = CONTAINER_OF(n, struct turn_deleted, by_flow);
    if (turn__flow_equal(&d->flow, rq->flow) &&
        memcmp(d->txid, stun_txid(rq->view), STUN_TXID_LEN) == 0)
      return true;
  }
  return false;
}

void turn__deleted_fini(struct turn *t)
{
  while (!list_is_empty(&t->deleted))
    forget(t, oldest(t));
  hash_table_fini(&t->deleted_by_flow);
}
