/* Allocations for each user, for each realm and in all (RFC 8656 7.2: "it SHOULD define it based on
 * the username used to authenticate the request and not on the client's transport address"). The
 * name behind a time-limited username's expiry is what counts: a new expiry is no new user.
 *
 * The counts are this worker's own; a quota over all workers and nodes has its place here too.
 */
#include <string.h>

#include "base/err.h"
#include "turn/core/internal.h"

static struct turn_account *find(const struct turn *t, const struct turn_domain *d,
                                 struct bytes name, uint64_t hash)
{
  struct hash_node *n = hash_table_first(&t->accounts, hash);
  for (; n; n = hash_table_next(n)) {
    struct turn_account *a = CONTAINER_OF(n, struct turn_account, by_name);
    if (a->domain == d && bytes_equal((struct bytes){a->name, a->name_len}, name))
      return a;
  }
  return NULL;
}

static uint64_t name_hash(const struct turn *t, struct bytes name)
{
  return hash_bytes(&t->hash_key, name.at, name.len);
}

bool turn__quota_is_reached(const struct turn *t, const struct turn_realm *realm,
                            struct bytes account, size_t more)
{
  const struct turn_config *c = t->config;
  if (c->total_quota && t->counters.allocations + t->reservation_count + more > c->total_quota)
    return true;
  if ((!realm->user_quota && !realm->total_quota) || !c->auth_required)
    return false;
  const struct turn_domain *d = turn__domain_find(t, realm);
  if (realm->total_quota && (d ? d->allocations : 0) + more > realm->total_quota)
    return true;
  const struct turn_account *a = d ? find(t, d, account, name_hash(t, account)) : NULL;
  return realm->user_quota && (a ? a->allocations : 0) + more > realm->user_quota;
}

/* Takes a place in `d`. */
static struct turn_account *make(struct turn *t, struct turn_domain *d, struct bytes name,
                                 uint64_t hash)
{
  struct turn_account *a = mem_new(t->mem, sizeof(*a) + name.len);
  if (!a) {
    turn__domain_leave(t, d);
    return NULL;
  }
  a->domain = d;
  a->name_len = (uint16_t)name.len;
  if (name.len)
    memcpy(a->name, name.at, name.len);
  if (hash_table_insert(&t->accounts, &a->by_name, hash)) {
    mem_free(t->mem, a, sizeof(*a) + name.len);
    turn__domain_leave(t, d);
    return NULL;
  }
  return a;
}

struct turn_account *turn__account_join(struct turn *t, const struct turn_realm *realm,
                                        struct bytes name)
{
  const uint64_t hash = name_hash(t, name);
  struct turn_domain *d = turn__domain_find(t, realm);
  struct turn_account *a = d ? find(t, d, name, hash) : NULL;
  if (!a) {
    d = turn__domain_join(t, realm);
    a = d ? make(t, d, name, hash) : NULL;
    if (!a)
      return NULL;
  }
  turn__account_hold(a);
  return a;
}

void turn__account_hold(struct turn_account *a)
{
  if (!a)
    return;
  a->allocations++;
  a->domain->allocations++;
}

void turn__account_leave(struct turn *t, struct turn_account *a)
{
  if (!a)
    return;
  a->domain->allocations--;
  if (--a->allocations > 0)
    return;
  hash_table_remove(&t->accounts, &a->by_name);
  turn__domain_leave(t, a->domain);
  mem_free(t->mem, a, sizeof(*a) + a->name_len);
}
