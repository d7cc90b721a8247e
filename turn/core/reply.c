/* A handler's verdict into bytes, and nobody else does that. */
#include <string.h>

#include "turn/core/internal.h"

enum { IPV4_HEADER_LEN = 20, IPV6_HEADER_LEN = 40, UDP_HEADER_LEN = 8 };

static uint32_t family_number(size_t leg)
{
  return leg == 0 ? 1 : 2;
}

/* Family, zero, class, number, reason (RFC 8656 18.12). */
static void put_address_error(struct stun_encoder *e, const struct turn_allocation *a)
{
  const size_t missing = a->leg[0].socket.port ? 1 : 0;
  const char *reason = stun_reason(a->address_error);
  uint8_t value[4 + 64];
  size_t len = strlen(reason);
  if (len > sizeof(value) - 4)
    len = sizeof(value) - 4;
  value[0] = (uint8_t)family_number(missing);
  value[1] = 0;
  value[2] = (uint8_t)(a->address_error / 100);
  value[3] = (uint8_t)(a->address_error % 100);
  memcpy(value + 4, reason, len);
  stun_put_bytes(e, STUN_ATTR_ADDRESS_ERROR_CODE, value, 4 + len);
}

/* What a success response contains by RFC 8656 7.2, LIFETIME aside: the addresses, and "A
 * RESERVATION-TOKEN attribute (if a second relayed transport address was reserved)". */
static void put_allocated(struct stun_encoder *e, const struct turn_allocation *a)
{
  for (size_t i = 0; i < 2; i++)
    if (a->leg[i].open)
      stun_put_addr(e, STUN_ATTR_XOR_RELAYED_ADDRESS, &a->leg[i].socket.relayed);
  stun_put_addr(e, STUN_ATTR_XOR_MAPPED_ADDRESS, &a->flow.client);
  if (a->has_token)
    stun_put_bytes(e, STUN_ATTR_RESERVATION_TOKEN, a->token, sizeof(a->token));
  if (a->address_error)
    put_address_error(e, a);
}

static void put_ticket(struct stun_encoder *e, const struct turn_allocation *a)
{
  uint8_t ticket[TURN__TICKET_LEN];
  turn__ticket_make(a->turn, a->mobility, ticket);
  stun_put_bytes(e, STUN_ATTR_MOBILITY_TICKET, ticket, sizeof(ticket));
}

static void put_alternate(struct stun_encoder *e, const struct turn_answer *answer, bool brief)
{
  for (size_t i = 0; i < (brief ? 1 : 2); i++)
    if (answer->alternate[i])
      stun_put_addr(e, STUN_ATTR_ALTERNATE_SERVER, answer->alternate[i]);
  if (answer->alternate_domain.len)
    stun_put_bytes(e, STUN_ATTR_ALTERNATE_DOMAIN, answer->alternate_domain.at,
                   answer->alternate_domain.len);
}

static void put_success(struct stun_encoder *e, const struct turn_request *rq)
{
  const struct turn_answer *answer = &rq->answer;
  if (answer->mapped)
    stun_put_addr(e, STUN_ATTR_XOR_MAPPED_ADDRESS, &rq->flow->client);
  if (answer->allocated)
    put_allocated(e, answer->allocated);
  if (answer->has_lifetime)
    stun_put_uint(e, STUN_ATTR_LIFETIME, answer->lifetime_s);
  if (answer->ticketed && answer->ticketed->mobility)
    put_ticket(e, answer->ticketed);
  /* "The server MUST include the CONNECTION-ID attribute in the Connect success response" (RFC 6062
   * 5.2). */
  if (answer->connection_id)
    stun_put_uint(e, STUN_ATTR_CONNECTION_ID, answer->connection_id);
}

/* RFC 8489 9.2.4: 401 and 438 carry REALM, NONCE and PASSWORD-ALGORITHMS. */
static void put_challenge(struct stun_encoder *e, const struct turn_request *rq)
{
  const struct turn_config *c = rq->t->config;
  const struct bytes algorithms = turn__algorithms(c);
  uint8_t nonce[TURN__NONCE_LEN];
  turn__nonce_make(rq->t, rq->flow, rq->realm->name, rq->wall_s, nonce);
  stun_put_bytes(e, STUN_ATTR_REALM, rq->realm->name.at, rq->realm->name.len);
  stun_put_bytes(e, STUN_ATTR_NONCE, nonce, sizeof(nonce));
  stun_put_bytes(e, STUN_ATTR_PASSWORD_ALGORITHMS, algorithms.at, algorithms.len);
}

/* "This attribute value contains the STUN server name" (RFC 7635 6.1). In a brief answer only where
 * the bytes allow it that a realm of TURN_REALM_MAX may take; one who wants it asks at more length.
 */
static void put_third_party(struct stun_encoder *e, const struct turn_request *rq, bool brief)
{
  const struct turn_config *c = rq->t->config;
  const size_t names_len = (rq->realm->name.len + 3) / 4 * 4 + (c->server_name.len + 3) / 4 * 4;
  if (c->oauth && (!brief || names_len + 4 <= TURN_REALM_MAX))
    stun_put_bytes(e, STUN_ATTR_THIRD_PARTY_AUTHORIZATION, c->server_name.at, c->server_name.len);
}

