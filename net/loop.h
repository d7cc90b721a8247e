/* The event loop of one thread: epoll, level-triggered, `now` taken once for each round. It wakes
 * up for a descriptor or for the caller's next deadline, and for nothing else. */
#ifndef VIADUCT_NET_LOOP_H
#define VIADUCT_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

enum { NET_LOOP_EVENTS = 128 }; /* taken from the kernel in one round */

struct net_loop;

/* A descriptor that the loop watches. Its owner keeps it in place while it is attached. */
struct net_watch {
  int fd;
  uint32_t events; /* EPOLLIN, EPOLLOUT, as asked for */
  /* `events` are those that came (EPOLLERR and EPOLLHUP always count). May remove and free any
   * watch, this one included. */
  void (*ready)(struct net_watch *w, uint32_t events, uint64_t now_ms);
};

struct net_loop_hooks {
  void *arg;
  /* When tick should run next at the latest (WHEEL_NEVER: not by itself). */
  uint64_t (*next_ms)(void *arg);
  /* Runs what is due; called once in each round, behind the descriptors. */
  void (*tick)(void *arg, uint64_t now_ms);
};

struct net_loop {
  int epoll_fd;
  bool stopping;
  uint64_t now_ms;
  uint64_t rounds; /* how often it woke up */
  /* The owner's, 0 from net_loop_open: behind a round that had something to do it rests as long, so
   * that more waits for the next one. Nothing comes later by more than this, timers too. */
  uint32_t coalesce_us;
  bool busy;    /* set by callbacks that found plenty: no rest behind this round */
  bool precise; /* private: the kernel lets this thread sleep to the microsecond */
  struct epoll_event event[NET_LOOP_EVENTS];
  int event_at, event_count; /* of the round that is running */
};

/* -ERR_IO. */
int net_loop_open(struct net_loop *l);
void net_loop_close(struct net_loop *l);
/* `w` has its fd, events and callback. -ERR_IO, -ERR_NOMEM. */
int net_loop_attach(struct net_loop *l, struct net_watch *w);
/* Other events for a watch that is attached; costs nothing when they are the same. */
int net_loop_change(struct net_loop *l, struct net_watch *w, uint32_t events);
/* Before its descriptor is closed. What this round still had for it is forgotten, so the owner may
 * free it at once. Does not close it. */
void net_loop_detach(struct net_loop *l, struct net_watch *w);
/* Runs until net_loop_stop, which a callback calls. -ERR_IO when epoll itself fails. */
int net_loop_run(struct net_loop *l, const struct net_loop_hooks *hooks);
void net_loop_stop(struct net_loop *l);

#endif
