/* What setup.c and traffic.c share. */
#ifndef VIADUCT_BENCH_LOAD_ENGINE_PRIV_H
#define VIADUCT_BENCH_LOAD_ENGINE_PRIV_H

#include "bench/load/engine.h"

struct load_flow {
  struct load_client client;
  int fd;
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
};

enum { LOAD_EVENTS = 64 };

#endif
