/* A flood beside the packets of an engine: what a server has to drop, or to answer, at a rate. */
#ifndef VIADUCT_BENCH_LOAD_FLOOD_H
#define VIADUCT_BENCH_LOAD_FLOOD_H

#include "bench/load/engine.h"

struct load_flood;

/* `setup` is the engine's; its `flood` says of what kind. Returns owned; NULL with a sentence in
 * `e`. */
struct load_flood *load_flood_new(const struct load_setup *setup, struct net_error *e);
void load_flood_free(struct load_flood *f);

/* A trial begins, whose packets are told by `mark` (struct load_payload's flow). */
void load_flood_begin(struct load_flood *f, uint32_t mark, size_t size, uint64_t now_ns);
/* One batch, if it is due. `relayed` is where peers send to; the caller changes it. */
void load_flood_go_on(struct load_flood *f, const struct addr *relayed, uint64_t now_ns);
/* The trial's sending is over. */
void load_flood_stop(struct load_flood *f, uint64_t now_ns);
/* What has come of it, behind what was on its way, into `flood` and `closed`. */
void load_flood_count(struct load_flood *f, struct load_result *r);

const char *load_flood_name(enum load_flood_kind k);

#endif
