// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
/* What turnd and its kernel program share: the keys and rows of the BPF maps. Plain C for both
 * sides; relay.bpf.c reads it, the loader fills it.
 *
 * An address is 16 bytes in network order, of IPv4 the first 4 and then zeros; ports and channel
 * numbers are in network order (_be). Every byte of a key counts: build it with xdp_up_key_put and
 * xdp_down_key_put or from zeros.
 *
 *   xdp_up         hash   struct xdp_up_key      -> slot (__u32)   a client's ChannelData
 *   xdp_down       hash   struct xdp_down_key    -> slot (__u32)   a peer's datagram
 *   xdp_channel    array  slot                   -> struct xdp_channel      mmap()ed by user space
 *   xdp_allocation array  struct xdp_channel.allocation -> struct xdp_allocation  mmap()ed too
 *   xdp_binding    hash   struct xdp_binding_key -> struct xdp_binding
 *   xdp_port       devmap ifindex                -> ifindex: interfaces with this program on them
 *   xdp_station    hash   ifindex                -> struct xdp_station, its link address
 *   xdp_stat       per-CPU array, enum xdp_stat  -> __u64
 *
 * Order of changes, which is all the locking there is. A channel begins: write its row with
 * until_ns 0, xdp_channel_seal, store until_ns last (release), then put the keys. It ends: delete
 * the keys, until_ns = 0. Its slot rests for a second before it is another channel's: a program
 * that found it a moment ago still reads it. While it lives, only until_ns and `allocation` change,
 * each by one store; a client that moved gets another slot. Rows of xdp_allocation likewise.
 */
#ifndef VIADUCT_TURN_XDP_MAP_H
#define VIADUCT_TURN_XDP_MAP_H

#include <linux/types.h>

enum { XDP_V4 = 4, XDP_V6 = 6 }; /* as enum addr_family */

/* The loader sets the real sizes (bpf_map__set_max_entries) before it loads the object. */
enum { XDP_SLOTS_DEFAULT = 16384, XDP_BINDINGS_MAX = 64, XDP_PORTS_MAX = 64 };

/* Read in words of four bytes. */
#define XDP_WORDS __attribute__((aligned(4)))

/* Both keys lie alike, the sender first: the program makes one out of the other in place. */
struct xdp_up_key {
  __u8 client[16] XDP_WORDS, server[16];
  __be16 client_port_be, server_port_be, number_be;
  __u8 family;
  __u8 zero;
};

struct xdp_down_key {
  __u8 peer[16] XDP_WORDS, relay[16];
  __be16 peer_port_be, relay_port_be;
  __u8 zero[2];
  __u8 family;
  __u8 zero_too;
};

struct xdp_endpoint {
  __u8 ip[16] XDP_WORDS;
  __be16 port_be;
  __u8 zero[2];
};

/* Written by the program with atomic additions; user space reads each number with one load, and
 * works with the difference to what it read last. They go on from whatever they were when a slot
 * is used again, so they need no reset. A cache line of its own for each direction: the client's
 * packets and the peer's may be on different CPUs. */
struct xdp_count {
  __u64 packets, bytes; /* bytes of payload, without ChannelData's header */
  __u64 _line[6];
};

enum {
  /* The peer's IP address is a relayed one of this server, as clients are told: what goes there is
   * handed over inside, by the peer's own channel back, or goes up to user space. It never leaves.
   */
  XDP_CHANNEL_INSIDE = 1
};

#define XDP_UNLIMITED 0xFFFFFFFFU /* xdp_channel.allocation: no row, no limit */

/* Of one family throughout: where the client's differs from the peer's, user space carries it. No
 * link-local IPv6 addresses either. */
struct xdp_channel {
  /* CLOCK_MONOTONIC; the least of allocation, permission and channel, each the core's milliseconds
   * times 1000000. From then on user space decides. 0: no channel. */
  __u64 until_ns;
  __u32 allocation;     /* row of xdp_allocation, or XDP_UNLIMITED */
  __be32 flow_label_be; /* IPv6: 20 random bits (RFC 8656 16.2, RFC 6437); 0 is allowed */
  __be16 number_be;
  __u16 sum_delta; /* xdp_channel_seal */
  __u8 family;
  __u8 flags; /* XDP_CHANNEL_* */
  __u8 zero[2];
  struct xdp_endpoint client, server, peer;
  struct xdp_endpoint relay; /* what the relay socket is bound to */
  struct xdp_endpoint told;  /* what clients are told of it; mostly the same. Where it differs, a
                                second key of xdp_down has it in `relay`'s place, for INSIDE */
  __u8 _line[128 - 24 - 5 * 20];
  struct xdp_count from_client, from_peer;
};

/* What turn/core/bandwidth.c does, in nanoseconds. It is the one bucket of the allocation while it
 * has a row: user space pays into it too (turnd_xdp_limit_takes). */
struct xdp_allocation {
  __u64 bps;             /* bytes of payload per second, each way; 0: no limit */
  __u64 paid_ns[2];      /* from the client, from peers; compare and exchange */
  __u64 over_packets[2]; /* dropped for it; atomic additions, read like xdp_count */
  __u64 over_bytes[2];
  __u64 _line;
};

struct xdp_binding_key {
  __u8 server[16] XDP_WORDS;
  __be16 server_port_be;
  __u8 family;
  __u8 zero;
};

/* An interface that listens to everything (promiscuous) sees frames for other stations, which are
 * left alone. Without a row those frames alone are known that would leave where they came in. */
struct xdp_station {
  __u8 mac[6] XDP_WORDS;
  __u8 zero[2];
};

enum { XDP_BINDING_TAIL_MAX = 64 };

