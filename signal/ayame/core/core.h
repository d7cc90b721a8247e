/* What the files of this folder share, and nobody else includes: the state behind struct ayame. */
#ifndef VIADUCT_SIGNAL_AYAME_CORE_CORE_H
#define VIADUCT_SIGNAL_AYAME_CORE_CORE_H

#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/wheel.h"
#include "signal/ayame/core/ayame.h"

#define AYAME_LIT(text) ((struct bytes){(const uint8_t *)(text), sizeof(text) - 1})

/* What clients may send. */
enum ayame_type {
  AYAME_REGISTER,
  AYAME_OFFER,
  AYAME_ANSWER,
  AYAME_CANDIDATE,
  AYAME_PONG,
  AYAME_BYE,
  AYAME_CONNECTED,
  AYAME_TYPE_COUNT
};

/* codec.c: what a message says to the server. The texts are unfolded, in the message or in
 * `scratch`; those but `room` are empty where they are absent. */
struct ayame_message {
  enum ayame_type type;
  struct bytes room, key;
  bool standalone;
  uint8_t scratch[AYAME_ROOM_SIZE + AYAME_CLIENT_SIZE + AYAME_KEY_SIZE];
};

/* One message in its final form, in an outbox. */
struct ayame_msg {
  struct list node; /* in ayame_link.messages */
  uint32_t len, cap;
  uint8_t text[];
};

struct ayame_link {
  struct list node; /* in ayame.links */
  struct ayame *ayame;
  void *edge;
  struct sig_guest guest;
  struct ayame_room *room; /* NULL: it has not registered, or left */
  struct timer timer;      /* the register's deadline, then the next ping */
  uint64_t pong_ms;        /* when the last one came, or it was accepted */
  struct list messages;    /* the outbox */
  uint32_t message_count;
  uint64_t message_bytes;
  struct bytes last; /* a static text that goes out behind the outbox; empty: none */
  bool ping_waits, standalone, has_connected, closing, woken;
};

struct ayame_room {
  struct hash_node by_name;
  struct ayame_link *link[2]; /* the first one is never NULL */
  uint32_t name_len;
  uint8_t name[];
};

struct ayame {
  const struct ayame_config *config;
  const struct sig_effects *effects;
  struct mem *mem;
  struct random *random;
  struct log *log;
  struct sig *sig;
  struct wheel wheel;
  struct hash_key hash_key;
  struct hash_table rooms;
  struct list links;
  struct ayame_msg *held; /* what the last ayame_next gave */
  struct ayame_counters counters;
};

/* codec.c: AYAME_REFUSAL_COUNT, or what is wrong with it. */
enum ayame_refusal ayame__read(struct bytes text, struct ayame_message *out);
struct ayame_msg *ayame__msg_new(struct ayame *a, size_t cap); /* NULL: no memory */
void ayame__msg_free(struct ayame *a, struct ayame_msg *m);    /* NULL is fine */
/* The answer to a register, in two steps: what can fail comes before anybody is in a room. NULL: no
 * memory. */
struct ayame_msg *ayame__accept_new(struct ayame *a);
void ayame__accept_write(struct ayame *a, struct ayame_msg *m, bool has_other, uint64_t now_ms);

/* ayame.c */
/* Says `last` behind what waits, and closes it; it leaves its room. */
void ayame__close(struct ayame *a, struct ayame_link *link, struct bytes last, uint16_t code,
                  const char *reason);

/* room.c */
/* 0; -ERR_FULL: two are in it; -ERR_NOMEM. */
int ayame__join(struct ayame *a, struct ayame_link *link, struct bytes name);
/* Fine when it is in none. The other one is told, and let go. */
void ayame__leave(struct ayame *a, struct ayame_link *link);
struct ayame_link *ayame__other(const struct ayame_link *link); /* NULL: nobody */

#endif
