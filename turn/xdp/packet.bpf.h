// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From a frame to its addresses, and back: what is read here is Ethernet, an IPv4 header without
 * options or an IPv6 header without extensions, UDP that fills the packet. The kernel, which sees
 * what goes up, is the better judge of everything else. */
#ifndef VIADUCT_TURN_XDP_PACKET_BPF_H
#define VIADUCT_TURN_XDP_PACKET_BPF_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "turn/xdp/sum.bpf.h"

enum { MORE_OR_OFFSET = 0x3FFF }; /* of IPv4's fragment field: MF and the offset */

/* A datagram where it lies. Good until the frame's ends are moved. */
struct packet {
  struct ethhdr *eth;
  struct udphdr *udp;
  __u8 *payload;
  void *frame_end;
  __u32 udp_len,
      behind;   /* of the UDP header and its payload; bytes after them (Ethernet's padding) */
  __u64 pseudo; /* sum of the pseudo header (RFC 768, RFC 8200 8.1) */
};

/* Everything in here is for one family, which the compiler knows. */
INLINE __u32 ip_header_len(int family)
{
  return family == XDP_V4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

INLINE __u32 headers_len(int family)
{
  return sizeof(struct ethhdr) + ip_header_len(family) + sizeof(struct udphdr);
}

INLINE __u64 pseudo_sum(const void *ips, int family, __be16 udp_len_be)
{
  return sum_of(ips, family == XDP_V4 ? 8 : 32) + udp_len_be + bpf_htons(IPPROTO_UDP);
}

/* Sender and receiver into the key, of whichever map; the IP's payload length, or 0. */
INLINE __u32 read_v4(const struct iphdr *ip, struct packet *p, struct xdp_up_key *key)
{
  if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
      ip->frag_off & bpf_htons(MORE_OR_OFFSET))
    return 0;
  /* The header that goes out is a new one: what was damaged on its way in would be hidden by it. */
  if (fold(sum_of(ip, sizeof(*ip))) != 0xFFFF)
    return 0;
  __builtin_memcpy(key->client, &ip->saddr, 4);
  __builtin_memcpy(key->server, &ip->daddr, 4);
  p->pseudo = pseudo_sum(&ip->saddr, XDP_V4, p->udp->len);
  const __u32 len = bpf_ntohs(ip->tot_len);
  return len > sizeof(*ip) ? len - sizeof(*ip) : 0;
}

