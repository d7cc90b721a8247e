// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The way out: route and next hop are the kernel's own, asked for each packet, so that nothing here
 * grows stale. */
#ifndef VIADUCT_TURN_XDP_WAY_BPF_H
#define VIADUCT_TURN_XDP_WAY_BPF_H

#include "turn/xdp/packet.bpf.h"

enum { FAMILY_INET = 2, FAMILY_INET6 = 10 }; /* AF_INET, AF_INET6: sys/socket.h is not for here */

INLINE int count_no_way(long why)
{
  switch (why) {
  case BPF_FIB_LKUP_RET_FWD_DISABLED:
    return up_for(XDP_STAT_up_forwarding);
  case BPF_FIB_LKUP_RET_NO_NEIGH:
    return up_for(XDP_STAT_up_neighbour);
  case BPF_FIB_LKUP_RET_FRAG_NEEDED:
    return up_for(XDP_STAT_up_mtu);
  default: /* among them: an address of this machine's own */
    return up_for(XDP_STAT_up_route);
  }
}

INLINE long ask_kernel(struct xdp_md *ctx, const struct leave *l, struct bpf_fib_lookup *fib)
{
  fib->l4_protocol = IPPROTO_UDP;
  fib->sport = l->from.port_be;
  fib->dport = l->to.port_be;
  fib->tot_len = ip_header_len(l->family) + l->udp_len;
  const __u32 from = l->family == XDP_V4 ? xdp_settings.route_ifindex : xdp_settings.route6_ifindex;
  fib->ifindex = from ? from : ctx->ingress_ifindex;
  if (l->family == XDP_V4) {
    fib->family = FAMILY_INET;
    __builtin_memcpy(&fib->ipv4_src, l->from.ip, 4);
    __builtin_memcpy(&fib->ipv4_dst, l->to.ip, 4);
  } else {
    fib->family = FAMILY_INET6;
    __builtin_memcpy(fib->ipv6_src, l->from.ip, 16);
    __builtin_memcpy(fib->ipv6_dst, l->to.ip, 16);
  }
  return bpf_fib_lookup(ctx, fib, sizeof(*fib), 0);
}

INLINE _Bool is_same_mac(const void *a, const void *b)
{
  const __u16 *p = a, *q = b;
  return p[0] == q[0] && p[1] == q[1] && p[2] == q[2];
}

INLINE _Bool is_for_station(__u32 ifindex, const struct leave *l)
{
  const struct xdp_station *s = bpf_map_lookup_elem(&xdp_station, &ifindex);
  return !s || is_same_mac(l->station, s->mac);
}

/* XDP_TX or XDP_REDIRECT, with interface and link addresses in `l`; or XDP_PASS, counted unless the
 * frame is for another station. Nothing of the frame has been touched yet. */
APART int find_way(struct xdp_md *ctx, struct leave *l)
{
  struct bpf_fib_lookup fib = {0};
  if (!l)
    return XDP_PASS;
  const long r = ask_kernel(ctx, l, &fib);
  if (r != BPF_FIB_LKUP_RET_SUCCESS)
    return count_no_way(r);
  /* An entry that is still being asked for may pass for one that is known. */
  const __u16 nobody[3] = {0};
  if (is_same_mac(fib.dmac, nobody))
    return up_for(XDP_STAT_up_neighbour);
  copy_mac(l->source_mac, fib.smac);
  copy_mac(l->next_mac, fib.dmac);
  const __u32 out = fib.ifindex, in = ctx->ingress_ifindex;
  l->ifindex = out;
  /* A frame for another station is seen by an interface that listens to all of them. */
  if (out == in)
    return is_same_mac(l->station, fib.smac) ? XDP_TX : XDP_PASS;
  if (!bpf_map_lookup_elem(&xdp_port, &out))
    return up_for(XDP_STAT_up_port);
  return is_for_station(in, l) ? XDP_REDIRECT : XDP_PASS;
}

/* After the frame has been written. */
INLINE int take_way(int way, const struct leave *l)
{
  return way == XDP_REDIRECT ? (int)bpf_redirect_map(&xdp_port, l->ifindex, 0) : XDP_TX;
}

#endif
