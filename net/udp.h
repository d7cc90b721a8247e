/* UDP in batches: recvmmsg in, sendmmsg out, no copy in between.
 *
 * One struct net_udp_batch serves all sockets of a thread:
 *
 *   n = net_udp_receive(batch, socket)     up to NET_UDP_BATCH datagrams, each with headroom
 *   for each batch->msg[i]                 the caller rewrites it in place and queues it ...
 *     net_udp_send(batch, out, from, to, bytes)        ... as a pointer (in place) or a copy
 *   net_udp_flush(batch)                   one sendmmsg for each socket that has output
 *
 * The buffers are reused by the next receive, which flushes first if the caller has not (or, as
 * net_udp_receive_runs, takes those that are free). Output stands in a list for each socket, in
 * order; what follows each other to the same place in equal lengths, as the packets of a video
 * frame do, is handed to the kernel as one (UDP_SEGMENT). Sockets that aggregate get the like from
 * the kernel as one (UDP_GRO), and it is cut into messages here. */
#ifndef VIADUCT_NET_UDP_H
#define VIADUCT_NET_UDP_H

#include "base/dgram.h"
#include "base/list.h"
#include "net/loop.h"
#include "net/sockaddr.h"

enum {
  NET_UDP_BATCH = 64,    /* reads at a time; each is one message, or several that were aggregated */
  NET_UDP_SEGMENTS = 64, /* the kernel cuts no more apart (128 since Linux 6.11) */
  NET_UDP_PAYLOAD = 65536,  /* no UDP payload is longer: nothing is ever cut */
  NET_UDP_ERRORS = 16,      /* read from one socket before the others have their turn */
  NET_UDP_HEAD = 4,         /* what may be put before each datagram of a run */
  NET_UDP_OUT = 128,        /* queued datagrams; one more flushes */
  NET_UDP_COPY = 128 * 1024 /* bytes of copied output; more flushes */
};

struct net_udp_setup {
  struct addr at;
  bool reuse_port;
  bool want_local;  /* tell the local address of each datagram (for wildcard addresses) */
  bool aggregate;   /* let the kernel hand over several datagrams of one sender as one read */
  bool want_errors; /* keep what ICMP says for net_udp_receive_errors: the watch gets EPOLLERR */
  bool crowded;     /* many send to it: each read asks for all there may be */
  bool beside;      /* as in struct net_bind */
  unsigned receive_buffer, send_buffer; /* bytes, 0: the system's; the kernel may grant less */
  int below;                            /* these three as in struct net_bind */
  const char *program, *mend;
};

/* One socket. Its owner keeps it in place while it is open. */
struct net_udp {
  struct net_watch watch; /* fd -1 when closed; the owner sets `ready` and attaches it */
  struct addr local;      /* with the port that the kernel chose */
  bool want_local, want_errors, aggregate;
  bool crowded;
  bool connected;              /* to the one place that it sends to: net_udp_aim */
  bool dont_fragment;          /* how the socket is set right now */
  uint8_t ask, full;           /* how many datagrams the next read asks for; udp.c:learn */
  struct list pending;         /* in the batch's list of sockets with output */
  uint16_t out_head, out_tail; /* indices + 1 into the batch's output; 0: none */
};

struct net_udp_msg {
  struct dgram d;    /* at least DGRAM_HEADROOM before and DGRAM_TAILROOM behind the payload */
  struct addr from;  /* the sender */
  struct addr local; /* where it arrived: the socket's address, wildcards resolved */
  size_t each; /* 0: one datagram. Of net_udp_receive_runs: several of this length, without a gap
                  and without a headroom between them; the last may be shorter */
};

/* Datagrams that stand in a row, to leave in one message: `skip` bytes of each are left out, and
 * `head` (the last: `last_head`), which is copied, stands before the rest. */
struct net_udp_run {
  const uint8_t *at;
  size_t len, each, skip;
  uint8_t head[NET_UDP_HEAD], last_head[NET_UDP_HEAD];
  bool has_head;
};

/* An ICMP error about a datagram that this socket sent. */
struct net_udp_error {
  struct addr to; /* where it went; port 0 where the kernel does not tell */
  uint8_t type, code;
  uint32_t mtu;   /* of the next hop, where the datagram was too big */
  struct dgram d; /* empty, with the room of a message's: for an answer in place */
};

