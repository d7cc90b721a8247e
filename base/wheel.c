/* The timer wheel: every lifetime, retransmission and expiry of the cores is a timer here. A timer
 * that is due later than now lies on the level of the highest 6-bit digit in which its due time
 * differs from now, in the slot of that digit. Hence the lowest level that holds anything holds
 * what is due first, and the slot of now's own digit is empty on every level.
 *
 * A slot of the third level is four minutes long. When now reaches it, its timers go to the level
 * below, and 100,000 of them would take ten milliseconds: so each run moves a few of the slot that
 * comes next beforehand (stage), and what is left then is spliced, list by list. */
#include "base/wheel.h"

#include <stddef.h>

/* On the top level a slot before now's digit means the next lap. Half a lap ahead at most, no slot
 * can mean both. */
#define FARTHEST_MS (UINT64_C(1) << (WHEEL_BITS * WHEEL_LEVELS - 1))

static unsigned digit(uint64_t ms, unsigned level)
{
  return (unsigned)(ms >> (WHEEL_BITS * level)) & (WHEEL_SLOTS - 1);
}

static unsigned level_of(uint64_t now_ms, uint64_t due_ms)
{
  unsigned level = (unsigned)(63 - __builtin_clzll(now_ms ^ due_ms)) / WHEEL_BITS;
  return level < WHEEL_LEVELS ? level : WHEEL_LEVELS - 1;
}

/* Moves what `from` holds to the end of `to`, in its order. */
static void splice(struct list *to, struct list *from)
{
  if (list_is_empty(from))
    return;
  from->next->prev = to->prev;
  to->prev->next = from->next;
  from->prev->next = to;
  to->prev = from->prev;
  list_init(from);
}

void wheel_init(struct wheel *w, uint64_t now_ms)
{
  w->now_ms = now_ms;
  list_init(&w->due);
  for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
    w->occupied[level] = 0;
    for (unsigned i = 0; i < WHEEL_SLOTS; i++)
      list_init(&w->slot[level][i]);
  }
  for (unsigned at = 0; at < WHEEL_LEVELS - WHEEL_STAGED; at++) {
    w->staged_occupied[at] = 0;
    for (unsigned i = 0; i < WHEEL_SLOTS; i++)
      list_init(&w->staged[at][i]);
  }
  w->moves = 0;
}

void timer_init(struct timer *t, void (*fire)(struct timer *t, uint64_t now_ms))
{
  list_init(&t->link);
  t->due_ms = 0;
  t->fire = fire;
}

bool timer_is_armed(const struct timer *t)
{
  return !list_is_empty(&t->link);
}

static void place(struct wheel *w, struct timer *t)
{
  if (t->due_ms <= w->now_ms) {
    list_push_back(&w->due, &t->link);
    return;
  }
  unsigned level = level_of(w->now_ms, t->due_ms), i = digit(t->due_ms, level);
  list_push_back(&w->slot[level][i], &t->link);
  w->occupied[level] |= UINT64_C(1) << i;
}

void wheel_arm(struct wheel *w, struct timer *t, uint64_t due_ms)
{
  wheel_cancel(w, t);
  if (due_ms < w->now_ms)
    due_ms = w->now_ms;
  if (due_ms - w->now_ms > FARTHEST_MS)
    due_ms = w->now_ms + FARTHEST_MS;
  t->due_ms = due_ms;
  place(w, t);
}

void wheel_cancel(struct wheel *w, struct timer *t)
{
  if (!timer_is_armed(t))
    return;
  list_remove(&t->link);
  /* What is due already lies in no slot: on w->due, or among those that wheel_run is firing. */
  if (t->due_ms <= w->now_ms)
    return;
  unsigned level = level_of(w->now_ms, t->due_ms), i = digit(t->due_ms, level);
  bool staged = false;
  if (level >= WHEEL_STAGED && i == digit(w->now_ms, level) + 1) {
    const unsigned at = level - WHEEL_STAGED, below = digit(t->due_ms, level - 1);
    if (list_is_empty(&w->staged[at][below]))
      w->staged_occupied[at] &= ~(UINT64_C(1) << below);
    staged = w->staged_occupied[at] != 0;
  }
  if (!staged && list_is_empty(&w->slot[level][i]))
    w->occupied[level] &= ~(UINT64_C(1) << i);
}

