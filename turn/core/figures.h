/* What the relay counts, and what it shows of a session: for operators alone. types.h includes it.
 */
#ifndef VIADUCT_TURN_CORE_FIGURES_H
#define VIADUCT_TURN_CORE_FIGURES_H

#include "base/addr.h"
#include "base/bytes.h"

struct turn_flow;

enum { TURN_REALM_MAX = 64 }; /* bytes: with a longer one, challenges would amplify (reply.c) */

enum { TURN_TRAFFIC_MAX = 96 };

/* What moved in the sessions of one listener, transport and realm. With more of them than
 * TURN_TRAFFIC_MAX the last row is that of all the others: `listener` is UINT16_MAX then. */
struct turn_traffic {
  uint16_t listener;
  uint8_t transport; /* enum turn_transport */
  uint8_t realm_len;
  uint8_t realm[TURN_REALM_MAX];
  uint64_t sessions; /* now */
  uint64_t sessions_created;
  uint64_t from_client_packets, from_client_bytes, from_peer_packets, from_peer_bytes;
};

/* A session as an operator sees it. Views and addresses live until the callback returns. */
struct turn_session {
  uint64_t id; /* of all workers, and never used again while they run */
  const struct turn_flow *flow;
  struct bytes username;
  const struct addr *relayed[2]; /* IPv4, IPv6; NULL: not open */
  uint64_t age_ms, left_ms;
  uint64_t from_client_packets, from_client_bytes, from_peer_packets, from_peer_bytes;
  size_t permissions, channels; /* rows, those that have run out a moment ago too */
};

/* Everything that moves, for metrics and logs. Plain numbers: one worker writes, the edge sums up.
 */
struct turn_counters {
  uint64_t allocations; /* now */
  uint64_t allocations_created, allocations_deleted, allocations_expired, allocations_refused;
  uint64_t from_client_packets, from_client_bytes; /* payload that went to a peer */
  uint64_t from_peer_packets, from_peer_bytes;     /* payload that went to a client */
  uint64_t dropped_no_permission, dropped_no_channel, dropped_no_allocation, dropped_malformed;
  uint64_t unauthorized, stale_nonce, peer_denied, bindings;
  uint64_t allocations_moved;  /* to another 5-tuple (RFC 8016) */
  uint64_t dropped_over_limit; /* datagrams over max_bps */
  uint64_t over_limit_from_client_bytes, over_limit_from_peer_bytes;
  uint64_t reserved_bps;                    /* now */
  uint64_t refused_quota, refused_capacity; /* 486 */
  uint64_t dropped_no_client;       /* from peers, while the client is between two connections */
  uint64_t relayed_inside;          /* datagrams from one allocation to another, without a socket */
  uint64_t unauthorized_unanswered; /* over unauthorized_per_s, or longer than may be */
  uint64_t redirected;              /* 300 */
  uint64_t not_served;              /* of a kind that stun_only or no_stun leaves out */
  /* About relayed datagrams: told to the client; over what it may get in a second. */
  uint64_t icmp_reported, icmp_dropped;
  uint64_t connections;                               /* with peers of TCP allocations, now */
  uint64_t connections_made, connections_failed;      /* Connect: answered with success, or 447 */
  uint64_t connections_accepted, connections_refused; /* by peers */
  uint64_t connections_joined, connections_unbound;   /* ConnectionBind came, or did not in time */
};

#endif
