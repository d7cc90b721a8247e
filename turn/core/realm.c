/* Realms: which one a request is for, and which have users with allocations. A server has one, or
 * several with users, quotas and peers of their own; a page's origin may choose (coturn's ORIGIN
 * attribute), and so does a client that names another of them in REALM. */
#include <string.h>

#include "turn/core/internal.h"

const struct turn_realm *turn__realm_by_name(const struct turn_config *c, struct bytes name)
{
  for (size_t i = 0; i < c->realm_count; i++)
    if (bytes_equal(c->realm[i].name, name))
      return &c->realm[i];
  return NULL;
}

static uint8_t lower(uint8_t byte)
{
  return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

/* RFC 6454 section 4: scheme and host of an origin are of no case. */
static bool is_same_origin(struct bytes a, struct bytes b)
{
  if (a.len != b.len)
    return false;
  for (size_t i = 0; i < a.len; i++)
    if (lower(a.at[i]) != lower(b.at[i]))
      return false;
  return true;
}

const struct turn_realm *turn__realm_of_request(const struct turn_config *c,
                                                const struct stun_view *v)
{
  if (stun_has(v, STUN_ATTR_REALM)) {
    const struct turn_realm *named = turn__realm_by_name(c, stun_get_bytes(v, STUN_ATTR_REALM));
    if (named)
      return named;
  }
  if (c->origin_count && stun_has(v, STUN_ATTR_ORIGIN)) {
    const struct bytes origin = stun_get_bytes(v, STUN_ATTR_ORIGIN);
    for (size_t i = 0; i < c->origin_count; i++)
      if (is_same_origin(c->origin[i].origin, origin))
        return &c->realm[c->origin[i].realm];
  }
  return &c->realm[0];
}

const struct turn_realm *turn__realm(const struct turn_allocation *a)
{
  return a->domain ? a->domain->realm : &a->turn->config->realm[0];
}

static struct bytes name_of(const struct turn_domain *d)
{
  return (struct bytes){d->name, d->name_len};
}

bool turn__domain_is(const struct turn_domain *d, const struct turn_realm *realm)
{
  return bytes_equal(name_of(d), realm->name);
}

/* A list, since it is as short as the configuration's. */
struct turn_domain *turn__domain_find(const struct turn *t, const struct turn_realm *realm)
{
  for (struct list *l = t->domains.next; l != &t->domains; l = l->next) {
    struct turn_domain *d = CONTAINER_OF(l, struct turn_domain, link);
    if (turn__domain_is(d, realm))
      return d;
  }
  return NULL;
}

struct turn_domain *turn__domain_join(struct turn *t, const struct turn_realm *realm)
{
  struct turn_domain *d = turn__domain_find(t, realm);
  if (!d) {
    d = mem_new(t->mem, sizeof(*d) + realm->name.len);
    if (!d)
      return NULL;
    d->realm = realm;
    d->name_len = (uint16_t)realm->name.len;
    if (realm->name.len)
      memcpy(d->name, realm->name.at, realm->name.len);
    list_push_back(&t->domains, &d->link);
  }
  d->allocations++;
  return d;
}

void turn__domain_leave(struct turn *t, struct turn_domain *d)
{
  if (--d->allocations > 0)
    return;
  list_remove(&d->link);
  mem_free(t->mem, d, sizeof(*d) + d->name_len);
}

/* Who was let in goes on: when his realm has gone, under the limits of the first. He may not renew
 * what he has, since his REALM is none any more. */
void turn__domains_follow(struct turn *t)
{
  for (struct list *l = t->domains.next; l != &t->domains; l = l->next) {
    struct turn_domain *d = CONTAINER_OF(l, struct turn_domain, link);
    const struct turn_realm *realm = turn__realm_by_name(t->config, name_of(d));
    d->realm = realm ? realm : &t->config->realm[0];
  }
}
