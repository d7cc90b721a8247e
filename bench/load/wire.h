/* The sockets of viaduct-load: datagrams in bursts, cut by the kernel (UDP_SEGMENT, UDP_GRO) where
 * that is wanted, so that the generator is not the slower end. */
#ifndef VIADUCT_BENCH_LOAD_WIRE_H
#define VIADUCT_BENCH_LOAD_WIRE_H

#include "base/addr.h"
#include "net/error.h"

enum { LOAD_BURST_MAX = 32, LOAD_DATAGRAM_MAX = 1500 };

/* One burst of datagrams of one length to one place. */
struct load_burst {
  int fd;
  const struct addr *to; /* NULL: the socket is connected */
  const uint8_t *at;     /* `count` datagrams of `len` bytes, one behind the other */
  size_t len, count;
  bool segment; /* as one, for the kernel to cut */
};

/* How many of them the kernel took. */
size_t load_send(const struct load_burst *b);

/* Room for so many sockets and a few descriptors more, as far as the hard limit lets it be made.
 * -1: that is too low, and `e` says what to raise. */
int load_make_room(unsigned sockets, struct net_error *e);

/* A bound socket, connected where `to` is not NULL. */
int load_open(const struct addr *at, const struct addr *to, bool aggregate, struct net_error *e);

typedef void (*load_receive_fn)(void *arg, struct bytes datagram, uint64_t now_ns);
/* All that waits at the socket, up to `most` reads of a batch. Returns the datagrams. */
size_t load_receive(int fd, unsigned most, load_receive_fn each, void *arg);

#endif
