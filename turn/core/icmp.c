/* ICMP errors about what was relayed to a peer, told to the client (RFC 8656 section 11.5). */
#include <string.h>

#include "turn/core/internal.h"

enum {
  V4_UNREACHABLE = 3,
  V4_FRAGMENTATION_NEEDED = 4, /* a code of the above */
  V4_TIME_EXCEEDED = 11,
  V6_UNREACHABLE = 1,
  V6_TOO_BIG = 2,
  V6_TIME_EXCEEDED = 3,
  PER_S = 10, /* reports to one client; as many at once */
  SECOND_MS = 1000,
  VALUE_LEN = 8,
  ICMP_LEN_MAX = STUN_HEADER_LEN + 8 + 16 + 4 + VALUE_LEN /* with an IPv6 peer */
};

/* "the server verifies that the type is either 3 or 11 for an ICMPv4 packet or either 1, 2, or 3
 * for an ICMPv6 packet" (11.5). */
static bool is_reported(const struct turn_icmp *e)
{
  if (e->peer.family == ADDR_V4)
    return e->type == V4_UNREACHABLE || e->type == V4_TIME_EXCEEDED;
  return e->type == V6_UNREACHABLE || e->type == V6_TOO_BIG || e->type == V6_TIME_EXCEEDED;
}

/* "If the ICMPv6 type is 2 ("Packet too big" message) or ICMPv4 type is 3 (Destination
 * Unreachable) and Code is 4 (fragmentation needed and DF set), the Error Data field will be set
 * to the Maximum Transmission Unit of the next-hop link ... For other ICMPv6 types and ICMPv4
 * types and codes, the Error Data field MUST be set to zero" (18.13). */
static uint32_t error_data(const struct turn_icmp *e)
{
  const bool too_big = e->peer.family == ADDR_V4
                           ? e->type == V4_UNREACHABLE && e->code == V4_FRAGMENTATION_NEEDED
                           : e->type == V6_TOO_BIG;
  return too_big ? e->mtu : 0;
}

/* ICMP is easily forged, and a client can make a peer send it: what comes of it is bounded by time
 * alone. `icmp_ms` is when the allowance will be whole again. */
static bool may_report(struct turn_allocation *a, uint64_t now_ms)
{
  if (a->icmp_ms < now_ms)
    a->icmp_ms = now_ms;
  if (a->icmp_ms + SECOND_MS / PER_S > now_ms + SECOND_MS)
    return false;
  a->icmp_ms += SECOND_MS / PER_S;
  return true;
}

/*  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  Reserved                     |  ICMP Type  |  ICMP Code      |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                          Error Data                           |
 * Seven bits and nine, as the RFC draws it (18.13). */
static void put_icmp(struct stun_encoder *out, const struct turn_icmp *e)
{
  uint8_t value[VALUE_LEN] = {0};
  store_be16(value + 2, (uint16_t)((unsigned)e->type << 9 | e->code));
  store_be32(value + 4, error_data(e));
  stun_put_bytes(out, STUN_ATTR_ICMP, value, sizeof(value));
}

void turn_peer_error(struct turn *t, turn_relay relay, const struct turn_icmp *e, struct dgram *d,
                     uint64_t now_ms)
{
  struct turn_leg *leg = turn__find_leg(t, relay, now_ms);
  if (!leg || !is_reported(e))
    return;
  struct turn_allocation *a = leg->owner;
  /* "the server extracts the destination IP address from the encapsulated IP header. The server
   * then compares this address with the IP address associated with each permission ... If no match
   * is found, relaying is not permitted and the server silently discards the ICMP packet" (11.5).
   */
  if (e->peer.family != leg->socket.family || !turn__is_permitted(a, &e->peer, now_ms)) {
    t->counters.dropped_no_permission++;
    return;
  }
  if (a->brake & TURN__AWAY) {
    t->counters.dropped_no_client++;
    return;
  }
  if (dgram_tailroom(d) < ICMP_LEN_MAX || !may_report(a, now_ms)) {
    t->counters.icmp_dropped++;
    return;
  }
  uint8_t txid[STUN_TXID_LEN];
  struct stun_encoder out;
  turn__indication_txid(t, txid);
  stun_begin(&out, d->at, ICMP_LEN_MAX, STUN_INDICATION, STUN_DATA, txid);
  /* "The Data indication MUST contain both an XOR-PEER-ADDRESS and an ICMP attribute", and no
   * channel carries it. */
  stun_put_addr(&out, STUN_ATTR_XOR_PEER_ADDRESS, &e->peer);
  put_icmp(&out, e);
  d->len = (size_t)stun_end(&out);
  t->counters.icmp_reported++;
  t->effects->to_client(t->effects->arg, &a->flow, d);
}
