/* Ayame's protocol (github.com/OpenAyame/ayame) as a pure function of messages and time: rooms of
 * two, for its Web SDK and for devices that speak it.
 *
 *   ayame.c   sockets: register, ping and pong, the way in and the way out
 *   codec.c   a message of a client -> its type and what `register` says: views; and the accept
 *   room.c    who is in a room with whom, and what happens when one leaves
 *
 * A socket is opened (ayame_open), gets its messages (ayame_input), is asked for what to write
 * after each wake (ayame_next), and ends (ayame_gone). Offers, answers and candidates go to the
 * other one of the room as they came, byte for byte. Nobody of the Viaduct protocol or of PeerJS is
 * met here.
 *
 * Limits: sig_guest_take for each message, outbox_messages and outbox_bytes for what waits on one
 * socket, the deadline for the register, and for the pongs. */
#ifndef VIADUCT_SIGNAL_AYAME_CORE_AYAME_H
#define VIADUCT_SIGNAL_AYAME_CORE_AYAME_H

#include "signal/core/sig.h"

enum {
  AYAME_ROOM_SIZE = 256,     /* bytes of a roomId */
  AYAME_CLIENT_SIZE = 256,   /* of a clientId, which nobody is told */
  AYAME_KEY_SIZE = 256,      /* of a signalingKey */
  AYAME_CONNECTION = 16,     /* characters of a connectionId: 96 random bits */
  AYAME_PING_EVERY_MS = 5000 /* or a third of pong_ms, where that is less */
};

struct ayame;      /* one worker's sockets, shares nothing */
struct ayame_link; /* one socket */

/* Immutable while it is set. */
struct ayame_config {
  struct bytes key;                       /* the signalingKey to bring; empty: none is asked for */
  uint32_t limit;                         /* registered clients at a time; 0: no limit */
  uint32_t register_ms;                   /* how long a socket may be without; 0: for ever */
  uint32_t pong_ms;                       /* without a pong, from the register on; 0: for ever */
  uint32_t outbox_messages, outbox_bytes; /* of one socket; 0: no limit */
};

struct ayame_setup {
  const struct ayame_config *config; /* borrowed until ayame_set_config or ayame_free */
  const struct sig_effects *effects; /* borrowed; as types.h says, with a socket's `edge` */
  struct mem *mem;                   /* borrowed */
  struct random *random;             /* borrowed */
  struct log *log;                   /* borrowed */
  struct sig *sig;                   /* borrowed: the limits of addresses, and iceServers */
  uint64_t now_ms;
};

/* Why sockets were rejected or closed by the server. */
enum ayame_refusal {
  AYAME_FULL, /* two are in the room */
  AYAME_WRONG_KEY,
  AYAME_BAD_REGISTER, /* no roomId, or a member of another type or too long */
  AYAME_SERVER_FULL,  /* `limit`, or the sessions of its address */
  AYAME_BAD_JSON,
  AYAME_UNKNOWN_TYPE,
  AYAME_NOT_REGISTERED,
  AYAME_REGISTERED_TWICE,
  AYAME_RATE,        /* too many messages or bytes per second */
  AYAME_SLOW_READER, /* its outbox ran over */
  AYAME_NO_REGISTER, /* in time */
  AYAME_NO_PONG,     /* in time */
  AYAME_NO_MEMORY,
  AYAME_REFUSAL_COUNT
};

struct ayame_counters {
  uint64_t links, clients, rooms;         /* now; clients: registered */
  uint64_t outbox_messages, outbox_bytes; /* now, of all sockets */
  uint64_t accepted;
  uint64_t messages_in, bytes_in, messages_out, bytes_out;
  uint64_t relayed, alone; /* alone: there was nobody to hear it */
  uint64_t byes;           /* told to who stayed */
  uint64_t refused[AYAME_REFUSAL_COUNT];
};

/* Returns owned. -ERR_NOMEM. */
int ayame_new(const struct ayame_setup *setup, struct ayame **out);
/* Sockets included, without calling an effect. NULL is fine. */
void ayame_free(struct ayame *a);
void ayame_set_config(struct ayame *a, const struct ayame_config *config);

/* A socket has come. Returns owned, until ayame_gone. -ERR_FULL: too many connections of this
 * address; -ERR_NOMEM. */
int ayame_open(struct ayame *a, const struct addr *client, void *edge, uint64_t now_ms,
               struct ayame_link **out);
/* One whole message, UTF-8. What is none, or not for the server, ends the socket. */
void ayame_input(struct ayame *a, struct ayame_link *link, struct bytes text, uint64_t now_ms);
/* The next message to write: a view that lives until the next call of any function here. */
bool ayame_next(struct ayame *a, struct ayame_link *link, struct bytes *out);
void ayame_gone(struct ayame *a, struct ayame_link *link, uint64_t now_ms);

/* As sig_tick and sig_next_ms. */
void ayame_tick(struct ayame *a, uint64_t now_ms);
uint64_t ayame_next_ms(const struct ayame *a);

const struct ayame_counters *ayame_counters(const struct ayame *a);

#endif
