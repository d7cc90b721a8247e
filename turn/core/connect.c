/* TCP allocations (RFC 6062): Connect, ConnectionBind, and peers that connect to a relayed address.
 *
 *   Connect ──▶ CONNECTING ──▶ PENDING ──ConnectionBind──▶ JOINED ──▶ gone
 *                 30 s: 447    ▲  30 s: closed              with either side, or its allocation
 *   a peer connects ───────────┘  (ConnectionAttempt)
 *
 * Names and states are here, sockets and bytes are the edge's (turn/peers.c): it is asked by the
 * effects peer_* and tells by turn_peer_*.
 */
#include <string.h>

#include "base/err.h"
#include "turn/core/internal.h"

static uint64_t id_hash(const struct turn *t, uint32_t id)
{
  return hash_bytes(&t->hash_key, &id, sizeof(id));
}

struct turn_connection *turn__connection_find(const struct turn *t, uint32_t id)
{
  struct hash_node *n = hash_table_first(&t->connections, id_hash(t, id));
  for (; n; n = hash_table_next(n)) {
    struct turn_connection *c = CONTAINER_OF(n, struct turn_connection, by_id);
    if (c->id == id)
      return c;
  }
  return NULL;
}

/* Unpredictable, and its remainder tells the worker. 0: none was free. */
static uint32_t new_id(struct turn *t)
{
  for (int tries = 0; tries < 8; tries++) {
    const uint32_t any = (uint32_t)random_u64(t->random) & INT32_MAX;
    const uint32_t id = any - any % t->share_count + t->share_index;
    if (id && !turn__connection_find(t, id))
      return id;
  }
  return 0;
}

/* ---- a connection's life ---- */

static void connection_free(struct turn_connection *c)
{
  struct turn *t = c->owner->turn;
  wheel_cancel(&t->wheel, &c->due);
  hash_table_remove(&t->connections, &c->by_id);
  list_remove(&c->link);
  c->owner->connection_count--;
  t->counters.connections--;
  bytes_wipe(&c->connect.key, sizeof(c->connect.key));
  mem_free(t->mem, c, sizeof(*c));
}

static void connection_close(struct turn_connection *c)
{
  const struct turn_effects *effects = c->owner->turn->effects;
  effects->peer_close(effects->arg, c->id);
  connection_free(c);
}

/* "The attribute's value MUST uniquely identify the peer data connection" (5.2), and this is the
 * answer to the Connect. */
static void answer_connect(struct turn_connection *c, int code, uint64_t now_ms)
{
  const struct turn_answer answer = {.connection_id = code ? 0 : c->id};
  c->connect.flow = c->owner->flow; /* which may have moved meanwhile (RFC 8016) */
  turn__late_reply(c->owner->turn, &c->connect, code, &answer, now_ms);
}

static void failed(struct turn_connection *c, uint64_t now_ms)
{
  struct turn *t = c->owner->turn;
  t->counters.connections_failed++;
  log_event(t->log, LOG_LEVEL_DEBUG, "peer-unreachable", LOG_ADDR("peer", &c->peer),
            LOG_ADDR("client", &c->owner->flow.client));
  answer_connect(c, 447, now_ms);
}

static void connection_due(struct timer *timer, uint64_t now_ms)
{
  struct turn_connection *c = CONTAINER_OF(timer, struct turn_connection, due);
  /* "If the connection attempt fails or times out, the server MUST return a 447 (Connection Timeout
   * or Failure) error" (5.2). */
  if (c->state == TURN__CONNECTING)
    failed(c, now_ms);
  /* "If no ConnectionBind request associated with this peer data connection is received after 30
   * seconds, the peer data connection MUST be closed" (5.2, 5.3). */
  else
    c->owner->turn->counters.connections_unbound++;
  connection_close(c);
}

static bool has_room(const struct turn_allocation *a)
{
  const uint32_t most = a->turn->config->max_connections;
  return a->connection_count < (most ? most : TURN__CONNECTIONS_MAX);
}

/* NULL without memory, or without a free id. */
static struct turn_connection *connection_new(struct turn_allocation *a, const struct addr *peer)
{
  struct turn *t = a->turn;
  struct turn_connection *c = mem_new(t->mem, sizeof(*c));
  if (!c)
    return NULL;
  c->owner = a;
  c->peer = *peer;
  c->id = new_id(t);
  timer_init(&c->due, connection_due);
  if (!c->id || hash_table_insert(&t->connections, &c->by_id, id_hash(t, c->id))) {
    mem_free(t->mem, c, sizeof(*c));
    return NULL;
  }
  list_push_back(&a->connections, &c->link);
  a->connection_count++;
  t->counters.connections++;
  return c;
}

static void set_pending(struct turn_connection *c, uint64_t now_ms)
{
  c->state = TURN__PENDING;
  wheel_arm(&c->owner->turn->wheel, &c->due, now_ms + TURN__UNBOUND_MS);
}

/* ---- Connect (5.2) ---- */

