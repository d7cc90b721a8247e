/* Clients of a signalling server, in pairs: they connect, enter, send to each other and leave, over
 * each transport of the Viaduct protocol or as PeerJS clients. One thread, one epoll; nothing here
 * waits for a server. */
#ifndef VIADUCT_BENCH_LOAD_SIGNAL_ENGINE_H
#define VIADUCT_BENCH_LOAD_SIGNAL_ENGINE_H

#include "bench/load/account.h"
#include "bench/load/signal_pipe.h"

enum load_protocol { LOAD_VIADUCT, LOAD_PEERJS };
enum load_signal_transport { LOAD_WEBSOCKET, LOAD_SSE, LOAD_LONGPOLL, LOAD_POLL };
const char *load_signal_transport_name(enum load_signal_transport t);

enum { LOAD_ID_SIZE = 80, LOAD_PATH_SIZE = 200, LOAD_CLIENTS_MAX = 60000 };

struct load_signal_setup {
  enum load_protocol protocol;
  enum load_signal_transport transport;
  struct addr server;
  char host[LOAD_PATH_SIZE]; /* for Host */
  char path[LOAD_PATH_SIZE]; /* of the URL, without a slash at its end */
  const char *key;           /* of PeerJS; borrowed */
  const char *token;         /* may be NULL; borrowed */
  uint32_t clients;          /* even: 2n and 2n+1 are a pair */
  uint32_t slow;             /* pairs whose second client reads nothing once it is in */
  uint32_t sources;          /* addresses on loopback that they come from; 0: the system chooses */
  uint32_t at_a_time;        /* that connect */
  uint32_t poll_ms, wait_s;
  int pid; /* the server, whose CPU is measured; 0: it is elsewhere */
};

enum load_client_state {
  LOAD_CLIENT_OUT,       /* no connection */
  LOAD_CLIENT_UPGRADING, /* connecting, and asking for a WebSocket */
  LOAD_CLIENT_OPENING,   /* for OPEN, or for `welcome` */
  LOAD_CLIENT_JOINING,
  LOAD_CLIENT_IN,
  LOAD_CLIENT_LEAVING
};

/* Over HTTP there are two connections: what goes to the server, and what comes from it. */
enum load_pipe_kind { LOAD_PIPE_MAIN, LOAD_PIPE_READER };

struct load_signal_client {
  struct load_pipe pipe[2];
  enum load_client_state state;
  char id[LOAD_ID_SIZE], key[LOAD_ID_SIZE];
  uint32_t life;           /* how often it has come in */
  uint64_t began_ns;       /* when it began to */
  uint64_t seq, acked;     /* of its outbox */
  bool is_posting;         /* a POST is under way, and then a batch waits */
  bool is_asking;          /* a GET is under way */
  bool is_streaming;       /* the head of the stream has come */
  bool is_dirty;           /* stands in `dirty` of the engine */
  bool is_waiting_ack;     /* stands in `ack` of the engine */
  bool is_deaf;            /* reads nothing */
  struct load_queue batch; /* of messages, with commas */
  uint32_t batch_count;
  uint32_t on_way;             /* messages to this client that have not come */
  bool is_hungry;              /* stands in `hungry` of the engine */
  struct load_account account; /* of the flow to this client */
};

/* What went wrong, and what did not arrive. */
struct load_signal_counts {
  uint64_t sent, received, duplicates, reordered, damaged, misrouted;
  uint64_t refused; /* errors of the server, and messages that it gave back */
  uint64_t closed;  /* connections that the server ended */
  uint64_t entered, left;
  uint64_t slow_sent, slow_refused, slow_closed;
};

struct load_signal_engine {
  struct load_signal_setup setup;
  struct load_signal_client *client;
  uint32_t client_count;
  int epoll;
  uint64_t now_ns, last_ns; /* of this turn; when the last message came */
  struct load_signal_counts counts;
  struct load_wire wire;
  struct load_histogram latency;
  struct load_histogram entering; /* from the connection to being in */
  uint32_t *dirty, dirty_count;
  uint32_t *hungry, hungry_count; /* clients to whom little is on its way */
  struct load_ack {
    uint32_t client;
    uint64_t due_ns;
  } * ack; /* a ring of client_count */
  uint32_t ack_first, ack_count;
  uint32_t waiting_most; /* a client to whom less is on its way is hungry; 0: none is */
  uint32_t run;          /* tells the ids of this process from those of others */
  uint32_t coming;       /* clients that are on their way in */
  bool comes_back;       /* who has left comes in again */
  bool is_closing;       /* ends of connections are no surprise */
  char trouble[200];     /* the first error of the server, in its words; empty: none */
};

/* Returns owned, with all clients outside; NULL with a sentence in `e`. */
struct load_signal_engine *load_signal_new(const struct load_signal_setup *s, struct net_error *e);
void load_signal_free(struct load_signal_engine *g);
/* All clients come in. -1: they do not, and `e` says why. */
int load_signal_enter(struct load_signal_engine *g, struct net_error *e);
/* One client begins to come in. -1: a sentence in `e`. */
int load_signal_connect(struct load_signal_engine *g, uint32_t at, struct net_error *e);
/* What has come is taken, what waits goes out; for so long at most, or less where there is
 * something. */
void load_signal_turn(struct load_signal_engine *g, uint64_t timeout_ns);
/* Segments of all connections that are open are added. */
void load_signal_count_packets(const struct load_signal_engine *g, struct load_wire *w);

#endif
