/* Which channels datagrams may use without the core. The edge is told (effects.fast), so that it
 * can let the kernel carry them: both ways between the client and the peer, until the first of
 * channel, permission and allocation runs out. What the kernel carried comes back into the counters
 * here.
 *
 * Every function that changes one of those three, or where the client is, calls turn__fast_tell or
 * one of the two ends, before its request is answered. With nobody to tell, that is one branch.
 */
#include "turn/core/internal.h"

uint64_t turn__fast_until(const struct turn_allocation *a, const struct turn_channel *c)
{
  const struct turn_leg *leg = &a->leg[turn__family_index(c->peer.family)];
  if (a->flow.transport != TURN_UDP || a->brake & TURN__AWAY || !leg->open)
    return 0;
  /* An address without a socket is no network's (inside.c). */
  if (leg->socket.relay == TURN__NO_SOCKET)
    return 0;
  const uint64_t permitted_ms = turn__permitted_until(a, &c->peer);
  uint64_t until_ms = leg->expiry.due_ms;
  if (c->due_ms < until_ms)
    until_ms = c->due_ms;
  if (permitted_ms < until_ms)
    until_ms = permitted_ms;
  return until_ms > a->turn->wheel.now_ms ? until_ms : 0;
}

static void tell(struct turn_allocation *a, struct turn_channel *c, uint64_t until_ms)
{
  const struct turn_effects *effects = a->turn->effects;
  const struct turn_leg *leg = &a->leg[turn__family_index(c->peer.family)];
  const bool was_carried = c->fast != 0;
  if (!was_carried && (until_ms == 0 || a->fast_count == TURN_FAST_CHANNELS_MAX))
    return;
  const struct turn_fast f = {
      .flow = &a->flow,
      .relay = leg->socket.relay,
      .peer = &c->peer,
      .relayed = &leg->socket.relayed,
      .inside = turn__is_relay_ip(a->turn->config, &c->peer),
      .number = c->number,
      .until_ms = until_ms,
      .bps = a->share.bps,
      .slot = &c->fast,
      .group = &a->fast,
      .paid_ns = a->paid_ns,
  };
  effects->fast(effects->arg, &f);
  a->fast_count = (uint16_t)(a->fast_count + (c->fast != 0) - was_carried);
}

void turn__fast_tell(struct turn_allocation *a, const struct addr *ip)
{
  struct turn_channels *c = &a->channels;
  if (!a->turn->effects->fast)
    return;
  for (size_t i = ip ? turn__channels_at(c, ip) : 0; i < c->count; i++) {
    struct turn_channel *row = &c->row[c->by_peer[i]];
    if (ip && !addr_equal_ip(&row->peer, ip))
      return;
    tell(a, row, turn__fast_until(a, row));
  }
}

void turn__fast_end(struct turn_allocation *a, struct turn_channel *c)
{
  tell(a, c, 0);
}

void turn__fast_end_all(struct turn_allocation *a)
{
  for (size_t i = 0; i < a->channels.count; i++)
    tell(a, &a->channels.row[i], 0);
}

void turn_fast_carried(struct turn *t, turn_relay relay, const struct turn_carried *c)
{
  struct turn_leg *leg = turn__find_leg(t, relay, 0); /* one that runs out just now, too */
  if (!leg)
    return;
  struct turn_allocation *a = leg->owner;
  struct turn_traffic *traffic = a->traffic;
  a->from_client_packets += c->from_client_packets;
  a->from_client_bytes += c->from_client_bytes;
  a->from_peer_packets += c->from_peer_packets;
  a->from_peer_bytes += c->from_peer_bytes;
  traffic->from_client_packets += c->from_client_packets;
  traffic->from_client_bytes += c->from_client_bytes;
  traffic->from_peer_packets += c->from_peer_packets;
  traffic->from_peer_bytes += c->from_peer_bytes;
  t->counters.relayed_inside += c->inside_packets;
  t->counters.dropped_over_limit += c->limited_packets;
  t->counters.over_limit_from_client_bytes += c->limited_from_client_bytes;
  t->counters.over_limit_from_peer_bytes += c->limited_from_peer_bytes;
  if (turn__tells_of(a->from_client_packets + a->from_peer_packets,
                     c->from_client_packets + c->from_peer_packets))
    turn__tell(a, TURN_EVENT_TRAFFIC, 0);
}
