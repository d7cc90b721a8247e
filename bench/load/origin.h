/* Where spoofed packets may come from, and how they leave. A generator must not become a weapon:
 * they go to loopback, or over one veth to a server in that veth's own subnet, and nowhere else;
 * and the addresses are of loopback, or of those that RFC 2544 keeps for measurements, which no
 * network routes: answers hit nobody. */
#ifndef VIADUCT_BENCH_LOAD_ORIGIN_H
#define VIADUCT_BENCH_LOAD_ORIGIN_H

#include "bench/load/link.h"

struct load_origin {
  int fd; /* raw, bound to that one interface; needs CAP_NET_RAW */
  struct addr first;
  uint32_t mask; /* of the bits that vary */
};

/* `sink` is a socket whose port answers come to. -1 with a sentence in `e`: what is not allowed, or
 * what is missing. */
int load_origin_open(struct load_origin *o, const struct load_way *way, int sink,
                     struct net_error *e);
struct addr load_origin_pick(const struct load_origin *o, uint32_t random);

#endif
