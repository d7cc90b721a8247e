/* Allocate and Refresh (RFC 8656 sections 7 and 8). input.c calls them for requests that have
 * passed authentication. */
#include <string.h>

#include "base/err.h"
#include "turn/core/internal.h"

/* What an Allocate asks for. */
struct wish {
  bool tcp;       /* RFC 6062 */
  uint8_t family; /* enum addr_family */
  bool additional;
  enum turn_parity parity;
  struct bytes token; /* empty: none */
  bool ticket;        /* MOBILITY-TICKET */
};

/* REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY: 1 and 2 (RFC 8656 18.6). */
static uint8_t family_of(uint32_t value)
{
  return value == 1 ? ADDR_V4 : value == 2 ? ADDR_V6 : ADDR_NONE;
}

/* What RFC 6062 5.1 adds for TCP. */
static int check_tcp(const struct turn_request *rq)
{
  const enum turn_transport transport = rq->flow->transport;
  /* "If the client connection transport is not TCP or TLS, the server MUST reject the request with
   * a 400 (Bad Request) error." */
  if (transport != TURN_TCP && transport != TURN_TLS)
    return 400;
  /* "If the request contains the DONT-FRAGMENT, EVEN-PORT, or RESERVATION-TOKEN attribute, the
   * server MUST reject the request with a 400 (Bad Request) error." */
  return stun_has(rq->view, STUN_ATTR_DONT_FRAGMENT) || stun_has(rq->view, STUN_ATTR_EVEN_PORT) ||
                 stun_has(rq->view, STUN_ATTR_RESERVATION_TOKEN)
             ? 400
             : 0;
}

/* Without REQUESTED-ADDRESS-FAMILY it is IPv4, unless the operator says otherwise. Beside
 * ADDITIONAL-ADDRESS-FAMILY it is nobody's to choose. */
static uint32_t default_family(const struct turn_request *rq)
{
  const enum turn_default_family f = rq->t->config->default_family;
  const bool v6 =
      f == TURN_DEFAULT_V6 || (f == TURN_DEFAULT_AS_CLIENT && rq->flow->client.family == ADDR_V6);
  return v6 && !stun_has(rq->view, STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY) ? 2 : 1;
}

static int read_transport(const struct turn_request *rq, bool *tcp)
{
  const struct stun_view *v = rq->view;
  const struct turn_config *c = rq->t->config;
  uint32_t protocol;
  /* "If the REQUESTED-TRANSPORT attribute is not included or is malformed, the server rejects the
   * request with a 400 (Bad Request) error. Otherwise, if the attribute is included but specifies a
   * protocol that is not supported by the server, ... 442" (7.2). */
  if (!stun_get_uint(v, STUN_ATTR_REQUESTED_TRANSPORT, &protocol))
    return 400;
  *tcp = protocol == TURN__PROTOCOL_TCP;
  if (*tcp)
    return c->no_tcp_relay || c->relay_virtual ? 442 : check_tcp(rq);
  if (protocol != TURN__PROTOCOL_UDP)
    return 442;
  /* "If the value is UDP, and if UDP transport is forbidden by local policy, the server MUST reject
   * the request with a 403 (Forbidden) error" (RFC 6062 5.1). */
  return c->no_udp_relay ? 403 : 0;
}

/* An empty MOBILITY-TICKET asks for one: 405 where local policy forbids mobility. One with a value
 * is a 400 (RFC 8016 3.1.2). */
static int read_ticket(const struct turn_config *c, const struct stun_view *v, struct wish *w)
{
  w->ticket = stun_has(v, STUN_ATTR_MOBILITY_TICKET);
  if (!w->ticket)
    return 0;
  if (stun_get_bytes(v, STUN_ATTR_MOBILITY_TICKET).len)
    return 400;
  return c->mobility ? 0 : 405;
}

