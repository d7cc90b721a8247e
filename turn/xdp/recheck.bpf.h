// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A UDP checksum carried from one set of headers to another by what changed (RFC 1624), so that
 * what was damaged before stays so for its receiver to see; or made, where there is none yet. */
#ifndef VIADUCT_TURN_XDP_RECHECK_BPF_H
#define VIADUCT_TURN_XDP_RECHECK_BPF_H

#include "turn/xdp/packet.bpf.h"

/* A UDP checksum on its way from one set of headers to another. */
struct recheck {
  __u64 sum;    /* what the old one stood for, and what it gains and loses */
  _Bool none;   /* IPv4: the sender made none */
  _Bool unmade; /* the field holds the pseudo header's sum: the sender's kernel left the rest to a
                   device that there is none of (CHECKSUM_PARTIAL on veth) */
};

/* False: not to be judged here. RFC 768: "An all zero transmitted checksum value means that the
 * transmitter generated no checksum"; RFC 8200 8.1: "IPv6 receivers must discard UDP packets
 * containing a zero checksum". */
INLINE _Bool recheck_begin(struct recheck *r, int family, const struct packet *p)
{
  const __u16 check = p->udp->check;
  r->none = check == 0;
  r->unmade = !r->none && check == fold(p->pseudo);
  r->sum = (__u16)~check;
  return !(r->none && family == XDP_V6) && !(r->unmade && xdp_settings.partial_goes_up);
}

/* The length stands in the UDP header and in the pseudo header. */
INLINE void recheck_len(struct recheck *r, __u32 before, __u32 after)
{
  r->sum += 2 * (__u32)(bpf_htons(after) + (__u16)~bpf_htons(before));
}

/* "the checksum is ... if the computed checksum is zero, it is transmitted as all ones" (RFC 768).
 */
INLINE __u16 recheck_end(const struct recheck *r)
{
  const __u16 check = ~fold(r->sum);
  return r->none ? 0 : check ? check : 0xFFFF;
}

INLINE __u64 sum_endpoints(const struct xdp_endpoint *a, const struct xdp_endpoint *b)
{
  return sum_of(a->ip, 16) + sum_of(b->ip, 16) + a->port_be + b->port_be;
}

/* From nothing: headers that will be, and the payload where it lies. False: too long. */
INLINE _Bool recheck_make(struct recheck *r, struct xdp_md *ctx, const struct leave *l,
                          __u32 offset, __u32 len)
{
  const __s64 payload = sum_payload(ctx, offset, len);
  r->sum = sum_endpoints(&l->from, &l->to) + bpf_htons(IPPROTO_UDP) +
           2 * (__u32)bpf_htons(l->udp_len) + payload;
  return payload >= 0;
}

#endif
