// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The maps of map.h as the kernel program sees them, and its few words about time and counting. */
#ifndef VIADUCT_TURN_XDP_MAPS_BPF_H
#define VIADUCT_TURN_XDP_MAPS_BPF_H

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "turn/xdp/map.h"

#define INLINE static __always_inline
/* Verified once, by itself, whoever calls it; so it is not told what its caller knows: it takes the
 * frame and numbers, and of pointers those to whole structs, which may be NULL for all it knows. */
#define APART __attribute__((noinline))

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, XDP_SLOTS_DEFAULT);
  __type(key, struct xdp_up_key);
  __type(value, __u32);
} xdp_up SEC(".maps");

/* Twice as many: a channel to a relayed address that is told otherwise than bound has two. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 2 * XDP_SLOTS_DEFAULT);
  __type(key, struct xdp_down_key);
  __type(value, __u32);
} xdp_down SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, XDP_SLOTS_DEFAULT);
  __type(key, __u32);
  __type(value, struct xdp_channel);
} xdp_channel SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, XDP_SLOTS_DEFAULT);
  __type(key, __u32);
  __type(value, struct xdp_allocation);
} xdp_allocation SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, XDP_BINDINGS_MAX);
  __type(key, struct xdp_binding_key);
  __type(value, struct xdp_binding);
} xdp_binding SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
  __uint(max_entries, XDP_PORTS_MAX);
  __type(key, __u32);
  __type(value, __u32);
} xdp_port SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, XDP_PORTS_MAX);
  __type(key, __u32);
  __type(value, struct xdp_station);
} xdp_station SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, XDP_STAT_COUNT);
  __type(key, __u32);
  __type(value, __u64);
} xdp_stat SEC(".maps");

const volatile struct xdp_settings xdp_settings = {.ttl = 64, .hop_limit = 64};

INLINE void count(__u32 row)
{
  __u64 *n = bpf_map_lookup_elem(&xdp_stat, &row);
  if (n)
    (*n)++;
}

/* To user space, with the reason. */
APART int up_for(__u32 why)
{
  count(why);
  return XDP_PASS;
}

INLINE void add(struct xdp_count *c, __u32 len)
{
  __sync_fetch_and_add(&c->packets, 1);
  __sync_fetch_and_add(&c->bytes, len);
}

/* The row of that slot while its channel lives; NULL: user space decides. */
INLINE struct xdp_channel *channel_at(__u32 slot, __u64 now_ns)
{
  struct xdp_channel *c = bpf_map_lookup_elem(&xdp_channel, &slot);
  return c && now_ns < *(volatile __u64 *)&c->until_ns ? c : 0;
}

#endif
