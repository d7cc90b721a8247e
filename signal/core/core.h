/* What the files of this folder share, and nobody else includes: the state behind struct sig. */
#ifndef VIADUCT_SIGNAL_CORE_CORE_H
#define VIADUCT_SIGNAL_CORE_CORE_H

#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/wheel.h"
#include "signal/core/message.h"
#include "signal/core/outbox.h"
#include "signal/core/sig.h"

enum {
  SIG_KEY_SIZE = 32,     /* 256 random bits */
  SIG_KEY_TEXT = 43,     /* the same in base64url */
  SIG_SESSION_TEXT = 22, /* 128 bits of a hash over the key */
  SIG_PEER_TEXT = 16,    /* 96 random bits */
  SIG_ASIDE = 8,         /* messages outside the outbox that wait on one link */
  SIG_SEEN = 128,        /* ids that a session remembers */
  SIG_DRAIN_RETRY_S = 5, /* what a new client of a node that goes away is told to wait */
  SIG_PROSE = 256        /* the text of an error, NUL included */
};

/* A literal, or the array of a known length, as bytes. */
#define SIG_LIT(text) ((struct bytes){(const uint8_t *)(text), sizeof(text) - 1})
#define SIG_ARRAY(a) ((struct bytes){(const uint8_t *)(a), sizeof(a)})

/* One client address (the /64 of an IPv6 one), while it has links, sessions or a spent bucket. */
struct sig_source {
  struct hash_node node;
  struct sig *sig;
  struct addr address;
  uint32_t links, sessions;
  struct sig_bucket messages, bytes;
  struct timer timer; /* armed when nothing else holds it */
};

struct sig_aside {
  struct sig_msg *msg;
  uint64_t before_seq; /* goes out before that message of the outbox; 0: at once */
  uint32_t retry_s;    /* as sig_out has them */
  uint8_t error;
};

struct sig_link {
  struct list node; /* in sig.links */
  struct sig *sig;
  struct sig_source *source;
  struct sig_session *session; /* NULL before hello and after takeover or end */
  void *edge;
  uint64_t cursor;    /* the next seq to hand out; UINT64_MAX: it only sends */
  struct timer timer; /* the deadline of hello */
  uint8_t *token;     /* owned, may be NULL; wiped with the link */
  uint32_t token_len;
  uint8_t aside_first, aside_count;
  uint8_t transport; /* enum sig_transport */
  bool closing, woken;
  bool is_mute;      /* there was no memory for its last error: a text that needs none is said */
  bool sends;        /* of sig_link_send: it is in session->senders, and never session->link */
  uint64_t question; /* its hello waits for that answer; 0: it does not */
  struct list in_asking;  /* sig.asking */
  struct list in_senders; /* of its session */
  struct sig_aside aside[SIG_ASIDE];
};

/* What of the claims a session keeps: names one behind the other, each with its NUL. */
struct sig_grant {
  uint32_t can;
  bool any_room;
  char *rooms; /* owned, may be NULL */
  uint32_t rooms_size;
  char *ice; /* owned; NULL: iceServers are made from the configuration */
  uint32_t ice_len, ice_ttl_s;
  uint32_t message_rate, byte_rate, rooms_per_session; /* or SIG_AS_CONFIGURED */
};

struct sig_session {
  struct hash_node by_id, by_peer;
  struct sig *sig;
  struct sig_link *link; /* who reads. NULL: away, and the timer runs */
  struct list senders;   /* sig_link.in_senders */
  struct sig_source *source;
  struct sig_outbox outbox;
  uint64_t handed;     /* the highest cursor of the links that are gone */
  bool polls;          /* the last reader was one request: away between two is not absent */
  struct list members; /* sig_member.in_session */
  uint32_t room_count;
  struct timer timer; /* the end of resume_s */
  struct list doomed; /* in sig.doomed once it has to end */
  enum sig_left end;  /* why, then */
  bool is_doomed;
  struct sig_bucket message_rate, byte_rate;
  uint64_t *seen; /* owned, SIG_SEEN keyed hashes of ids, or NULL */
  uint32_t seen_next;
  uint64_t serial; /* never used twice */
  struct sig_grant grant;
  uint8_t key[SIG_KEY_SIZE];
  char id[SIG_SESSION_TEXT], peer[SIG_PEER_TEXT];
};

struct sig_room {
  struct hash_node node;
  struct list in_list; /* in sig.room_list */
  struct list members; /* sig_member.in_room, in the order of joining */
  uint32_t count;
  uint64_t serial;
  struct bytes json; /* the name as a JSON string: behind `name` in the same block */
  struct bytes name;
  size_t size; /* of the block */
};

struct sig_member {
  struct hash_node node; /* in sig.members, by (room, session) */
  struct list in_room, in_session;
  struct sig_room *room;
  struct sig_session *session;
  uint64_t order;           /* of joining: who is later is polite */
  struct sig_msg *farewell; /* its peer-left, made at join so that no lack of memory loses it */
  struct bytes name;        /* JSON, "null" when there is none: behind the struct, in one block */
  struct bytes meta;
  size_t size;
};

struct sig {
  const struct sig_config *config;
  const struct sig_effects *effects;
  struct mem *mem;
  struct random *random;
  struct log *log;
  struct hash_key hash_key;
  struct hash_table sessions, peers, rooms, members;
  struct list links;
  struct list asking; /* sig_link.in_asking */
  uint32_t asking_count;
  struct list room_list; /* in the order of their serials */
  /* Of all cores of this worker, in the first one alone: sig_setup.beside. */
  struct sig *first; /* itself, if it is that one */
  struct wheel wheel;
  uint64_t wall_base_ms; /* wall clock at monotonic 0; wraps, as its sums do */
  struct hash_table sources;
  struct list doomed;
  uint64_t all_sessions, all_links, questions;
  bool draining; /* no session is opened any more */
  uint32_t tick; /* as sig_set_tick said */
  uint64_t serial;
  bool ends;            /* sig_free is at work */
  struct sig_msg *held; /* what the last sig_next gave, when nobody else holds it */
  char head[32];        /* what the last sig_next put before it */
  struct sig_counters counters;
};

#include "signal/core/steps.h"

#endif
