/* Mobility (RFC 8016): an allocation follows its client to another 5-tuple. An Allocate with an
 * empty MOBILITY-TICKET is answered with a ticket; a Refresh that brings it from another 5-tuple
 * moves the allocation there and is answered with the next ticket.
 *
 * A ticket names the worker, the allocation and its own number, encrypted and with a MAC under a
 * key that is made from that of the nonces: 12 bytes MAC of the body, then the body under a key
 * stream that the MAC gives. It is written in base64url, since there are clients that keep it as a
 * text of up to 32 characters (coturn's). No ticket is stored; the one whose number is the
 * allocation's `serial` is good, and whoever has it still has to prove that he is the user.
 *
 * A move has two steps. The Refresh puts the new 5-tuple beside the old one (`next`): requests are
 * taken from both, and what peers send goes to the old one until the client sends data from the
 * new one, or its old connection ends. Then the new one takes the place of the old.
 *
 * A client whose connection broke finds its allocation again with its ticket, so this one outlives
 * the connection (TURN__AWAY), for its lifetime at most: a stranger at the same address and port
 * finds nothing, since it is in no table by 5-tuple then.
 */
#include <string.h>

#include "base/digest.h"
#include "base/err.h"
#include "turn/core/internal.h"

enum {
  MAC_LEN = 12,
  BODY_LEN = 12, /* home, serial, id */
  RAW_LEN = MAC_LEN + BODY_LEN
};
_Static_assert(RAW_LEN / 3 * 4 == TURN__TICKET_LEN, "a ticket in base64url");

/* ---- tickets ---- */

static void ticket_key(const struct turn *t, uint8_t out[SHA256_SIZE])
{
  const struct bytes key = {t->config->nonce_key, sizeof(t->config->nonce_key)};
  const struct bytes use = bytes_of("mobility ticket"); /* no key for two uses */
  hmac_sha256(key, &use, 1, out);
}

static void mac(const uint8_t key[SHA256_SIZE], const char *use, const uint8_t *p, size_t len,
                uint8_t out[SHA256_SIZE])
{
  const struct bytes piece[] = {bytes_of(use), {p, len}};
  hmac_sha256((struct bytes){key, SHA256_SIZE}, piece, 2, out);
}

/* The same function both ways. */
static void cipher(const uint8_t key[SHA256_SIZE], const uint8_t *tag, uint8_t body[BODY_LEN])
{
  uint8_t stream[SHA256_SIZE];
  mac(key, "stream", tag, MAC_LEN, stream);
  for (size_t i = 0; i < BODY_LEN; i++)
    body[i] ^= stream[i];
}

void turn__ticket_make(const struct turn *t, const struct turn_mobility *m,
                       uint8_t out[TURN__TICKET_LEN])
{
  uint8_t key[SHA256_SIZE], tag[SHA256_SIZE], raw[RAW_LEN];
  uint8_t *body = raw + MAC_LEN;
  struct buf text;
  store_be16(body, (uint16_t)t->share_index);
  store_be16(body + 2, m->serial);
  store_be64(body + 4, m->id);
  ticket_key(t, key);
  mac(key, "tag", body, BODY_LEN, tag);
  memcpy(raw, tag, MAC_LEN);
  cipher(key, raw, body);
  bytes_wipe(key, sizeof(key));
  buf_init(&text, out, TURN__TICKET_LEN);
  buf_put_base64url(&text, raw, sizeof(raw));
}

static struct turn_ticket ticket_open(const struct turn *t, struct bytes text)
{
  uint8_t key[SHA256_SIZE], tag[SHA256_SIZE], raw[RAW_LEN];
  uint8_t *body = raw + MAC_LEN;
  if (text.len != TURN__TICKET_LEN || base64_decode(text, raw, sizeof(raw)) != RAW_LEN)
    return (struct turn_ticket){0};
  ticket_key(t, key);
  cipher(key, raw, body);
  mac(key, "tag", body, BODY_LEN, tag);
  bytes_wipe(key, sizeof(key));
  return (struct turn_ticket){
      .genuine = bytes_equal_ct(tag, raw, MAC_LEN),
      .home = load_be16(body),
      .serial = load_be16(body + 2),
      .id = load_be64(body + 4),
  };
}