static struct turn_connection *connection_with(const struct turn_allocation *a,
                                               const struct addr *peer)
{
  for (struct list *l = a->connections.next; l != &a->connections; l = l->next) {
    struct turn_connection *c = CONTAINER_OF(l, struct turn_connection, link);
    if (c->peer.port == peer->port && addr_equal_ip(&c->peer, peer))
      return c;
  }
  return NULL;
}

/* The very same request once more gets the answer of the first (RFC 8489 6.3.1). */
static int answer_again(struct turn_request *rq, const struct turn_connection *c)
{
  const bool same = c->outgoing && c->state != TURN__JOINED &&
                    memcmp(c->connect.header + 8, stun_txid(rq->view), STUN_TXID_LEN) == 0;
  /* "If the server is currently processing a Connect request for this allocation with the same
   * XOR-PEER-ADDRESS, it MUST return a 446 (Connection Already Exists) error", and so when it has
   * succeeded and "the resulting client and peer data connections are either pending or active". */
  if (!same)
    return 446;
  if (c->state == TURN__CONNECTING)
    return -ERR_DROP;
  rq->answer.connection_id = c->id;
  return 0;
}

static int check_peer(struct turn_request *rq, const struct addr *peer)
{
  /* RFC 8656 10.2 says it of permissions: a relayed address reaches its own family. */
  if (!turn__leg(rq->allocation, peer->family, rq->now_ms))
    return 443;
  /* "If the new connection is forbidden by local policy, the server MUST reject the request with a
   * 403 (Forbidden) error." */
  if (!turn__peer_is_allowed(rq->allocation, peer, peer->port)) {
    rq->t->counters.peer_denied++;
    log_event(rq->t->log, LOG_LEVEL_DEBUG, "peer-denied", LOG_ADDR("peer", peer),
              LOG_ADDR("client", &rq->flow->client),
              LOG_TEXT("why", turn__closed_because(rq->t->config, peer)));
    return 403;
  }
  return has_room(rq->allocation) ? 0 : 508;
}

static int begin(struct turn_request *rq, const struct addr *peer)
{
  struct turn *t = rq->t;
  const struct turn_leg *leg = turn__leg(rq->allocation, peer->family, rq->now_ms);
  struct turn_connection *c = connection_new(rq->allocation, peer);
  if (!c)
    return 508;
  c->outgoing = true;
  turn__late_keep(&c->connect, rq);
  const int rc = t->effects->peer_connect(t->effects->arg, leg->socket.relay, peer, c->id);
  if (rc) {
    connection_free(c);
    t->counters.connections_failed++;
    return rc == -ERR_FULL || rc == -ERR_NOMEM ? 508 : 447;
  }
  wheel_arm(&t->wheel, &c->due, rq->now_ms + TURN__CONNECT_MS);
  return -ERR_DROP; /* answered when it stands, or fails */
}

int turn__connect(struct turn_request *rq)
{
  struct addr peer;
  /* "If the request is received on a TCP connection for which no allocation exists, the server MUST
   * return a 437 (Allocation Mismatch) error": one for TCP, that is. */
  if (!rq->allocation->tcp)
    return 437;
  /* "If the request does not contain an XOR-PEER-ADDRESS attribute, or if such attribute is
   * invalid, the server MUST return a 400 (Bad Request) error." */
  if (stun_get_addr(rq->view, STUN_ATTR_XOR_PEER_ADDRESS, &peer) || peer.port == 0)
    return 400;
  const struct turn_connection *there = connection_with(rq->allocation, &peer);
  if (there)
    return answer_again(rq, there);
  const int code = check_peer(rq, &peer);
  return code ? code : begin(rq, &peer);
}

void turn_peer_connected(struct turn *t, uint32_t id, bool success, uint64_t now_ms)
{
  struct turn_connection *c = turn__connection_find(t, id);
  if (!c || c->state != TURN__CONNECTING)
    return;
  if (!success) {
    failed(c, now_ms);
    connection_free(c);
    return;
  }
  t->counters.connections_made++;
  set_pending(c, now_ms);
  answer_connect(c, 0, now_ms);
}

/* ---- a peer connects (5.3) ---- */

/* "The indication MUST include an XOR-PEER-ADDRESS attribute containing the peer's transport
 * address, as well as a CONNECTION-ID attribute uniquely identifying the peer data connection." */
static void tell(const struct turn_connection *c)
{
  struct turn *t = c->owner->turn;
  struct stun_encoder e;
  uint8_t out[STUN_HEADER_LEN + 8 + 4 + 20], txid[STUN_TXID_LEN];
  turn__indication_txid(t, txid);
  stun_begin(&e, out, sizeof(out), STUN_INDICATION, STUN_CONNECTION_ATTEMPT, txid);
  stun_put_uint(&e, STUN_ATTR_CONNECTION_ID, c->id);
  stun_put_addr(&e, STUN_ATTR_XOR_PEER_ADDRESS, &c->peer);
  const int len = stun_end(&e);
  if (len > 0)
    t->effects->reply(t->effects->arg, &c->owner->flow, (struct bytes){out, (size_t)len});
}

