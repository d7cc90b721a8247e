/* What became of an allocation: effects.event hands it to whoever follows. */
#ifndef VIADUCT_TURN_CORE_EVENT_H
#define VIADUCT_TURN_CORE_EVENT_H

#include "base/bytes.h"

/* Payload, in packets and bytes. */
struct turn_payload {
  uint64_t from_client_packets, from_client_bytes, from_peer_packets, from_peer_bytes;
};

enum turn_event_kind {
  TURN_EVENT_NEW,
  TURN_EVENT_REFRESHED,
  TURN_EVENT_TRAFFIC,
  TURN_EVENT_DELETED
};

/* What became of an allocation, for whoever follows it. Views live until return. */
struct turn_event {
  enum turn_event_kind kind;
  uint64_t session; /* turn_session.id */
  struct bytes realm, username;
  uint32_t lifetime_s;         /* TURN_EVENT_NEW, TURN_EVENT_REFRESHED */
  struct turn_payload traffic; /* since the last TURN_EVENT_TRAFFIC; TURN_EVENT_DELETED: too */
  struct turn_payload total;
};

#endif
