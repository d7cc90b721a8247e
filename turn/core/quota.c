/* Allocations for each user and in all (RFC 8656 7.2: "it SHOULD define it based on the username
 * used to authenticate the request and not on the client's transport address"). The name behind a
 * time-limited username's expiry is what counts: a new expiry is no new user.
 *
 * The counts are this worker's own; a quota over all workers and nodes has its place here too.
 */
#include <string.h>

#include "base/err.h"
#include "turn/core/internal.h"

static struct turn_account *find(const struct turn *t, struct bytes name, uint64_t hash)
{
  struct hash_node *n = hash_table_first(&t->accounts, hash);
  for (; n; n = hash_table_next(n)) {
    struct turn_account *a = CONTAINER_OF(n, struct turn_account, by_name);
    if (bytes_equal((struct bytes){a->name, a->name_len}, name))
      return a;
  }
  return NULL;
}

static uint64_t name_hash(const struct turn *t, struct bytes name)
{
  return hash_bytes(&t->hash_key, name.at, name.len);
}

bool turn__quota_is_reached(const struct turn *t, struct bytes account, size_t more)
{
  const struct turn_config *c = t->config;
  if (c->total_quota && t->counters.allocations + t->reservation_count + more > c->total_quota)
    return true;
  if (!c->user_quota || !c->auth_required)
    return false;
  const struct turn_account *a = find(t, account, name_hash(t, account));
  return (a ? a->allocations : 0) + more > c->user_quota;
}

struct turn_account *turn__account_join(struct turn *t, struct bytes name)
{
  const uint64_t hash = name_hash(t, name);
  struct turn_account *a = find(t, name, hash);
  if (!a) {
    a = mem_new(t->mem, sizeof(*a) + name.len);
    if (!a)
      return NULL;
    a->name_len = (uint16_t)name.len;
    if (name.len)
      memcpy(a->name, name.at, name.len);
    if (hash_table_insert(&t->accounts, &a->by_name, hash)) {
      mem_free(t->mem, a, sizeof(*a) + name.len);
      return NULL;
    }
  }
  a->allocations++;
  return a;
}

void turn__account_leave(struct turn *t, struct turn_account *a)
{
  if (!a || --a->allocations > 0)
    return;
  hash_table_remove(&t->accounts, &a->by_name);
  mem_free(t->mem, a, sizeof(*a) + a->name_len);
}
