/* The allocations of one worker: made by allocate.c, found by 5-tuple (clients) and by relay socket
 * (peers), closed by Refresh, expiry, a lost connection or the end of the worker.
 */
#include <string.h>

#include "base/err.h"
#include "turn/core/internal.h"

/* A UDP flow may come in by another socket, so there the link is no part of the identity. */
uint64_t turn__flow_hash(const struct turn *t, const struct turn_flow *flow)
{
  uint8_t key[2 * sizeof(struct addr) + 1];
  memcpy(key, &flow->client, sizeof(struct addr));
  memcpy(key + sizeof(struct addr), &flow->server, sizeof(struct addr));
  key[sizeof(key) - 1] = (uint8_t)flow->transport;
  return hash_bytes(&t->hash_key, key, sizeof(key));
}

bool turn__flow_equal(const struct turn_flow *a, const struct turn_flow *b)
{
  /* A connection is one whatever its addresses: behind a load balancer they are what a header says,
   * and a second connection that claims the same must not get at the first one's allocation. */
  return a->transport == b->transport && addr_equal(&a->client, &b->client) &&
         addr_equal(&a->server, &b->server) && (a->transport == TURN_UDP || a->link == b->link);
}

struct turn_allocation *turn__find(const struct turn *t, const struct turn_flow *flow)
{
  struct hash_node *n = hash_table_first(&t->by_flow, turn__flow_hash(t, flow));
  for (; n; n = hash_table_next(n)) {
    struct turn_allocation *a = CONTAINER_OF(n, struct turn_allocation, by_flow);
    if (turn__flow_equal(&a->flow, flow))
      return a;
  }
  return NULL;
}

static uint64_t address_hash(const struct turn *t, const struct addr *a)
{
  uint8_t key[sizeof(a->ip) + 2];
  memcpy(key, a->ip, sizeof(a->ip));
  store_be16(key + sizeof(a->ip), a->port);
  return hash_bytes(&t->hash_key, key, sizeof(key));
}

static uint64_t relay_hash(const struct turn *t, turn_relay relay)
{
  return hash_bytes(&t->hash_key, &relay, sizeof(relay));
}

/* "When an allocation expires" counts here at the exact millisecond, whenever the timers ran. */
static bool is_alive(const struct turn_leg *leg, uint64_t now_ms)
{
  return leg->open && now_ms < leg->expiry.due_ms;
}

struct turn_leg *turn__find_leg(const struct turn *t, turn_relay relay, uint64_t now_ms)
{
  struct hash_node *n = hash_table_first(&t->by_relay, relay_hash(t, relay));
  for (; n; n = hash_table_next(n)) {
    struct turn_leg *leg = CONTAINER_OF(n, struct turn_leg, by_relay);
    if (leg->socket.relay == relay)
      return is_alive(leg, now_ms) ? leg : NULL;
  }
  return NULL;
}

bool turn__is_relay_ip(const struct turn_config *c, const struct addr *a)
{
  for (size_t i = 0; i < c->relay_count; i++) {
    const struct turn_relay_address *r = &c->relay[i];
    if (addr_equal_ip(r->external.family == ADDR_NONE ? &r->local : &r->external, a))
      return true;
  }
  return false;
}

struct turn_leg *turn__leg_at(const struct turn *t, const struct addr *relayed, uint64_t now_ms)
{
  struct hash_node *n = hash_table_first(&t->by_address, address_hash(t, relayed));
  for (; n; n = hash_table_next(n)) {
    struct turn_leg *leg = CONTAINER_OF(n, struct turn_leg, by_address);
    if (leg->socket.relayed.port == relayed->port && addr_equal_ip(&leg->socket.relayed, relayed))
      return is_alive(leg, now_ms) ? leg : NULL;
  }
  return NULL;
}

struct turn_leg *turn__leg(struct turn_allocation *a, uint8_t family, uint64_t now_ms)
{
  if (family != ADDR_V4 && family != ADDR_V6)
    return NULL;
  struct turn_leg *leg = &a->leg[turn__family_index(family)];
  return is_alive(leg, now_ms) ? leg : NULL;
}

