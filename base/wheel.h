/* A hierarchical timer wheel (Varghese and Lauck): arming, moving and cancelling cost the same
 * whatever the number of timers, and a tick costs only what is due. Time is handed in, in
 * milliseconds, monotonic. */
#ifndef VIADUCT_BASE_WHEEL_H
#define VIADUCT_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum {
  WHEEL_BITS = 6,
  WHEEL_SLOTS = 1 << WHEEL_BITS,
  WHEEL_LEVELS = 7,
  WHEEL_STAGED = 2, /* the lowest level that is staged */
  WHEEL_STAGE = 8   /* timers that a run moves ahead of their time */
};

struct timer {
  struct list link;
  uint64_t due_ms;
  void (*fire)(
      struct timer *t,
      uint64_t now_ms); /* may arm and cancel any timer, itself included, and free its owner */
};

struct wheel {
  uint64_t now_ms;
  struct list due; /* what waits for the next wheel_run, due at or before now_ms */
  struct list slot[WHEEL_LEVELS][WHEEL_SLOTS];
  uint64_t occupied[WHEEL_LEVELS]; /* a bit for each slot that is not empty */
  /* The slot behind now's on each level from WHEEL_STAGED on, already split for the level below: a
   * few timers in each run, so that none has to move all of them at once. They still count as the
   * slot's. */
  struct list staged[WHEEL_LEVELS - WHEEL_STAGED][WHEEL_SLOTS];
  uint64_t staged_occupied[WHEEL_LEVELS - WHEEL_STAGED];
  uint64_t moves; /* timers that were moved to a finer slot, ever */
};

/* UINT64_MAX: no timer is armed. */
#define WHEEL_NEVER UINT64_MAX

void wheel_init(struct wheel *w, uint64_t now_ms);
void timer_init(struct timer *t, void (*fire)(struct timer *t, uint64_t now_ms));
bool timer_is_armed(const struct timer *t);
/* Arms, or moves when armed. A due time that has passed counts as now and fires at the next
 * wheel_run (never in one that is going on); one more than 2^41 ms (69 years) ahead is clamped. */
void wheel_arm(struct wheel *w, struct timer *t, uint64_t due_ms);
/* Harmless when not armed. */
void wheel_cancel(struct wheel *w, struct timer *t);
/* Fires everything due at or before `now_ms`, never early, in the order of the due times, and in
 * the order of arming where they are equal. A time before the last one changes nothing. */
void wheel_run(struct wheel *w, uint64_t now_ms);
/* When wheel_run should be called next at the latest: never after the first due time, perhaps
 * before it (the wheel then only moves timers to a finer level), and WHEEL_NEVER when nothing is
 * armed. */
uint64_t wheel_next_ms(const struct wheel *w);

#endif
