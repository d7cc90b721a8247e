/* The TCP connections with peers (RFC 6062) of a worker: peers.c makes and ends them, splice.c
 * carries their bytes, letters.c takes them to another worker. Private to turn/. */
#ifndef VIADUCT_TURN_PEERS_H
#define VIADUCT_TURN_PEERS_H

#include <pthread.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/wheel.h"
#include "net/loop.h"
#include "stun/core/types.h"
#include "turn/core/types.h"

struct net_conn;
struct turnd_relay;
struct turnd_worker;

/* What one side has sent and the other one does not take yet: the rest of one read, and nothing
 * more is read before it is gone. */
struct turnd_pipe {
  uint8_t *bytes; /* NULL: empty */
  size_t at, len;
  bool ended;       /* its source sends no more */
  bool finished;    /* and its sink knows */
  uint64_t due_ms;  /* not read before: max-bps */
  uint64_t paid_ns; /* turn_pace */
};

enum turnd_peer_state {
  TURND_PEER_CONNECTING,
  TURND_PEER_WAITING, /* for its ConnectionBind; what it sends stays in the kernel's buffer */
  TURND_PEER_JOINED,
  TURND_PEER_LENT /* its socket is with another worker, which has the client's connection */
};

struct turnd_letter;

struct turnd_peer {
  struct net_watch watch;
  bool watched;
  struct turnd_worker *worker;
  struct hash_node by_id;
  struct list all;
  uint32_t id; /* CONNECTION-ID */
  enum turnd_peer_state state;
  struct net_conn *client;              /* when joined */
  struct turnd_pipe to_peer, to_client; /* when joined */
  uint64_t bps;                         /* the limit of each direction; 0: none */
  struct timer pause;                   /* until a direction is read again */
  bool borrowed;                        /* from worker `other` */
  uint32_t other;                       /* lent to, borrowed from */
  struct turnd_letter *farewell;        /* ready to say that it is over; NULL: neither of both */
  /* When borrowed: for its home to count, not told yet. */
  uint64_t from_client_bytes, from_peer_bytes;
  struct timer report; /* until it is told */
};

struct turnd_peers {
  struct hash_table by_id;
  struct list all;
  size_t count, limit;
  struct timer resume; /* while accepting is paused */
  uint8_t *scratch;    /* TURND_SCRATCH bytes: what is read lands here first */
};

enum {
  TURND_SCRATCH = 64 * 1024,
  TURND_PEERS_MAX = 16384, /* of all workers */
  TURND_REPORT_MS = 500    /* from bytes of a borrowed connection until its home is told */
};

/* ---- between workers ---- */

enum turnd_letter_kind {
  TURND_LETTER_ASK,     /* a ConnectionBind for a connection of yours */
  TURND_LETTER_ANSWER,  /* the response, and the peer's socket with a success */
  TURND_LETTER_CLOSE,   /* the allocation is gone: close what I lent */
  TURND_LETTER_CARRIED, /* by what you lent, since the last time */
  TURND_LETTER_GONE     /* what you lent is over, and what it carried last */
};

struct turnd_letter {
  struct list link;
  enum turnd_letter_kind kind;
  uint32_t from;         /* worker */
  uint32_t id;           /* CONNECTION-ID; in an answer with a socket, and in the last three */
  struct turn_flow flow; /* of the client's connection, at the worker that asks */
  int fd;                /* -1: none */
  uint64_t bps;          /* with a socket: its limit */
  uint64_t from_client_bytes, from_peer_bytes; /* CARRIED, GONE */
  uint8_t answer[STUN_MESSAGE_MAX];
  size_t answer_len, len;
  uint8_t message[]; /* `len` bytes */
};

/* No ring with a bound of its own: each connection has one letter under way at most, beside what it
 * tells of its bytes now and then. */
struct turnd_inbox {
  pthread_mutex_t lock;
  struct list letters;
};

/* peers.c */
int turnd__peers_init(struct turnd_worker *w);
void turnd__peers_fini(struct turnd_worker *w);
int turnd__peer_connect(void *arg, turn_relay relay, const struct addr *peer, uint32_t id);
void turnd__peer_close(void *arg, uint32_t id);
int turnd__peer_join(void *arg, uint32_t id, const struct turn_flow *client);
/* Of a listening relay socket. */
void turnd__peer_accept(struct turnd_relay *r, uint64_t now_ms);
struct turnd_peer *turnd__peer_find(struct turnd_worker *w, uint32_t id);
/* Takes `fd`, in every case. NULL without memory or room. */
struct turnd_peer *turnd__peer_new(struct turnd_worker *w, int fd, uint32_t id);
/* Closes its socket and lets the client's connection go; tells nobody. */
void turnd__peer_free(struct turnd_peer *p);
/* Tells the core, or the worker that lent it, and frees it. */
void turnd__peer_over(struct turnd_peer *p, uint64_t now_ms);
int turnd__peer_watch(struct turnd_peer *p, uint32_t events);

/* splice.c */
/* The client's connection and the peer's carry each other's bytes from now on. */
void turnd__splice(struct turnd_peer *p, struct net_conn *client);
/* The client's connection is closed, and dies. */
void turnd__splice_lost(struct turnd_peer *p, uint64_t now_ms);
/* A direction may be read again. */
void turnd__peer_rested(struct timer *t, uint64_t now_ms);
void turnd__peer_ready_joined(struct turnd_peer *p, uint64_t now_ms);
void turnd__pipe_fini(struct turnd_pipe *pipe);

/* letters.c */
int turnd__inbox_init(struct turnd_inbox *box);
/* What nobody took is thrown away, sockets closed. */
void turnd__inbox_fini(struct turnd_inbox *box);
struct turnd_letter *turnd__letter_new(struct turnd_worker *w, enum turnd_letter_kind kind,
                                       size_t len);
void turnd__letter_free(struct turnd_letter *l);
/* Takes `l`. */
void turnd__letter_post(struct turnd_worker *w, uint32_t to, struct turnd_letter *l);
/* The response that it shall carry back. */
void turnd__letter_answer(struct turnd_letter *l, struct bytes response);
/* What a borrowed connection has carried, to its home. */
void turnd__peer_report(struct timer *t, uint64_t now_ms);
/* Reads all mail. */
void turnd__letters_take(struct turnd_worker *w, uint64_t now_ms);
int turnd__elsewhere(void *arg, uint32_t share, const struct turn_flow *client,
                     struct bytes message);

#endif
