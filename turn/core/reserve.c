/* Relay sockets: opened by the edge at a port of our choice, and held for half a minute when a
 * client asked for the next port too (EVEN-PORT with R, RFC 8656 7.2). allocate.c calls it.
 */
#include <string.h>

#include "base/err.h"
#include "turn/core/internal.h"

/* Ports that others hold; they go back into the pool when the search is over, so that it does not
 * meet them again. */
struct aside {
  uint16_t port[2 * TURN__PORT_TRIES];
  size_t count;
};

static int ask_edge(struct turn *t, const struct addr *local, uint16_t port, bool tcp,
                    turn_relay *out)
{
  const struct turn_effects *effects = t->effects;
  struct addr at = *local;
  at.port = port;
  return (tcp ? effects->relay_listen : effects->relay_open)(effects->arg, &at, out);
}

/* 0, -ERR_BUSY, or what else the edge said. */
static int open_at(struct turn *t, const struct turn_relay_address *address, bool tcp,
                   uint16_t port, struct turn_socket *out)
{
  const uint8_t family = address->local.family;
  int rc = 0;
  out->relayed = address->external.family == family ? address->external : address->local;
  out->relayed.port = port;
  out->port = port;
  out->family = family;
  out->relay = TURN__NO_SOCKET;
  if (!t->config->relay_virtual)
    rc = ask_edge(t, &address->local, port, tcp, &out->relay);
  else if (turn__is_own_listener(t->config, &out->relayed, port))
    rc = -ERR_BUSY; /* nobody may send there */
  return rc;
}

static void close_at(struct turn *t, const struct turn_socket *s)
{
  if (s->relay != TURN__NO_SOCKET)
    t->effects->relay_close(t->effects->arg, s->relay);
}

static int open_pair(struct turn *t, const struct turn_relay_address *address, uint16_t port,
                     struct turn_socket *out, struct turn_socket *next)
{
  int rc = open_at(t, address, false, port, out);
  if (rc || !next)
    return rc;
  rc = open_at(t, address, false, (uint16_t)(port + 1), next);
  if (rc)
    close_at(t, out);
  return rc;
}

/* Whoever asks gets 508; the log tells now and then, since all who come from now on fail alike. */
static void tell_missing(struct turn *t, const struct turn_ports *pool, int rc)
{
  uint64_t held;
  if (log_pace_is_due(&t->port_pace, t->wheel.now_ms, TURN__LOG_MS, &held))
    log_event(t->log, LOG_LEVEL_WARN, "relay-port-missing", LOG_TEXT("reason", err_text(rc)),
              LOG_UINT("free", pool->free_count), LOG_UINT("of", pool->count),
              LOG_UINT("untold", held));
}

/* `next` is for TURN__EVEN_PAIR, NULL otherwise. 0 or 508. */
static int open_some(struct turn *t, const struct turn_relay_address *address, bool tcp,
                     enum turn_parity parity, struct turn_socket *out, struct turn_socket *next)
{
  struct aside aside = {.count = 0};
  int rc = -ERR_BUSY;
  if (!address)
    return 508;
  struct turn_ports *pool = &t->ports[turn__family_index(address->local.family)];
  for (int i = 0; i < TURN__PORT_TRIES && rc == -ERR_BUSY; i++) {
    uint16_t port;
    if (!turn__ports_take(pool, t->random, parity, &port))
      break;
    rc = tcp ? open_at(t, address, true, port, out) : open_pair(t, address, port, out, next);
    if (rc == 0)
      break;
    aside.port[aside.count++] = port;
    if (next)
      aside.port[aside.count++] = (uint16_t)(port + 1);
  }
  for (size_t i = 0; i < aside.count; i++)
    turn__ports_give(pool, aside.port[i]);
  if (rc)
    tell_missing(t, pool, rc);
  return rc ? 508 : 0;
}

int turn__socket_open(struct turn *t, const struct turn_relay_address *address,
                      enum turn_parity parity, struct turn_socket *out, struct turn_socket *next)
{
  return open_some(t, address, false, parity, out, next);
}

