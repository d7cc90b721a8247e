// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The relay's fast path in the kernel (XDP): bound channels both ways and bare Binding requests,
 * before a socket sees them. It does what turn/core does with the same datagrams, byte for byte, or
 * leaves them to it: "any doubt" is XDP_PASS. tests/xdp runs the same vectors through both.
 *
 * The program asks the kernel for routes (bpf_fib_lookup), which the kernel lends only to programs
 * under a licence that goes with the GPL: hence the dual one of this file and of the *.bpf.h. */
#include "turn/xdp/binding.bpf.h"
#include "turn/xdp/channel.bpf.h"

enum { CHANNEL_FIRST_BYTE = 0x40 }; /* 0x4000 to 0x4FFF, RFC 8656 12 */

INLINE const struct xdp_binding *binding_at(const struct xdp_up_key *key)
{
  struct xdp_binding_key k = {.server_port_be = key->server_port_be, .family = key->family};
  __builtin_memcpy(k.server, key->server, 16);
  return bpf_map_lookup_elem(&xdp_binding, &k);
}

INLINE const __u32 *slot_of_client(const struct packet *p, struct xdp_up_key *key)
{
  const struct channel_header *h = (const void *)p->payload;
  if (p->udp_len < sizeof(struct udphdr) + CHANNEL_HEADER || (void *)(h + 1) > p->frame_end ||
      (p->payload[0] & 0xF0) != CHANNEL_FIRST_BYTE)
    return 0;
  key->number_be = h->number_be;
  const __u32 *slot = bpf_map_lookup_elem(&xdp_up, key);
  key->number_be = 0;
  return slot;
}

INLINE int relay(struct xdp_md *ctx, int family)
{
  struct packet p = {0};
  struct xdp_up_key key = {.family = 0};
  if (!read_packet(ctx, family, &p, &key))
    return XDP_PASS;
  const __u32 *slot = slot_of_client(&p, &key);
  if (slot)
    return from_client(ctx, family, &p, *slot);
  if (is_bare_binding(&p)) {
    const struct xdp_binding *b = binding_at(&key);
    if (b)
      return answer(ctx, family, &p, &key, b);
  }
  slot = bpf_map_lookup_elem(&xdp_down, &key);
  return slot ? from_peer(ctx, family, &p, *slot) : XDP_PASS;
}

SEC("xdp")
int viaduct_relay(struct xdp_md *ctx)
{
  const struct ethhdr *eth = (void *)(long)ctx->data;
  if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
    return XDP_PASS;
  if (eth->h_proto == bpf_htons(ETH_P_IP))
    return relay(ctx, XDP_V4);
  if (eth->h_proto == bpf_htons(ETH_P_IPV6))
    return relay(ctx, XDP_V6);
  return XDP_PASS;
}

char viaduct_license[] SEC("license") = "Dual BSD/GPL";
