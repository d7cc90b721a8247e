/* A client's way to the server: datagrams, a TCP connection, TLS or DTLS. Nothing blocks. */
#ifndef VIADUCT_BENCH_LOAD_LINK_H
#define VIADUCT_BENCH_LOAD_LINK_H

#include "bench/load/stream.h"
#include "bench/load/wire.h"

enum load_transport { LOAD_UDP, LOAD_TCP, LOAD_TLS, LOAD_DTLS };

enum load_link_state {
  LOAD_LINK_CONNECTING, /* TCP */
  LOAD_LINK_HANDSHAKE,  /* TLS, DTLS */
  LOAD_LINK_OPEN,
  LOAD_LINK_CLOSED /* by the server, or broken: load_link_close is due */
};

struct load_tls; /* tls.h */

/* What all the links of a run have in common; borrowed by each while it lives. */
struct load_way {
  enum load_transport transport;
  struct addr client, server; /* client: port 0 */
  bool aggregate;             /* UDP_GRO */
  struct load_tls *tls;       /* NULL: neither TLS nor DTLS */
};

struct load_link {
  const struct load_way *way;
  int fd; /* -1: none */
  enum load_link_state state;
  bool blocked;               /* what waits goes on when the socket is writable */
  uint32_t watched;           /* events that epoll waits for; the owner's */
  struct ssl_st *ssl;         /* TLS, DTLS */
  struct load_stream *stream; /* TCP, TLS */
};

const char *load_transport_name(enum load_transport t);
bool load_transport_is_stream(enum load_transport t);

/* The first step; UDP is open at once. load_link_close is due at the end. -ERR_IO with a
 * sentence in `e` (and nothing to close). */
int load_link_open(struct load_link *l, const struct load_way *way, struct net_error *e);
/* The next step, when the socket is ready (and, for DTLS, from time to time). 0: open. -ERR_MORE.
 * -ERR_IO with a sentence in `e`. */
int load_link_go_on(struct load_link *l, struct net_error *e);
/* Both, for those who have nothing else to do meanwhile. */
int load_link_connect(struct load_link *l, const struct load_way *way, struct net_error *e);
/* What epoll has to wait for. */
uint32_t load_link_events(const struct load_link *l);

/* How many of the burst's messages (`fd` and `to` of it do not count) were taken: by the kernel, or
 * by the connection, which writes what was gathered in load_link_flush. */
size_t load_link_send(struct load_link *l, const struct load_burst *b);
void load_link_flush(struct load_link *l);
/* Bytes that have not left: what waits here, and in the kernel behind what is under way. */
size_t load_link_queued(const struct load_link *l);
/* All that waits, up to `most` reads. */
size_t load_link_receive(struct load_link *l, unsigned most, load_receive_fn each, void *arg);
/* Harmless on what is closed. */
void load_link_close(struct load_link *l);

#endif
