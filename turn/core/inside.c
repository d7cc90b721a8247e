/* Both ends of a call may have come to this server. What one allocation sends to the relayed
 * address of another is handed over here, and is checked and counted as if it had gone out of the
 * one socket and in at the other (RFC 8656 leaves it open how datagrams get there).
 *
 * Where relayed addresses have no sockets (relay-mode=virtual) there is no other way.
 *
 * Workers have their shares of the relay ports, so the port says whose a relayed address is. What
 * is another worker's goes there by the edge; and so does what is this one's and has no room for
 * the header before it, which is a message of a stream: the edge's copy has room.
 */
#include "base/err.h"
#include "turn/core/internal.h"

static bool deliver(struct turn_leg *to, const struct addr *from, struct dgram *d, uint64_t now_ms)
{
  const uint64_t before = to->owner->from_peer_packets;
  if (!turn__from_peer(to, from, d, now_ms))
    return false;
  /* Or it was dropped. */
  to->owner->turn->counters.relayed_inside += to->owner->from_peer_packets - before;
  return true;
}

/* False: nobody here has that address, as far as this worker knows. */
static bool pass(struct turn_leg *leg, const struct addr *relayed, struct dgram *d, uint64_t now_ms)
{
  struct turn *t = leg->owner->turn;
  const struct addr *from = &leg->socket.relayed;
  const uint32_t share = turn__ports_share(relayed->port, t->share_count);
  if (share == t->share_index) {
    struct turn_leg *to = turn__leg_at(t, relayed, now_ms);
    if (!to)
      return false;
    if (deliver(to, from, d, now_ms))
      return true;
  }
  return t->effects->inside &&
         t->effects->inside(t->effects->arg, share, relayed, from, d) != -ERR_MISSING;
}

bool turn__pass_inside(struct turn_leg *leg, const struct addr *relayed, struct dgram *d,
                       uint64_t now_ms)
{
  if (pass(leg, relayed, d, now_ms))
    return true;
  if (leg->socket.relay != TURN__NO_SOCKET)
    return false;
  leg->owner->turn->counters.dropped_no_allocation++; /* it has no other way */
  return true;
}

void turn_inside_input(struct turn *t, const struct addr *relayed, const struct addr *from,
                       struct dgram *d, uint64_t now_ms)
{
  struct turn_leg *to = turn__leg_at(t, relayed, now_ms);
  if (!to)
    t->counters.dropped_no_allocation++;
  else if (!deliver(to, from, d, now_ms))
    t->counters.dropped_malformed++;
}