/* ---- the tables ---- */

static uint64_t id_hash(const struct turn *t, uint64_t id)
{
  return hash_bytes(&t->hash_key, &id, sizeof(id));
}

static struct turn_allocation *find_by_ticket(const struct turn *t, const struct turn_ticket *k)
{
  struct hash_node *n = hash_table_first(&t->by_ticket, id_hash(t, k->id));
  for (; n; n = hash_table_next(n)) {
    const struct turn_mobility *m = CONTAINER_OF(n, struct turn_mobility, by_id);
    if (m->id == k->id)
      return m->owner;
  }
  return NULL;
}

int turn__mobility_start(struct turn_allocation *a)
{
  struct turn *t = a->turn;
  struct turn_mobility *m = mem_new(t->mem, sizeof(*m));
  if (!m)
    return -ERR_NOMEM;
  m->owner = a;
  m->id = random_u64(t->random);
  if (hash_table_insert(&t->by_ticket, &m->by_id, id_hash(t, m->id))) {
    mem_free(t->mem, m, sizeof(*m));
    return -ERR_NOMEM;
  }
  a->mobility = m;
  return 0;
}

struct turn_allocation *turn__mobility_find(const struct turn *t, const struct turn_flow *flow)
{
  struct hash_node *n =
      t->by_next.count ? hash_table_first(&t->by_next, turn__flow_hash(t, flow)) : NULL;
  for (; n; n = hash_table_next(n)) {
    const struct turn_mobility *m = CONTAINER_OF(n, struct turn_mobility, by_next);
    if (turn__flow_equal(&m->next, flow))
      return m->owner;
  }
  return NULL;
}

static void drop_next(struct turn *t, struct turn_mobility *m)
{
  if (!m->moving)
    return;
  hash_table_remove(&t->by_next, &m->by_next);
  turn__hold(t, &m->next, false);
  m->moving = false;
}

void turn__mobility_fini(struct turn_allocation *a)
{
  struct turn *t = a->turn;
  struct turn_mobility *m = a->mobility;
  if (!m)
    return;
  drop_next(t, m);
  hash_table_remove(&t->by_ticket, &m->by_id);
  mem_free(t->mem, m, sizeof(*m));
  a->mobility = NULL;
}

/* ---- a move ---- */

/* Where the client is, as far as the last ticket knows. */
static const struct turn_flow *flow_of(const struct turn_allocation *a)
{
  return a->mobility->moving ? &a->mobility->next : &a->flow;
}

static void log_move(const struct turn_allocation *a, const struct turn_flow *to)
{
  log_event(a->turn->log, LOG_LEVEL_INFO, "allocation-moved", LOG_ADDR("from", &a->flow.client),
            LOG_ADDR("to", &to->client),
            LOG_TEXT("transport", turn__transport_name(to->transport)));
}

/* Nobody is at the old 5-tuple any more. -ERR_NOMEM. */
static int come_back(struct turn_allocation *a, const struct turn_flow *to)
{
  struct turn *t = a->turn;
  const int rc = hash_table_insert(&t->by_flow, &a->by_flow, turn__flow_hash(t, to));
  if (rc)
    return rc;
  log_move(a, to);
  a->flow = *to;
  turn__traffic_follow(a);
  a->brake &= (uint8_t)~TURN__AWAY;
  turn__hold(t, to, true);
  turn__fast_tell(a, NULL);
  return 0;
}