void turn__hold(struct turn *t, const struct turn_flow *flow, bool on)
{
  if (t->effects->hold)
    t->effects->hold(t->effects->arg, flow, on);
}

/* Others may send to this relayed address, or no longer. */
static void tell_relayed(const struct turn_leg *leg, bool on)
{
  const struct turn_effects *e = leg->owner->turn->effects;
  if (e->relayed && !leg->owner->tcp)
    e->relayed(e->arg, &leg->socket.relayed, on);
}

static void leg_expired(struct timer *timer, uint64_t now_ms)
{
  (void)now_ms;
  turn__leg_close(CONTAINER_OF(timer, struct turn_leg, expiry), "expired");
}

struct turn_allocation *turn__allocation_new(struct turn_request *rq)
{
  struct turn *t = rq->t;
  struct turn_allocation *a = mem_new(t->mem, sizeof(*a));
  if (!a)
    return NULL;
  a->turn = t;
  a->session = t->session_count++ * t->share_count + t->share_index + 1;
  a->created_ms = rq->now_ms;
  a->flow = *rq->flow;
  list_init(&a->link);
  list_init(&a->connections);
  turn__members_init(a);
  for (size_t i = 0; i < 2; i++) {
    a->leg[i].owner = a;
    timer_init(&a->leg[i].expiry, leg_expired);
  }
  memcpy(a->txid, stun_txid(rq->view), STUN_TXID_LEN);
  if (!rq->authentic)
    return a;
  a->key = rq->key;
  a->expiry_s = rq->expiry_s;
  a->username = (uint8_t *)mem_copy_text(t->mem, rq->username.at, rq->username.len);
  a->username_len = a->username ? (uint16_t)rq->username.len : 0;
  a->domain = a->username ? turn__domain_join(t, rq->realm) : NULL;
  if (!a->domain) {
    turn__allocation_free(a, NULL);
    return NULL;
  }
  return a;
}

const char *turn__transport_name(enum turn_transport transport)
{
  static const char *const name[TURN_TRANSPORT_COUNT] = {"udp", "tcp", "tls", "dtls"};
  return transport < TURN_TRANSPORT_COUNT ? name[transport] : NULL;
}

/* `why` is NULL for a new one. Both relayed addresses of a dual allocation are named. */
static void log_allocation(const struct turn_allocation *a, const char *event, const char *why)
{
  struct log_field field[11];
  size_t n = 0;
  if (!log_is_on(a->turn->log, LOG_LEVEL_INFO))
    return;
  field[n++] = LOG_ADDR("client", &a->flow.client);
  field[n++] = LOG_TEXT("transport", turn__transport_name(a->flow.transport));
  field[n++] = LOG_UINT("session", a->session);
  for (size_t i = 0; i < 2; i++)
    if (a->leg[i].socket.port)
      field[n++] = LOG_ADDR("relayed", &a->leg[i].socket.relayed);
  if (a->username)
    field[n++] = LOG_BYTES("username", ((struct bytes){a->username, a->username_len}));
  if (why) {
    field[n++] = LOG_TEXT("reason", why);
    field[n++] = LOG_UINT("from-client-packets", a->from_client_packets);
    field[n++] = LOG_UINT("from-client-bytes", a->from_client_bytes);
    field[n++] = LOG_UINT("from-peer-packets", a->from_peer_packets);
    field[n++] = LOG_UINT("from-peer-bytes", a->from_peer_bytes);
  }
  log_take(a->turn->log, LOG_LEVEL_INFO, event, field, n);
}

int turn__allocation_attach(struct turn_allocation *a)
{
  struct turn *t = a->turn;
  const int rc = hash_table_insert(&t->by_flow, &a->by_flow, turn__flow_hash(t, &a->flow));
  if (rc)
    return rc;
  list_push_back(&t->allocations, &a->link);
  t->counters.allocations++;
  t->counters.allocations_created++;
  turn__traffic_enter(a);
  turn__hold(t, &a->flow, true);
  log_allocation(a, "allocation-created", NULL);
  return 0;
}

