/* What the kernel carries of one worker's channels (turn/xdp): they go into its maps and out of
 * them as the core says, and what was carried comes back into the core's counters, at least once a
 * second while there are any. carry.c. */
#ifndef VIADUCT_TURN_CARRY_H
#define VIADUCT_TURN_CARRY_H

#include "base/wheel.h"
#include "turn/core/turn.h"
#include "turn/xdp/xdp.h"

struct turnd_worker;
struct turnd_settings;

/* Of packets; their payload is in the core's counters, with all others. */
struct turnd_carry_counters {
  uint64_t from_client_packets, from_peer_packets;
  uint64_t channels; /* now */
};

/* What was counted of a row when it was read last. */
struct turnd_carried {
  turn_relay relay;
  uint32_t note, next, previous; /* indices + 1 in turnd_carry.row; a free one's `next` is free */
  uint64_t from_client[2], from_peer[2];
};

/* Of a limit that this worker's channels share, by its note. */
struct turnd_carry_limit {
  uint32_t users;   /* channels */
  uint64_t over[4]; /* read last: packets, then bytes, from the client and from peers */
};

struct turnd_carry {
  struct turnd_xdp *xdp; /* borrowed; NULL: nothing is carried */
  struct turnd_carried *row;
  uint32_t cap, free, first; /* indices + 1 */
  struct timer due;
  struct turnd_carry_counters counters;
  struct turnd_carry_limit *limit; /* as many as the maps have */
};

/* Before the privileges are dropped and the workers' threads run: opens what the option xdp asks
 * for, to be closed after the last worker. NULL: it is off, or cannot be had, which is logged once;
 * the same is done in user space then. */
struct turnd_xdp *turnd_carry_open(const struct turnd_settings *settings,
                                   struct turnd_worker *const *worker, size_t count,
                                   struct log *log);
void turnd__carry_fini(struct turnd_worker *w);
/* Counts what was carried since the last time. */
void turnd__carry_collect(struct turnd_worker *w);
/* The answers to Binding requests at this worker's listeners, as its settings are now. */
void turnd__carry_bindings(struct turnd_worker *w);

#endif
