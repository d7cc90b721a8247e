/* Links that are one HTTP request each: a poll or a stream of events that reads a session's outbox
 * from where it says, a request that brings messages. Called by the edge's files of those
 * transports, in sig.c's place of sig_link_open and hello. */
#include "signal/core/core.h"

/* What a request costs before anybody looks at what it wants: as one empty message of its address.
 * The session's own buckets are for messages, or a busy reader could not send. */
static bool may_ask(struct sig *s, struct sig_link *link, uint64_t now_ms)
{
  uint32_t wait_s = sig__limits_take(s, link, 0, now_ms);
  if (wait_s == 0) {
    return true;
  }
  sig__reply_error(
      s, link, &(struct sig_problem){.error = SIG_ERROR_RATE_LIMITED, .retry_s = wait_s},
      "more requests than your address may make: again after 'retryAfter' seconds, and "
      "slower");
  return false;
}

static struct sig_session *session_for(struct sig *s, struct sig_link *link, struct bytes key,
                                       uint64_t now_ms)
{
  if (!may_ask(s, link, now_ms)) {
    return NULL;
  }
  struct sig_session *session = sig__session_of_key(s, key);
  if (session == NULL) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_SESSION_GONE},
                     "there is no session with this key (any more): open another one, and join "
                     "your rooms again");
  }
  return session;
}

bool sig_link_read(struct sig *s, struct sig_link *link, struct bytes key, uint64_t after,
                   uint64_t now_ms)
{
  struct sig_session *session = session_for(s, link, key, now_ms);
  if (session == NULL) {
    return false;
  }
  uint64_t next = sig__outbox_next_seq(&session->outbox);
  if (after >= next) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_BAD_MESSAGE},
                     "'after' is a seq that was never sent; the last one is %llu",
                     (unsigned long long)(next - 1));
    return false;
  }
  sig__session_read(s, session, link, after, NULL, now_ms);
  return true;
}

bool sig_link_send(struct sig *s, struct sig_link *link, struct bytes key, uint64_t now_ms)
{
  struct sig_session *session = session_for(s, link, key, now_ms);
  if (session == NULL) {
    return false;
  }
  wheel_cancel(&s->first->wheel, &link->timer);
  wheel_cancel(&s->first->wheel, &session->timer);
  link->session = session;
  link->sends = true;
  link->cursor = UINT64_MAX;
  list_push_back(&session->senders, &link->in_senders);
  return true;
}

/* Whoever sends is there: its absence begins anew. */
void sig__sender_gone(struct sig *s, struct sig_link *link, uint64_t now_ms)
{
  struct sig_session *session = link->session;
  list_remove(&link->in_senders);
  link->session = NULL;
  if (session->link == NULL && list_is_empty(&session->senders)) {
    sig__session_wait(s, session, now_ms);
  }
}

uint64_t sig_link_last(const struct sig_link *link)
{
  return link->cursor - 1;
}

/* Every body begins with "type":"…": reply.c and room.c see to it. */
struct bytes sig_out_type(const struct sig_out *out)
{
  static const char before[] = "\"type\":\"";
  struct bytes rest = out->body;
  size_t len = 0;
  rest.at += sizeof(before) - 1;
  rest.len -= sizeof(before) - 1;
  while (len < rest.len && rest.at[len] != '"') {
    len++;
  }
  return (struct bytes){rest.at, len};
}
