/* How fast an allocation may send, each way apart: max-bps in bytes of payload per second. A leaky
 * bucket that holds one second's worth, as one number for each way: the time at which what has gone
 * through so far is paid for (the generic cell rate algorithm). What does not fit is dropped. A
 * datagram larger than a second's worth never fits.
 */
#include "turn/core/internal.h"

enum { NS_PER_MS = 1000000, BURST_NS = 1000000000 };

bool turn_fast_takes(uint64_t *paid_ns, uint64_t bps, size_t len, uint64_t now_ns)
{
  const uint64_t start_ns = *paid_ns > now_ns ? *paid_ns : now_ns;
  const uint64_t end_ns = start_ns + (uint64_t)len * BURST_NS / bps;
  if (end_ns - now_ns > BURST_NS)
    return false;
  *paid_ns = end_ns;
  return true;
}

/* What somebody else carries of this allocation has to fit into the same bucket. */
static bool takes(struct turn_allocation *a, unsigned way, size_t len, uint64_t now_ms)
{
  const struct turn_effects *effects = a->turn->effects;
  if (a->fast)
    return effects->fast_takes(effects->arg, a->fast, way, len, now_ms);
  return turn_fast_takes(&a->paid_ns[way], a->share.bps, len, now_ms * NS_PER_MS);
}

bool turn__bandwidth_from_client(struct turn_allocation *a, size_t len, uint64_t now_ms)
{
  if (takes(a, 0, len, now_ms))
    return true;
  a->turn->counters.dropped_over_limit++;
  a->turn->counters.over_limit_from_client_bytes += len;
  return false;
}

bool turn__bandwidth_from_peer(struct turn_allocation *a, size_t len, uint64_t now_ms)
{
  if (takes(a, 1, len, now_ms))
    return true;
  a->turn->counters.dropped_over_limit++;
  a->turn->counters.over_limit_from_peer_bytes += len;
  return false;
}

/* The same bucket, for what cannot be dropped: it may be overdrawn, and then has to rest. */
uint64_t turn_pace(uint64_t *paid_ns, uint64_t bps, size_t len, uint64_t now_ms)
{
  const uint64_t now_ns = now_ms * NS_PER_MS;
  const uint64_t start_ns = *paid_ns > now_ns ? *paid_ns : now_ns;
  *paid_ns = start_ns + (uint64_t)len * BURST_NS / bps;
  const uint64_t ahead_ns = *paid_ns - now_ns;
  return ahead_ns > BURST_NS ? (ahead_ns - BURST_NS + NS_PER_MS - 1) / NS_PER_MS : 0;
}

uint64_t turn_peer_limit(const struct turn *t, uint32_t id)
{
  const struct turn_connection *c = turn__connection_find(t, id);
  return c ? c->owner->share.bps : 0;
}
