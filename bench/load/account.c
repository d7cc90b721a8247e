/* See account.h. */
#include "bench/load/account.h"

static uint64_t *word_of(struct load_account *a, uint64_t sequence)
{
  return &a->seen[sequence % LOAD_WINDOW / 64];
}

static void forget_between(struct load_account *a, uint64_t first, uint64_t end)
{
  if (end - first >= LOAD_WINDOW)
    first = end - LOAD_WINDOW;
  for (uint64_t s = first; s < end; s++)
    *word_of(a, s) &= ~((uint64_t)1 << s % 64);
}

bool load_account_take(struct load_account *a, uint64_t sequence)
{
  const uint64_t bit = (uint64_t)1 << sequence % 64;
  if (sequence >= a->newest) {
    forget_between(a, a->newest, sequence + 1);
    a->newest = sequence + 1;
  } else if (a->newest - sequence > LOAD_WINDOW || (*word_of(a, sequence) & bit)) {
    a->duplicates++;
    return false;
  } else {
    a->reordered++;
  }
  *word_of(a, sequence) |= bit;
  a->received++;
  return true;
}

static unsigned row_of(uint64_t ns)
{
  if (ns < 1u << LOAD_HISTOGRAM_BITS)
    return (unsigned)ns;
  const unsigned doubling = 63u - (unsigned)__builtin_clzll(ns) - LOAD_HISTOGRAM_BITS;
  return (doubling << LOAD_HISTOGRAM_BITS) + (unsigned)(ns >> doubling);
}

static uint64_t top_of(unsigned row)
{
  if (row < 2u << LOAD_HISTOGRAM_BITS)
    return row;
  const unsigned doubling = (row >> LOAD_HISTOGRAM_BITS) - 1;
  const uint64_t within = (row & ((1u << LOAD_HISTOGRAM_BITS) - 1)) + (1u << LOAD_HISTOGRAM_BITS);
  return ((within + 1) << doubling) - 1;
}

void load_histogram_add(struct load_histogram *h, uint64_t ns)
{
  h->row[row_of(ns)]++;
  h->count++;
  if (ns > h->most)
    h->most = ns;
}

uint64_t load_histogram_at(const struct load_histogram *h, double share)
{
  const double wanted = share * (double)h->count;
  uint64_t below = 0;
  for (unsigned i = 0; i < LOAD_HISTOGRAM_ROWS && h->count; i++) {
    below += h->row[i];
    if (h->row[i] && (double)below >= wanted)
      return top_of(i) < h->most ? top_of(i) : h->most;
  }
  return h->most;
}
