/* Randomness from the kernel, with a buffer so that a transaction costs no system call. One for
 * each thread. */
#ifndef VIADUCT_NET_RANDOM_H
#define VIADUCT_NET_RANDOM_H

#include "base/random.h"

enum { NET_RANDOM_POOL = 256 }; /* getrandom(2) gives that much whole, uninterrupted */

struct net_random {
  struct random random; /* hand out this one; points at this struct, which must not move */
  uint8_t pool[NET_RANDOM_POOL];
  size_t left;     /* bytes of the pool not yet given out */
  uint8_t key[32]; /* from the kernel at the start: the source if the kernel ever refuses later */
  uint64_t counter;
};

/* -ERR_IO when the kernel gives nothing: a daemon must not start then. */
int net_random_init(struct net_random *r);
/* Wipes it. */
void net_random_fini(struct net_random *r);

#endif
