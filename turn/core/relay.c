/* The hot path: payload out to a peer, and a peer's datagram back to the client with ChannelData or
 * a Data indication before it, in the headroom. Nothing is copied, allocated or logged.
 */
#include <string.h>

#include "turn/core/internal.h"

static size_t padding(size_t len)
{
  return (4 - len % 4) % 4;
}

/* Zeros behind the payload, up to a multiple of four; the room was checked. Padding bytes from a
 * buffer that held another client's packet would be a leak. */
static void pad(struct dgram *d)
{
  const size_t more = padding(d->len);
  memset(d->at + d->len, 0, more);
  d->len += more;
}

static uint8_t *prepend(struct dgram *d, size_t len)
{
  d->at -= len;
  d->len += len;
  return d->at;
}

/* "Over TCP and TLS-over-TCP, the ChannelData message MUST be padded to a multiple of four bytes
 * ... The padding is not reflected in the length field" (RFC 8656 12.5). */
static void put_channel(struct dgram *d, uint16_t number, bool stream)
{
  const uint16_t len = (uint16_t)d->len;
  uint8_t *p = prepend(d, TURN__CHANNEL_HEADER);
  store_be16(p, number);
  store_be16(p + 2, len);
  if (stream)
    pad(d);
}

enum { DATA_INDICATION = 0x0010 | STUN_DATA }; /* class and method, RFC 8489 section 5 */

/* A keyed hash of a count: unpredictable from outside, and no call for entropy per packet. */
void turn__indication_txid(struct turn *t, uint8_t out[STUN_TXID_LEN])
{
  t->indications++;
  store_be32(out, (uint32_t)t->indications);
  store_be64(out + 4, hash_bytes(&t->hash_key, &t->indications, sizeof(t->indications)));
}

/* What stands before a payload for a client with this channel, or with none. */
static size_t header_len(const struct turn_channel *channel, const struct addr *peer)
{
  return channel ? TURN__CHANNEL_HEADER : STUN_HEADER_LEN + 8 + addr_ip_len(peer) + 4;
}

/* Header, XOR-PEER-ADDRESS, DATA (RFC 8656 11.3). */
static void put_indication(struct turn *t, struct dgram *d, const struct addr *peer)
{
  const size_t ip_len = addr_ip_len(peer);
  const size_t header = header_len(NULL, peer);
  const size_t data_len = d->len;
  uint8_t mask[16];
  pad(d);
  uint8_t *p = prepend(d, header);
  store_be16(p, DATA_INDICATION);
  store_be16(p + 2, (uint16_t)(d->len - STUN_HEADER_LEN));
  store_be32(p + 4, STUN_COOKIE);
  turn__indication_txid(t, p + 8);
  memcpy(mask, p + 4, sizeof(mask)); /* cookie and transaction id */
  p += STUN_HEADER_LEN;
  store_be16(p, stun_attr_row(STUN_ATTR_XOR_PEER_ADDRESS)->code);
  store_be16(p + 2, (uint16_t)(4 + ip_len));
  p[4] = 0;
  p[5] = peer->family == ADDR_V6 ? 2 : 1;
  store_be16(p + 6, peer->port ^ (STUN_COOKIE >> 16));
  for (size_t i = 0; i < ip_len; i++)
    p[8 + i] = peer->ip[i] ^ mask[i];
  p += 8 + ip_len;
  store_be16(p, stun_attr_row(STUN_ATTR_DATA)->code);
  store_be16(p + 2, (uint16_t)data_len);
}

static bool has_room(const struct dgram *d, size_t header)
{
  return dgram_headroom(d) >= header && dgram_tailroom(d) >= padding(d->len) &&
         d->len <= UINT16_MAX - header;
}

static bool may_reach_client(struct turn_allocation *a, size_t len, uint64_t now_ms)
{
  if (a->brake & TURN__AWAY) {
    a->turn->counters.dropped_no_client++;
    return false;
  }
  return turn__bandwidth_from_peer(a, len, now_ms);
}

bool turn__from_peer(struct turn_leg *leg, const struct addr *peer, struct dgram *d,
                     uint64_t now_ms)
{
  struct turn_allocation *a = leg->owner;
  struct turn *t = a->turn;
  /* "If no match is found, relaying is not permitted and the server silently discards the UDP
   * datagram" (RFC 8656 section 9). */
  if (peer->family != leg->socket.family || !turn__is_permitted(a, peer, now_ms)) {
    t->counters.dropped_no_permission++;
    return true;
  }
  /* "The server ... MUST use the ChannelData message if a channel has been bound to the peer"
   * (12.5). */
  const struct turn_channel *channel = turn__channel_by_peer(a, peer, now_ms);
  if (!has_room(d, header_len(channel, peer)))
    return false;
  if (a->brake && !may_reach_client(a, d->len, now_ms))
    return true;
  a->from_peer_packets++;
  a->from_peer_bytes += d->len;
  a->traffic->from_peer_packets++;
  a->traffic->from_peer_bytes += d->len;
  turn__tell_traffic(a);
  const bool stream = a->flow.transport == TURN_TCP || a->flow.transport == TURN_TLS;
  if (channel)
    put_channel(d, channel->number, stream);
  else
    put_indication(t, d, peer);
  t->effects->to_client(t->effects->arg, &a->flow, d);
  return true;
}

void turn_peer_input(struct turn *t, turn_relay relay, const struct addr *peer, struct dgram *d,
                     uint64_t now_ms)
{
  struct turn_leg *leg = turn__find_leg(t, relay, now_ms);
  if (!leg)
    t->counters.dropped_no_allocation++;
  else if (!turn__from_peer(leg, peer, d, now_ms))
    t->counters.dropped_malformed++;
}

void turn__to_peer(struct turn_leg *leg, const struct addr *peer, struct dgram *d,
                   bool dont_fragment, uint64_t now_ms)
{
  struct turn_allocation *a = leg->owner;
  struct turn *t = a->turn;
  if (a->brake & TURN__LIMITED && !turn__bandwidth_from_client(a, d->len, now_ms))
    return;
  a->from_client_packets++;
  a->from_client_bytes += d->len;
  a->traffic->from_client_packets++;
  a->traffic->from_client_bytes += d->len;
  turn__tell_traffic(a);
  /* Nearly all peers are elsewhere, which costs a comparison. */
  const bool inside = leg->socket.relay == TURN__NO_SOCKET || turn__is_relay_ip(t->config, peer);
  if (!inside || !turn__pass_inside(leg, peer, d, now_ms))
    t->effects->to_peer(t->effects->arg, leg->socket.relay, peer, d, dont_fragment);
}
