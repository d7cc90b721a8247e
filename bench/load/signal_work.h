/* What the clients of `viaduct-load signal` do, and what came of it. */
#ifndef VIADUCT_BENCH_LOAD_SIGNAL_WORK_H
#define VIADUCT_BENCH_LOAD_SIGNAL_WORK_H

#include "bench/load/signal_engine.h"

enum load_work {
  LOAD_WORK_RELAY, /* messages between the two of each pair */
  LOAD_WORK_IDLE,  /* they are in, and say that they live */
  LOAD_WORK_CHURN  /* they come in, leave, and come in again */
};
const char *load_work_name(enum load_work w);

struct load_signal_trial {
  enum load_work work;
  uint64_t rate;   /* messages a second of all together; 0: flat out */
  uint32_t window; /* flat out: messages on their way to one client */
  uint32_t size;   /* bytes of a message's note */
  bool call;       /* sizes as in a call: a large one, then six small ones, each way */
  uint32_t ms;
  uint32_t heartbeat_ms; /* of each client, when idle; 0: none */
  uint64_t slow_rate;    /* messages a second, of LOAD_SLOW_SIZE, to all that do not read */
};

enum { LOAD_SLOW_SIZE = 16384, LOAD_CALL_LARGE = 3072, LOAD_CALL_SMALL = 200 };

struct load_signal_birth {
  uint64_t elapsed_ns, server_ns, memory; /* bytes that the server grew by */
};

struct load_signal_result {
  struct load_signal_birth birth;
  struct load_signal_counts counts;
  struct load_wire wire;                 /* while it was sent */
  uint64_t elapsed_ns, steady_server_ns; /* likewise */
  uint64_t server_ns, own_ns, drain_ns;  /* with what was on its way */
  uint64_t heartbeats;
  uint64_t memory; /* bytes that the server grew by in the trial */
  uint64_t lost;
  bool generator_was_the_limit;
  struct load_histogram latency; /* of messages; of coming in, where clients come and go */
  char trouble[200];
};

/* Clients come in, work, and are gone. -1: they do not come in; a sentence in `e`. */
int load_signal_work(const struct load_signal_setup *s, const struct load_signal_trial *t,
                     struct load_signal_result *r, struct net_error *e);

#endif