struct net_udp_counters {
  uint64_t received_packets, received_bytes, sent_packets, sent_bytes;
  uint64_t send_failed;      /* no route, refused by a filter, too large, ... */
  uint64_t send_buffer_full; /* dropped, since nothing blocks */
  uint64_t receive_failed;   /* ICMP errors and the like, read off and passed over */
};

struct net_udp_batch;

/* Returns owned; one for each thread. -ERR_NOMEM. */
int net_udp_batch_new(struct net_udp_batch **out);
void net_udp_batch_free(struct net_udp_batch *b);
/* The messages of the last net_udp_receive or net_udp_receive_runs. */
struct net_udp_msg *net_udp_batch_messages(struct net_udp_batch *b);
/* How many datagrams came with it. */
size_t net_udp_batch_came(const struct net_udp_batch *b);
struct net_udp_counters *net_udp_batch_counters(struct net_udp_batch *b);

/* As net_bind; `e` may be NULL. watch.events is EPOLLIN. */
int net_udp_open(struct net_udp *u, const struct net_udp_setup *s, struct net_error *e);
/* A second socket at the port of `at`, for what goes to and comes from `peer` alone: the kernel
 * looks no route up for each datagram, and hands over here what that peer sends; all others still
 * come in at `at`. As net_udp_open; `below` as in struct net_bind. Errors and aggregation are as at
 * `at`. */
int net_udp_open_beside(struct net_udp *u, const struct net_udp *at, const struct addr *peer,
                        int below);
/* Aims such a socket at another peer; what is queued for the first leaves before, and what he has
 * sent stays to be read. -ERR_*: it is as before. */
int net_udp_aim(struct net_udp *u, struct net_udp_batch *b, const struct addr *peer);
/* Sends what is queued for it first. The watch has to be detached before. Harmless when closed. */
void net_udp_close(struct net_udp *u, struct net_udp_batch *b);

/* The number of datagrams, 0 when there is nothing. Never blocks. Flushes first. */
size_t net_udp_receive(struct net_udp_batch *b, struct net_udp *u);
/* The number of reads: what was aggregated is left as one message. What is queued in place stays
 * queued and good: for several sockets whose output goes to one, in one flush behind them all. It
 * flushes only when the buffers run out. */
size_t net_udp_receive_runs(struct net_udp_batch *b, struct net_udp *u);
/* Cuts such a message apart; what it is made of, until the next call: the number of datagrams. */
size_t net_udp_cut(struct net_udp_batch *b, const struct net_udp_msg *m, struct net_udp_msg **out);

/* The number of ICMP errors, in net_udp_batch_errors; at most NET_UDP_ERRORS are read off. Their
 * `d` are buffers of the batch, as those of messages. */
size_t net_udp_receive_errors(struct net_udp_batch *b, struct net_udp *u);
struct net_udp_error *net_udp_batch_errors(struct net_udp_batch *b);

enum net_udp_how {
  NET_UDP_IN_PLACE = 1,     /* the bytes stay until the flush: no copy is made */
  NET_UDP_DONT_FRAGMENT = 2 /* IPv4's DF, and no fragments of IPv6 */
};

/* Queues one datagram. `from`: the local address to send from (as a message's `local`), NULL where
 * the socket is bound to one. A send that fails is counted and harms nothing. */
void net_udp_send(struct net_udp_batch *b, struct net_udp *u, const struct addr *from,
                  const struct addr *to, struct bytes payload, unsigned how);
/* Queues a run in place, whose datagrams the kernel cuts apart. False, and nothing has happened,
 * where one message cannot hold it. `from`, `to` as for net_udp_send. */
bool net_udp_send_run(struct net_udp_batch *b, struct net_udp *u, const struct addr *from,
                      const struct addr *to, const struct net_udp_run *run);
void net_udp_flush(struct net_udp_batch *b);
/* Somebody else sends bytes of messages in place, too: they stay until `release`, which comes in
 * the next net_udp_flush, and from receiving before they are overwritten. NULL: not any more. */
void net_udp_keep(struct net_udp_batch *b, void (*release)(void *arg), void *arg);

#endif
