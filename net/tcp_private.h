/* What tcp.c (listeners, the set of connections), tcp_conn.c (one connection), tcp_out.c (its
 * output) and tcp_taken.c share. Private to them. */
#ifndef VIADUCT_NET_TCP_PRIVATE_H
#define VIADUCT_NET_TCP_PRIVATE_H

#include "net/tcp.h"

enum {
  NET_TCP_PIECES = 256,       /* of all connections; more are copied */
  NET_TCP_GATHER = 16 * 1024, /* one record of TLS (RFC 8446 section 5.1) */
};

/* Output that stays where it is until the flush. */
struct net_tcp_piece {
  struct iovec iov;
  uint16_t next; /* of the same connection: index + 1, 0: the last */
};

struct net_tcp {
  struct net_tcp_setup setup;
  struct mem mem;
  struct list listeners, all, dirty;
  struct hash_table by_id;
  uint64_t last_id;
  struct timer resume; /* while a listener is paused */
  uint8_t *input;      /* what is read lands here; shared by all connections */
  size_t input_cap;
  uint8_t *gather; /* NET_TCP_GATHER bytes: pieces, for a stream that writes one */
  struct net_tcp_piece piece[NET_TCP_PIECES];
  uint16_t piece_count;
  struct net_tcp_counters counters;
};

enum {
  /* A started message of up to this size is copied in front of what is read next; a larger one is
   * completed in a buffer of its own, so that a byte at a time never costs a large copy each. */
  NET_TCP_REJOIN = 4096,
  NET_TCP_INPUT = 64 * 1024,
  NET_TCP_RESERVE = 16 * 1024, /* room for replies behind relayed data */
  NET_TCP_READS = 8,           /* from one connection before the others have their turn */
  NET_TCP_ACCEPTS = 64,        /* the same for a listener */
  NET_TCP_RESUME_MS = 250
};

/* Callback of a connection's descriptor. */
void net__conn_ready(struct net_watch *w, uint32_t events, uint64_t now_ms);
void net__conn_deadline(struct timer *t, uint64_t now_ms);
/* Arms the deadline if what is due next comes earlier than what is armed. */
void net__conn_arm(struct net_conn *c);
/* tcp_out.c. Bytes that are not written yet. */
size_t net__conn_waiting(const struct net_conn *c);
/* Writes what waits; then goes, if it is to go and is not busy. */
void net__conn_flush(struct net_conn *c, uint64_t now_ms);
/* Writes what is queued. */
void net__conn_write(struct net_conn *c, uint64_t now_ms);
/* Asks the loop for what it needs next, or frees it; whether it lives on. */
bool net__conn_settle(struct net_conn *c, uint64_t now_ms);
/* Hands on the messages that it kept while it was held. */
void net__conn_recut(struct net_conn *c, uint64_t now_ms);
/* Tells the owner, closes and frees. */
void net__conn_free(struct net_conn *c, uint64_t now_ms);

#endif
