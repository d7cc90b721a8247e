/* Channels that somebody faster than the core may carry: effects.fast hands them to the edge, which
 * lets the kernel do it (turn/xdp). */
#ifndef VIADUCT_TURN_CORE_FAST_H
#define VIADUCT_TURN_CORE_FAST_H

#include "turn/core/types.h"

/* Of one allocation: nobody takes the room of all others. Its other channels are the core's. */
enum { TURN_FAST_CHANNELS_MAX = 64 };

/* A channel that needs no core for each datagram: ChannelData of `number` from the client goes to
 * the peer as its payload, and what the peer sends to the relayed address comes back as
 * ChannelData. UDP clients alone.
 *
 * Told when that begins, whenever until_ms or where the client is changes, and when it ends, always
 * before the response to the request that changed it. While it ends, the edge says what was carried
 * last (turn_fast_carried). */
struct turn_fast {
  const struct turn_flow *flow;
  turn_relay relay;
  const struct addr *peer;
  const struct addr *relayed; /* what clients are told of the relay socket */
  /* The peer is a relayed address of this server: what goes there is another allocation's from a
   * peer, over that one's own channel back, and is the core's where there is none (inside.c). */
  bool inside;
  uint16_t number;
  uint64_t until_ms; /* from then on the core alone decides; 0: it is over now */
  uint64_t bps;      /* payload bytes a second of the whole allocation, each way; 0: no limit */
  /* The edge's notes of this channel and of its allocation, 0 at first. A channel that has none is
   * told again with its next refreshment, and not told that it is over. While an allocation with a
   * limit has one, effects.fast_takes says whether a datagram's `len` bytes still fit: `way` 0 from
   * the client, 1 from a peer. */
  uint32_t *slot, *group;
  /* What the allocation has paid, from the client and from peers (turn_fast_takes): taken over with
   * the first note of its group, put back here with the last. */
  uint64_t *paid_ns;
};

/* What was carried so, since it was asked last. */
struct turn_carried {
  uint64_t from_client_packets, from_client_bytes, from_peer_packets, from_peer_bytes;
  uint64_t inside_packets; /* of those from peers: from other allocations here */
  /* Over `bps`: dropped. */
  uint64_t limited_packets, limited_from_client_bytes, limited_from_peer_bytes;
};

#endif
