/* Bodies and the rings that they wait in. Private to this folder: core.h includes it. */
#ifndef VIADUCT_SIGNAL_CORE_OUTBOX_H
#define VIADUCT_SIGNAL_CORE_OUTBOX_H

#include "signal/core/sig.h"

struct sig_session;

/* One body, written once and shared by every outbox that it is in. Without its opening brace, which
 * each receiver gets together with its own seq. */
struct sig_msg {
  uint32_t refs;
  uint32_t len, cap; /* cap: what was allocated for text */
  uint32_t tick;     /* when it was made */
  uint8_t text[];
};

/* A bounded ring. slot[(first + i) & (cap - 1)] is the message with seq first_seq + i. */
struct sig_outbox {
  struct sig_msg **slot;
  uint32_t cap, first, count; /* cap is 0 or a power of two */
  uint64_t first_seq;         /* of the oldest that is kept; 1 at first */
  uint64_t bytes;             /* of the bodies */
};

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

#endif