/* The program's `xdp_settings`, read-only data that the loader writes before it loads the object.
 */
struct xdp_settings {
  /* The kernel looks up routes for a program only "from" an interface where forwarding is on
   * (conf.IFACE.forwarding). 0: the one that the packet came in at. 1, lo: as for packets of this
   * machine's own; conf.lo.forwarding = 1 makes no router of it, since nothing foreign comes in at
   * lo. For IPv4, and for IPv6. */
  __u32 route_ifindex, route6_ifindex;
  __u8 ttl, hop_limit; /* what this machine's own packets start with */
  /* A packet whose UDP checksum is still to be made goes up: in generic mode it may be several
   * that the sender's kernel has not cut yet (UDP_SEGMENT). Native mode never sees those. */
  __u8 partial_goes_up;
  __u8 zero;
};

/* The answer to a Binding request of 20 bytes at that address: header, XOR-MAPPED-ADDRESS, then
 * this tail, whole attributes as user space's own reply builder wrote them for such a request. A
 * tail that depends on the request (FINGERPRINT) cannot be here: then there is no row. */
struct xdp_binding {
  __u16 tail_len; /* a multiple of 4 */
  __u8 zero[6];
  __u8 tail[XDP_BINDING_TAIL_MAX] XDP_WORDS;
};

/* Name and help. What the program did, then why what belongs to a known channel or listener went up
 * to user space. Packets that are none of its business are not counted. */
#define XDP_STATS(X)                                                                               \
  X(binding, "Binding requests answered")                                                          \
  X(inside, "datagrams handed over between two allocations here")                                  \
  X(over_limit, "datagrams dropped for max-bps")                                                   \
  X(up_expired, "to user space: channel, permission or allocation is over")                        \
  X(up_length, "to user space: lengths that do not fit, or much padding")                          \
  X(up_checksum, "to user space: IPv6 without a UDP checksum, or one yet to be made")              \
  X(up_inside, "to user space: to a relayed address here without a channel back")                  \
  X(up_forwarding, "to user space: the kernel looks up no routes, forwarding is off there")        \
  X(up_route, "to user space: no route out, or a local one")                                       \
  X(up_neighbour, "to user space: the next hop's link address is not known yet")                   \
  X(up_mtu, "to user space: longer than the way out carries")                                      \
  X(up_port, "to user space: the way out is an interface without this program")                    \
  X(up_room, "to user space: no room before or behind the packet")                                 \
  X(up_busy, "to user space: too many CPUs at one limit")

#define XDP_STAT_ENUM(name, help) XDP_STAT_##name,
enum xdp_stat { XDP_STATS(XDP_STAT_ENUM) XDP_STAT_COUNT };
#undef XDP_STAT_ENUM

_Static_assert(sizeof(struct xdp_up_key) == 40, "no padding");
_Static_assert(sizeof(struct xdp_down_key) == 40, "no padding");
_Static_assert(__builtin_offsetof(struct xdp_up_key, family) ==
                   __builtin_offsetof(struct xdp_down_key, family),
               "they lie alike");
_Static_assert(sizeof(struct xdp_channel) == 256, "whole cache lines");
_Static_assert(sizeof(struct xdp_allocation) == 64, "a cache line");
_Static_assert(sizeof(struct xdp_binding_key) == 20, "no padding");
_Static_assert(sizeof(struct xdp_binding) == 72, "no padding");
_Static_assert(sizeof(struct xdp_settings) == 12, "no padding");
_Static_assert(sizeof(struct xdp_station) == 8, "no padding");

static inline void xdp_up_key_put(struct xdp_up_key *k, const struct xdp_channel *c)
{
  *k = (struct xdp_up_key){.client_port_be = c->client.port_be,
                           .server_port_be = c->server.port_be,
                           .number_be = c->number_be,
                           .family = c->family};
  __builtin_memcpy(k->client, c->client.ip, 16);
  __builtin_memcpy(k->server, c->server.ip, 16);
}

/* `relay`: &c->relay, and for the second key of an INSIDE peer &c->told. */
static inline void xdp_down_key_put(struct xdp_down_key *k, const struct xdp_channel *c,
                                    const struct xdp_endpoint *relay)
{
  *k = (struct xdp_down_key){
      .relay_port_be = relay->port_be, .peer_port_be = c->peer.port_be, .family = c->family};
  __builtin_memcpy(k->relay, relay->ip, 16);
  __builtin_memcpy(k->peer, c->peer.ip, 16);
}

/* Internet checksum arithmetic (RFC 1071): the byte order does not matter, as long as it is one. */
static inline __u32 xdp_sum_endpoint(const struct xdp_endpoint *e)
{
  __u32 sum = e->port_be;
  for (int i = 0; i < 16; i += 2) {
    __u16 word;
    __builtin_memcpy(&word, e->ip + i, 2);
    sum += word;
  }
  return sum;
}

static inline __u16 xdp_sum_fold(__u64 sum)
{
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFF) + (sum >> 16);
  sum = (sum & 0xFFFF) + (sum >> 16);
  return (__u16)sum;
}

/* After the endpoints are written: what a checksum's sum gains where relay and peer stand in for
 * client and server. */
static inline void xdp_channel_seal(struct xdp_channel *c)
{
  const __u16 before = xdp_sum_fold(xdp_sum_endpoint(&c->client) + xdp_sum_endpoint(&c->server));
  const __u16 after = xdp_sum_fold(xdp_sum_endpoint(&c->relay) + xdp_sum_endpoint(&c->peer));
  c->sum_delta = xdp_sum_fold((__u64)after + (__u16)~before);
}

#endif
