/* What the files of this folder call of each other, over the state of core.h, which includes this
 * and is what they include. */
#ifndef VIADUCT_SIGNAL_CORE_STEPS_H
#define VIADUCT_SIGNAL_CORE_STEPS_H

#include "signal/core/core.h"

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

/* measure.c */
void sig__measure(struct sig *s, enum sig_transport transport, const struct sig_msg *m);

/* limits.c */
int sig__source_get(struct sig *s, const struct addr *client, struct sig_source **out);
/* Call when links or sessions went down. */
void sig__source_settle(struct sig *s, struct sig_source *source, uint64_t now_ms);
void sig__source_free(struct sig *s, struct sig_source *source);
struct sig_own {
  struct sig_bucket *messages, *bytes; /* of one client by itself */
  uint32_t message_rate, byte_rate;    /* and what they let through */
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
int sig__grant_take(struct sig *s, const struct sig_verdict *verdict, struct sig_grant *out);
void sig__grant_fini(struct sig *s, struct sig_grant *grant);
bool sig__grant_has_room(const struct sig_grant *grant, struct bytes room);

/* ask.c: hellos that wait. */
void sig__ask(struct sig *s, struct sig_link *link, struct bytes token, uint64_t now_ms);
/* The link's time is up. */
void sig__ask_late(struct sig_link *link);
/* It does not wait any more; whoever was asked is told. */
void sig__ask_forget(struct sig *s, struct sig_link *link);

/* A session's own limit, or everybody's. */
static inline uint32_t sig__limit(uint32_t own, uint32_t configured)
{
  return own == SIG_AS_CONFIGURED ? configured : own;
}

static inline bool sig__has_room_left(const struct sig *s, const struct sig_session *session)
{
  uint32_t rooms =
      sig__limit(session->grant.rooms_per_session, s->config->limits.rooms_per_session);
  return rooms == 0 || session->room_count < rooms;
}

/* session.c */
/* The end of a hello: the error, and the end of the connection with it; or the session. */
void sig__hello_refuse(struct sig *s, struct sig_link *link, enum sig_refused reason,
                       uint32_t retry_s, const char *why);
void sig__hello_accept(struct sig *s, struct sig_link *link, const struct sig_verdict *verdict,
                       uint64_t now_ms);
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
/* NULL: no memory. Returns owned. `url` may be empty. */
struct sig_msg *sig__reply_drain(struct sig *s, struct bytes url, uint32_t seconds);
void sig__reply_ice(struct sig *s, struct sig_link *link, uint64_t now_ms);
/* NULL: no memory. Returns owned. */
struct sig_msg *sig__reply_welcome(struct sig *s, const struct sig_session *session, bool resumed,
                                   uint64_t now_ms);

#endif