/* Where the first slot begins that holds a timer; on level 0 that is its due time. */
static uint64_t next_slot_ms(const struct wheel *w)
{
  for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
    uint64_t occupied = w->occupied[level];
    if (!occupied)
      continue;
    uint64_t ahead = occupied & (~UINT64_C(1) << digit(w->now_ms, level));
    unsigned above = WHEEL_BITS * (level + 1);
    uint64_t lap = w->now_ms >> above;
    /* Only the top level has slots behind now: those of its next lap. */
    if (!ahead)
      lap++;
    unsigned i = (unsigned)__builtin_ctzll(ahead ? ahead : occupied);
    return lap << above | (uint64_t)i << (WHEEL_BITS * level);
  }
  return WHEEL_NEVER;
}

uint64_t wheel_next_ms(const struct wheel *w)
{
  return list_is_empty(&w->due) ? next_slot_ms(w) : w->now_ms;
}

/* Places what lies in `from`, in its order. */
static void place_all(struct wheel *w, struct list *from)
{
  struct list opened;
  list_init(&opened);
  splice(&opened, from);
  while (!list_is_empty(&opened)) {
    struct timer *t = CONTAINER_OF(opened.next, struct timer, link);
    list_remove(&t->link);
    place(w, t);
    w->moves++;
  }
}

/* now is at the start of the slot that was staged: the level below is empty, and takes its lists.
 * But the first one's timers have a finer level by now. */
static void unstage(struct wheel *w, unsigned level)
{
  const unsigned at = level - WHEEL_STAGED;
  const uint64_t above = w->staged_occupied[at] & ~UINT64_C(1);
  for (uint64_t left = above; left; left &= left - 1) {
    const unsigned i = (unsigned)__builtin_ctzll(left);
    splice(&w->slot[level - 1][i], &w->staged[at][i]);
  }
  w->occupied[level - 1] |= above;
  w->staged_occupied[at] = 0;
  place_all(w, &w->staged[at][0]);
}

/* now has reached the start of a slot, perhaps on several levels at once: what lies there goes to
 * finer levels, and to w->due what is due at this very millisecond. What was staged has been armed
 * before the rest. */
static void open_slots(struct wheel *w)
{
  for (unsigned level = WHEEL_LEVELS; level-- > 0;) {
    unsigned i = digit(w->now_ms, level);
    if (!(w->occupied[level] >> i & 1))
      continue;
    w->occupied[level] &= ~(UINT64_C(1) << i);
    if (level >= WHEEL_STAGED)
      unstage(w, level);
    place_all(w, &w->slot[level][i]);
  }
}

/* A few timers of the slot behind now's, on each level: to where they will be when now is there. */
static void stage(struct wheel *w)
{
  for (unsigned level = WHEEL_STAGED; level < WHEEL_LEVELS; level++) {
    const unsigned i = digit(w->now_ms, level) + 1, at = level - WHEEL_STAGED;
    if (i == WHEEL_SLOTS || !(w->occupied[level] >> i & 1))
      continue;
    struct list *from = &w->slot[level][i];
    for (int n = 0; n < WHEEL_STAGE && !list_is_empty(from); n++) {
      struct timer *t = CONTAINER_OF(from->next, struct timer, link);
      const unsigned below = digit(t->due_ms, level - 1);
      list_remove(&t->link);
      list_push_back(&w->staged[at][below], &t->link);
      w->staged_occupied[at] |= UINT64_C(1) << below;
      w->moves++;
    }
  }
}

void wheel_run(struct wheel *w, uint64_t now_ms)
{
  for (uint64_t next; (next = next_slot_ms(w)) <= now_ms;) {
    w->now_ms = next;
    open_slots(w);
  }
  if (now_ms > w->now_ms)
    w->now_ms = now_ms;
  stage(w);

  /* All that is due leaves the wheel before the first of it fires: so a callback may cancel, move
   * or free any timer of this run, and what it arms for now waits for the next run instead of
   * keeping this one going for ever. */
  struct list firing;
  list_init(&firing);
  splice(&firing, &w->due);
  while (!list_is_empty(&firing)) {
    struct timer *t = CONTAINER_OF(firing.next, struct timer, link);
    list_remove(&t->link);
    t->fire(t, w->now_ms);
  }
}
