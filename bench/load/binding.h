/* Binding requests at a STUN server, as many as it answers. */
#ifndef VIADUCT_BENCH_LOAD_BINDING_H
#define VIADUCT_BENCH_LOAD_BINDING_H

#include "bench/load/engine.h"

/* `t->size` does not count; `burst` requests leave at a time. `sent`, `received`, `damaged`, the
 * times and the latency of the result are filled. 0, or -1 with one sentence in `e`. */
int load_binding(const struct load_setup *s, const struct load_trial *t, struct load_result *r,
                 struct net_error *e);

#endif
