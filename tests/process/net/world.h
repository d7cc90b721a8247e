/* One thread with a loop, a wheel, a batch and TCP connections that echo, for the tests of net/.
 * The client's side are plain sockets in the same thread. */
#ifndef VIADUCT_TESTS_PROCESS_NET_WORLD_H
#define VIADUCT_TESTS_PROCESS_NET_WORLD_H

#include "net/tcp.h"
#include "net/udp.h"

struct world {
  struct net_loop loop;
  struct wheel wheel;
  struct net_udp_batch *batch;
  struct net_tcp *tcp;
  struct net_listener listener;
  size_t messages, bytes, batches, closed; /* what the connections did */
  bool echo, keep, hold;
  uint64_t last_conn;
  /* of world_run */
  bool (*done)(struct world *w);
  uint64_t until_ms;
};

/* With limits that a test does not have to wait for long. */
extern const struct net_tcp_limits world_limits;

void world_open(struct world *w, const struct net_tcp_limits *limits);
void world_close(struct world *w);
/* Runs the loop until `done` says so or 5 seconds are over; fails the test in the second case.
 * NULL: one round that waits for nothing. */
void world_run(struct world *w, bool (*done)(struct world *w));
/* A blocking client socket, connected to the listener. */
int world_connect(const struct world *w);

#endif
