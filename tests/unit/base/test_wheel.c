/* base/wheel.c: single cases, callbacks that pull the rug away, and a long seeded run against a
 * list of due times that needs no wheel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "base/wheel.h"

/* A timer that notes when it fired. */
struct note {
  struct timer timer;
  uint64_t fired_ms;
  unsigned order, count;
};

static unsigned fire_count;

static void note_fire(struct timer *t, uint64_t now_ms)
{
  struct note *n = CONTAINER_OF(t, struct note, timer);
  n->fired_ms = now_ms;
  n->order = ++fire_count;
  n->count++;
}

static int setup(void **state)
{
  (void)state;
  fire_count = 0;
  return 0;
}

static void an_empty_wheel_waits_for_ever(void **state)
{
  (void)state;
  struct wheel w;
  wheel_init(&w, 5);
  assert_int_equal(wheel_next_ms(&w), WHEEL_NEVER);
  wheel_run(&w, UINT64_C(1) << 50);
  assert_int_equal(w.now_ms, UINT64_C(1) << 50);
  assert_int_equal(wheel_next_ms(&w), WHEEL_NEVER);
}

static void fires_at_its_time_and_once(void **state)
{
  (void)state;
  static const uint64_t delays[] = {1, 63, 64, 65, 4095, 4096, 4097, 600000, UINT64_C(1) << 40};
  for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
    struct wheel w;
    struct note n = {0};
    uint64_t due = 1000 + delays[i];
    wheel_init(&w, 1000);
    timer_init(&n.timer, note_fire);
    assert_false(timer_is_armed(&n.timer));
    wheel_arm(&w, &n.timer, due);
    assert_true(timer_is_armed(&n.timer));
    wheel_run(&w, due - 1);
    assert_int_equal(n.count, 0);
    assert_int_equal(wheel_next_ms(&w), due);
    wheel_run(&w, due);
    assert_int_equal(n.count, 1);
    assert_int_equal(n.fired_ms, due);
    assert_false(timer_is_armed(&n.timer));
    wheel_run(&w, due + 1000000);
    assert_int_equal(n.count, 1);
  }
}

static void what_is_due_fires_at_the_next_run(void **state)
{
  (void)state;
  struct wheel w;
  struct note now = {0}, past = {0};
  wheel_init(&w, 1000);
  timer_init(&now.timer, note_fire);
  timer_init(&past.timer, note_fire);
  wheel_arm(&w, &now.timer, 1000);
  wheel_arm(&w, &past.timer, 3);
  assert_int_equal(wheel_next_ms(&w), 1000);
  wheel_run(&w, 1000);
  assert_int_equal(now.count, 1);
  assert_int_equal(past.count, 1);
  assert_int_equal(past.order, 2); /* the past counts as now, hence the order of arming */
}

static void time_never_runs_backwards(void **state)
{
  (void)state;
  struct wheel w;
  struct note n = {0};
  wheel_init(&w, 1000);
  timer_init(&n.timer, note_fire);
  wheel_arm(&w, &n.timer, 1005);
  wheel_run(&w, 10);
  assert_int_equal(w.now_ms, 1000);
  assert_int_equal(n.count, 0);
  wheel_run(&w, 1005);
  assert_int_equal(n.count, 1);
}

static void moving_and_cancelling(void **state)
{
  (void)state;
  struct wheel w;
  struct note n = {0};
  wheel_init(&w, 0);
  timer_init(&n.timer, note_fire);
  wheel_cancel(&w, &n.timer); /* not armed: harmless */
  wheel_arm(&w, &n.timer, 50);
  wheel_arm(&w, &n.timer, 5000);
  wheel_run(&w, 4999);
  assert_int_equal(n.count, 0);
  wheel_arm(&w, &n.timer, 5001); /* from one level to another */
  wheel_run(&w, 5000);
  assert_int_equal(n.count, 0);
  wheel_cancel(&w, &n.timer);
  wheel_cancel(&w, &n.timer);
  assert_false(timer_is_armed(&n.timer));
  assert_int_equal(wheel_next_ms(&w), WHEEL_NEVER);
  wheel_run(&w, 1000000);
  assert_int_equal(n.count, 0);
  wheel_arm(&w, &n.timer, 1000000); /* due, then cancelled before the run */
  wheel_cancel(&w, &n.timer);
  assert_int_equal(wheel_next_ms(&w), WHEEL_NEVER);
}

