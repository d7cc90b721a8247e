/* What the files of this folder share, and nobody else includes: the state behind struct peerjs. */
#ifndef VIADUCT_SIGNAL_PEERJS_CORE_CORE_H
#define VIADUCT_SIGNAL_PEERJS_CORE_CORE_H

#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/wheel.h"
#include "signal/peerjs/core/peerjs.h"

enum {
  PEERJS_OVERHEAD = 256 /* of a message that waits for an absent peer, in waiting_bytes */
};

#define PEERJS_LIT(text) ((struct bytes){(const uint8_t *)(text), sizeof(text) - 1})

/* What clients may send. */
enum peerjs_type {
  PEERJS_OFFER,
  PEERJS_ANSWER,
  PEERJS_CANDIDATE,
  PEERJS_LEAVE,
  PEERJS_EXPIRE,
  PEERJS_HEARTBEAT,
  PEERJS_TYPE_COUNT
};

/* codec.c: views into the message. */
struct peerjs_message {
  enum peerjs_type type;
  bool has_dst;          /* it is there, and JavaScript would call it true */
  bool dst_is_string;    /* else nobody can have that id */
  struct bytes dst_json; /* as it was sent, quotes included; goes out like that */
  struct bytes dst;      /* what it means: a view into the text or into `scratch` */
  struct bytes payload;  /* as it was sent; `at` is NULL where it is absent */
  uint8_t scratch[PEERJS_ID_SIZE];
};

/* One message in its final form, in an outbox or waiting for its receiver. */
struct peerjs_msg {
  struct list node;    /* outbox.messages or queue.messages */
  struct list in_pair; /* while it waits */
  uint32_t len;
  uint8_t text[];
};

struct peerjs_outbox {
  struct list messages;
  uint32_t count;
  uint64_t bytes;
};

struct peerjs_link {
  struct hash_node by_id; /* while it has its id */
  struct list node;       /* in peerjs.links */
  struct peerjs *peerjs;
  void *edge;
  struct sig_guest guest;
  struct timer timer; /* of the heartbeats */
  uint64_t seen_ms;   /* the last one */
  struct bytes first; /* a static text that goes out before the outbox; empty: none */
  struct bytes last;  /* and one behind it, then it is closed */
  struct peerjs_outbox outbox;
  const char *close_reason; /* close it with that once everything is out; NULL: no */
  uint16_t close_code;
  bool is_in, closing, woken;
  uint16_t id_len, token_len, src_len;
  uint8_t text[]; /* the id, the token, and the id as JSON, one behind the other */
};

/* What waits for one absent peer. */
struct peerjs_queue {
  struct hash_node by_dst;
  struct list messages, pairs;
  uint32_t count;
  uint64_t bytes;
  uint16_t dst_len;
  uint8_t dst[];
};

/* What one client sent to one absent peer: it expires together. */
struct peerjs_pair {
  struct hash_node by_pair;
  struct list in_queue;
  struct peerjs *peerjs;
  struct peerjs_queue *queue;
  struct list messages; /* peerjs_msg.in_pair */
  struct timer timer;
  struct peerjs_msg *expire; /* made in advance, so that no lack of memory loses it */
  uint16_t src_len;
  uint8_t src[];
};

struct peerjs {
  const struct peerjs_config *config;
  const struct sig_effects *effects;
  struct mem *mem;
  struct random *random;
  struct log *log;
  struct sig *sig;
  struct wheel wheel;
  struct hash_key hash_key;
  struct hash_table clients, queues, pairs;
  struct list links;
  struct peerjs_msg *held; /* what the last peerjs_next gave */
  struct peerjs_counters counters;
};

static inline struct bytes peerjs__id(const struct peerjs_link *link)
{
  return (struct bytes){link->text, link->id_len};
}

static inline struct bytes peerjs__token(const struct peerjs_link *link)
{
  return (struct bytes){link->text + link->id_len, link->token_len};
}

/* The id as a JSON string. */
static inline struct bytes peerjs__src(const struct peerjs_link *link)
{
  return (struct bytes){link->text + link->id_len + link->token_len, link->src_len};
}

/* codec.c: 0, or -ERR_BAD for what is to be ignored. */
int peerjs__read(struct bytes text, struct peerjs_message *out);
/* {"type":…,"src":…,"dst":…,"payload":…}; src and dst as JSON, payload may be absent. NULL: no
 * memory. */
struct peerjs_msg *peerjs__msg_new(struct peerjs *p, enum peerjs_type type, struct bytes src,
                                   struct bytes dst, struct bytes payload);
void peerjs__msg_free(struct peerjs *p, struct peerjs_msg *m); /* NULL is fine */

/* peerjs.c */
struct peerjs_link *peerjs__find(const struct peerjs *p, struct bytes id, uint64_t hash);
/* Takes `m`. False: its outbox ran over; it is closed and has no id any more, and `m` was not
 * taken. */
bool peerjs__push(struct peerjs *p, struct peerjs_link *link, struct peerjs_msg *m);
/* Says `last`, if it is not empty, behind what waits, and closes it. */
void peerjs__refuse(struct peerjs *p, struct peerjs_link *link, enum peerjs_refusal why);
static inline uint64_t peerjs__hash(const struct peerjs *p, struct bytes id)
{
  return hash_bytes(&p->hash_key, id.at, id.len);
}

/* wait.c: `m` (taken) waits for its absent receiver. -ERR_NOMEM: it was not taken. */
int peerjs__wait(struct peerjs *p, struct peerjs_link *from, const struct peerjs_message *to,
                 uint64_t to_hash, struct peerjs_msg *m, uint64_t now_ms);
/* Everything that waits for this new client moves into its outbox. */
void peerjs__wait_over(struct peerjs *p, struct peerjs_link *link);
void peerjs__wait_fini(struct peerjs *p);

#endif
