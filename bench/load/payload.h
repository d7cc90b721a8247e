/* What viaduct-load sends: a payload that says which flow it belongs to, its place in it and when
 * it was made, so that loss, order, duplicates, misrouting and damage show where it arrives. Pure.
 */
#ifndef VIADUCT_BENCH_LOAD_PAYLOAD_H
#define VIADUCT_BENCH_LOAD_PAYLOAD_H

#include "base/bytes.h"

enum { LOAD_PAYLOAD_LEAST = 32, LOAD_PAYLOAD_MOST = 1400 };

struct load_payload {
  uint32_t flow;
  uint64_t sequence; /* of its flow, from 0 */
  uint64_t made_ns;  /* monotonic */
};

/* Fills `len` bytes (LOAD_PAYLOAD_LEAST to LOAD_PAYLOAD_MOST). */
void load_payload_put(uint8_t *out, size_t len, const struct load_payload *p);
/* -ERR_BAD: not ours, or not as it was sent. */
int load_payload_get(struct bytes in, struct load_payload *out);

#endif
