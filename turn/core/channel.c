/* ChannelBind (RFC 8656 12.2), and ChannelData from a client (12.6), the first half of the hot
 * path.
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |         Channel Number        |            Length             |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                       Application Data                        |
 */
#include <string.h>

#include "base/err.h"
#include "turn/core/internal.h"

static bool is_same_peer(const struct addr *a, const struct addr *b)
{
  return a->port == b->port && addr_equal_ip(a, b);
}

static int read_binding(const struct turn_request *rq, uint16_t *number, struct addr *peer)
{
  uint32_t n;
  /* "The request contains both a CHANNEL-NUMBER and an XOR-PEER-ADDRESS attribute; The channel
   * number is in the range 0x4000 through 0x4FFF (inclusive)" (12.2). Port 0 is nobody's. */
  if (!stun_get_uint(rq->view, STUN_ATTR_CHANNEL_NUMBER, &n) ||
      stun_get_addr(rq->view, STUN_ATTR_XOR_PEER_ADDRESS, peer) || n < TURN__CHANNEL_FIRST ||
      n > TURN__CHANNEL_LAST || peer->port == 0)
    return 400;
  *number = (uint16_t)n;
  /* "The channel number is not currently bound to a different transport address (same transport
   * address is OK); The transport address is not currently bound to a different channel number." */
  const struct turn_allocation *a = rq->allocation;
  const struct turn_channel *by_number = turn__channel_by_number(a, *number, rq->now_ms);
  const struct turn_channel *by_peer = turn__channel_by_peer(a, peer, rq->now_ms);
  if ((by_number && !is_same_peer(&by_number->peer, peer)) ||
      (by_peer && by_peer->number != *number))
    return 400;
  return 0;
}

int turn__channel_bind(struct turn_request *rq)
{
  const struct turn_config *c = rq->t->config;
  struct turn_allocation *a = rq->allocation;
  struct addr peer;
  uint16_t number;
  /* Channels carry datagrams; the data of TCP allocations has connections of its own. */
  const int code = a->tcp ? 400 : read_binding(rq, &number, &peer);
  if (code)
    return code;
  if (turn__is_tunnelled(&rq->flow->client))
    return 403;
  if (!turn__leg(a, peer.family, rq->now_ms))
    return 443;
  if (!turn__peer_is_allowed(a, &peer, peer.port)) {
    rq->t->counters.peer_denied++;
    log_event(rq->t->log, LOG_LEVEL_DEBUG, "peer-denied", LOG_ADDR("peer", &peer),
              LOG_ADDR("client", &rq->flow->client),
              LOG_TEXT("why", turn__closed_because(rq->t->config, &peer)));
    return 403;
  }
  turn__members_purge(a, rq->now_ms);
  const size_t fresh = !turn__is_permitted(a, &peer, rq->now_ms);
  if (turn__permission_reserve(a, fresh, c->max_permissions) ||
      (!turn__channel_by_number(a, number, rq->now_ms) &&
       turn__channel_reserve(a, c->max_channels)))
    return 508;
  /* "The server also installs or refreshes a permission for the IP address in the XOR-PEER-ADDRESS
   * attribute" */
  turn__permission_put(a, &peer, rq->now_ms + (uint64_t)c->permission_lifetime_s * 1000);
  turn__channel_put(a, number, &peer, rq->now_ms + (uint64_t)c->channel_lifetime_s * 1000);
  turn__fast_tell(a, &peer);
  return 0;
}

void turn__channel_data(struct turn *t, const struct turn_flow *flow, struct dgram *d,
                        uint64_t now_ms)
{
  /* "if the UDP datagram is too short to contain the claimed length of the ChannelData message, ...
   * then the message is silently discarded" (12.6); what is longer is padding, which "MAY be
   * included" (12.5). */
  if (d->len < TURN__CHANNEL_HEADER || d->len - TURN__CHANNEL_HEADER < load_be16(d->at + 2)) {
    t->counters.dropped_malformed++;
    return;
  }
  struct turn_allocation *a = turn__find(t, flow);
  if (!a)
    a = turn__mobility_confirm(t, flow);
  if (!a) {
    t->counters.dropped_no_allocation++;
    return;
  }
  const struct turn_channel *channel = turn__channel_by_number(a, load_be16(d->at), now_ms);
  if (!channel) {
    t->counters.dropped_no_channel++;
    return;
  }
  struct turn_leg *leg = turn__leg(a, channel->peer.family, now_ms);
  if (!leg) {
    t->counters.dropped_no_allocation++;
    return;
  }
  /* A channel outlives its permission by five minutes and opens nothing meanwhile: "permissions
   * need to be refreshed more frequently than channels" (12.1). */
  if (!turn__is_permitted(a, &channel->peer, now_ms)) {
    t->counters.dropped_no_permission++;
    return;
  }
  d->len = load_be16(d->at + 2);
  d->at += TURN__CHANNEL_HEADER;
  turn__to_peer(leg, &channel->peer, d, false, now_ms);
}