uint32_t turn_peer_attempt(struct turn *t, turn_relay relay, const struct addr *peer,
                           uint64_t now_ms)
{
  struct turn_leg *leg = turn__find_leg(t, relay, now_ms);
  struct turn_connection *c = NULL;
  /* "If no permission for this peer has been installed for this allocation, the server MUST close
   * the connection with the peer immediately after it has been accepted." */
  if (leg && leg->owner->tcp && peer->family == leg->socket.family &&
      turn__is_permitted(leg->owner, peer, now_ms) &&
      turn__peer_is_allowed(leg->owner, peer, peer->port) && has_room(leg->owner))
    c = connection_new(leg->owner, peer);
  if (!c) {
    t->counters.connections_refused++;
    return 0;
  }
  t->counters.connections_accepted++;
  set_pending(c, now_ms);
  tell(c);
  return c->id;
}

/* ---- ConnectionBind (5.4) ---- */

static bool is_stream(const struct turn_flow *flow)
{
  return flow->transport == TURN_TCP || flow->transport == TURN_TLS;
}

struct turn_connection *turn__connection_named(const struct turn *t, const struct stun_view *v)
{
  uint32_t id;
  if (v->method != STUN_CONNECTION_BIND || !stun_get_uint(v, STUN_ATTR_CONNECTION_ID, &id))
    return NULL;
  return turn__connection_find(t, id);
}

/* The kernel hands a client's connections to whatever worker; its allocation is with one of them.
 * That one authenticates, too: it has the key that the allocation was made with. */
bool turn__connection_is_elsewhere(struct turn *t, const struct turn_flow *flow,
                                   const struct stun_view *v)
{
  uint32_t id;
  if (t->share_count < 2 || v->method != STUN_CONNECTION_BIND || v->class != STUN_REQUEST ||
      !is_stream(flow) || !stun_get_uint(v, STUN_ATTR_CONNECTION_ID, &id))
    return false;
  const uint32_t share = id % t->share_count;
  return share != t->share_index && !turn__find(t, flow) &&
         t->effects->elsewhere(t->effects->arg, share, flow, (struct bytes){v->at, v->len}) == 0;
}

int turn__connection_bind(struct turn_request *rq)
{
  struct turn *t = rq->t;
  struct turn_connection *c = rq->connection;
  /* "If the client connection transport is not TCP or TLS, the server MUST return a 400 (Bad
   * Request) error." A connection that has an allocation is a control connection: "The client MUST
   * initiate a new TCP connection to the server" (4.3). */
  if (!is_stream(rq->flow) || rq->allocation)
    return 400;
  /* "If the request does not contain the CONNECTION-ID attribute, or if this attribute does not
   * refer to an existing pending connection, the server MUST return a 400 (Bad Request) error."
   * Another user's is none that this one may refer to. */
  if (!c || c->state != TURN__PENDING || !turn__is_owner(rq, c->owner))
    return 400;
  if (t->effects->peer_join(t->effects->arg, c->id, rq->flow))
    return 508;
  wheel_cancel(&t->wheel, &c->due);
  c->state = TURN__JOINED;
  t->counters.connections_joined++;
  return 0;
}

void turn_peer_carried(struct turn *t, uint32_t id, uint64_t from_client_bytes,
                       uint64_t from_peer_bytes)
{
  struct turn_connection *c = turn__connection_find(t, id);
  if (!c) {
    t->counters.from_client_bytes += from_client_bytes;
    t->counters.from_peer_bytes += from_peer_bytes;
    return;
  }
  c->owner->from_client_bytes += from_client_bytes;
  c->owner->from_peer_bytes += from_peer_bytes;
  c->owner->traffic->from_client_bytes += from_client_bytes;
  c->owner->traffic->from_peer_bytes += from_peer_bytes;
}

/* ---- the end (5.5) ---- */

void turn_peer_gone(struct turn *t, uint32_t id, uint64_t now_ms)
{
  struct turn_connection *c = turn__connection_find(t, id);
  if (!c)
    return;
  if (c->state == TURN__CONNECTING)
    failed(c, now_ms);
  connection_free(c);
}

/* "If the allocation associated with a data connection expires, the data connection MUST be
 * closed." */
void turn__connections_close(struct turn_allocation *a, uint8_t family)
{
  for (struct list *l = a->connections.next, *next; l != &a->connections; l = next) {
    struct turn_connection *c = CONTAINER_OF(l, struct turn_connection, link);
    next = l->next;
    if (family == ADDR_NONE || c->peer.family == family)
      connection_close(c);
  }
}

void turn__connections_apply_policy(struct turn_allocation *a)
{
  for (struct list *l = a->connections.next, *next; l != &a->connections; l = next) {
    struct turn_connection *c = CONTAINER_OF(l, struct turn_connection, link);
    next = l->next;
    if (!turn__peer_is_allowed(a, &c->peer, c->peer.port))
      connection_close(c);
  }
}