static void too_far_is_clamped(void **state)
{
  (void)state;
  struct wheel w;
  struct note n = {0};
  uint64_t farthest = 77 + (UINT64_C(1) << 41);
  wheel_init(&w, 77);
  timer_init(&n.timer, note_fire);
  static const uint64_t too_far[] = {1, UINT64_C(1) << 41, UINT64_C(1) << 42,
                                     UINT64_MAX - (77 + (UINT64_C(1) << 41))};
  for (size_t i = 0; i < sizeof(too_far) / sizeof(too_far[0]); i++) {
    wheel_arm(&w, &n.timer, farthest + too_far[i]);
    assert_int_equal(n.timer.due_ms, farthest);
  }
  wheel_run(&w, farthest - 1);
  assert_int_equal(n.count, 0);
  wheel_run(&w, farthest);
  assert_int_equal(n.count, 1);
}

/* Callbacks that change the run in which they fire. */

struct actor {
  struct timer timer;
  struct wheel *wheel;
  struct actor *victim;
  unsigned count;
};

static void free_both(struct timer *t, uint64_t now_ms)
{
  struct actor *a = CONTAINER_OF(t, struct actor, timer);
  (void)now_ms;
  fire_count++;
  wheel_cancel(a->wheel, &a->victim->timer);
  free(a->victim);
  free(a);
}

static struct actor *new_actor(struct wheel *w, void (*fire)(struct timer *, uint64_t))
{
  struct actor *a = calloc(1, sizeof(*a));
  assert_non_null(a);
  a->wheel = w;
  timer_init(&a->timer, fire);
  return a;
}

/* The victim waits in the same slot, in a later one of the same run, and among what was due before.
 */
static void a_callback_frees_its_owner_and_another(void **state)
{
  (void)state;
  static const uint64_t due[][2] = {{10, 10}, {10, 500}, {0, 0}, {0, 70}, {10, 100000}};
  for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++) {
    struct wheel w;
    wheel_init(&w, 0);
    fire_count = 0;
    struct actor *a = new_actor(&w, free_both);
    a->victim = new_actor(&w, free_both);
    wheel_arm(&w, &a->timer, due[i][0]);
    wheel_arm(&w, &a->victim->timer, due[i][1]);
    wheel_run(&w, 1000);
    assert_int_equal(fire_count, 1);
    assert_int_equal(wheel_next_ms(&w), WHEEL_NEVER);
  }
}

static void rearm_for_now(struct timer *t, uint64_t now_ms)
{
  struct actor *a = CONTAINER_OF(t, struct actor, timer);
  a->count++;
  wheel_arm(a->wheel, t, now_ms);
}

static void arming_for_now_waits_for_the_next_run(void **state)
{
  (void)state;
  struct wheel w;
  struct actor a = {.wheel = &w};
  wheel_init(&w, 0);
  timer_init(&a.timer, rearm_for_now);
  wheel_arm(&w, &a.timer, 5);
  for (unsigned i = 1; i <= 3; i++) {
    wheel_run(&w, 5);
    assert_int_equal(a.count, i);
    assert_int_equal(wheel_next_ms(&w), 5);
  }
}

static void move_victim(struct timer *t, uint64_t now_ms)
{
  struct actor *a = CONTAINER_OF(t, struct actor, timer);
  a->count++;
  if (a->victim)
    wheel_arm(a->wheel, &a->victim->timer, now_ms + 20);
}

static void a_callback_moves_one_of_the_same_slot(void **state)
{
  (void)state;
  struct wheel w;
  struct actor second = {.wheel = &w}, first = {.wheel = &w, .victim = &second};
  wheel_init(&w, 0);
  timer_init(&first.timer, move_victim);
  timer_init(&second.timer, move_victim);
  wheel_arm(&w, &first.timer, 10);
  wheel_arm(&w, &second.timer, 10);
  wheel_run(&w, 10);
  assert_int_equal(first.count, 1);
  assert_int_equal(second.count, 0);
  wheel_run(&w, 29);
  assert_int_equal(second.count, 0);
  wheel_run(&w, 30);
  assert_int_equal(second.count, 1);
}

/* The long run: what the wheel should do, as a plain array of due times. */

enum { TIMERS = 160, STEPS = 120000 };

struct model_timer {
  struct timer timer;
  struct model *model;
  uint64_t due_ms, sequence; /* sequence: of arming */
  bool is_armed, is_firing;  /* is_firing: must fire in the run that is going on */
};

