// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What turn/core/channel.c and relay.c do with bound channels, on a frame: a client's ChannelData
 * becomes its peer's datagram and back, or from one allocation here to another.
 *
 * Nothing is charged, counted or written before it is certain that the datagram leaves from here:
 * what goes up must be as it came. */
#ifndef VIADUCT_TURN_XDP_CHANNEL_BPF_H
#define VIADUCT_TURN_XDP_CHANNEL_BPF_H

#include "turn/xdp/recheck.bpf.h"
#include "turn/xdp/way.bpf.h"

enum {
  CHANNEL_HEADER = 4,
  PADDING_MOST = 3,
  LEN_MOST =
      0x3FFF, /* of a payload: beyond what any MTU carries, within what the verifier follows */
  BURST_NS = 1000000000,
  LIMIT_TRIES = 8
};

enum direction { FROM_CLIENT, FROM_PEER };

struct channel_header {
  __be16 number_be, len_be;
};

/* turn/core/bandwidth.c: XDP_TX: it may go, and is paid for. */
INLINE int charge(struct xdp_allocation *a, __u32 from, __u32 len, __u64 now_ns)
{
  const __u64 bps = a->bps;
  if (!bps)
    return XDP_TX;
  for (int i = 0; i < LIMIT_TRIES; i++) {
    const __u64 paid_ns = *(volatile __u64 *)&a->paid_ns[from];
    const __u64 start_ns = paid_ns > now_ns ? paid_ns : now_ns;
    const __u64 end_ns = start_ns + (__u64)len * BURST_NS / bps;
    if (end_ns - now_ns > BURST_NS) {
      count(XDP_STAT_over_limit);
      __sync_fetch_and_add(&a->over_packets[from], 1);
      __sync_fetch_and_add(&a->over_bytes[from], len);
      return XDP_DROP;
    }
    if (__sync_val_compare_and_swap(&a->paid_ns[from], paid_ns, end_ns) == paid_ns)
      return XDP_TX;
  }
  return up_for(XDP_STAT_up_busy);
}

APART int charge_row(__u32 row, __u32 from, __u32 len, __u64 now_ns)
{
  struct xdp_allocation *a = bpf_map_lookup_elem(&xdp_allocation, &row);
  return a && from <= FROM_PEER ? charge(a, from, len, now_ns) : XDP_PASS;
}

INLINE int may_pass(const struct xdp_channel *c, enum direction from, __u32 len, __u64 now_ns)
{
  const __u32 row = *(volatile __u32 *)&c->allocation;
  return row == XDP_UNLIMITED ? XDP_TX : charge_row(row, from, len, now_ns);
}

/* The client's ChannelData, checked. */
struct sent {
  struct xdp_channel *channel;
  __u32 len, padding; /* of the payload, and what stands behind it */
  __u64 now_ns;
};

/* Takes header and padding out of the sum. */
INLINE _Bool recheck_unwrap(struct recheck *r, const struct packet *p, const struct sent *s)
{
  const struct channel_header *h = (const void *)p->payload;
  if ((void *)(h + 1) > p->frame_end)
    return 0;
  r->sum += (__u16)~h->number_be + (__u16)~h->len_be;
  __u32 len = s->len;
  asm volatile("" : "+r"(len)); /* the bound below is for the verifier: keep it */
  const __u8 *at = p->payload + CHANNEL_HEADER + (len & LEN_MOST);
#pragma unroll
  for (__u32 i = 0; i < PADDING_MOST; i++) {
    if (i >= s->padding)
      break;
    if ((void *)(at + i + 1) > p->frame_end)
      return 0;
    r->sum += (__u16)~word_of(at[i], (s->len + i) & 1);
  }
  return 1;
}

/* To a peer out there: four bytes shorter. */
INLINE int to_peer(struct xdp_md *ctx, int family, const struct packet *p, const struct sent *s)
{
  struct xdp_channel *c = s->channel;
  struct leave l = {.from = c->relay, .to = c->peer, .flow_label_be = c->flow_label_be};
  struct recheck r;
  leave_begin(&l, family, p, sizeof(struct udphdr) + s->len);
  if (!recheck_begin(&r, family, p))
    return up_for(XDP_STAT_up_checksum);
  r.sum += c->sum_delta;
  recheck_len(&r, p->udp_len, l.udp_len);
  if (!recheck_unwrap(&r, p, s) ||
      (r.unmade && !recheck_make(&r, ctx, &l, headers_len(family) + CHANNEL_HEADER, s->len)))
    return up_for(XDP_STAT_up_checksum);
  l.check = recheck_end(&r);
  const int way = find_way(ctx, &l);
  if (way == XDP_PASS)
    return XDP_PASS;
  const int may = may_pass(c, FROM_CLIENT, s->len, s->now_ns);
  if (may != XDP_TX)
    return may;
  if (!cut(ctx, p->behind + s->padding))
    return up_for(XDP_STAT_up_room);
  if (bpf_xdp_adjust_head(ctx, CHANNEL_HEADER) || write_headers(ctx, &l))
    return XDP_DROP; /* not to be reached: the frame had all this before */
  add(&c->from_client, s->len);
  return take_way(way, &l);
}

/* The channel back, where both ends of a call came to this server: "as if it had gone out of the
 * one socket and in at the other", relay.c. */
INLINE struct xdp_channel *channel_back(const struct xdp_channel *c, __u64 now_ns)
{
  struct xdp_down_key key = {.family = c->family};
  __builtin_memcpy(key.relay, c->peer.ip, 16);
  __builtin_memcpy(key.peer, c->told.ip, 16);
  key.relay_port_be = c->peer.port_be;
  key.peer_port_be = c->told.port_be;
  const __u32 *slot = bpf_map_lookup_elem(&xdp_down, &key);
  return slot ? channel_at(*slot, now_ns) : 0;
}