/* Checks 5 to 9 of RFC 8656 7.2, in their order. */
static int read_wish(const struct turn_request *rq, struct wish *w)
{
  const struct stun_view *v = rq->view;
  uint32_t family = default_family(rq), additional = 0;
  const bool has_family = stun_get_uint(v, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, &family);
  const bool has_even = stun_has(v, STUN_ATTR_EVEN_PORT);
  *w = (struct wish){.parity = has_even ? TURN__EVEN_PORT : TURN__ANY_PORT};
  w->additional = stun_get_uint(v, STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY, &additional);
  w->token = stun_get_bytes(v, STUN_ATTR_RESERVATION_TOKEN);
  /* "If yes, and the request also contains an EVEN-PORT or REQUESTED-ADDRESS-FAMILY or
   * ADDITIONAL-ADDRESS-FAMILY attribute, the server rejects the request with a 400" */
  if (stun_has(v, STUN_ATTR_RESERVATION_TOKEN))
    return has_even || has_family || w->additional ? 400 : 0;
  /* "checks if the request contains both REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY
   * attributes. If yes, then the server rejects the request with a 400" */
  if (has_family && w->additional)
    return 400;
  /* "If the REQUESTED-ADDRESS-FAMILY attribute is absent and the server does not support the IPv4
   * address family, the server MUST include an ERROR-CODE attribute with the 440" */
  w->family = family_of(family);
  if (!turn__relay_address(rq->t->config, w->family))
    return 440;
  if (has_even && stun_get_bytes(v, STUN_ATTR_EVEN_PORT).at[0] & 0x80)
    w->parity = TURN__EVEN_PAIR;
  /* "an EVEN-PORT attribute with the R bit set to 1. If yes, and the request also contains an
   * ADDITIONAL-ADDRESS-FAMILY attribute, the server rejects the request with a 400"; "and the
   * attribute value is 0x01 (IPv4 address family), then ... 400". */
  if (w->additional && (w->parity == TURN__EVEN_PAIR || family_of(additional) != ADDR_V6))
    return 400;
  return 0;
}

/* "the server computes the minimum of the client's proposed lifetime and the server's maximum
 * allowed lifetime. If this computed value is greater than the default lifetime, then the server
 * uses the computed lifetime ... Otherwise, the server uses the default lifetime" (7.2). */
static uint32_t lifetime(const struct turn_request *rq)
{
  const struct turn_config *c = rq->t->config;
  uint32_t asked = 0;
  stun_get_uint(rq->view, STUN_ATTR_LIFETIME, &asked);
  if (asked > c->max_lifetime_s)
    asked = c->max_lifetime_s;
  return turn__token_cap(rq, asked > c->default_lifetime_s ? asked : c->default_lifetime_s);
}

static uint64_t due_in(const struct turn_request *rq, uint32_t seconds)
{
  return rq->now_ms + (uint64_t)seconds * 1000;
}

static int open_leg(struct turn_allocation *a, uint8_t family, enum turn_parity parity,
                    uint64_t due_ms, uint64_t now_ms)
{
  struct turn_socket s, next;
  const bool pair = parity == TURN__EVEN_PAIR;
  /* "A TCP relayed transport address MUST be allocated instead of a UDP one" (RFC 6062 5.1). */
  struct turn *t = a->turn;
  const struct turn_relay_address *at = turn__relay_next(t, family, &a->flow.server);
  const int code = a->tcp ? turn__socket_listen(t, at, &s)
                          : turn__socket_open(t, at, parity, &s, pair ? &next : NULL);
  if (code)
    return code;
  /* Both calls take their socket, so both are made. */
  const int attached = turn__leg_attach(a, &s, due_ms);
  const int reserved = pair ? turn__reserve(a, &next, now_ms) : 0;
  return attached || reserved ? 508 : 0;
}

static int open_reserved(struct turn_allocation *a, struct turn_reservation *r, uint64_t due_ms)
{
  struct turn_socket s;
  turn__redeem(r, a, &s);
  return turn__leg_attach(a, &s, due_ms) ? 508 : 0;
}

/* "If the server can partially meet the request, ... then it includes ADDRESS-ERROR-CODE attribute
 * in the success response to inform the client the reason for partial failure" (7.2). */