/* The new 5-tuple is noted, and the old one is not discarded yet (RFC 8016 3.2.2). -ERR_NOMEM. */
static int move(struct turn_allocation *a, const struct turn_flow *to)
{
  struct turn *t = a->turn;
  struct turn_mobility *m = a->mobility;
  if (a->brake & TURN__AWAY)
    return come_back(a, to);
  const bool returns = turn__flow_equal(&a->flow, to);
  const struct turn_mobility before = *m;
  if (m->moving)
    hash_table_remove(&t->by_next, &m->by_next);
  m->moving = !returns;
  m->next = *to;
  /* Only the first node of a table can lack memory, and then none was taken out of it. */
  if (!returns && hash_table_insert(&t->by_next, &m->by_next, turn__flow_hash(t, to))) {
    m->moving = false;
    return -ERR_NOMEM;
  }
  if (!returns)
    turn__hold(t, to, true);
  if (before.moving)
    turn__hold(t, &before.next, false);
  log_move(a, to);
  return 0;
}

/* The new 5-tuple takes the old one's place. */
static void settle(struct turn_allocation *a)
{
  struct turn *t = a->turn;
  struct turn_mobility *m = a->mobility;
  hash_table_remove(&t->by_flow, &a->by_flow);
  hash_table_remove(&t->by_next, &m->by_next);
  turn__hold(t, &a->flow, false);
  a->flow = m->next;
  turn__traffic_follow(a);
  m->moving = false;
  /* A table that had a node has room for one. */
  (void)hash_table_insert(&t->by_flow, &a->by_flow, turn__flow_hash(t, &a->flow));
  turn__fast_tell(a, NULL);
}

/* Data is taken from the old 5-tuple, and sent there, until a Send indication or ChannelData comes
 * from the client at the new one (RFC 8016 3.2.2). */
struct turn_allocation *turn__mobility_confirm(struct turn *t, const struct turn_flow *flow)
{
  struct turn_allocation *a = turn__mobility_find(t, flow);
  if (a)
    settle(a);
  return a;
}

void turn__mobility_link(struct turn_allocation *a, const struct turn_flow *flow)
{
  struct turn_mobility *m = a->mobility;
  if (m && m->moving && turn__flow_equal(&m->next, flow))
    m->next.link = flow->link;
  else
    a->flow.link = flow->link;
}

/* The client may close its old connection instead (3.2.2): then the move is done. */
bool turn__mobility_survives(struct turn_allocation *a, const struct turn_flow *flow)
{
  struct turn *t = a->turn;
  struct turn_mobility *m = a->mobility;
  if (!m)
    return false;
  if (m->moving && turn__flow_equal(&m->next, flow)) {
    drop_next(t, m);
  } else if (m->moving) {
    settle(a);
  } else {
    turn__fast_end_all(a);
    hash_table_remove(&t->by_flow, &a->by_flow);
    turn__hold(t, &a->flow, false);
    a->brake |= TURN__AWAY;
  }
  return true;
}

/* ---- the request ---- */

bool turn__mobility_is_asked(const struct turn_request *rq)
{
  return rq->view->method == STUN_REFRESH && stun_has(rq->view, STUN_ATTR_MOBILITY_TICKET);
}

void turn__mobility_read(struct turn_request *rq)
{
  if (!turn__mobility_is_asked(rq) || !rq->t->config->mobility)
    return;
  rq->ticket = ticket_open(rq->t, stun_get_bytes(rq->view, STUN_ATTR_MOBILITY_TICKET));
  if (rq->ticket.genuine)
    rq->moving = find_by_ticket(rq->t, &rq->ticket);
}

/* The kernel hands a client's new 5-tuple to whatever worker; that of the allocation authenticates,
 * too, since it has the key that it was made with. */
bool turn__mobility_is_elsewhere(const struct turn_request *rq, const struct dgram *d)
{
  const struct turn *t = rq->t;
  return rq->ticket.genuine && rq->ticket.home != t->share_index && !rq->allocation &&
         rq->ticket.home < t->share_count && t->effects->forward &&
         t->effects->forward(t->effects->arg, rq->ticket.home, rq->flow, d) == 0;
}

