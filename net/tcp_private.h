/* What tcp.c (listeners, the set of connections) and tcp_conn.c (one connection) share. Private to
 * them. */
#ifndef VIADUCT_NET_TCP_PRIVATE_H
#define VIADUCT_NET_TCP_PRIVATE_H

#include "net/tcp.h"

struct net_tcp {
  struct net_tcp_setup setup;
  struct mem mem;
  struct list listeners, all, dirty;
  struct hash_table by_id;
  uint64_t last_id;
  struct timer resume; /* while a listener is paused */
  uint8_t *input;      /* what is read lands here; shared by all connections */
  size_t input_cap;
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
