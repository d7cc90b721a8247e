/* CreatePermission (RFC 8656 section 10) and the Send indication (section 11.2). */
#include <string.h>

#include "base/err.h"
#include "turn/core/internal.h"

static int check_peer(struct turn_request *rq, const struct addr *peer)
{
  /* "If an XOR-PEER-ADDRESS attribute contains an address of an address family that is not the same
   * as that of a relayed transport address for the allocation, the server MUST generate an error
   * response with the 443 (Peer Address Family Mismatch) response code" (10.2). */
  if (!turn__leg(rq->allocation, peer->family, rq->now_ms))
    return 443;
  /* "The server MAY impose restrictions on the IP address allowed in the XOR-PEER-ADDRESS
   * attribute; if a value is not allowed, the server rejects the request with a 403 (Forbidden)" */
  if (!turn__peer_is_allowed(rq->allocation, peer, 0)) {
    rq->t->counters.peer_denied++;
    log_event(rq->t->log, LOG_LEVEL_DEBUG, "peer-denied", LOG_ADDR("peer", peer),
              LOG_ADDR("client", &rq->flow->client),
              LOG_TEXT("why", turn__closed_because(rq->t->config, peer)));
    return 403;
  }
  return 0;
}

/* All addresses are checked and all room is made before the first permission is: a request that is
 * refused changes nothing. An address that stands twice counts twice against the limit. */
int turn__create_permission(struct turn_request *rq)
{
  const struct turn_config *c = rq->t->config;
  struct turn_allocation *a = rq->allocation;
  struct addr peer;
  size_t cursor = 0, count = 0, fresh = 0;
  int rc;
  while ((rc = stun_next_addr(rq->view, STUN_ATTR_XOR_PEER_ADDRESS, &cursor, &peer)) == 0) {
    const int code = check_peer(rq, &peer);
    if (code)
      return code;
    count++;
    fresh += !turn__is_permitted(a, &peer, rq->now_ms);
  }
  /* "The CreatePermission request MUST contain at least one XOR-PEER-ADDRESS attribute ... If no
   * such attribute exists, or if any of these attributes are invalid, then a 400 (Bad Request)
   * error is returned" (10.2). */
  if (rc != -ERR_MISSING || count == 0)
    return 400;
  turn__members_purge(a, rq->now_ms);
  if (turn__permission_reserve(a, fresh, c->max_permissions))
    return 508;
  const uint64_t due_ms = rq->now_ms + (uint64_t)c->permission_lifetime_s * 1000;
  cursor = 0;
  while (stun_next_addr(rq->view, STUN_ATTR_XOR_PEER_ADDRESS, &cursor, &peer) == 0) {
    turn__permission_put(a, &peer, due_ms);
    turn__fast_tell(a, &peer);
  }
  return 0;
}

/* Between IPv4 and IPv6, and from IPv6 to IPv6, "the DONT-FRAGMENT attribute MUST be ignored by the
 * server": "ignoring the DONT-FRAGMENT attribute is only applicable for UDP-to-UDP relay and not
 * for TCP-to-UDP relay" (RFC 8656 section 13). */
static bool wants_dont_fragment(const struct turn_allocation *a, const struct stun_view *view,
                                const struct addr *peer)
{
  const bool stream = a->flow.transport == TURN_TCP || a->flow.transport == TURN_TLS;
  const bool v4 = a->flow.client.family == ADDR_V4 && peer->family == ADDR_V4;
  return stun_has(view, STUN_ATTR_DONT_FRAGMENT) && (stream || v4);
}

/* Indications are never answered: whatever is wrong, "the message is silently discarded". */
void turn__send(struct turn *t, struct turn_allocation *a, const struct stun_view *view,
                struct dgram *d, uint64_t now_ms)
{
  struct addr peer;
  /* "The Send indication MUST contain both an XOR-PEER-ADDRESS attribute and a DATA attribute"; the
   * DATA may be empty (11.2). */
  if (stun_get_addr(view, STUN_ATTR_XOR_PEER_ADDRESS, &peer) || peer.port == 0 ||
      !stun_has(view, STUN_ATTR_DATA) || a->tcp) { /* datagrams have no way there */
    t->counters.dropped_malformed++;
    return;
  }
  struct turn_leg *leg = turn__leg(a, peer.family, now_ms);
  /* "The server also checks that there is a permission installed for the IP address contained in
   * the XOR-PEER-ADDRESS attribute." */
  if (!leg || !turn__is_permitted(a, &peer, now_ms)) {
    t->counters.dropped_no_permission++;
    return;
  }
  /* "The server MAY impose restrictions on the IP address and port values": the configuration may
   * have changed since the permission, and our own relay address is open at relayed ports only. */
  if (!turn__peer_is_allowed(a, &peer, peer.port)) {
    t->counters.peer_denied++;
    return;
  }
  const struct bytes data = stun_get_bytes(view, STUN_ATTR_DATA);
  d->at += view->offset[STUN_ATTR_DATA];
  d->len = data.len;
  turn__to_peer(leg, &peer, d, wants_dont_fragment(a, view, &peer), now_ms);
}
