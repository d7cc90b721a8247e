/* What came of it, for people and for programs. */
#ifndef VIADUCT_BENCH_LOAD_REPORT_H
#define VIADUCT_BENCH_LOAD_REPORT_H

#include "bench/load/engine.h"

enum {
  LOAD_LOST_PER_MILLE = 5,
  LOAD_QUEUED_NS = 50 * 1000 * 1000 /* what is on its way so long after the end stood in a queue */
};

/* What a result must not have to count: less than 0.5% lost, nothing damaged, nothing misrouted, no
 * packets that still stood in queues at the end, and a generator that was fast enough. NULL, or
 * what is wrong. */
const char *load_wrong(const struct load_result *r);

/* `birth` may be NULL. To standard output; false when not all of it went out. */
bool load_report(const struct load_trial *t, const struct load_birth *birth, uint32_t allocations,
                 const struct load_result *r, bool json);

#endif