struct model {
  struct wheel wheel;
  struct random random;
  struct random_seed seed;
  uint64_t sequence, fired;
  struct model_timer timer[TIMERS];
};

/* Small and large ones alike: a power of two is drawn first. */
static uint64_t draw_delay(struct model *m, uint32_t max_bits)
{
  return random_u64(&m->random) & ((UINT64_C(1) << random_below(&m->random, max_bits + 1)) - 1);
}

static void model_cancel(struct model *m, struct model_timer *t)
{
  wheel_cancel(&m->wheel, &t->timer);
  t->is_armed = t->is_firing = false;
}

static void model_arm(struct model *m, struct model_timer *t)
{
  uint64_t now = m->wheel.now_ms;
  uint64_t due = random_below(&m->random, 10) == 0 ? now / 2 : now + draw_delay(m, 41);
  wheel_arm(&m->wheel, &t->timer, due);
  t->due_ms = due < now ? now : due;
  t->sequence = ++m->sequence;
  t->is_armed = true;
  t->is_firing = false;
}

static void model_change_one(struct model *m)
{
  struct model_timer *t = &m->timer[random_below(&m->random, TIMERS)];
  if (random_below(&m->random, 3) == 0)
    model_cancel(m, t);
  else
    model_arm(m, t);
}

static void model_fire(struct timer *timer, uint64_t now_ms)
{
  struct model_timer *t = CONTAINER_OF(timer, struct model_timer, timer);
  struct model *m = t->model;
  assert_true(t->is_armed);
  assert_true(t->is_firing);
  assert_true(t->due_ms <= now_ms);
  for (size_t i = 0; i < TIMERS; i++) {
    const struct model_timer *o = &m->timer[i];
    assert_false(o->is_firing &&
                 (o->due_ms < t->due_ms || (o->due_ms == t->due_ms && o->sequence < t->sequence)));
  }
  t->is_armed = t->is_firing = false;
  m->fired++;
  if (random_below(&m->random, 2) == 0)
    model_change_one(m);
  if (random_below(&m->random, 4) == 0)
    model_arm(m, t);
}

/* The first due time, or WHEEL_NEVER. */
static uint64_t model_first_due(const struct model *m)
{
  uint64_t first = WHEEL_NEVER;
  for (size_t i = 0; i < TIMERS; i++)
    if (m->timer[i].is_armed && m->timer[i].due_ms < first)
      first = m->timer[i].due_ms;
  return first;
}

static void model_run(struct model *m, uint64_t now_ms)
{
  for (size_t i = 0; i < TIMERS; i++)
    m->timer[i].is_firing = m->timer[i].is_armed && m->timer[i].due_ms <= now_ms;
  wheel_run(&m->wheel, now_ms);
  for (size_t i = 0; i < TIMERS; i++)
    assert_false(m->timer[i].is_firing); /* lost */
}

static void model_check(const struct model *m)
{
  uint64_t first = model_first_due(m), next = wheel_next_ms(&m->wheel);
  assert_true(next <= first);
  assert_int_equal(next == WHEEL_NEVER, first == WHEEL_NEVER);
  assert_true(next >= m->wheel.now_ms);
  /* Else the daemon's loop would spin. */
  if (first > m->wheel.now_ms)
    assert_true(next > m->wheel.now_ms);
}

static void model_step(struct model *m)
{
  uint64_t now = m->wheel.now_ms, next = wheel_next_ms(&m->wheel);
  switch (random_below(&m->random, 6)) {
  case 0: /* as a daemon does it */
    model_run(m, next == WHEEL_NEVER ? now : next);
    break;
  case 1: /* late */
    model_run(m, (next == WHEEL_NEVER ? now : next) + draw_delay(m, 20));
    break;
  case 2: /* before anything is due, or far behind it */
    model_run(m, now + draw_delay(m, random_below(&m->random, 20) == 0 ? 40 : 12));
    break;
  default:
    model_change_one(m);
  }
}

