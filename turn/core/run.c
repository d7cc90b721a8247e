/* A burst that the kernel handed over as one (UDP_GRO): what channel.c and relay.c ask for each
 * datagram is asked once for all. It is only for what nearly all bursts are, datagrams that a bound
 * channel carries to a peer elsewhere or to a client over UDP; all else is left to them, before
 * anything has been counted.
 */
#include "turn/core/internal.h"

static size_t count_of(const struct dgram_run *run)
{
  return (run->len + run->each - 1) / run->each;
}

/* Someone is told of every so many packets, with the figures of that moment. */
static bool may_count(const struct turn_allocation *a, size_t count)
{
  return !turn__tells_of(a->from_client_packets + a->from_peer_packets + count, count);
}

/* ChannelData of one number without padding, each. */
static bool is_channel_data(const struct dgram_run *run)
{
  for (size_t done = 0; done < run->len; done += run->each) {
    const size_t left = run->len - done, len = left < run->each ? left : run->each;
    if (len <= TURN__CHANNEL_HEADER || load_be16(run->at + done) != load_be16(run->at) ||
        load_be16(run->at + done + 2) != len - TURN__CHANNEL_HEADER)
      return false;
  }
  return true;
}

bool turn_client_run(struct turn *t, const struct turn_flow *flow, const struct dgram_run *run,
                     uint64_t now_ms)
{
  struct turn_allocation *a =
      t->effects->to_peer_run && is_channel_data(run) ? turn__find(t, flow) : NULL;
  const size_t count = count_of(run), bytes = run->len - count * TURN__CHANNEL_HEADER;
  if (!a || a->brake || !may_count(a, count))
    return false;
  const struct dgram_run payload = {run->at, run->len, run->each, TURN__CHANNEL_HEADER};
  const struct turn_channel *channel = turn__channel_by_number(a, load_be16(run->at), now_ms);
  struct turn_leg *leg = channel ? turn__leg(a, channel->peer.family, now_ms) : NULL;
  /* What has no permission and what stays inside is for channel.c. */
  if (!leg || leg->socket.relay == TURN__NO_SOCKET ||
      !turn__is_permitted(a, &channel->peer, now_ms) ||
      turn__is_relay_ip(t->config, &channel->peer) ||
      !t->effects->to_peer_run(t->effects->arg, leg->socket.relay, &channel->peer, payload))
    return false;
  a->from_client_packets += count;
  a->from_client_bytes += bytes;
  a->traffic->from_client_packets += count;
  a->traffic->from_client_bytes += bytes;
  return true;
}

bool turn_peer_run(struct turn *t, turn_relay relay, const struct addr *peer,
                   const struct dgram_run *run, uint64_t now_ms)
{
  struct turn_leg *leg = t->effects->to_client_run ? turn__find_leg(t, relay, now_ms) : NULL;
  const size_t count = count_of(run);
  if (!leg || peer->family != leg->socket.family)
    return false;
  struct turn_allocation *a = leg->owner;
  if (a->brake || a->flow.transport != TURN_UDP || !may_count(a, count) ||
      !turn__is_permitted(a, peer, now_ms))
    return false;
  const struct turn_channel *channel = turn__channel_by_peer(a, peer, now_ms);
  if (!channel || !t->effects->to_client_run(t->effects->arg, &a->flow, *run, channel->number))
    return false;
  a->from_peer_packets += count;
  a->from_peer_bytes += run->len;
  a->traffic->from_peer_packets += count;
  a->traffic->from_peer_bytes += run->len;
  return true;
}
