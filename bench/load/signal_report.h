/* What came of `viaduct-load signal`, for people and for programs. */
#ifndef VIADUCT_BENCH_LOAD_SIGNAL_REPORT_H
#define VIADUCT_BENCH_LOAD_SIGNAL_REPORT_H

#include "bench/load/signal_work.h"

/* Nothing may be lost, come twice, in another order, to somebody else or not as it was sent; no
 * connection may be closed and nothing refused; and the generator has to be fast enough. NULL, or
 * what is wrong. */
const char *load_signal_wrong(const struct load_signal_setup *s, const struct load_signal_trial *t,
                              const struct load_signal_result *r);
/* To standard output; false when not all of it went out. */
bool load_signal_report(const struct load_signal_setup *s, const struct load_signal_trial *t,
                        const struct load_signal_result *r, bool json);

#endif
