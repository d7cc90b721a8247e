/* What setup.c and traffic.c share. */
#ifndef VIADUCT_BENCH_LOAD_ENGINE_PRIV_H
#define VIADUCT_BENCH_LOAD_ENGINE_PRIV_H

#include "bench/load/engine.h"

struct load_flow {
  struct load_client client;
  struct load_link link;
  bool dirty;      /* stands in `dirty` of the engine */
  uint64_t due_ms; /* while it is set up: when the request goes out again */
  struct load_account account;
};

struct load_engine {
  struct load_setup setup;
  struct load_flow *flow;
  uint32_t flow_count;
  int epoll, peer_fd;
  struct addr peer;           /* of peer_fd */
  struct load_result *result; /* of the trial that runs */
  uint64_t last_ns;           /* the last packet that came */
  uint32_t reading;           /* the flow whose socket is read; flow_count: the peer's */
  struct load_flood *flood;   /* NULL: none */
  uint32_t trial;             /* packets of an earlier one do not count */
  uint32_t *dirty;            /* flows whose connection has gathered something */
  uint32_t dirty_count;
  size_t message_len; /* bytes of each message of the trial in a stream */
};

enum { LOAD_EVENTS = 64 };

/* Watches the flow's socket for what its link needs next, and forgets one that has ended. -1: the
 * kernel refused. */
int load__settle(struct load_engine *g, struct load_flow *f);

#endif
