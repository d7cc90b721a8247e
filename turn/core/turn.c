/* The life of a worker's relay: its start, its end, its clock, and a change of configuration. */
#include <string.h>

#include "base/err.h"
#include "turn/core/internal.h"

const struct turn_relay_address *turn__relay_address(const struct turn_config *c, uint8_t family)
{
  for (size_t i = 0; i < c->relay_count && family != ADDR_NONE; i++)
    if (c->relay[i].local.family == family)
      return &c->relay[i];
  return NULL;
}

const struct turn_relay_address *turn__relay_next(struct turn *t, uint8_t family,
                                                  const struct addr *server)
{
  const struct turn_config *c = t->config;
  for (size_t i = 0; server && c->relay_as_reached && i < c->relay_count; i++)
    if (c->relay[i].local.family == family && addr_equal_ip(&c->relay[i].local, server))
      return &c->relay[i];
  const struct turn_relay_address *found = NULL;
  for (size_t i = 0; i < c->relay_count; i++) {
    const struct turn_relay_address *r = &c->relay[(t->relay_turns + i) % c->relay_count];
    if (r->local.family == family && family != ADDR_NONE) {
      found = r;
      t->relay_turns = (uint32_t)((t->relay_turns + i + 1) % c->relay_count);
      break;
    }
  }
  return found;
}

static int ports_init(struct turn *t, const struct turn_config *c, struct turn_ports ports[2])
{
  ports[0] = ports[1] = (struct turn_ports){0};
  for (size_t i = 0; i < 2; i++) {
    if (!turn__relay_address(c, i == 0 ? ADDR_V4 : ADDR_V6))
      continue;
    const int rc = turn__ports_init(&ports[i], t->mem, c, t->share_index, t->share_count);
    if (rc) {
      turn__ports_fini(&ports[0], t->mem);
      return rc;
    }
  }
  return 0;
}

int turn_new(const struct turn_setup *setup, struct turn **out)
{
  struct turn *t = mem_new(setup->mem, sizeof(*t));
  if (!t)
    return -ERR_NOMEM;
  t->config = setup->config;
  t->effects = setup->effects;
  t->mem = setup->mem;
  t->random = setup->random;
  t->log = setup->log;
  t->share_index = setup->share_index;
  t->share_count = setup->share_count ? setup->share_count : 1;
  t->hash_key.k0 = random_u64(t->random);
  t->hash_key.k1 = random_u64(t->random);
  wheel_init(&t->wheel, setup->now_ms);
  timer_init(&t->deleted_expiry, turn__deleted_expire);
  hash_table_init(&t->by_flow, t->mem);
  hash_table_init(&t->by_relay, t->mem);
  hash_table_init(&t->by_address, t->mem);
  hash_table_init(&t->deleted_by_flow, t->mem);
  hash_table_init(&t->by_ticket, t->mem);
  hash_table_init(&t->by_next, t->mem);
  hash_table_init(&t->connections, t->mem);
  list_init(&t->allocations);
  list_init(&t->reservations);
  list_init(&t->deleted);
  list_init(&t->domains);
  turn_book_init(&t->book, t->mem, t->random);
  t->own_ledger = turn_book_ledger(&t->book);
  t->ledger = setup->ledger ? setup->ledger : &t->own_ledger;
  const int rc = ports_init(t, t->config, t->ports);
  if (rc) {
    mem_free(t->mem, t, sizeof(*t));
    return rc;
  }
  *out = t;
  return 0;
}