static int open_both(struct turn_allocation *a, enum turn_parity parity, uint64_t due_ms,
                     uint64_t now_ms)
{
  const int v4 = open_leg(a, ADDR_V4, parity, due_ms, now_ms);
  const int v6 = turn__relay_address(a->turn->config, ADDR_V6)
                     ? open_leg(a, ADDR_V6, parity, due_ms, now_ms)
                     : 440;
  if (v4 && v6)
    return 508;
  a->address_error = (uint16_t)(v4 ? v4 : v6);
  return 0;
}

/* "At any point, the server MAY choose to reject the request with a 486 (Allocation Quota Reached)
 * error if it feels the client is trying to exceed some locally defined allocation quota" (7.2).
 * Bandwidth that is used up is a 486 too, as in coturn. */
static int enter(const struct turn_request *rq, const struct wish *w, struct turn_allocation *a)
{
  struct turn *t = rq->t;
  const struct turn_config *c = t->config;
  const struct turn_claim claim = {
      .named = rq->authentic,
      .realm = rq->realm->name,
      .name = rq->account,
      /* A reserved port is in the counts already. */
      .count = w->token.len                   ? 0
               : w->parity == TURN__EVEN_PAIR ? 2
                                              : 1,
      .bps = rq->realm->max_bps,
      .user_quota = rq->realm->user_quota,
      .realm_quota = rq->realm->total_quota,
      .total_quota = c->total_quota,
      .bps_capacity = c->bps_capacity,
  };
  const int rc = t->ledger->enter(t->ledger->arg, &claim, &a->share);
  t->counters.refused_quota += rc == -ERR_FULL;
  t->counters.refused_capacity += rc == -ERR_BUSY;
  t->counters.reserved_bps += a->share.bps;
  a->brake |= a->share.bps ? TURN__LIMITED : 0;
  return rc == 0 ? 0 : rc == -ERR_NOMEM ? 508 : 486;
}

static int create(struct turn_request *rq, const struct wish *w)
{
  const uint32_t seconds = lifetime(rq);
  const uint64_t due_ms = due_in(rq, seconds);
  struct turn_reservation *r = NULL;
  /* "If the token is not valid for some reason, the server rejects the request with a 508" */
  if (w->token.len && (r = turn__reservation_find(rq, w->token)) == NULL)
    return 508;
  struct turn_allocation *a = turn__allocation_new(rq);
  if (!a)
    return 508;
  a->tcp = w->tcp;
  int code = enter(rq, w, a);
  if (code) {
    turn__allocation_free(a, NULL);
    return code;
  }
  if (r)
    code = open_reserved(a, r, due_ms);
  else if (w->additional)
    code = open_both(a, w->parity, due_ms, rq->now_ms);
  else
    code = open_leg(a, w->family, w->parity, due_ms, rq->now_ms);
  if (code == 0 && w->ticket && turn__mobility_start(a))
    code = 508;
  if (code == 0 && turn__allocation_attach(a))
    code = 508;
  if (code) {
    turn__allocation_free(a, NULL);
    return code;
  }
  rq->allocation = a;
  rq->answer = (struct turn_answer){
      .has_lifetime = true, .lifetime_s = seconds, .allocated = a, .ticketed = a};
  turn__tell(a, TURN_EVENT_NEW, seconds);
  return 0;
}

static uint32_t remaining_s(const struct turn_allocation *a, uint64_t now_ms)
{
  uint64_t due_ms = now_ms;
  for (size_t i = 0; i < 2; i++)
    if (a->leg[i].open && a->leg[i].expiry.due_ms > due_ms)
      due_ms = a->leg[i].expiry.due_ms;
  return (uint32_t)((due_ms - now_ms + 999) / 1000);
}

/* "The server checks if the 5-tuple is currently in use by an existing allocation. If yes, the
 * server rejects the request with a 437 (Allocation Mismatch) error" (7.2), unless it is the very
 * request that made it: its answer was lost, and section 5 wants "essentially the same response".
 */
static int answer_again(struct turn_request *rq)
{
  const struct turn_allocation *a = rq->allocation;
  if (memcmp(a->txid, stun_txid(rq->view), STUN_TXID_LEN) != 0)
    return 437;
  rq->answer = (struct turn_answer){
      .has_lifetime = true,
      .lifetime_s = remaining_s(a, rq->now_ms),
      .allocated = a,
      .ticketed = a,
  };
  return 0;
}

