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

/* What the server's CPU spent on each packet of the flood: what it used beyond what the same load
 * takes without one. 0: not known. */
double load_flood_ns(const struct load_result *r, const struct load_result *alone);

/* What is said beside the result. */
struct load_facts {
  const struct load_trial *trial;
  const struct load_birth *birth; /* NULL: nothing was set up */
  const struct load_setup *setup;
  const struct load_result *alone; /* the same without the flood; NULL: there is none */
};
/* To standard output; false when not all of it went out. */
bool load_report(const struct load_facts *f, const struct load_result *r, bool json);

#endif
