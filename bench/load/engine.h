/* Allocations at a TURN server, and packets through them. */
#ifndef VIADUCT_BENCH_LOAD_ENGINE_H
#define VIADUCT_BENCH_LOAD_ENGINE_H

#include "bench/load/account.h"
#include "bench/load/client.h"
#include "bench/load/link.h"

enum { LOAD_FLOWS_MAX = 20000 };

enum load_direction {
  LOAD_UP,   /* client to peer */
  LOAD_DOWN, /* peer to client */
  LOAD_CALL  /* client to client, each behind an allocation of its own */
};

enum load_flood_kind {
  LOAD_FLOOD_NONE,
  LOAD_FLOOD_CHANNELS,  /* ChannelData of a client, for channels that it has not bound */
  LOAD_FLOOD_STRANGERS, /* ChannelData from addresses without an allocation */
  LOAD_FLOOD_PEERS,     /* to relayed addresses, from a peer without permission */
  LOAD_FLOOD_BINDINGS   /* Binding requests from spoofed addresses */
};

struct load_setup {
  struct load_way way;             /* borrows its `tls` */
  struct addr peer;                /* a local address, port 0 */
  const char *username, *password; /* borrowed */
  uint32_t allocations;
  enum load_direction direction;
  bool indications; /* Send and Data in place of ChannelData */
  enum load_flood_kind flood;
  uint64_t flood_rate;    /* packets a second */
  struct addr flood_from; /* of LOAD_FLOOD_PEERS: a local address, port 0 */
  int pid;                /* the server, whose CPU is measured; 0: it is elsewhere */
};

struct load_trial {
  uint32_t size;  /* bytes of payload */
  uint32_t burst; /* packets of one flow at a time */
  bool segment;   /* a burst as one for the kernel to cut */
  uint64_t rate;  /* packets a second; 0: as many as go out */
  uint32_t ms;
  bool flooded; /* with the flood beside it, if the setup has one */
};

/* What came of setting up. */
struct load_birth {
  uint64_t elapsed_ns, cpu_ns;
  uint64_t memory; /* bytes that the server grew by */
  uint64_t resent;
};

struct load_flood_result {
  uint64_t sent, refused; /* refused: as in struct load_result */
  uint64_t answered;      /* Binding requests, as far as their answers come back here */
  uint64_t leaked;        /* what came through a channel that is none */
  bool too_slow;          /* the generator was */
};

struct load_result {
  enum load_transport transport;
  uint64_t sent;
  uint64_t refused; /* by the generator's own send buffers, which were full */
  uint64_t queued;  /* stood in them when the sending was over: a stream that does not move on */
  uint64_t closed;  /* connections that the server ended */
  uint64_t received, duplicates, reordered, damaged, misrouted;
  uint64_t elapsed_ns, server_ns;
  uint64_t drain_ns; /* between the last packet sent and the last that came */
  bool generator_was_the_limit;
  struct load_flood_result flood;
  const char *bound; /* of a search for the rate: why the trial above failed; NULL: none did */
  struct load_histogram latency;
};

struct load_engine;

/* Makes all allocations. Returns owned; NULL with one sentence in `e`. */
struct load_engine *load_engine_new(const struct load_setup *s, struct load_birth *birth,
                                    struct net_error *e);
/* Ends the allocations. */
void load_engine_free(struct load_engine *g);
void load_engine_run(struct load_engine *g, const struct load_trial *t, struct load_result *r);

#endif