/* From one client to another one: as long as before, but for padding. */
INLINE int to_client_inside(struct xdp_md *ctx, int family, const struct packet *p,
                            const struct sent *s)
{
  struct xdp_channel *c = s->channel;
  struct xdp_channel *back = channel_back(c, s->now_ns);
  if (!back)
    return up_for(XDP_STAT_up_inside);
  const struct channel_header header = {back->number_be, bpf_htons(s->len)};
  struct leave l = {.from = back->server, .to = back->client, .flow_label_be = back->flow_label_be};
  struct recheck r;
  leave_begin(&l, family, p, sizeof(struct udphdr) + CHANNEL_HEADER + s->len);
  if (!recheck_begin(&r, family, p))
    return up_for(XDP_STAT_up_checksum);
  r.sum += sum_endpoints(&l.from, &l.to) + (__u16)~fold(sum_endpoints(&c->client, &c->server));
  recheck_len(&r, p->udp_len, l.udp_len);
  if (!recheck_unwrap(&r, p, s) ||
      (r.unmade && !recheck_make(&r, ctx, &l, headers_len(family) + CHANNEL_HEADER, s->len)))
    return up_for(XDP_STAT_up_checksum);
  r.sum += header.number_be + header.len_be;
  l.check = recheck_end(&r);
  const int way = find_way(ctx, &l);
  if (way == XDP_PASS)
    return XDP_PASS;
  const int may = may_pass(c, FROM_CLIENT, s->len, s->now_ns);
  if (may != XDP_TX)
    return may;
  add(&c->from_client, s->len);
  const int may_too = may_pass(back, FROM_PEER, s->len, s->now_ns);
  if (may_too != XDP_TX)
    return XDP_DROP;
  struct channel_header *at;
  if (!cut(ctx, p->behind + s->padding) || write_headers(ctx, &l) ||
      !(at = behind_headers(ctx, family, sizeof(*at))))
    return XDP_DROP; /* not to be reached: the frame had all this before */
  *at = header;
  add(&back->from_peer, s->len);
  count(XDP_STAT_inside);
  return take_way(way, &l);
}

/* A datagram that begins like ChannelData and came to a channel that is known. */
INLINE int from_client(struct xdp_md *ctx, int family, const struct packet *p, __u32 slot)
{
  struct sent s = {.now_ns = bpf_ktime_get_ns()};
  const struct channel_header *h = (const void *)p->payload;
  s.channel = channel_at(slot, s.now_ns);
  if (!s.channel)
    return up_for(XDP_STAT_up_expired);
  if ((void *)(h + 1) > p->frame_end)
    return XDP_PASS;
  /* "if the UDP datagram is too short to contain the claimed length of the ChannelData message, ...
   * then the message is silently discarded" (RFC 8656 12.6): user space does that. So much behind
   * it that it is no padding goes there too: it may be datagrams that some device put together. */
  s.len = bpf_ntohs(h->len_be);
  const __u32 room = p->udp_len - sizeof(struct udphdr) - CHANNEL_HEADER;
  if (room < s.len || room - s.len > PADDING_MOST || s.len > LEN_MOST)
    return up_for(XDP_STAT_up_length);
  s.padding = room - s.len;
  return s.channel->flags & XDP_CHANNEL_INSIDE ? to_client_inside(ctx, family, p, &s)
                                               : to_peer(ctx, family, p, &s);
}

/* A peer's datagram to a relayed address that has a channel for it: four bytes longer. */
INLINE int from_peer(struct xdp_md *ctx, int family, const struct packet *p, __u32 slot)
{
  const __u64 now_ns = bpf_ktime_get_ns();
  struct xdp_channel *c = channel_at(slot, now_ns);
  if (!c)
    return up_for(XDP_STAT_up_expired);
  /* From the network, and with an address of this server's own: forged. The kernel drops it. */
  if (c->flags & XDP_CHANNEL_INSIDE)
    return XDP_PASS;
  const __u32 len = p->udp_len - sizeof(struct udphdr);
  const struct channel_header header = {c->number_be, bpf_htons(len)};
  struct leave l = {.from = c->server, .to = c->client, .flow_label_be = c->flow_label_be};
  struct recheck r;
  leave_begin(&l, family, p, p->udp_len + CHANNEL_HEADER);
  if (!recheck_begin(&r, family, p))
    return up_for(XDP_STAT_up_checksum);
  r.sum += (__u16)~c->sum_delta;
  recheck_len(&r, p->udp_len, l.udp_len);
  if (r.unmade && !recheck_make(&r, ctx, &l, headers_len(family), len))
    return up_for(XDP_STAT_up_checksum);
  r.sum += header.number_be + header.len_be;
  l.check = recheck_end(&r);
  const int way = find_way(ctx, &l);
  if (way == XDP_PASS)
    return XDP_PASS;
  const int may = may_pass(c, FROM_PEER, len, now_ns);
  if (may != XDP_TX)
    return may;
  if (bpf_xdp_adjust_head(ctx, -CHANNEL_HEADER))
    return up_for(XDP_STAT_up_room);
  struct channel_header *at;
  if (!cut(ctx, p->behind) || write_headers(ctx, &l) ||
      !(at = behind_headers(ctx, family, sizeof(*at))))
    return XDP_DROP; /* not to be reached: the frame had them before */
  *at = header;
  add(&c->from_peer, len);
  return take_way(way, &l);
}

#endif