static void agrees_with_a_plain_list(void **state)
{
  (void)state;
  /* The last two begin just before a lap of the top level ends, and near the end of time. */
  static const uint64_t start[] = {0, 1700000000000, (UINT64_C(1) << 42) - 5000, UINT64_C(1) << 62};
  static struct model m;
  for (size_t run = 0; run < sizeof(start) / sizeof(start[0]); run++) {
    m = (struct model){.fired = 0};
    m.random = random_seeded(&m.seed, 1 + run);
    wheel_init(&m.wheel, start[run]);
    for (size_t i = 0; i < TIMERS; i++) {
      m.timer[i].model = &m;
      timer_init(&m.timer[i].timer, model_fire);
    }
    for (unsigned step = 0; step < STEPS; step++) {
      model_step(&m);
      model_check(&m);
    }
    assert_true(m.fired > STEPS / 10);
    /* Whoever follows wheel_next_ms alone meets every timer: at most one stop for each level. */
    for (uint64_t first; (first = model_first_due(&m)) != WHEEL_NEVER;) {
      unsigned stops = 0;
      for (uint64_t next; (next = wheel_next_ms(&m.wheel)) < first; stops++)
        model_run(&m, next);
      assert_true(stops <= WHEEL_LEVELS);
      for (size_t i = 0; i < TIMERS; i++)
        if (m.timer[i].is_armed && m.timer[i].due_ms == first)
          model_cancel(&m, &m.timer[i]);
    }
  }
}

/* ---- a hundred thousand ---- */

enum { MANY = 100000, FROM_MS = 300000, TO_MS = 600000 };

static struct timer many[MANY];
static size_t many_fired;

static void many_fire(struct timer *t, uint64_t now_ms)
{
  assert_int_equal(t->due_ms, now_ms);
  many_fired++;
}

/* Allocations and their like: due five to ten minutes from now, in no order. What a run does is
 * bounded by what is due in it, a few that it moves ahead on each level, and what is due within the
 * first slot of the level below a slot that it opens. */
static void no_run_moves_many(void **state)
{
  (void)state;
  static struct wheel w;
  struct random_seed seed;
  struct random random = random_seeded(&seed, 1);
  const uint64_t start = 1000000000, most = 2 * (uint64_t)MANY * 4096 / (TO_MS - FROM_MS);
  uint64_t worst = 0;
  many_fired = 0;
  wheel_init(&w, start);
  for (size_t i = 0; i < MANY; i++) {
    timer_init(&many[i], many_fire);
    wheel_arm(&w, &many[i], start + FROM_MS + random_below(&random, TO_MS - FROM_MS));
  }
  for (uint64_t ms = 1; ms <= TO_MS; ms++) {
    const uint64_t before = w.moves;
    wheel_run(&w, start + ms);
    if (w.moves - before > worst)
      worst = w.moves - before;
  }
  assert_int_equal(many_fired, MANY);
  assert_true(worst <= most);
  assert_true(w.moves <= (uint64_t)MANY * WHEEL_LEVELS);
  assert_int_equal(wheel_next_ms(&w), WHEEL_NEVER);
}

/* Nothing is left to be moved ahead: then a run in which nothing is due does nothing. */
static void a_run_without_anything_due_costs_nothing(void **state)
{
  (void)state;
  static struct wheel w;
  const uint64_t start = UINT64_C(4000) << 3 * WHEEL_BITS; /* they are in the next slot */
  wheel_init(&w, start);
  for (size_t i = 0; i < MANY; i++) {
    timer_init(&many[i], many_fire);
    wheel_arm(&w, &many[i], start + FROM_MS + i % 1000);
  }
  for (uint64_t runs = 0; runs <= MANY / WHEEL_STAGE; runs++)
    wheel_run(&w, start + 1);
  const uint64_t before = w.moves, next = wheel_next_ms(&w);
  assert_true(next > start + 1000);
  for (uint64_t ms = start + 1; ms < next; ms++)
    wheel_run(&w, ms);
  assert_int_equal(w.moves, before);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(an_empty_wheel_waits_for_ever, setup),
      cmocka_unit_test_setup(fires_at_its_time_and_once, setup),
      cmocka_unit_test_setup(what_is_due_fires_at_the_next_run, setup),
      cmocka_unit_test_setup(time_never_runs_backwards, setup),
      cmocka_unit_test_setup(moving_and_cancelling, setup),
      cmocka_unit_test_setup(too_far_is_clamped, setup),
      cmocka_unit_test_setup(a_callback_frees_its_owner_and_another, setup),
      cmocka_unit_test_setup(arming_for_now_waits_for_the_next_run, setup),
      cmocka_unit_test_setup(a_callback_moves_one_of_the_same_slot, setup),
      cmocka_unit_test_setup(agrees_with_a_plain_list, setup),
      cmocka_unit_test(no_run_moves_many),
      cmocka_unit_test(a_run_without_anything_due_costs_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
