// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Binding requests without attributes (RFC 8489 6.3.1), which is what keeps a NAT's door open: the
 * sender's address, masked, and whatever user space adds to all of them. */
#ifndef VIADUCT_TURN_XDP_BINDING_BPF_H
#define VIADUCT_TURN_XDP_BINDING_BPF_H

#include "turn/xdp/way.bpf.h"

enum {
  STUN_HEADER = 20,
  STUN_BINDING_REQUEST = 0x0001,
  STUN_BINDING_SUCCESS = 0x0101,
  STUN_XOR_MAPPED_ADDRESS = 0x0020,
  STUN_MAGIC = 0x2112A442
};

struct stun_header {
  __be16 type_be, len_be;
  __be32 cookie_be, txid[3];
};

/* Fixed part of the answer; of IPv4 the last 12 bytes are not there. */
struct stun_answer {
  struct stun_header header;
  __be16 attr_be, attr_len_be;
  __u8 zero, family;
  __be16 port_be;
  __be32 ip[4];
};

INLINE __u32 answer_len(int family)
{
  return STUN_HEADER + (family == XDP_V4 ? 12 : 24);
}

INLINE _Bool is_bare_binding(const struct packet *p)
{
  const struct stun_header *h = (const void *)p->payload;
  return p->udp_len == sizeof(struct udphdr) + STUN_HEADER && (void *)(h + 1) <= p->frame_end &&
         h->type_be == bpf_htons(STUN_BINDING_REQUEST) && h->len_be == 0 &&
         h->cookie_be == bpf_htonl(STUN_MAGIC);
}

/* Whom the kernel would take no packet of: this network, this host, groups. */
INLINE _Bool is_answerable(int family, const struct xdp_endpoint *to)
{
  if (to->port_be == 0)
    return 0;
  if (family == XDP_V6)
    return to->ip[0] != 0 && to->ip[0] != 0xFF;
  return to->ip[0] != 0 && to->ip[0] != 127 && to->ip[0] < 224;
}

INLINE void compose(struct stun_answer *a, int family, const struct stun_header *request,
                    const struct xdp_endpoint *to, __u32 tail_len)
{
  a->header = *request; /* "The transaction ID of the response is that of the request" */
  a->header.type_be = bpf_htons(STUN_BINDING_SUCCESS);
  a->header.len_be = bpf_htons(answer_len(family) - STUN_HEADER + tail_len);
  a->attr_be = bpf_htons(STUN_XOR_MAPPED_ADDRESS);
  a->attr_len_be = bpf_htons(family == XDP_V4 ? 8 : 20);
  a->zero = 0;
  a->family = family == XDP_V4 ? 1 : 2;
  /* RFC 8489 14.2: the port with the most significant 16 bits of the magic cookie, the address
   * with the cookie and, of IPv6, the transaction ID behind it. */
  a->port_be = to->port_be ^ bpf_htons(STUN_MAGIC >> 16);
  __builtin_memcpy(a->ip, to->ip, 16);
  a->ip[0] ^= request->cookie_be;
  if (family == XDP_V6) {
    a->ip[1] ^= request->txid[0];
    a->ip[2] ^= request->txid[1];
    a->ip[3] ^= request->txid[2];
  }
}

/* The tail behind the fixed part; the sum of both, or -1: no room, which the frame's length rules
 * out. */
INLINE __s64 write_answer(struct xdp_md *ctx, int family, void *at, const struct stun_answer *a,
                          const struct xdp_binding *b)
{
  void *const end = (void *)(long)ctx->data_end;
  const __u32 fixed = answer_len(family);
  if (at + fixed > end)
    return -1;
  __builtin_memcpy(at, a, fixed);
  __u64 sum = sum_of(a, fixed);
  __u32 *to = at + fixed;
  for (__u32 i = 0; i < XDP_BINDING_TAIL_MAX / 4; i++) {
    if (i * 4 >= b->tail_len)
      break;
    if ((void *)(to + i + 1) > end)
      return -1;
    __u32 word;
    __builtin_memcpy(&word, b->tail + i * 4, 4);
    to[i] = word;
    sum += word;
  }
  return sum;
}

/* The request's own checksum, which the kernel would have looked at. */
INLINE _Bool is_intact(int family, const struct packet *p)
{
  const __u16 check = p->udp->check;
  if (check == 0)
    return family == XDP_V4;
  if (check == fold(p->pseudo))
    return !xdp_settings.partial_goes_up;
  if ((void *)(p->payload + STUN_HEADER) > p->frame_end)
    return 0;
  return fold(p->pseudo + sum_of(p->udp, sizeof(struct udphdr) + STUN_HEADER)) == 0xFFFF;
}

INLINE int answer(struct xdp_md *ctx, int family, const struct packet *p,
                  const struct xdp_up_key *key, const struct xdp_binding *b)
{
  struct xdp_endpoint from = {.port_be = key->server_port_be},
                      to = {.port_be = key->client_port_be};
  __builtin_memcpy(from.ip, key->server, 16);
  __builtin_memcpy(to.ip, key->client, 16);
  const struct stun_header *request = (const void *)p->payload;
  const __u32 tail_len = b->tail_len & 0xFC;
  if (!is_answerable(family, &to) || !is_intact(family, p) || tail_len > XDP_BINDING_TAIL_MAX ||
      (void *)(request + 1) > p->frame_end)
    return XDP_PASS;
  struct stun_answer a;
  compose(&a, family, request, &to, tail_len);
  struct leave l = {.from = from, .to = to};
  leave_begin(&l, family, p, sizeof(struct udphdr) + answer_len(family) + tail_len);
  const int way = find_way(ctx, &l);
  if (way == XDP_PASS)
    return XDP_PASS;
  if (bpf_xdp_adjust_head(ctx, -(int)(l.udp_len - sizeof(struct udphdr) - STUN_HEADER)))
    return up_for(XDP_STAT_up_room);
  void *at = !cut(ctx, p->behind) || write_headers(ctx, &l) ? 0 : behind_headers(ctx, family, 0);
  const __s64 sum = at ? write_answer(ctx, family, at, &a, b) : -1;
  if (sum < 0)
    return XDP_DROP; /* not to be reached */
  struct udphdr *udp = at - sizeof(*udp);
  const __u16 check = ~fold(sum + sum_of(from.ip, 16) + sum_of(to.ip, 16) + from.port_be +
                            to.port_be + bpf_htons(IPPROTO_UDP) + 2 * (__u32)bpf_htons(l.udp_len));
  udp->check = check ? check : 0xFFFF;
  count(XDP_STAT_binding);
  return take_way(way, &l);
}

#endif