/* "The server SHOULD include the SOFTWARE attribute in all Allocate and Refresh responses" (RFC
 * 8656 section 5), but not towards who has proven nothing: there a longer answer only serves those
 * who forge the source address. */
static bool wants_software(const struct turn_request *rq)
{
  const struct turn_config *c = rq->t->config;
  const uint16_t method = rq->view->method;
  return c->software.len && c->software.len <= TURN__SOFTWARE_MAX &&
         (rq->authentic || !c->auth_required) &&
         (method == STUN_ALLOCATE || method == STUN_REFRESH);
}

/* `brief`: only what the RFC demands. The reason phrase "is meant for diagnostic purposes and can
 * be anything" (RFC 8489 14.8), a FINGERPRINT that nobody asked for too. */
static int build(const struct turn_request *rq, int code, bool brief, uint8_t out[STUN_MESSAGE_MAX])
{
  const struct turn_config *c = rq->t->config;
  struct stun_encoder e;
  stun_begin_response(&e, out, STUN_MESSAGE_MAX, code ? STUN_ERROR : STUN_SUCCESS, rq->view);
  if (code && brief)
    stun_put_error_alone(&e, code);
  else if (code)
    stun_put_error(&e, code);
  else
    put_success(&e, rq);
  if (code == 420)
    stun_put_unknown(&e, rq->view);
  if (code == 300)
    put_alternate(&e, &rq->answer, brief);
  if (code == 401 || code == 438)
    put_challenge(&e, rq);
  if (code == 401)
    put_third_party(&e, rq, brief);
  if (wants_software(rq) && !brief)
    stun_put_bytes(&e, STUN_ATTR_SOFTWARE, c->software.at, c->software.len);
  if (rq->authentic)
    stun_put_integrity(&e, rq->sign, &rq->key.hmac);
  if ((c->fingerprint && !brief) || stun_has(rq->view, STUN_ATTR_FINGERPRINT))
    stun_put_fingerprint(&e);
  return stun_end(&e);
}

/* The bytes of a datagram on the network. A stream has proven its address by its handshake. */
static size_t on_the_wire(const struct turn_request *rq, size_t len)
{
  return len + UDP_HEADER_LEN +
         (rq->flow->client.family == ADDR_V6 ? IPV6_HEADER_LEN : IPV4_HEADER_LEN);
}

/* Whoever has proven nothing may have forged his address, so that somebody else gets the answer:
 * of STUN_GAIN_MAX times the request's bytes at most. The smallest Allocate has 28 bytes
 * (REQUESTED-TRANSPORT alone), a brief 401 has 76 and its REALM: 84, exactly three times, with a
 * realm of 8 characters. The only longer ones are those with a longer realm, or to a request
 * that is shorter than any Allocate. They may have three times the bytes on the network,
 * headers included (28 bytes over IPv4): then realms up to TURN_REALM_MAX answer every Allocate. */
static int build_for_strangers(const struct turn_request *rq, int code,
                               uint8_t out[STUN_MESSAGE_MAX])
{
  int len = build(rq, code, false, out);
  if (len <= 0 || (size_t)len <= STUN_GAIN_MAX * rq->view->len)
    return len;
  len = build(rq, code, true, out);
  if (len > 0 && rq->flow->transport == TURN_UDP &&
      on_the_wire(rq, (size_t)len) > STUN_GAIN_MAX * on_the_wire(rq, rq->view->len)) {
    rq->t->counters.unauthorized_unanswered++;
    return 0;
  }
  return len;
}

void turn__reply(struct turn_request *rq, int code)
{
  uint8_t out[STUN_MESSAGE_MAX];
  if (code < 0)
    return;
  if (rq->t->config->auth_required && !rq->authentic &&
      !turn__challenge_may(rq->t, rq->flow, rq->now_ms))
    return;
  const int len = rq->authentic ? build(rq, code, false, out) : build_for_strangers(rq, code, out);
  if (len > 0)
    rq->t->effects->reply(rq->t->effects->arg, rq->flow, (struct bytes){out, (size_t)len});
}

void turn__late_keep(struct turn_late *late, const struct turn_request *rq)
{
  late->flow = *rq->flow;
  memcpy(late->header, rq->view->at, sizeof(late->header));
  late->method = rq->view->method;
  late->fingerprint = stun_has(rq->view, STUN_ATTR_FINGERPRINT);
  late->authentic = rq->authentic;
  late->sign = rq->sign;
  late->key = rq->key;
}

void turn__late_reply(struct turn *t, const struct turn_late *late, int code,
                      const struct turn_answer *answer, uint64_t now_ms)
{
  struct stun_view view = {.at = late->header,
                           .len = sizeof(late->header),
                           .method = late->method,
                           .class = STUN_REQUEST};
  if (late->fingerprint) /* that it is there is all that is asked */
    view.offset[STUN_ATTR_FINGERPRINT] = STUN_HEADER_LEN;
  struct turn_request rq = {.t = t,
                            .flow = &late->flow,
                            .view = &view,
                            .now_ms = now_ms,
                            .authentic = late->authentic,
                            .sign = late->sign,
                            .key = late->key,
                            .answer = *answer};
  turn__reply(&rq, code);
  bytes_wipe(&rq.key, sizeof(rq.key));
}
