// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The Internet checksum (RFC 1071). Sums are of 16-bit words as they lie in memory, and stay right
 * in either byte order. To take a word away is to add its complement. */
#ifndef VIADUCT_TURN_XDP_SUM_BPF_H
#define VIADUCT_TURN_XDP_SUM_BPF_H

#include "turn/xdp/maps.bpf.h"

/* Whatever lies there: the machines with a BPF compiler read words at any place. */
typedef __u32 __attribute__((may_alias)) word;

INLINE __u16 fold(__u64 sum)
{
  return xdp_sum_fold(sum);
}

/* Of `len` bytes, a multiple of 4 that the compiler knows, at an address that is even; not folded.
 */
INLINE __u64 sum_of(const void *at, __u32 len)
{
  const word *const words = at;
  __u64 sum = 0;
#pragma unroll
  for (__u32 i = 0; i < len / 4; i++)
    sum += words[i];
  return sum;
}

/* A byte that stands at an even or odd place of what is summed up. */
INLINE __u16 word_of(__u8 byte, _Bool odd)
{
  return odd ? bpf_htons(byte) : bpf_htons((__u16)(byte << 8));
}

/* What the kernel sums up in one go, and how often; longer ones go up. */
enum { SUM_CHUNK = 512, SUM_CHUNKS = 32 };

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u8[SUM_CHUNK]);
} sum_rest SEC(".maps");

/* The last bytes, fewer than a chunk, by a copy: branches for every length would be 2^9 ways
 * through this for the verifier to follow. */
INLINE __s64 add_rest(struct xdp_md *ctx, __u32 offset, __u32 len, __s64 sum)
{
  const __u32 first = 0;
  __u8 *rest = bpf_map_lookup_elem(&sum_rest, &first);
  len &= SUM_CHUNK - 1;
  if (!len)
    return sum;
  if (!rest)
    return -1;
  const __u32 last = (len - 1) & (SUM_CHUNK - 4);
  *(word *)(rest + last) = 0; /* what fills the last word up */
  if (bpf_xdp_load_bytes(ctx, offset, rest, len))
    return -1;
  return bpf_csum_diff(0, 0, (void *)rest, last + 4, sum);
}

/* Of `len` bytes of the frame from `offset` on, which is even; -1: not in one go. For what this
 * very machine sends to itself; no packet from a wire needs it. */
__s64 sum_payload(struct xdp_md *ctx, __u32 offset, __u32 len);
APART __s64 sum_payload(struct xdp_md *ctx, __u32 offset, __u32 len)
{
  void *const end = (void *)(long)ctx->data_end;
  __s64 sum = 0;
  if (offset > 128)
    return -1;
  void *at = (void *)(long)ctx->data + offset;
  for (int i = 0; i < SUM_CHUNKS && len >= SUM_CHUNK; i++) {
    if (at + SUM_CHUNK > end)
      return -1;
    sum = bpf_csum_diff(0, 0, at, SUM_CHUNK, sum);
    at += SUM_CHUNK;
    offset += SUM_CHUNK;
    len -= SUM_CHUNK;
  }
  sum = len < SUM_CHUNK ? add_rest(ctx, offset, len, sum) : -1;
  return sum < 0 ? -1 : fold(sum);
}

#endif
