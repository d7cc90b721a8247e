/* What a router translates and what it lets in: rules for `nft -f`.
 *
 * Linux's own NAT keeps the source port where it can, so that it maps independently of the endpoint
 * as long as no two hosts inside take one port; asked to, it takes a random port for each flow,
 * which is the symmetric kind. Its filter, connection tracking, is address- and port-dependent. The
 * wider filters are made by two sets that packets on their way out write: `inside`, which host a
 * port belongs to, and `spoken`, whom it has sent to. Both forget as the mapping does.
 *
 * A packet from outside that nobody asked for has to die before connection tracking has confirmed
 * it: left alone it would hold the tuple that the answer of the host inside needs for itself, whose
 * port would then be changed, and no hole was ever punched. */
#include <stdio.h>

#include "peer-demo/lab/core/private.h"

/* What stands behind the addresses of one NAT. */
struct box {
  enum lab_nat nat;
  char public[LAB_WORD_SIZE], inside[LAB_WORD_SIZE];
};

static struct box box_of(const struct lab_site *site, size_t n, enum lab_part part)
{
  struct box b = {.nat = part == LAB_CARRIER ? LAB_PORT_RESTRICTED : site->nat};
  bool behind = part == LAB_ROUTER && site->carrier;
  snprintf(b.public, sizeof b.public, behind ? "100.64.%zu.2" : "198.18.%zu.1", n);
  snprintf(b.inside, sizeof b.inside, part == LAB_CARRIER ? "100.64.%zu.0/24" : "192.168.%zu.0/24",
           n);
  return b;
}

static void put_memory(const struct lab_site *site, struct buf *out)
{
  lab__put(out,
           "map inside { type inet_service : ipv4_addr\nflags dynamic,timeout\ntimeout %us\n"
           "size 65536\n}\n",
           site->lifetime_s);
  lab__put(out,
           "set spoken { type ipv4_addr . inet_service\nflags dynamic,timeout\ntimeout %us\n"
           "size 65536\n}\n",
           site->lifetime_s);
  lab__put(out, "chain learn { type filter hook postrouting priority 90\n"
                "oifname \"wan\" meta l4proto udp update @inside { udp sport : ip saddr }\n"
                "oifname \"wan\" meta l4proto udp update @spoken { ip daddr . udp sport }\n}\n");
}

/* The first packet of a flow from outside, for a host inside. */
static void put_inward(const struct box *b, bool hairpin, struct buf *out)
{
  lab__put(out, "chain inward { type nat hook prerouting priority -100\n");
  if (b->nat == LAB_FULL_CONE)
    lab__put(out, "iifname \"wan\" meta l4proto udp dnat to udp dport map @inside\n");
  if (b->nat == LAB_ADDRESS_RESTRICTED)
    lab__put(out, "iifname \"wan\" meta l4proto udp ip saddr . udp dport @spoken dnat to udp dport "
                  "map @inside\n");
  if (hairpin)
    lab__put(out, "iifname \"lan\" ip daddr %s meta l4proto udp dnat to udp dport map @inside\n",
             b->public);
  lab__put(out, "}\n");
}

static void put_outward(const struct box *b, struct buf *out)
{
  lab__put(out,
           "chain outward { type nat hook postrouting priority 100\n"
           "oifname \"wan\" ip saddr %s snat to %s%s\n",
           b->inside, b->public, b->nat == LAB_SYMMETRIC ? " fully-random" : "");
  /* RFC 4787 REQ-9: a hairpinned packet has the external source address and port. */
  lab__put(out, "oifname \"lan\" ip saddr %s ct status dnat snat to %s\n}\n", b->inside, b->public);
}

static void put_nat(const struct lab_site *site, const struct box *b, bool hairpin, struct buf *out)
{
  lab__put(out, "table ip lab {\n");
  put_memory(site, out);
  put_inward(b, hairpin, out);
  put_outward(b, out);
  lab__put(out,
           "chain here { type filter hook input priority 0\niifname \"wan\" ct state new drop\n"
           "iifname \"lan\" ip daddr %s drop\n}\n",
           b->public);
  lab__put(out, "chain through { type filter hook forward priority 0\n"
                "iifname \"wan\" ct status dnat accept\niifname \"wan\" ct state new drop\n}\n}\n");
}

static void put_block(enum lab_block block, struct buf *out)
{
  if (block == LAB_NO_UDP)
    lab__put(out, "iifname \"lan\" meta l4proto udp drop\niifname \"wan\" meta l4proto udp drop\n");
  if (block == LAB_ONLY_443)
    lab__put(out,
             "iifname \"lan\" meta l4proto != tcp drop\niifname \"lan\" tcp dport != 443 drop\n");
}

void lab__put_rules(const struct lab_site *site, size_t index, enum lab_part part, struct buf *out)
{
  const struct box b = box_of(site, index + 1, part);
  bool is_router = part == LAB_ROUTER;
  if (b.nat != LAB_NONE && lab__has_v4(site))
    put_nat(site, &b, site->hairpin && is_router, out);
  if (!is_router)
    return;
  lab__put(out, "table inet path { chain through { type filter hook forward priority -10\n");
  if (site->loss_percent > 0)
    lab__put(out, "numgen random mod 100 < %u drop\n", site->loss_percent);
  put_block(site->block, out);
  /* IPv6 is not translated: the router is the firewall that RFC 6092 recommends. */
  if (b.nat != LAB_NONE && lab__has_v6(site))
    lab__put(out, "meta nfproto ipv6 iifname \"wan\" ct state new drop\n");
  lab__put(out, "}\n}\n");
}

void lab_put_part(const struct lab_site *site, size_t index, enum lab_part part, const char *prefix,
                  struct lab_text *out)
{
  lab__put_links(site, index, part, prefix, &out->ip);
  if (part == LAB_HOST)
    return;
  lab__put_rules(site, index, part, &out->nft);
  lab__put(&out->sysctl, "net/ipv4/ip_forward=1\nnet/ipv6/conf/all/forwarding=1\n");
  lab__put(&out->sysctl, "net/netfilter/nf_conntrack_udp_timeout=%u\n", site->lifetime_s);
  lab__put(&out->sysctl, "net/netfilter/nf_conntrack_udp_timeout_stream=%u\n", site->lifetime_s);
}
