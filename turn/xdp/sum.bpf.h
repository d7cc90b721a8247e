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

/* Longer ones go up. */
enum { SUM_CHUNK = 512, SUM_CHUNKS = 32 };

/* Of `len` bytes of the frame from `offset` on, which is even; -1: not in one go. A function of its
 * own, which the verifier looks at once: it is for what this very machine sends to itself, and no
 * packet from a wire needs it. */
__s64 sum_payload(struct xdp_md *ctx, __u32 offset, __u32 len);
__noinline __s64 sum_payload(struct xdp_md *ctx, __u32 offset, __u32 len)
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
    len -= SUM_CHUNK;
  }
  if (len >= SUM_CHUNK)
    return -1;
#pragma unroll
  for (__u32 size = SUM_CHUNK / 2; size >= 4; size /= 2) {
    if (!(len & size))
      continue;
    if (at + size > end)
      return -1;
    sum = bpf_csum_diff(0, 0, at, size, sum);
    at += size;
  }
  sum = fold(sum);
  if (len & 2) {
    if (at + 2 > end)
      return -1;
    sum += *(__u16 *)at;
    at += 2;
  }
  if (len & 1) {
    if (at + 1 > end)
      return -1;
    sum += word_of(*(__u8 *)at, 0);
  }
  return fold(sum);
}

#endif
