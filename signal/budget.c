/* What the bodies that are on their way may hold in memory: all together, and those of one address
 * by the lengths that they were announced with, so that nobody fills it for everybody. Called by
 * body.c. */
#include "base/err.h"
#include "signal/http.h"

struct share {
  struct hash_node node;
  struct addr address;
  uint64_t len; /* of the bodies of this address */
};

static struct share *find(const struct signald *s, const struct addr *a, uint64_t hash)
{
  for (struct hash_node *n = hash_table_first(&s->shares, hash); n; n = hash_table_next(n)) {
    struct share *share = CONTAINER_OF(n, struct share, node);
    if (addr_equal(&share->address, a))
      return share;
  }
  return NULL;
}

static struct share *share_new(struct signald *s, const struct addr *a, uint64_t hash)
{
  struct share *share = mem_new(&s->mem, sizeof *share);
  if (!share)
    return NULL;
  share->address = *a;
  if (hash_table_insert(&s->shares, &share->node, hash) == 0)
    return share;
  mem_free(&s->mem, share, sizeof *share);
  return NULL;
}

int budget_take(struct conn *c, uint64_t len)
{
  struct signald *s = c->s;
  struct addr a = sig_source_address(&c->client);
  uint64_t hash = hash_bytes(&s->share_key, &a, sizeof a);
  bool is_client = c->face == FACE_HTTP || c->face == FACE_HTTPS; /* and not the backend */
  uint64_t limit = is_client ? s->config->max_address_bodies : 0;
  struct share *share = find(s, &a, hash);
  /* One of them is always let through, whatever its own limit is. */
  if (limit != 0 && share && share->len + len > limit)
    return -ERR_FULL;
  if (!share)
    share = share_new(s, &a, hash);
  if (!share)
    return -ERR_NOMEM;
  share->len += len;
  return 0;
}

void budget_give(struct conn *c, uint64_t len)
{
  struct signald *s = c->s;
  struct addr a = sig_source_address(&c->client);
  struct share *share = find(s, &a, hash_bytes(&s->share_key, &a, sizeof a));
  if (!share)
    return;
  share->len -= len;
  if (share->len > 0)
    return;
  hash_table_remove(&s->shares, &share->node);
  mem_free(&s->mem, share, sizeof *share);
}
