/* net/loop.c where it rests behind a round, to find more at the next (coalesce_us). What a rest
 * must not delay has an hour of it here: the test in which it does never ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/wheel.h"
#include "net/loop.h"

#define HOUR_US (UINT32_C(3600) * 1000 * 1000)
enum { ALARMS = 3 };

struct scene;

struct alarm {
  struct net_watch watch;
  struct scene *scene;
  uint64_t round; /* in which it was seen */
};

struct scene {
  struct net_loop loop;
  struct net_watch first;
  struct alarm alarm[ALARMS];
  uint64_t next_ms;
  int seen, ticks, ticks_wanted;
  bool busy;
};

static uint64_t next_ms(void *arg)
{
  const struct scene *s = arg;
  return s->next_ms;
}

static void tick(void *arg, uint64_t now_ms)
{
  (void)now_ms;
  struct scene *s = arg;
  if (++s->ticks == s->ticks_wanted || s->seen == ALARMS)
    net_loop_stop(&s->loop);
}

/* From here on the alarms run, whatever this thread does. */
static void first_ready(struct net_watch *w, uint32_t events, uint64_t now_ms)
{
  (void)events;
  (void)now_ms;
  struct scene *s = CONTAINER_OF(w, struct scene, first);
  eventfd_t ignored;
  assert_int_equal(eventfd_read(w->fd, &ignored), 0);
  s->loop.busy = s->busy;
  for (int i = 0; i < ALARMS; i++) {
    const struct itimerspec t = {.it_value = {.tv_nsec = 1 + i * 4 * 1000 * 1000}};
    assert_int_equal(timerfd_settime(s->alarm[i].watch.fd, 0, &t, NULL), 0);
  }
}

static void alarm_ready(struct net_watch *w, uint32_t events, uint64_t now_ms)
{
  (void)events;
  (void)now_ms;
  struct alarm *a = CONTAINER_OF(w, struct alarm, watch);
  const struct itimerspec off = {0};
  assert_int_equal(timerfd_settime(w->fd, 0, &off, NULL), 0);
  a->round = a->scene->loop.rounds;
  a->scene->seen++;
}

/* Its first round has something to do. */
static void run(struct scene *s, uint32_t coalesce_us)
{
  const struct net_loop_hooks hooks = {.arg = s, .next_ms = next_ms, .tick = tick};
  assert_int_equal(net_loop_open(&s->loop), 0);
  s->loop.coalesce_us = coalesce_us;
  s->first = (struct net_watch){.fd = eventfd(1, 0), .events = EPOLLIN, .ready = first_ready};
  assert_int_equal(net_loop_attach(&s->loop, &s->first), 0);
  for (int i = 0; i < ALARMS; i++) {
    s->alarm[i] = (struct alarm){.watch = {.fd = timerfd_create(CLOCK_MONOTONIC, 0),
                                           .events = EPOLLIN,
                                           .ready = alarm_ready},
                                 .scene = s};
    assert_int_equal(net_loop_attach(&s->loop, &s->alarm[i].watch), 0);
  }
  assert_int_equal(net_loop_run(&s->loop, &hooks), 0);
  for (int i = 0; i < ALARMS; i++)
    close(s->alarm[i].watch.fd);
  close(s->first.fd);
  net_loop_close(&s->loop);
}

/* The rest begins when all alarms have been set, and is longer than the last of them. */
static void test_what_comes_meanwhile_is_one_round(void **state)
{
  (void)state;
  struct scene s = {.next_ms = WHEEL_NEVER};
  run(&s, 50 * 1000);
  assert_int_equal(s.seen, ALARMS);
  assert_int_equal(s.loop.rounds, 2);
  for (int i = 0; i < ALARMS; i++)
    assert_int_equal(s.alarm[i].round, 2);
}

static void test_a_loop_that_stops_rests_no_more(void **state)
{
  (void)state;
  struct scene s = {.next_ms = WHEEL_NEVER, .ticks_wanted = 1};
  run(&s, HOUR_US);
  assert_int_equal(s.loop.rounds, 1);
}

static void test_who_has_plenty_to_do_needs_no_rest(void **state)
{
  (void)state;
  struct scene s = {.next_ms = WHEEL_NEVER, .ticks_wanted = 2, .busy = true};
  run(&s, HOUR_US);
  assert_int_equal(s.loop.rounds, 2);
}

/* Rounds in which nothing came: of deadlines alone. */
static void test_deadlines_alone_need_no_rest(void **state)
{
  (void)state;
  struct scene s = {.next_ms = 0, .ticks_wanted = 100};
  const struct net_loop_hooks hooks = {.arg = &s, .next_ms = next_ms, .tick = tick};
  assert_int_equal(net_loop_open(&s.loop), 0);
  s.loop.coalesce_us = HOUR_US;
  assert_int_equal(net_loop_run(&s.loop, &hooks), 0);
  assert_int_equal(s.ticks, 100);
  net_loop_close(&s.loop);
}

static void test_without_it_each_comes_when_it_comes(void **state)
{
  (void)state;
  struct scene s = {.next_ms = WHEEL_NEVER};
  run(&s, 0);
  assert_int_equal(s.seen, ALARMS);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_comes_meanwhile_is_one_round),
      cmocka_unit_test(test_a_loop_that_stops_rests_no_more),
      cmocka_unit_test(test_who_has_plenty_to_do_needs_no_rest),
      cmocka_unit_test(test_deadlines_alone_need_no_rest),
      cmocka_unit_test(test_without_it_each_comes_when_it_comes),
  };
  return cmocka_run_group_tests_name("net-loop", tests, NULL, NULL);
}