/* What peers' datagrams find it by, and other allocations'. */
static int leg_index(struct turn_leg *leg, const struct turn_socket *s)
{
  struct turn *t = leg->owner->turn;
  const bool has_socket = s->relay != TURN__NO_SOCKET;
  int rc =
      has_socket ? hash_table_insert(&t->by_relay, &leg->by_relay, relay_hash(t, s->relay)) : 0;
  if (rc || leg->owner->tcp)
    return rc;
  rc = hash_table_insert(&t->by_address, &leg->by_address, address_hash(t, &s->relayed));
  if (rc && has_socket)
    hash_table_remove(&t->by_relay, &leg->by_relay);
  return rc;
}

int turn__leg_attach(struct turn_allocation *a, const struct turn_socket *socket, uint64_t due_ms)
{
  struct turn *t = a->turn;
  struct turn_leg *leg = &a->leg[turn__family_index(socket->family)];
  const int rc = leg_index(leg, socket);
  if (rc) {
    turn__socket_close(t, socket);
    return rc;
  }
  leg->socket = *socket;
  leg->open = true;
  wheel_arm(&t->wheel, &leg->expiry, due_ms);
  tell_relayed(leg, true);
  return 0;
}

static void leg_shut(struct turn_leg *leg)
{
  struct turn *t = leg->owner->turn;
  if (!leg->open)
    return;
  tell_relayed(leg, false);
  wheel_cancel(&t->wheel, &leg->expiry);
  if (leg->socket.relay != TURN__NO_SOCKET)
    hash_table_remove(&t->by_relay, &leg->by_relay);
  if (!leg->owner->tcp)
    hash_table_remove(&t->by_address, &leg->by_address);
  turn__socket_close(t, &leg->socket);
  leg->open = false;
}

bool turn__leg_close(struct turn_leg *leg, const char *why)
{
  struct turn_allocation *a = leg->owner;
  if (!a->leg[leg == &a->leg[0] ? 1 : 0].open) {
    turn__allocation_free(a, why);
    return true;
  }
  turn__connections_close(a, leg->socket.family);
  /* "it MUST NOT affect any permissions or channels associated with allocations for the other
   * address family" (RFC 8656 8.1). */
  turn__members_drop_family(a, leg->socket.family);
  leg_shut(leg);
  return false;
}

static void detach(struct turn_allocation *a, const char *why)
{
  struct turn *t = a->turn;
  const bool expired = strcmp(why, "expired") == 0;
  if (!(a->brake & TURN__AWAY)) {
    hash_table_remove(&t->by_flow, &a->by_flow);
    turn__hold(t, &a->flow, false);
  }
  list_remove(&a->link);
  t->counters.allocations--;
  turn__traffic_leave(a);
  if (expired)
    t->counters.allocations_expired++;
  else
    t->counters.allocations_deleted++;
  log_allocation(a, expired ? "allocation-expired" : "allocation-deleted", why);
  turn__tell(a, TURN_EVENT_DELETED, 0);
}

void turn__allocation_free(struct turn_allocation *a, const char *why)
{
  struct turn *t = a->turn;
  turn__fast_end_all(a); /* first: what was carried is in the log and in the event */
  if (!list_is_empty(&a->link))
    detach(a, why ? why : "closed");
  turn__connections_close(a, ADDR_NONE);
  for (size_t i = 0; i < 2; i++)
    leg_shut(&a->leg[i]);
  turn__mobility_fini(a);
  turn__members_fini(a);
  if (a->domain)
    turn__domain_leave(t, a->domain);
  t->ledger->leave(t->ledger->arg, &a->share);
  t->counters.reserved_bps -= a->share.bps;
  if (a->username)
    mem_free(t->mem, a->username, (size_t)a->username_len + 1);
  bytes_wipe(&a->key, sizeof(a->key));
  mem_free(t->mem, a, sizeof(*a));
}
