/* Bodies and outboxes: what a session has still to be told, kept until it has acknowledged it. A
 * body is written once and shared by reference; an outbox is a ring of such references, bounded in
 * messages and in bytes. Called by reply.c and room.c to fill, by sig.c to drain. */
#include <string.h>

#include "signal/core/core.h"

enum { RING_MIN = 8, RING_KEEP = 64 };

struct sig_msg *sig__msg_new(struct sig *s, size_t cap)
{
  if (cap > UINT32_MAX - sizeof(struct sig_msg)) {
    return NULL;
  }
  struct sig_msg *m = mem_new(s->mem, sizeof(*m) + cap);
  if (m != NULL) {
    m->refs = 1;
    m->cap = (uint32_t)cap;
    m->tick = s->first->tick;
  }
  return m;
}

struct sig_msg *sig__msg_join(struct sig *s, const struct bytes *piece, size_t count)
{
  size_t len = 0;
  for (size_t i = 0; i < count; i++) {
    len += piece[i].len;
  }
  struct sig_msg *m = sig__msg_new(s, len);
  if (m == NULL) {
    return NULL;
  }
  for (size_t i = 0; i < count; i++) {
    if (piece[i].len > 0) {
      memcpy(m->text + m->len, piece[i].at, piece[i].len);
      m->len += (uint32_t)piece[i].len;
    }
  }
  return m;
}

void sig__msg_release(struct sig *s, struct sig_msg *m)
{
  if (m != NULL && --m->refs == 0) {
    mem_free(s->mem, m, sizeof(*m) + m->cap);
  }
}

uint64_t sig__outbox_next_seq(const struct sig_outbox *o)
{
  return o->first_seq + o->count;
}

struct sig_msg *sig__outbox_at(const struct sig_outbox *o, uint64_t seq)
{
  uint64_t i = seq - o->first_seq; /* wraps for what is dropped: then it is large */
  if (i >= o->count) {
    return NULL;
  }
  return o->slot[(o->first + (uint32_t)i) & (o->cap - 1)];
}

/* A larger ring with the same messages from its slot 0 on. */
int sig__outbox_reserve(struct sig *s, struct sig_session *session)
{
  struct sig_outbox *o = &session->outbox;
  if (o->count < o->cap) {
    return 0;
  }
  if (o->cap > UINT32_MAX / 2 / sizeof(*o->slot)) {
    return -ERR_NOMEM;
  }
  uint32_t cap = o->cap == 0 ? RING_MIN : o->cap * 2;
  struct sig_msg **slot = mem_new(s->mem, cap * sizeof(*slot));
  if (slot == NULL) {
    return -ERR_NOMEM;
  }
  for (uint32_t i = 0; i < o->count; i++) {
    slot[i] = o->slot[(o->first + i) & (o->cap - 1)];
  }
  mem_free(s->mem, o->slot, o->cap * sizeof(*o->slot));
  o->slot = slot;
  o->cap = cap;
  o->first = 0;
  return 0;
}

static bool is_over(const struct sig *s, const struct sig_outbox *o, const struct sig_msg *m)
{
  const struct sig_limits *limits = &s->config->limits;
  return (limits->outbox_messages != 0 && o->count >= limits->outbox_messages) ||
         (limits->outbox_bytes != 0 && o->bytes + m->len > limits->outbox_bytes);
}

bool sig__outbox_push(struct sig *s, struct sig_session *session, struct sig_msg *m)
{
  struct sig_outbox *o = &session->outbox;
  if (session->is_doomed) {
    return false;
  }
  /* Whatever could not be queued would be a gap in the order of its messages: the session ends
   * rather than lose one unseen. */
  if (is_over(s, o, m) || sig__outbox_reserve(s, session) != 0) {
    sig__session_doom(s, session, SIG_LEFT_OUTBOX_OVERFLOW);
    return false;
  }
  o->slot[(o->first + o->count) & (o->cap - 1)] = m;
  o->count++;
  o->bytes += m->len;
  m->refs++;
  s->counters.outbox_messages++;
  s->counters.outbox_bytes += m->len;
  if (session->link != NULL) {
    sig__link_wake(session->link);
  }
  return true;
}

static void drop_first(struct sig *s, struct sig_outbox *o)
{
  struct sig_msg *m = o->slot[o->first];
  o->bytes -= m->len;
  s->counters.outbox_messages--;
  s->counters.outbox_bytes -= m->len;
  sig__msg_release(s, m);
  o->first = (o->first + 1) & (o->cap - 1);
  o->first_seq++;
  o->count--;
}

void sig__outbox_ack(struct sig *s, struct sig_session *session, uint64_t seq)
{
  struct sig_outbox *o = &session->outbox;
  while (o->count > 0 && o->first_seq <= seq) {
    drop_first(s, o);
  }
  /* One burst must not cost its memory for the rest of the session. */
  if (o->count == 0 && o->cap > RING_KEEP) {
    mem_free(s->mem, o->slot, o->cap * sizeof(*o->slot));
    o->slot = NULL;
    o->cap = o->first = 0;
  }
}

void sig__outbox_fini(struct sig *s, struct sig_session *session)
{
  struct sig_outbox *o = &session->outbox;
  while (o->count > 0) {
    drop_first(s, o);
  }
  mem_free(s->mem, o->slot, o->cap * sizeof(*o->slot));
  o->slot = NULL;
  o->cap = o->first = 0;
}
