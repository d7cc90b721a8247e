/* Numbers out of a source of random bytes, and a seeded source for tests (xoshiro256**, Blackman
 * and Vigna 2018; its state filled by SplitMix64, as they advise). */
#include "base/random.h"

#include <string.h>

uint64_t random_u64(struct random *r)
{
  uint64_t v;
  r->fill(r->arg, &v, sizeof(v));
  return v;
}

uint32_t random_below(struct random *r, uint32_t below)
{
  /* The low half of value * below tells whether the value lies in the part of the range that would
   * be drawn once too often: 2^32 mod below values are drawn again (Lemire, 2019). */
  uint32_t surplus = (uint32_t)(0 - below) % below;
  for (;;) {
    uint32_t value;
    r->fill(r->arg, &value, sizeof(value));
    uint64_t scaled = (uint64_t)value * below;
    if ((uint32_t)scaled >= surplus)
      return (uint32_t)(scaled >> 32);
  }
}

static uint64_t rotate(uint64_t v, unsigned by)
{
  return (v << by) | (v >> (64 - by));
}

static uint64_t seeded_next(uint64_t s[4])
{
  uint64_t result = rotate(s[1] * 5, 7) * 9;
  uint64_t carried = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= carried;
  s[3] = rotate(s[3], 45);
  return result;
}

/* Bytes leave in little-endian order on every machine, so that a seed means the same everywhere. */
static void seeded_fill(void *arg, void *out, size_t len)
{
  struct random_seed *s = arg;
  uint8_t *at = out;
  while (len > 0) {
    uint64_t v = seeded_next(s->state);
    for (unsigned i = 0; i < 8 && len > 0; i++, len--)
      *at++ = (uint8_t)(v >> (8 * i));
  }
}

struct random random_seeded(struct random_seed *s, uint64_t seed)
{
  for (unsigned i = 0; i < 4; i++) {
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    s->state[i] = z ^ (z >> 31);
  }
  return (struct random){seeded_fill, s};
}