void turn_free(struct turn *t)
{
  if (!t)
    return;
  while (!list_is_empty(&t->allocations))
    turn__allocation_free(CONTAINER_OF(t->allocations.next, struct turn_allocation, link),
                          "shutdown");
  while (!list_is_empty(&t->reservations))
    turn__reservation_free(CONTAINER_OF(t->reservations.next, struct turn_reservation, link));
  turn__deleted_fini(t);
  hash_table_fini(&t->by_flow);
  hash_table_fini(&t->by_relay);
  hash_table_fini(&t->by_address);
  turn_book_fini(&t->book);
  hash_table_fini(&t->by_ticket);
  hash_table_fini(&t->by_next);
  hash_table_fini(&t->connections);
  for (size_t i = 0; i < 2; i++)
    turn__ports_fini(&t->ports[i], t->mem);
  mem_free(t->mem, t, sizeof(*t));
}

static bool is_other_pool(const struct turn_config *a, const struct turn_config *b)
{
  return a->min_port != b->min_port || a->max_port != b->max_port ||
         !turn__relay_address(a, ADDR_V4) != !turn__relay_address(b, ADDR_V4) ||
         !turn__relay_address(a, ADDR_V6) != !turn__relay_address(b, ADDR_V6);
}

static void keep_socket(struct turn_ports ports[2], const struct turn_socket *s)
{
  turn__ports_take_at(&ports[turn__family_index(s->family)], s->port);
}

/* The new range, without the ports that sessions hold. Without memory the old one stays. */
static void change_ports(struct turn *t, const struct turn_config *c)
{
  struct turn_ports ports[2];
  if (ports_init(t, c, ports)) {
    log_event(t->log, LOG_LEVEL_ERROR, "port-range-kept", LOG_TEXT("reason", err_text(-ERR_NOMEM)));
    return;
  }
  for (struct list *l = t->allocations.next; l != &t->allocations; l = l->next) {
    const struct turn_allocation *a = CONTAINER_OF(l, struct turn_allocation, link);
    for (size_t i = 0; i < 2; i++)
      if (a->leg[i].open)
        keep_socket(ports, &a->leg[i].socket);
  }
  for (struct list *l = t->reservations.next; l != &t->reservations; l = l->next)
    keep_socket(ports, &CONTAINER_OF(l, struct turn_reservation, link)->socket);
  for (size_t i = 0; i < 2; i++) {
    turn__ports_fini(&t->ports[i], t->mem);
    t->ports[i] = ports[i];
  }
}

/* What the new policy denies ends now, not when its permission would. */
static void apply_policy(struct turn_allocation *a)
{
  for (size_t i = 0; i < a->permissions.count; i++) {
    struct turn_permission *p = &a->permissions.row[i];
    const struct addr peer = addr_from_ip(p->ip, p->family == ADDR_V6 ? 16 : 4, 0);
    if (!turn__peer_is_allowed(a, &peer, 0))
      p->due_ms = 0;
  }
  for (size_t i = 0; i < a->channels.count; i++) {
    struct turn_channel *channel = &a->channels.row[i];
    if (!turn__peer_is_allowed(a, &channel->peer, channel->peer.port))
      channel->due_ms = 0;
  }
  turn__connections_apply_policy(a);
  turn__fast_tell(a, NULL); /* the edge's own settings are others too */
}

void turn_set_config(struct turn *t, const struct turn_config *config)
{
  if (is_other_pool(t->config, config))
    change_ports(t, config);
  t->config = config;
  turn__domains_follow(t);
  for (struct list *l = t->allocations.next; l != &t->allocations; l = l->next)
    apply_policy(CONTAINER_OF(l, struct turn_allocation, link));
}

/* No timer runs here: the edge may say so from within peer_close, in the middle of a walk over what
 * a timer could free. */
void turn_client_gone(struct turn *t, const struct turn_flow *flow)
{
  struct turn_allocation *a = turn__find(t, flow);
  if (!a)
    a = turn__mobility_find(t, flow);
  if (a && !turn__mobility_survives(a, flow))
    turn__allocation_free(a, "disconnected");
}

void turn_tick(struct turn *t, uint64_t now_ms)
{
  wheel_run(&t->wheel, now_ms);
}

uint64_t turn_next_ms(const struct turn *t)
{
  return wheel_next_ms(&t->wheel);
}