/* The Refresh that moved it, once more: all that an old ticket is good for (RFC 8016 3.2.2). */
static bool is_repeated(const struct turn_request *rq)
{
  const struct turn_mobility *m = rq->moving->mobility;
  return !(rq->moving->brake & TURN__AWAY) && (uint16_t)(rq->ticket.serial + 1) == m->serial &&
         rq->now_ms < m->again_until_ms && turn__flow_equal(rq->flow, flow_of(rq->moving)) &&
         memcmp(m->txid, stun_txid(rq->view), STUN_TXID_LEN) == 0;
}

/* For whoever looks for a client's fault; the ticket stays out of it. */
static int refuse(const struct turn_request *rq, int code, const char *why)
{
  log_event(rq->t->log, LOG_LEVEL_DEBUG, "move-refused", LOG_ADDR("client", &rq->flow->client),
            LOG_UINT("code", (uint64_t)code), LOG_TEXT("why", why));
  return code;
}

/* 0 when the ticket's allocation may come to this 5-tuple. */
static int check(const struct turn_request *rq)
{
  const struct turn_allocation *a = rq->moving;
  /* What Allocate refuses is not to be had by moving: clients in a tunnel between IPv6 and IPv4
   * (RFC 8656 21.4), and TCP allocations of clients that have no stream (RFC 6062 5.1). */
  if (turn__is_tunnelled(&rq->flow->client))
    return refuse(rq, 403, "the address is of Teredo or 6to4");
  if (a->tcp && rq->flow->transport != TURN_TCP && rq->flow->transport != TURN_TLS)
    return refuse(rq, 400, "a TCP allocation needs a stream");
  /* RFC 8016 3.2.2 has 400 for an invalid ticket: one that was spent is. */
  if (rq->ticket.serial != a->mobility->serial)
    return refuse(rq, 400, "the ticket is spent");
  /* The same section: a Refresh with a ticket from the 5-tuple that the allocation has is a 400,
   * since nothing has changed. */
  if (!(a->brake & TURN__AWAY) && turn__flow_equal(rq->flow, flow_of(a)))
    return refuse(rq, 400, "it is there already");
  /* A 5-tuple has one allocation (RFC 8656 section 3). */
  if (rq->allocation && rq->allocation != a)
    return refuse(rq, 437, "another allocation is there");
  return 0;
}

static int answer_again(struct turn_request *rq)
{
  rq->allocation = rq->moving;
  rq->answer = (struct turn_answer){
      .has_lifetime = true, .lifetime_s = rq->moving->mobility->lifetime_s, .ticketed = rq->moving};
  return 0;
}

static void remember(struct turn_request *rq)
{
  struct turn_mobility *m = rq->allocation->mobility;
  /* Each move is answered with another ticket (RFC 8016 3.2.2). */
  m->serial++;
  memcpy(m->txid, stun_txid(rq->view), STUN_TXID_LEN);
  m->lifetime_s = rq->answer.lifetime_s;
  m->again_until_ms = rq->now_ms + TURN__TICKET_MS;
  rq->answer.ticketed = rq->allocation;
  rq->t->counters.allocations_moved++;
}

int turn__mobility_refresh(struct turn_request *rq)
{
  struct turn_allocation *a = rq->moving;
  uint8_t family;
  if (!rq->t->config->mobility)
    return 405;
  if (!rq->ticket.genuine)
    return refuse(rq, 400, "the ticket is none of ours");
  /* It was good, and what it stood for has ended (RFC 8016 3.2.2). */
  if (!a)
    return refuse(rq, 437, "the allocation has ended");
  /* The integrity has to be that of the user who created the allocation, or it is a 441 (RFC 8016
   * 3.2.2). */
  if (!turn__is_owner(rq, a))
    return refuse(rq, 441, "the allocation is another user's");
  if (is_repeated(rq))
    return answer_again(rq);
  int code = check(rq);
  if (code)
    return code;
  rq->allocation = a;
  code = turn__refresh_family(rq, &family);
  if (code)
    return code;
  if (move(a, rq->flow))
    return 508;
  code = turn__refresh(rq);
  if (code == 0 && rq->allocation)
    remember(rq);
  return code;
}
