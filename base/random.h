/* Randomness, handed in: the daemons give the kernel's, a test gives a seeded one that repeats. */
#ifndef VIADUCT_BASE_RANDOM_H
#define VIADUCT_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
  void (*fill)(void *arg, void *out, size_t len);
  void *arg;
};

uint64_t random_u64(struct random *r);
/* Uniform in 0 .. below - 1, without modulo bias; `below` is at least 1. */
uint32_t random_below(struct random *r, uint32_t below);

/* A repeatable source for tests, simulations and jitter: never for secrets. random_seeded points
 * into `s`. */
struct random_seed {
  uint64_t state[4];
};
struct random random_seeded(struct random_seed *s, uint64_t seed);

#endif