/* "If the TURN server carrying out packet translation from IPv4-to-IPv6 is unable to access the
 * state of the Don't Fragment (DF) bit in the IPv4 header, it MUST reject the Allocate request with
 * the DONT-FRAGMENT attribute" (3.7): as an attribute that is unknown (7.2). */
static int check_dont_fragment(struct turn_request *rq, const struct wish *w)
{
  const enum turn_transport transport = rq->flow->transport;
  struct stun_view *v = rq->view;
  if (!stun_has(v, STUN_ATTR_DONT_FRAGMENT) || transport == TURN_TCP || transport == TURN_TLS ||
      rq->flow->client.family != ADDR_V4 || w->family != ADDR_V6 || w->additional)
    return 0;
  v->unknown[v->unknown_count++] = stun_attr_row(STUN_ATTR_DONT_FRAGMENT)->code;
  return 420;
}

static int allocate(struct turn_request *rq)
{
  struct wish w;
  bool tcp = false;
  if (rq->allocation)
    return answer_again(rq);
  int code = turn__is_tunnelled(&rq->flow->client) ? 403 : read_transport(rq, &tcp);
  if (code == 0)
    code = read_wish(rq, &w);
  if (code == 0)
    code = check_dont_fragment(rq, &w);
  if (code == 0)
    code = read_ticket(rq->t->config, rq->view, &w);
  w.tcp = tcp;
  /* "508 (Insufficient Capacity): The server is unable to carry out the request due to some
   * capacity limit being reached" (section 19): the capacity for new sessions is none. A client
   * that knows other servers goes there, and does not come back soon (7.4: "SHOULD wait at least 1
   * minute"), where after a 403 or a 486 he would think that it is him who is not wanted. */
  if (code == 0 && rq->t->draining)
    code = 508;
  return code ? code : create(rq, &w);
}

int turn__allocate(struct turn_request *rq)
{
  const int code = allocate(rq);
  if (code)
    rq->t->counters.allocations_refused++;
  return code;
}

/* Every open leg, or with REQUESTED-ADDRESS-FAMILY the one of that family. */
static bool is_meant(const struct turn_leg *leg, uint8_t family)
{
  return leg->open && (family == ADDR_NONE || leg->socket.family == family);
}

static void delete_legs(struct turn_request *rq, uint8_t family)
{
  struct turn_allocation *a = rq->allocation;
  turn__deleted_remember(rq);
  for (size_t i = 0; i < 2; i++)
    if (is_meant(&a->leg[i], family) && turn__leg_close(&a->leg[i], "deleted")) {
      rq->allocation = NULL;
      return;
    }
}

int turn__refresh_family(const struct turn_request *rq, uint8_t *out)
{
  uint32_t requested;
  *out = ADDR_NONE;
  /* "and the attribute value does not match the address family of the allocation, then the server
   * MUST reply with a 443 (Peer Address Family Mismatch) Refresh error response" (8.2). */
  if (stun_get_uint(rq->view, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, &requested)) {
    *out = family_of(requested);
    if (!turn__leg(rq->allocation, *out, rq->now_ms))
      return 443;
  }
  return 0;
}

int turn__refresh(struct turn_request *rq)
{
  struct turn_allocation *a = rq->allocation;
  uint32_t asked = UINT32_MAX;
  uint8_t family;
  const int code = turn__refresh_family(rq, &family);
  if (code)
    return code;
  rq->answer.has_lifetime = true;
  stun_get_uint(rq->view, STUN_ATTR_LIFETIME, &asked);
  if (asked == 0) {
    delete_legs(rq, family);
    return 0;
  }
  if (turn__token_adopt(rq, a))
    return 508;
  rq->answer.lifetime_s = lifetime(rq);
  for (size_t i = 0; i < 2; i++)
    if (is_meant(&a->leg[i], family))
      wheel_arm(&rq->t->wheel, &a->leg[i].expiry, due_in(rq, rq->answer.lifetime_s));
  turn__fast_tell(a, NULL);
  turn__tell(a, TURN_EVENT_REFRESHED, rq->answer.lifetime_s);
  return 0;
}
