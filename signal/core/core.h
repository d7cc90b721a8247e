/* What the files of this folder share, and nobody else includes: the state behind struct sig. */
#ifndef VIADUCT_SIGNAL_CORE_CORE_H
#define VIADUCT_SIGNAL_CORE_CORE_H

#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/wheel.h"
#include "signal/core/message.h"
#include "signal/core/sig.h"

enum {
  SIG_KEY_SIZE = 32,     /* 256 random bits */
  SIG_KEY_TEXT = 43,     /* the same in base64url */
  SIG_SESSION_TEXT = 22, /* 128 bits of a hash over the key */
  SIG_PEER_TEXT = 16,    /* 96 random bits */
  SIG_ASIDE = 8,         /* messages outside the outbox that wait on one link */
  SIG_SEEN = 128,        /* ids that a session remembers */
  SIG_PROSE = 256        /* the text of an error, NUL included */
};

/* A literal, or the array of a known length, as bytes. */
#define SIG_LIT(text) ((struct bytes){(const uint8_t *)(text), sizeof(text) - 1})
#define SIG_ARRAY(a) ((struct bytes){(const uint8_t *)(a), sizeof(a)})

/* One body, written once and shared by every outbox that it is in. Without its opening brace, which
 * each receiver gets together with its own seq. */
struct sig_msg {
  uint32_t refs;
  uint32_t len, cap; /* cap: what was allocated for text */
  uint8_t text[];
};

/* A bounded ring. slot[(first + i) & (cap - 1)] is the message with seq first_seq + i. */
struct sig_outbox {
  struct sig_msg **slot;
  uint32_t cap, first, count; /* cap is 0 or a power of two */
  uint64_t first_seq;         /* of the oldest that is kept; 1 at first */
  uint64_t bytes;             /* of the bodies */
};

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
  bool sends;             /* of sig_link_send: it is in session->senders, and never session->link */
  struct list in_senders; /* of its session */
  struct sig_aside aside[SIG_ASIDE];
};

/* What of the claims a session keeps: names one behind the other, each with its NUL. */
struct sig_grant {
  uint32_t can;
  bool any_room;
  char *rooms; /* owned, may be NULL */
  uint32_t rooms_size;
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
  struct wheel wheel;
  uint64_t wall_base_ms; /* wall clock at monotonic 0; wraps, as its sums do */
  struct hash_key hash_key;
  struct hash_table sessions, peers, rooms, members, sources;
  struct list links, doomed;
  struct list room_list; /* in the order of their serials */
  uint64_t serial;
  bool ends;            /* sig_free is at work */
  struct sig_msg *held; /* what the last sig_next gave, when nobody else holds it */
  char head[32];        /* what the last sig_next put before it */
  struct sig_counters counters;
};

/* outbox.c: bodies and rings. */
struct sig_msg *sig__msg_new(struct sig *s, size_t cap);
struct sig_msg *sig__msg_join(struct sig *s, const struct bytes *piece, size_t count);
void sig__msg_release(struct sig *s, struct sig_msg *m); /* NULL is fine */
uint64_t sig__outbox_next_seq(const struct sig_outbox *o);
/* Room for one more slot: -ERR_NOMEM. After it, sig__outbox_push fails by the limits only. */
int sig__outbox_reserve(struct sig *s, struct sig_session *session);
/* Shares `m`. False: it overflowed, and the session is doomed. */
bool sig__outbox_push(struct sig *s, struct sig_session *session, struct sig_msg *m);
struct sig_msg *sig__outbox_at(const struct sig_outbox *o, uint64_t seq); /* NULL: not in it */
/* Drops everything up to `seq`. */
void sig__outbox_ack(struct sig *s, struct sig_session *session, uint64_t seq);
void sig__outbox_fini(struct sig *s, struct sig_session *session);

/* request.c */
void sig__sender_gone(struct sig *s, struct sig_link *link, uint64_t now_ms);

/* sig.c: links. */
void sig__link_wake(struct sig_link *link);
void sig__link_close(struct sig_link *link, enum sig_close code, const char *reason);
/* Takes aside.msg. -ERR_FULL: too many wait already (it is released). */
int sig__link_aside(struct sig_link *link, struct sig_aside aside);
/* A message without more to it, that goes out before that seq. */
static inline struct sig_aside sig__aside(struct sig_msg *m, uint64_t before_seq)
{
  return (struct sig_aside){.msg = m, .before_seq = before_seq, .error = SIG_ERROR_COUNT};
}
uint64_t sig__wall_s(const struct sig *s, uint64_t now_ms);

