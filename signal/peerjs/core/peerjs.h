/* PeerServer's protocol as a pure function of messages and time: what npm's `peerjs` client speaks.
 *
 *   peerjs.c   sockets and ids: connect, takeover, heartbeats, the way in and the way out
 *   codec.c    a message of a client -> type, dst, payload: views, nothing allocated
 *   wait.c     what waits for a peer that is not there, and EXPIRE
 *   ids.c      fresh ids, the list of peers
 *
 * A socket is opened with what its URL says (peerjs_open), gets its messages (peerjs_input), is
 * asked for what to write after each wake (peerjs_next), and ends (peerjs_gone). Clients of
 * different keys, and clients of the Viaduct protocol, never meet.
 *
 * Limits: sig_guest_take for each message, outbox_messages and outbox_bytes for what waits on one
 * socket and for one absent peer, waiting_bytes for all absent peers together. */
#ifndef VIADUCT_SIGNAL_PEERJS_CORE_PEERJS_H
#define VIADUCT_SIGNAL_PEERJS_CORE_PEERJS_H

#include "signal/core/sig.h"

enum {
  PEERJS_ID_SIZE = 128,    /* bytes of an id; ids that we make up have 36 */
  PEERJS_TOKEN_SIZE = 256, /* of a token, which the client chooses */
  PEERJS_KEY_SIZE = 128,
  PEERJS_UUID = 36
};

struct peerjs;      /* one worker's clients, shares nothing */
struct peerjs_link; /* one socket */

/* Immutable while it is set. */
struct peerjs_config {
  struct bytes key;                       /* that sockets have to bring */
  uint32_t limit;                         /* ids at a time; 0: no limit */
  uint32_t alive_ms;                      /* without a heartbeat; 0: for ever */
  uint32_t expire_ms;                     /* how long messages wait for an absent peer */
  uint32_t outbox_messages, outbox_bytes; /* of one socket, and for one absent peer; 0: no limit */
  uint32_t waiting_bytes;                 /* for all absent peers together */
};

struct peerjs_setup {
  const struct peerjs_config *config; /* borrowed until peerjs_set_config or peerjs_free */
  const struct sig_effects *effects;  /* borrowed; as types.h says, with a socket's `edge` */
  struct mem *mem;                    /* borrowed */
  struct random *random;              /* borrowed */
  struct log *log;                    /* borrowed */
  struct sig *sig;                    /* borrowed: the limits of addresses */
  uint64_t now_ms;
};

/* What a socket says of itself. The views need to live only for the call. */
struct peerjs_hello {
  struct addr client;
  struct bytes id, token, key; /* empty: missing */
  bool is_too_long;            /* one of them was, and is not here */
  void *edge;
};

/* Why sockets were refused or closed. */
enum peerjs_refusal {
  PEERJS_INCOMPLETE, /* no id, token or key */
  PEERJS_TOO_LONG,
  PEERJS_WRONG_KEY,
  PEERJS_ID_TAKEN,
  PEERJS_FULL,        /* peerjs-limit, or the sessions of its address */
  PEERJS_RATE,        /* too many messages or bytes per second */
  PEERJS_SLOW_READER, /* its outbox ran over */
  PEERJS_NO_MEMORY,
  PEERJS_REFUSAL_COUNT
};

struct peerjs_counters {
  uint64_t links, clients;                  /* now */
  uint64_t waiting_messages, waiting_bytes; /* now, for absent peers */
  uint64_t outbox_messages, outbox_bytes;   /* now, of all sockets */
  uint64_t opened, taken_over, timed_out;   /* clients, ever */
  uint64_t messages_in, bytes_in, messages_out, bytes_out;
  uint64_t relayed, queued, expired; /* expired: pairs */
  uint64_t ignored;                  /* no JSON, no such type, no dst */
  uint64_t refused[PEERJS_REFUSAL_COUNT];
};

/* Returns owned. -ERR_NOMEM. */
int peerjs_new(const struct peerjs_setup *setup, struct peerjs **out);
/* Sockets included, without calling an effect. NULL is fine. */
void peerjs_free(struct peerjs *p);
void peerjs_set_config(struct peerjs *p, const struct peerjs_config *config);

/* A socket has come. Whatever is wrong with what it says, it is opened: the error is its first
 * message and its last, and `close` is asked for by the peerjs_next behind it. No effect is called
 * for the new socket itself; it has something to say at once. Returns owned, until peerjs_gone.
 * -ERR_FULL: too many connections of this address; -ERR_NOMEM. */
int peerjs_open(struct peerjs *p, const struct peerjs_hello *hello, uint64_t now_ms,
                struct peerjs_link **out);
/* One whole message, UTF-8. What is none, or not for the server, is ignored. */
void peerjs_input(struct peerjs *p, struct peerjs_link *link, struct bytes text, uint64_t now_ms);
/* The next message to write: a view that lives until the next call of any function here. */
bool peerjs_next(struct peerjs *p, struct peerjs_link *link, struct bytes *out);
void peerjs_gone(struct peerjs *p, struct peerjs_link *link, uint64_t now_ms);

/* As sig_tick and sig_next_ms. */
void peerjs_tick(struct peerjs *p, uint64_t now_ms);
uint64_t peerjs_next_ms(const struct peerjs *p);

/* A random id (UUID version 4, RFC 9562 section 5.4) that nobody has. */
void peerjs_make_id(struct peerjs *p, char out[PEERJS_UUID]);
/* All ids as a JSON array of at most peerjs_ids_size bytes. */
size_t peerjs_ids_size(const struct peerjs *p);
void peerjs_put_ids(const struct peerjs *p, struct buf *out);

const struct peerjs_counters *peerjs_counters(const struct peerjs *p);

#endif
