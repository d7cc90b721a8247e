/* A TCP connection of a client of `viaduct-load signal`: never waits, and has memory only for what
 * has not gone out, or is not whole yet. */
#ifndef VIADUCT_BENCH_LOAD_SIGNAL_PIPE_H
#define VIADUCT_BENCH_LOAD_SIGNAL_PIPE_H

#include "base/addr.h"
#include "net/error.h"

/* Bytes that come at the end and go at the front. */
struct load_queue {
  uint8_t *at; /* owned */
  size_t from, len, cap;
};
/* Room for `len` bytes behind the last; load_queue_grew when they are there. NULL: no memory. */
uint8_t *load_queue_room(struct load_queue *q, size_t len);
bool load_queue_put(struct load_queue *q, struct bytes bytes);
/* So many bytes are done with; the last ones free the memory. */
void load_queue_drop(struct load_queue *q, size_t len);
struct bytes load_queue_view(const struct load_queue *q);
void load_queue_fini(struct load_queue *q);

/* What connections have carried; packets, as the kernel counted TCP's segments. */
struct load_wire {
  uint64_t bytes_out, bytes_in, packets_out, packets_in, requests;
};

struct load_pipe {
  int fd;                        /* -1: none */
  bool is_connected, is_blocked; /* blocked: epoll says when more goes out */
  struct load_queue in, out;
};

struct load_pipe_setup {
  struct addr server;
  const struct addr *from; /* a local address, port 0; NULL: whichever */
  int receive_buffer;      /* bytes; 0: the system's */
};

void load_pipe_init(struct load_pipe *p);
/* Begins to connect. -1: a sentence in `e`. */
int load_pipe_open(struct load_pipe *p, const struct load_pipe_setup *s, struct net_error *e);
/* Writes what waits, as far as it goes. -1: the connection is gone. */
int load_pipe_flush(struct load_pipe *p, struct load_wire *w);
/* Adds the segments of this connection. */
void load_pipe_count(const struct load_pipe *p, struct load_wire *w);
/* With a reset, so that nothing of it stays in the kernel. */
void load_pipe_close(struct load_pipe *p);

#endif
