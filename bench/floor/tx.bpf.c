// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The least that a relay beneath user space has to do with a packet: look up where it goes by one
 * port, take four bytes off or put them on, turn it round. No permissions, no expiry, no counters,
 * no checks but those that the verifier wants; IPv4 between two addresses; UDP without checksums.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct way { /* struct tx_way, whose header is for the other side */
  __u16 from, to, channel;
};

enum { CHANNEL_HEADER = 4 };

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 65536);
  __type(key, __u32);
  __type(value, struct way);
} up SEC(".maps"), down SEC(".maps"); /* by the client's port; by the relayed one */

const volatile __u16 front = 0; /* where clients send to */

struct headers {
  struct ethhdr eth;
  struct iphdr ip;
  struct udphdr udp;
} __attribute__((packed));

static __always_inline void turn_round(struct headers *h, const struct way *w, int grown)
{
  __u8 mac[ETH_ALEN];
  const __be32 ip = h->ip.saddr;
  const __u16 old = h->ip.tot_len;
  __builtin_memcpy(mac, h->eth.h_source, ETH_ALEN);
  __builtin_memcpy(h->eth.h_source, h->eth.h_dest, ETH_ALEN);
  __builtin_memcpy(h->eth.h_dest, mac, ETH_ALEN);
  h->ip.saddr = h->ip.daddr;
  h->ip.daddr = ip;
  h->ip.tot_len = bpf_htons((__u16)(bpf_ntohs(old) + grown));
  /* RFC 1624: HC' = ~(~HC + ~m + m'). The two addresses have the same sum as before. */
  __u32 sum = (__u16)~h->ip.check + (__u16)~old + h->ip.tot_len;
  sum = (sum & 0xFFFF) + (sum >> 16);
  h->ip.check = (__u16) ~((sum & 0xFFFF) + (sum >> 16));
  h->udp.source = bpf_htons(w->from);
  h->udp.dest = bpf_htons(w->to);
  h->udp.len = bpf_htons((__u16)(bpf_ntohs(h->udp.len) + grown));
  h->udp.check = 0;
}

static __always_inline int move(struct xdp_md *x, const struct way *w, int grown)
{
  struct headers *at = (void *)(long)x->data;
  if ((void *)(at + 1) + CHANNEL_HEADER > (void *)(long)x->data_end)
    return XDP_PASS;
  struct headers h = *at;
  if (grown < 0 && *(__u8 *)(at + 1) < 0x40)
    return XDP_PASS; /* a request */
  const __u16 len = bpf_ntohs(h.udp.len) - sizeof(h.udp);
  if (bpf_xdp_adjust_head(x, -grown) != 0)
    return XDP_DROP;
  at = (void *)(long)x->data;
  if ((void *)(at + 1) + CHANNEL_HEADER > (void *)(long)x->data_end)
    return XDP_DROP;
  turn_round(&h, w, grown);
  *at = h;
  if (grown > 0) {
    __be16 *channel = (void *)(at + 1);
    channel[0] = bpf_htons(w->channel);
    channel[1] = bpf_htons(len);
  }
  return XDP_TX;
}

SEC("xdp")
int bench_tx(struct xdp_md *x)
{
  const struct headers *h = (void *)(long)x->data;
  if ((void *)(h + 1) > (void *)(long)x->data_end || h->eth.h_proto != bpf_htons(ETH_P_IP) ||
      h->ip.ihl != 5 || h->ip.protocol != IPPROTO_UDP)
    return XDP_PASS;
  const int is_up = h->udp.dest == bpf_htons(front);
  const __u32 port = bpf_ntohs(is_up ? h->udp.source : h->udp.dest);
  const struct way *w = is_up ? bpf_map_lookup_elem(&up, &port) : bpf_map_lookup_elem(&down, &port);
  if (!w || w->to == 0)
    return XDP_PASS;
  return is_up ? move(x, w, -CHANNEL_HEADER) : move(x, w, CHANNEL_HEADER);
}

/* For the other end of a veth pair, which takes in what XDP_TX sends only with a program of its
 * own.
 */
SEC("xdp")
int bench_pass(struct xdp_md *x)
{
  (void)x;
  return XDP_PASS;
}

char tx_license[] SEC("license") = "Dual BSD/GPL";
