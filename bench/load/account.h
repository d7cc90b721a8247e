/* What became of the packets of one flow, and how long they took. Pure. */
#ifndef VIADUCT_BENCH_LOAD_ACCOUNT_H
#define VIADUCT_BENCH_LOAD_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  LOAD_WINDOW = 4096, /* sequence numbers in which a duplicate is known from a late packet */
  LOAD_HISTOGRAM_BITS = 5,
  LOAD_HISTOGRAM_ROWS = 64 << LOAD_HISTOGRAM_BITS
};

struct load_account {
  uint64_t sent, received, duplicates, reordered;
  uint64_t newest; /* sequence + 1 of the newest that arrived; 0: none did */
  uint64_t seen[LOAD_WINDOW / 64];
};

/* A packet of this flow has arrived. False: it had arrived before. */
bool load_account_take(struct load_account *a, uint64_t sequence);

/* Times in 32 steps for each doubling: within 3%. */
struct load_histogram {
  uint64_t count, most;
  uint64_t row[LOAD_HISTOGRAM_ROWS];
};
void load_histogram_add(struct load_histogram *h, uint64_t ns);
/* The time that this share (0 to 1) of all packets did not exceed; 0 without any. */
uint64_t load_histogram_at(const struct load_histogram *h, double share);

#endif