int turn__socket_listen(struct turn *t, const struct turn_relay_address *address,
                        struct turn_socket *out)
{
  return open_some(t, address, true, TURN__ANY_PORT, out, NULL);
}

void turn__socket_close(struct turn *t, const struct turn_socket *s)
{
  close_at(t, s);
  turn__ports_give(&t->ports[turn__family_index(s->family)], s->port);
}

/* Frees the record, not the socket. */
static void detach(struct turn_reservation *r)
{
  struct turn *t = r->turn;
  wheel_cancel(&t->wheel, &r->expiry);
  list_remove(&r->link);
  t->reservation_count--;
  t->ledger->leave(t->ledger->arg, &r->share);
  mem_free(t->mem, r, sizeof(*r));
}

void turn__reservation_free(struct turn_reservation *r)
{
  turn__socket_close(r->turn, &r->socket);
  detach(r);
}

static void reservation_expired(struct timer *timer, uint64_t now_ms)
{
  (void)now_ms;
  turn__reservation_free(CONTAINER_OF(timer, struct turn_reservation, expiry));
}

int turn__reserve(struct turn_allocation *a, const struct turn_socket *s, uint64_t now_ms)
{
  struct turn *t = a->turn;
  struct turn_reservation *r = NULL;
  if (t->reservation_count < TURN__RESERVATIONS_MAX)
    r = mem_new(t->mem, sizeof(*r));
  if (!r) {
    turn__socket_close(t, s);
    return -ERR_FULL;
  }
  r->turn = t;
  r->socket = *s;
  r->share = (struct turn_share){.account = a->share.account, .count = 1};
  a->share.count--; /* it was entered for both */
  t->random->fill(t->random->arg, r->token, sizeof(r->token));
  r->token[0] = (uint8_t)t->share_index; /* the others send it here */
  memcpy(a->token, r->token, sizeof(r->token));
  a->has_token = true;
  list_push_back(&t->reservations, &r->link);
  t->reservation_count++;
  timer_init(&r->expiry, reservation_expired);
  wheel_arm(&t->wheel, &r->expiry, now_ms + TURN__RESERVATION_MS);
  return 0;
}

/* Whoever reserved may redeem, from any 5-tuple (RFC 8656 7.2), and nobody else: a guessed token
 * opens no other user's port. */
static bool is_owner(const struct turn_reservation *r, const struct turn_request *rq)
{
  const struct turn_account *account = r->share.account;
  if (!account)
    return !rq->authentic;
  return rq->authentic && turn_account_is(account, rq->realm->name, rq->account);
}

/* The kernel hands the client's second 5-tuple to whatever worker. Only what is signed is worth the
 * way; whether rightly, the worker that has the port finds out. */
bool turn__reservation_is_elsewhere(const struct turn_request *rq, const struct dgram *d)
{
  const struct turn *t = rq->t;
  const struct bytes token = stun_get_bytes(rq->view, STUN_ATTR_RESERVATION_TOKEN);
  return rq->view->method == STUN_ALLOCATE && token.len == TURN__TOKEN_LEN && !rq->allocation &&
         token.at[0] != t->share_index && token.at[0] < t->share_count &&
         (!t->config->auth_required || stun_has(rq->view, STUN_ATTR_MESSAGE_INTEGRITY) ||
          stun_has(rq->view, STUN_ATTR_MESSAGE_INTEGRITY_SHA256)) &&
         t->effects->forward && t->effects->forward(t->effects->arg, token.at[0], rq->flow, d) == 0;
}

struct turn_reservation *turn__reservation_find(const struct turn_request *rq, struct bytes token)
{
  const struct turn *t = rq->t;
  for (struct list *l = t->reservations.next; l != &t->reservations; l = l->next) {
    struct turn_reservation *r = CONTAINER_OF(l, struct turn_reservation, link);
    if (is_owner(r, rq) && bytes_equal_ct(r->token, token.at, TURN__TOKEN_LEN))
      return r;
  }
  return NULL;
}

void turn__redeem(struct turn_reservation *r, struct turn_allocation *a, struct turn_socket *out)
{
  *out = r->socket;
  a->share.account = r->share.account;
  a->share.count += r->share.count;
  r->share = (struct turn_share){0};
  detach(r);
}
