/* Allocations for each user, for each realm and in all (RFC 8656 7.2: "it SHOULD define it based on
 * the username used to authenticate the request and not on the client's transport address"). The
 * name behind a time-limited username's expiry is what counts: a new expiry is no new user. And
 * bandwidth: each allocation reserves its limit, as in coturn, and the last one gets what is left.
 */
#include "turn/core/ledger.h"

#include <string.h>

#include "base/err.h"

void turn_book_init(struct turn_book *b, struct mem *mem, struct random *random)
{
  *b = (struct turn_book){.mem = mem, .key = {random_u64(random), random_u64(random)}};
  hash_table_init(&b->accounts, mem);
}

void turn_book_fini(struct turn_book *b)
{
  hash_table_fini(&b->accounts);
}

static bool is_named(const struct turn_account *a, struct bytes name)
{
  return bytes_equal((struct bytes){a->name, a->name_len}, name);
}

bool turn_account_is(const struct turn_account *a, struct bytes realm, struct bytes name)
{
  return a->realm && is_named(a->realm, realm) && is_named(a, name);
}

/* `realm` is NULL for a realm itself. */
static struct turn_account *find(const struct turn_book *b, const struct turn_account *realm,
                                 struct bytes name)
{
  struct hash_node *n = hash_table_first(&b->accounts, hash_bytes(&b->key, name.at, name.len));
  for (; n; n = hash_table_next(n)) {
    struct turn_account *a = CONTAINER_OF(n, struct turn_account, by_name);
    if (a->realm == realm && is_named(a, name))
      return a;
  }
  return NULL;
}

static struct turn_account *account_new(struct turn_book *b, struct turn_account *realm,
                                        struct bytes name)
{
  struct turn_account *a = mem_new(b->mem, sizeof(*a) + name.len);
  if (!a)
    return NULL;
  a->realm = realm;
  a->name_len = (uint16_t)name.len;
  if (name.len)
    memcpy(a->name, name.at, name.len);
  if (hash_table_insert(&b->accounts, &a->by_name, hash_bytes(&b->key, name.at, name.len))) {
    mem_free(b->mem, a, sizeof(*a) + name.len);
    return NULL;
  }
  return a;
}

static void account_leave(struct turn_book *b, struct turn_account *a, uint32_t count)
{
  a->count -= count;
  if (a->count > 0)
    return;
  hash_table_remove(&b->accounts, &a->by_name);
  mem_free(b->mem, a, sizeof(*a) + a->name_len);
}

/* The account of whoever had none: his realm's with it. */
static struct turn_account *account_open(struct turn_book *b, const struct turn_claim *c,
                                         struct turn_account *realm)
{
  struct turn_account *above = realm ? realm : account_new(b, NULL, c->realm);
  struct turn_account *a = above ? account_new(b, above, c->name) : NULL;
  if (!a && above && !realm)
    account_leave(b, above, 0);
  return a;
}

static bool is_over(uint64_t has, uint64_t more, uint64_t limit)
{
  return limit && has + more > limit;
}

/* What of `bps` is left; 0: nothing. */
static uint64_t bandwidth_left(const struct turn_book *b, const struct turn_claim *c)
{
  if (!c->bps_capacity)
    return c->bps;
  const uint64_t left = c->bps_capacity > b->bps ? c->bps_capacity - b->bps : 0;
  return left < c->bps ? left : c->bps;
}

static bool is_full(const struct turn_book *b, const struct turn_claim *c,
                    const struct turn_account *realm, const struct turn_account *a)
{
  if (is_over(b->count, c->count, c->total_quota))
    return true;
  return c->named && (is_over(realm ? realm->count : 0, c->count, c->realm_quota) ||
                      is_over(a ? a->count : 0, c->count, c->user_quota));
}

int turn_book_enter(struct turn_book *b, const struct turn_claim *c, struct turn_share *out)
{
  struct turn_account *realm = c->named ? find(b, NULL, c->realm) : NULL;
  struct turn_account *a = realm ? find(b, realm, c->name) : NULL;
  /* What counts nothing is over no quota, though a reload may have made it smaller. */
  if (c->count && is_full(b, c, realm, a))
    return -ERR_FULL;
  const uint64_t bps = bandwidth_left(b, c);
  if (c->bps && !bps)
    return -ERR_BUSY;
  if (c->named && c->count && !a) {
    a = account_open(b, c, realm);
    if (!a)
      return -ERR_NOMEM;
  }
  if (a) {
    a->count += c->count;
    a->realm->count += c->count;
  }
  b->count += c->count;
  b->bps += bps;
  *out = (struct turn_share){.account = a, .bps = bps, .count = c->count};
  return 0;
}

void turn_book_leave(struct turn_book *b, const struct turn_share *s)
{
  b->count -= s->count;
  b->bps -= s->bps;
  if (!s->account)
    return;
  struct turn_account *realm = s->account->realm;
  account_leave(b, s->account, s->count);
  account_leave(b, realm, s->count);
}

static int enter(void *arg, const struct turn_claim *claim, struct turn_share *out)
{
  return turn_book_enter(arg, claim, out);
}

static void leave(void *arg, const struct turn_share *share)
{
  turn_book_leave(arg, share);
}

struct turn_ledger turn_book_ledger(struct turn_book *b)
{
  return (struct turn_ledger){.arg = b, .enter = enter, .leave = leave};
}
