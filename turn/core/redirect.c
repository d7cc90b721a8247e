/* 300 (Try Alternate): Allocate requests sent on to other servers (RFC 8489 section 10). input.c
 * asks before authentication and behind it. */
#include <string.h>

#include "turn/core/internal.h"

static bool is_secure(const struct turn_flow *flow)
{
  return flow->transport == TURN_TLS || flow->transport == TURN_DTLS;
}

/* Where the client is already: by the address that it came to, or by what it knows that one as. */
static bool is_here(const struct turn_config *c, const struct addr *server, const struct addr *a)
{
  if (addr_equal(server, a))
    return true;
  for (size_t i = 0; i < c->relay_count; i++)
    if (addr_equal_ip(&c->relay[i].local, server) && addr_equal_ip(&c->relay[i].external, a) &&
        server->port == a->port)
      return true;
  return false;
}

/* The one whose turn it is, of one family; NULL: there is none of it. */
static const struct addr *pick(const struct turn_alternates *list, uint8_t family, uint32_t turn)
{
  size_t of_family = 0;
  for (size_t i = 0; i < list->count; i++)
    of_family += list->row[i].family == family;
  if (of_family == 0)
    return NULL;
  size_t skip = turn % of_family;
  for (size_t i = 0; i < list->count; i++)
    if (list->row[i].family == family && skip-- == 0)
      return &list->row[i];
  return NULL;
}

/* Round robin; but the retransmission of a request gets the answer that the request got. A few rows
 * remember who was sent where, and the next one with the same hash takes the row: nothing grows. */
static uint32_t take_turn(struct turn_request *rq)
{
  struct turn *t = rq->t;
  const uint64_t who[2] = {
      turn__flow_hash(t, rq->flow),
      hash_bytes(&t->hash_key, stun_txid(rq->view), STUN_TXID_LEN),
  };
  const uint64_t hash = hash_bytes(&t->hash_key, who, sizeof(who));
  struct turn_redirected *row = &t->redirected[hash % TURN__REDIRECTED_ROWS];
  if (row->hash != hash)
    *row = (struct turn_redirected){hash, t->redirects++};
  return row->turn;
}

/* "If the transaction uses TLS or DTLS, if the transaction is authenticated by a
 * MESSAGE-INTEGRITY-SHA256 attribute, and if the server wants to redirect to a server that uses a
 * different certificate, then it MUST include an ALTERNATE-DOMAIN attribute" (RFC 8489 section 10).
 */
static bool wants_domain(const struct turn_request *rq)
{
  return is_secure(rq->flow) && rq->authentic &&
         stun_has(rq->view, STUN_ATTR_MESSAGE_INTEGRITY_SHA256) &&
         rq->t->config->alternate_domain.len > 0;
}

int turn__redirect(struct turn_request *rq)
{
  const struct turn_config *c = rq->t->config;
  const struct turn_alternates *list = &c->alternate[is_secure(rq->flow)];
  if (list->count == 0 || rq->allocation)
    return 0;
  /* Servers that name each other, all with one list: whoever has been sent here stays. */
  for (size_t i = 0; i < list->count; i++)
    if (is_here(c, &rq->flow->server, &list->row[i]))
      return 0;
  for (size_t i = 0; i < c->aux_count; i++)
    if (addr_equal(&rq->flow->server, &c->aux[i]))
      return 0;
  const uint8_t family = rq->flow->client.family;
  const uint8_t other = family == ADDR_V6 ? ADDR_V4 : ADDR_V6;
  const struct addr *same = pick(list, family, 0);
  if (!same)
    return 0;
  const uint32_t turn = take_turn(rq);
  /* "The server MUST include at least one ALTERNATE-SERVER attribute in the error response, which
   * MUST contain an IP address of the same family as the source IP address of the request message.
   * The server SHOULD include an additional ALTERNATE-SERVER attribute, after the mandatory one,
   * that contains an IP address of the family other than the source IP address" (RFC 8489 section
   * 10). */
  rq->answer.alternate[0] = pick(list, family, turn);
  rq->answer.alternate[1] = pick(list, other, turn);
  if (wants_domain(rq))
    rq->answer.alternate_domain = c->alternate_domain;
  rq->t->counters.redirected++;
  return 300;
}
