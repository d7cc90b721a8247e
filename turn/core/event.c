/* What becomes of allocations, for whoever follows them: coturn's redis-statsdb. */
#include "turn/core/internal.h"

void turn__tell(struct turn_allocation *a, enum turn_event_kind kind, uint32_t lifetime_s)
{
  const struct turn_effects *effects = a->turn->effects;
  if (!effects->event)
    return;
  const struct turn_payload *told = &a->told;
  const struct turn_payload total = {a->from_client_packets, a->from_client_bytes,
                                     a->from_peer_packets, a->from_peer_bytes};
  const struct turn_event e = {
      .kind = kind,
      .session = a->session,
      .realm = turn__realm(a)->name,
      .username = {a->username, a->username_len},
      .lifetime_s = lifetime_s,
      .traffic = {total.from_client_packets - told->from_client_packets,
                  total.from_client_bytes - told->from_client_bytes,
                  total.from_peer_packets - told->from_peer_packets,
                  total.from_peer_bytes - told->from_peer_bytes},
      .total = total,
  };
  effects->event(effects->arg, &e);
  if (kind == TURN_EVENT_TRAFFIC)
    a->told = total;
}