/* limits.c */
int sig__source_get(struct sig *s, const struct addr *client, struct sig_source **out);
/* Call when links or sessions went down. */
void sig__source_settle(struct sig *s, struct sig_source *source, uint64_t now_ms);
void sig__source_free(struct sig *s, struct sig_source *source);
struct sig_own {
  struct sig_bucket *messages, *bytes; /* of one client by itself */
};
/* Both: 0, or the seconds to wait: nothing was taken then. `own` may be NULL: nobody yet. */
uint32_t sig__buckets_take(struct sig *s, struct sig_source *source, const struct sig_own *own,
                           size_t len, uint64_t now_ms);
uint32_t sig__limits_take(struct sig *s, struct sig_link *link, size_t len, uint64_t now_ms);
bool sig__seen(struct sig *s, const struct sig_session *session, struct bytes id);
/* -ERR_NOMEM: then it must not be delivered, since a retry would repeat it. */
int sig__seen_reserve(struct sig *s, struct sig_session *session);
void sig__seen_add(struct sig *s, struct sig_session *session, struct bytes id);

/* auth.c */
int sig__auth_check(struct sig *s, struct bytes token, uint64_t wall_s, struct sig_claims *out,
                    const char **why);
int sig__grant_take(struct sig *s, const struct sig_claims *claims, struct sig_grant *out);
void sig__grant_fini(struct sig *s, struct sig_grant *grant);
bool sig__grant_has_room(const struct sig_grant *grant, struct bytes room);

/* session.c */
void sig__hello(struct sig *s, struct sig_link *link, const struct sig_message *m, uint64_t now_ms);
struct sig_session *sig__session_of_peer(const struct sig *s, struct bytes peer);
struct sig_session *sig__session_of_key(const struct sig *s, struct bytes key);
/* `link` reads from now on, behind `after`, which is below the next seq; who read before is told
 * so. Takes `welcome`, which goes out first; it may be NULL. */
void sig__session_read(struct sig *s, struct sig_session *session, struct sig_link *link,
                       uint64_t after, struct sig_msg *welcome, uint64_t now_ms);
/* A member that is away keeps its name from nobody: it may be the same person, whose page was
 * reloaded. One that polls is not away between two polls. */
static inline bool sig__session_is_there(const struct sig_session *session)
{
  return session->link != NULL || session->polls;
}
void sig__session_link_gone(struct sig *s, struct sig_session *session, uint64_t now_ms);
/* How long it lives on from now without a link. */
void sig__session_wait(struct sig *s, struct sig_session *session, uint64_t now_ms);
/* Marks it; sig__settle ends it before the core returns to the edge, so that nobody who walks a
 * room finds it changed, and no call begins with somebody doomed. */
void sig__session_doom(struct sig *s, struct sig_session *session, enum sig_left why);
void sig__settle(struct sig *s, uint64_t now_ms);
/* Frees without telling anybody: for sig_free. */
void sig__session_free(struct sig *s, struct sig_session *session);

/* ice.c: the value of `iceServers`. */
size_t sig__ice_size(const struct sig_config *c);
void sig__ice_put(const struct sig_config *c, struct bytes name, uint64_t wall_s, struct buf *out);

/* reply.c: what the server says. */
struct sig_problem {
  enum sig_error error;
  struct bytes id;  /* JSON as it was sent, or empty */
  uint32_t retry_s; /* 0: none */
};
__attribute__((format(printf, 4, 5))) void sig__reply_error(struct sig *s, struct sig_link *link,
                                                            const struct sig_problem *problem,
                                                            const char *format, ...);
/* For want of memory: says server-full if that is possible, and ends the session if not. */
void sig__reply_no_memory(struct sig *s, struct sig_link *link, struct bytes id);
void sig__reply_delivered(struct sig *s, struct sig_link *link, struct bytes id);
void sig__reply_pong(struct sig *s, struct sig_link *link, struct bytes t);
void sig__reply_ice(struct sig *s, struct sig_link *link, uint64_t now_ms);
/* NULL: no memory. Returns owned. */
struct sig_msg *sig__reply_welcome(struct sig *s, const struct sig_session *session, bool resumed,
                                   uint64_t now_ms);

#endif
