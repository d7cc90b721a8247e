/* epoll, one round at a time. */
#include "net/loop.h"

#include <errno.h>
#include <limits.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/wheel.h"
#include "net/clock.h"
#include "net/error.h"

int net_loop_open(struct net_loop *l)
{
  *l = (struct net_loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
  if (l->epoll_fd < 0)
    return -ERR_IO;
  l->now_ms = net_clock_ms();
  return 0;
}

void net_loop_close(struct net_loop *l)
{
  if (l->epoll_fd >= 0)
    close(l->epoll_fd);
  l->epoll_fd = -1;
}

static int control(struct net_loop *l, int operation, struct net_watch *w)
{
  struct epoll_event event = {.events = w->events, .data.ptr = w};
  return epoll_ctl(l->epoll_fd, operation, w->fd, &event) == 0 ? 0 : net_error_from_errno(errno);
}

int net_loop_attach(struct net_loop *l, struct net_watch *w)
{
  return control(l, EPOLL_CTL_ADD, w);
}

int net_loop_change(struct net_loop *l, struct net_watch *w, uint32_t events)
{
  if (w->events == events)
    return 0;
  uint32_t before = w->events;
  w->events = events;
  int r = control(l, EPOLL_CTL_MOD, w);
  if (r != 0)
    w->events = before;
  return r;
}

void net_loop_detach(struct net_loop *l, struct net_watch *w)
{
  (void)control(l, EPOLL_CTL_DEL, w); /* not attached: nothing to do */
  for (int i = l->event_at; i < l->event_count; i++)
    if (l->event[i].data.ptr == w)
      l->event[i].data.ptr = NULL;
}

/* Milliseconds for epoll_wait; -1: until something comes. */
static int wait_ms(const struct net_loop *l, uint64_t next_ms)
{
  if (next_ms == WHEEL_NEVER)
    return -1;
  if (next_ms <= l->now_ms)
    return 0;
  uint64_t left = next_ms - l->now_ms;
  return left > INT_MAX ? INT_MAX : (int)left;
}

/* Waking up costs more than handling a datagram. A thread that sleeps through the next few finds
 * them together, and one that has plenty to do needs no sleep for that. Behind the round, not
 * before it: what comes after a silence is handled at once. */
static void rest(struct net_loop *l, int events)
{
  const bool busy = l->busy || events == NET_LOOP_EVENTS;
  const struct timespec t = {.tv_sec = l->coalesce_us / 1000000,
                             .tv_nsec = (long)(l->coalesce_us % 1000000) * 1000};
  l->busy = false;
  if (busy || events <= 0 || l->stopping)
    return;
  /* The kernel's 50 us of slack are too many here. */
  if (!l->precise)
    l->precise = prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0) == 0;
  (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL); /* a signal may end it early */
}

int net_loop_run(struct net_loop *l, const struct net_loop_hooks *hooks)
{
  l->stopping = false;
  while (!l->stopping) {
    l->now_ms = net_clock_ms();
    int timeout = wait_ms(l, hooks->next_ms(hooks->arg));
    int n = epoll_wait(l->epoll_fd, l->event, NET_LOOP_EVENTS, timeout);
    if (n < 0 && errno != EINTR)
      return -ERR_IO;
    l->rounds++;
    l->now_ms = net_clock_ms();
    l->event_count = n < 0 ? 0 : n;
    for (l->event_at = 0; l->event_at < l->event_count && !l->stopping;) {
      const struct epoll_event *event = &l->event[l->event_at++];
      struct net_watch *w = event->data.ptr;
      if (w != NULL)
        w->ready(w, event->events, l->now_ms);
    }
    l->event_count = 0;
    hooks->tick(hooks->arg, l->now_ms);
    if (l->coalesce_us != 0)
      rest(l, n);
  }
  return 0;
}

void net_loop_stop(struct net_loop *l)
{
  l->stopping = true;
}