INLINE __u32 read_v6(const struct ipv6hdr *ip, struct packet *p, struct xdp_up_key *key)
{
  if (ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
    return 0;
  __builtin_memcpy(key->client, &ip->saddr, 16);
  __builtin_memcpy(key->server, &ip->daddr, 16);
  p->pseudo = pseudo_sum(&ip->saddr, XDP_V6, p->udp->len);
  return bpf_ntohs(ip->payload_len);
}

/* False: not ours to read. `key` has to be all zeros. */
INLINE _Bool read_packet(struct xdp_md *ctx, int family, struct packet *p, struct xdp_up_key *key)
{
  void *const data = (void *)(long)ctx->data;
  void *const end = (void *)(long)ctx->data_end;
  void *const ip = data + sizeof(struct ethhdr);
  if (data + headers_len(family) > end)
    return 0;
  p->eth = data;
  p->udp = ip + ip_header_len(family);
  p->payload = (void *)(p->udp + 1);
  p->frame_end = end;
  const __u32 ip_payload = family == XDP_V4 ? read_v4(ip, p, key) : read_v6(ip, p, key);
  p->udp_len = bpf_ntohs(p->udp->len);
  /* A frame for a group, or one cut short; and UDP that does not fill its packet is for who knows
   * what the rest may be (draft-ietf-tsvwg-udp-options). */
  const __u32 there = end - (void *)p->udp;
  if (p->eth->h_dest[0] & 1 || p->udp_len < sizeof(struct udphdr) || ip_payload != p->udp_len ||
      there < p->udp_len)
    return 0;
  p->behind = there - p->udp_len;
  key->client_port_be = p->udp->source;
  key->server_port_be = p->udp->dest;
  key->family = family;
  return 1;
}

INLINE void copy_mac(void *to, const void *from)
{
  __u16 *p = to;
  const __u16 *q = from;
  p[0] = q[0];
  p[1] = q[1];
  p[2] = q[2];
}

/* Bytes after the datagram that stays: padding of ChannelData and of Ethernet. False: it cannot. */
INLINE _Bool cut(struct xdp_md *ctx, __u32 behind)
{
  return behind == 0 || bpf_xdp_adjust_tail(ctx, -(int)behind) == 0;
}

/* Where a datagram goes: everything of the headers that it gets. */
struct leave {
  struct xdp_endpoint from, to;
  __be32 flow_label_be;
  __u32 udp_len, family, ifindex;
  __u8 source_mac[ETH_ALEN] XDP_WORDS, next_mac[ETH_ALEN] XDP_WORDS;
  __u8 station[ETH_ALEN] XDP_WORDS; /* whom the frame came for */
  __u16 check;
};

INLINE void leave_begin(struct leave *l, int family, const struct packet *p, __u32 udp_len)
{
  l->family = family;
  l->udp_len = udp_len;
  copy_mac(l->station, p->eth->h_dest);
}

/* RFC 8656 16.1 and 16.2 have a preferred and an alternate behaviour for each field; this is what
 * user space's sockets do too: the system's time to live, no DSCP, no ECN, and DF clear. */
INLINE void write_v4(struct iphdr *ip, const struct leave *l)
{
  *ip = (struct iphdr){.version = 4,
                       .ihl = 5,
                       .tot_len = bpf_htons(sizeof(*ip) + l->udp_len),
                       /* "The originating protocol module ... sets the identification field to a
                        * value that must be unique for that source-destination pair" (RFC 791): a
                        * random one, since nobody here knows what the sockets chose. */
                       .id = bpf_get_prandom_u32(),
                       .ttl = xdp_settings.ttl,
                       .protocol = IPPROTO_UDP};
  __builtin_memcpy(&ip->saddr, l->from.ip, 4);
  __builtin_memcpy(&ip->daddr, l->to.ip, 4);
  ip->check = ~fold(sum_of(ip, sizeof(*ip)));
}

INLINE void write_v6(struct ipv6hdr *ip, const struct leave *l)
{
  const __be32 first_be = bpf_htonl(0x60000000) | (l->flow_label_be & bpf_htonl(0xFFFFF));
  *(word *)ip = first_be;
  ip->payload_len = bpf_htons(l->udp_len);
  ip->nexthdr = IPPROTO_UDP;
  ip->hop_limit = xdp_settings.hop_limit;
  __builtin_memcpy(&ip->saddr, l->from.ip, 16);
  __builtin_memcpy(&ip->daddr, l->to.ip, 16);
}

INLINE int write_all(struct xdp_md *ctx, int family, const struct leave *l)
{
  void *const data = (void *)(long)ctx->data;
  if (data + headers_len(family) > (void *)(long)ctx->data_end)
    return -1;
  struct ethhdr *const eth = data;
  void *const ip = eth + 1;
  struct udphdr *const udp = ip + ip_header_len(family);
  copy_mac(eth->h_dest, l->next_mac);
  copy_mac(eth->h_source, l->source_mac);
  eth->h_proto = bpf_htons(family == XDP_V4 ? ETH_P_IP : ETH_P_IPV6);
  if (family == XDP_V4)
    write_v4(ip, l);
  else
    write_v6(ip, l);
  *udp = (struct udphdr){.source = l->from.port_be,
                         .dest = l->to.port_be,
                         .len = bpf_htons(l->udp_len),
                         .check = l->check};
  return 0;
}

/* Ethernet, IP and UDP header at the frame's begin; -1: it is too short for them. */
APART int write_headers(struct xdp_md *ctx, const struct leave *l)
{
  if (!l)
    return -1;
  return l->family == XDP_V4 ? write_all(ctx, XDP_V4, l) : write_all(ctx, XDP_V6, l);
}

/* What stands behind them, `len` bytes of it; NULL: it does not. */
INLINE void *behind_headers(struct xdp_md *ctx, int family, __u32 len)
{
  void *const at = (void *)(long)ctx->data + headers_len(family);
  return at + len <= (void *)(long)ctx->data_end ? at : 0;
}

#endif
