/* Sessions: opened, resumed and taken over by hello, away when their link is gone, ended. A session
 * is what a client has; a link is only how it is reached just now. */
#include <string.h>

#include "base/digest.h"
#include "signal/core/room.h"

static void away_too_long(struct timer *t, uint64_t now_ms)
{
  (void)now_ms;
  struct sig_session *session = CONTAINER_OF(t, struct sig_session, timer);
  sig__session_doom(session->sig, session, SIG_LEFT_TIMEOUT);
}

static struct sig_session *session_of_id(const struct sig *s, struct bytes id)
{
  if (id.len != SIG_SESSION_TEXT) {
    return NULL;
  }
  uint64_t hash = hash_bytes(&s->hash_key, id.at, id.len);
  for (struct hash_node *n = hash_table_first(&s->sessions, hash); n != NULL;
       n = hash_table_next(n)) {
    struct sig_session *session = CONTAINER_OF(n, struct sig_session, by_id);
    if (bytes_equal(SIG_ARRAY(session->id), id)) {
      return session;
    }
  }
  return NULL;
}

struct sig_session *sig__session_of_peer(const struct sig *s, struct bytes peer)
{
  if (peer.len != SIG_PEER_TEXT) {
    return NULL;
  }
  uint64_t hash = hash_bytes(&s->hash_key, peer.at, peer.len);
  for (struct hash_node *n = hash_table_first(&s->peers, hash); n != NULL; n = hash_table_next(n)) {
    struct sig_session *session = CONTAINER_OF(n, struct sig_session, by_peer);
    if (bytes_equal(SIG_ARRAY(session->peer), peer)) {
      return session;
    }
  }
  return NULL;
}

static void name_of_key(const uint8_t key[SIG_KEY_SIZE], uint8_t digest[SHA256_SIZE])
{
  const struct bytes piece[] = {SIG_LIT("viaduct session"), {key, SIG_KEY_SIZE}};
  digest_sha256(piece, 2, digest);
}

/* The id is a hash over the key, so that a request that brings only the key (Authorization: Bearer)
 * finds its session in the same table. */
static void make_names(struct sig *s, struct sig_session *session)
{
  uint8_t digest[SHA256_SIZE], peer[SIG_PEER_TEXT * 3 / 4];
  s->random->fill(s->random->arg, session->key, sizeof(session->key));
  s->random->fill(s->random->arg, peer, sizeof(peer));
  name_of_key(session->key, digest);
  struct buf b;
  buf_init(&b, session->id, sizeof(session->id));
  buf_put_base64url(&b, digest, 16);
  buf_init(&b, session->peer, sizeof(session->peer));
  buf_put_base64url(&b, peer, sizeof(peer));
}

static int insert(struct sig *s, struct sig_session *session)
{
  uint64_t id_hash = hash_bytes(&s->hash_key, session->id, sizeof(session->id));
  uint64_t peer_hash = hash_bytes(&s->hash_key, session->peer, sizeof(session->peer));
  int err = hash_table_insert(&s->sessions, &session->by_id, id_hash);
  if (err != 0) {
    return err;
  }
  err = hash_table_insert(&s->peers, &session->by_peer, peer_hash);
  if (err != 0) {
    hash_table_remove(&s->sessions, &session->by_id);
  }
  return err;
}

static int session_new(struct sig *s, const struct sig_verdict *verdict, struct sig_source *source,
                       struct sig_session **out)
{
  struct sig_session *session = mem_new(s->mem, sizeof(*session));
  if (session == NULL) {
    return -ERR_NOMEM;
  }
  session->sig = s;
  session->outbox.first_seq = 1;
  session->serial = ++s->serial;
  session->handed = 1;
  list_init(&session->senders);
  list_init(&session->members);
  list_init(&session->doomed);
  timer_init(&session->timer, away_too_long);
  make_names(s, session);
  int err = sig__grant_take(s, verdict, &session->grant);
  if (err == 0) {
    err = insert(s, session);
  }
  if (err != 0) {
    sig__grant_fini(s, &session->grant);
    bytes_wipe(session, sizeof(*session));
    mem_free(s->mem, session, sizeof(*session));
    return err;
  }
  session->source = source;
  source->sessions++;
  s->counters.sessions++;
  s->first->all_sessions++;
  *out = session;
  return 0;
}

/* The caller settles `source`. */
void sig__session_free(struct sig *s, struct sig_session *session)
{
  wheel_cancel(&s->first->wheel, &session->timer);
  list_remove(&session->doomed);
  hash_table_remove(&s->sessions, &session->by_id);
  hash_table_remove(&s->peers, &session->by_peer);
  sig__outbox_fini(s, session);
  sig__grant_fini(s, &session->grant);
  mem_free(s->mem, session->seen, SIG_SEEN * sizeof(*session->seen));
  session->source->sessions--;
  s->counters.sessions--;
  s->first->all_sessions--;
  bytes_wipe(session->key, sizeof(session->key));
  mem_free(s->mem, session, sizeof(*session));
}

static void detach(struct sig *s, struct sig_session *session)
{
  if (session->link->cursor > session->handed) {
    session->handed = session->link->cursor;
  }
  session->link->session = NULL;
  session->link = NULL;
  s->counters.sessions_linked--;
}

/* Takes `welcome`, which may be NULL. The link begins with the oldest message that was not
 * acknowledged. */
static void attach(struct sig *s, struct sig_session *session, struct sig_link *link,
                   struct sig_msg *welcome)
{
  wheel_cancel(&s->first->wheel, &session->timer);
  wheel_cancel(&s->first->wheel, &link->timer);
  session->link = link;
  link->session = session;
  s->counters.sessions_linked++;
  link->cursor = session->outbox.first_seq;
  session->polls = link->transport == SIG_LONGPOLL || link->transport == SIG_POLL;
  if (welcome != NULL && sig__link_aside(link, sig__aside(welcome, 0)) != 0) {
    sig__link_close(link, SIG_CLOSE_POLICY, "too many errors before hello");
  } else if (sig_has_next(link)) {
    sig__link_wake(link);
  }
}

static void move_to_source(struct sig *s, struct sig_session *session, struct sig_source *source,
                           uint64_t now_ms)
{
  struct sig_source *old = session->source;
  if (old != source) {
    old->sessions--;
    source->sessions++;
    session->source = source;
    sig__source_settle(s, old, now_ms);
  }
}

static bool is_key(const struct sig_session *session, struct bytes key)
{
  uint8_t text[SIG_KEY_TEXT];
  struct buf b;
  buf_init(&b, text, sizeof(text));
  buf_put_base64url(&b, session->key, sizeof(session->key));
  bool same = key.len == SIG_KEY_TEXT && bytes_equal_ct(text, key.at, sizeof(text));
  bytes_wipe(text, sizeof(text));
  return same;
}

/* The id is a hash over the key (make_names): that finds the session, and the key itself is
 * compared as everywhere. */
struct sig_session *sig__session_of_key(const struct sig *s, struct bytes key)
{
  uint8_t raw[SIG_KEY_SIZE], digest[SHA256_SIZE];
  char id[SIG_SESSION_TEXT];
  if (key.len != SIG_KEY_TEXT || base64_decode(key, raw, sizeof(raw)) != SIG_KEY_SIZE) {
    return NULL;
  }
  name_of_key(raw, digest);
  struct buf b;
  buf_init(&b, id, sizeof(id));
  buf_put_base64url(&b, digest, 16);
  struct sig_session *session = session_of_id(s, SIG_ARRAY(id));
  bytes_wipe(raw, sizeof(raw));
  return session != NULL && is_key(session, key) ? session : NULL;
}

void sig__session_read(struct sig *s, struct sig_session *session, struct sig_link *link,
                       uint64_t after, struct sig_msg *welcome, uint64_t now_ms)
{
  if (session->link != NULL) {
    struct sig_link *old = session->link;
    detach(s, session);
    sig__link_close(old, SIG_CLOSE_TAKEN_OVER, "taken over by another connection");
    s->counters.sessions_taken_over++;
  }
  sig__outbox_ack(s, session, after);
  move_to_source(s, session, link->source, now_ms);
  attach(s, session, link, welcome);
}

static void resume(struct sig *s, struct sig_link *link, const struct sig_message *m,
                   uint64_t now_ms)
{
  struct sig_session *session = session_of_id(s, m->session);
  if (session == NULL || !is_key(session, m->key)) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_SESSION_GONE},
                     "there is no such session (any more): say hello without 'resume' and join "
                     "your rooms again");
    return;
  }
  uint64_t next = sig__outbox_next_seq(&session->outbox);
  if (m->after >= next) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_BAD_MESSAGE},
                     "'after' is a seq that was never sent; the last one is %llu",
                     (unsigned long long)(next - 1));
    return;
  }
  struct sig_msg *welcome = sig__reply_welcome(s, session, true, now_ms);
  if (welcome == NULL) {
    sig__reply_no_memory(s, link, (struct bytes){NULL, 0});
    return;
  }
  sig__session_read(s, session, link, m->after, welcome, now_ms);
  s->counters.sessions_resumed++;
  log_event(s->log, LOG_LEVEL_DEBUG, "session-resumed", LOG_BYTES("peer", SIG_ARRAY(session->peer)),
            LOG_ADDR("client", &link->source->address));
}

static enum sig_close close_of_refusal(enum sig_error error)
{
  if (error == SIG_ERROR_UNAUTHORIZED) {
    return SIG_CLOSE_POLICY;
  }
  return error == SIG_ERROR_DRAINING ? SIG_CLOSE_GOING_AWAY : SIG_CLOSE_TRY_LATER;
}

void sig__hello_refuse(struct sig *s, struct sig_link *link, enum sig_refused reason,
                       uint32_t retry_s, const char *why)
{
  static const enum sig_error errors[SIG_REFUSED_COUNT] = {
      [SIG_REFUSED_ORIGIN] = SIG_ERROR_FORBIDDEN,
      [SIG_REFUSED_ADDRESS_LINKS] = SIG_ERROR_RATE_LIMITED,
      [SIG_REFUSED_LINKS] = SIG_ERROR_SERVER_FULL,
      [SIG_REFUSED_UNAUTHORIZED] = SIG_ERROR_UNAUTHORIZED,
      [SIG_REFUSED_SESSIONS] = SIG_ERROR_SERVER_FULL,
      [SIG_REFUSED_ADDRESS_SESSIONS] = SIG_ERROR_SERVER_FULL,
      [SIG_REFUSED_ASKING] = SIG_ERROR_SERVER_FULL,
      [SIG_REFUSED_DRAINING] = SIG_ERROR_DRAINING,
      [SIG_REFUSED_MEMORY] = SIG_ERROR_SERVER_FULL,
  };
  enum sig_error error = errors[reason];
  s->counters.refused[reason]++;
  sig__reply_error(s, link, &(struct sig_problem){.error = error, .retry_s = retry_s}, "%s", why);
  sig__link_close(link, close_of_refusal(error), sig_error_code(error));
  log_event(s->log, LOG_LEVEL_INFO, "hello-refused", LOG_TEXT("code", sig_error_code(error)),
            LOG_TEXT("reason", why), LOG_ADDR("client", &link->source->address));
}

static void refuse(struct sig *s, struct sig_link *link, enum sig_refused reason, const char *why)
{
  sig__hello_refuse(s, link, reason, reason == SIG_REFUSED_DRAINING ? SIG_DRAIN_RETRY_S : 0, why);
}

void sig__hello_accept(struct sig *s, struct sig_link *link, const struct sig_verdict *verdict,
                       uint64_t now_ms)
{
  const struct sig_limits *limits = &s->config->limits;
  if (s->first->draining) {
    refuse(s, link, SIG_REFUSED_DRAINING,
           "this server goes away; connect to another one, or here a "
           "little later");
    return;
  }
  if (sig_is_full(s)) {
    refuse(s, link, SIG_REFUSED_SESSIONS, "the server has as many sessions as it may; try later");
    return;
  }
  if (limits->sessions_per_address != 0 && link->source->sessions >= limits->sessions_per_address) {
    refuse(s, link, SIG_REFUSED_ADDRESS_SESSIONS,
           "your address has as many sessions as it may (max-sessions-per-address)");
    return;
  }
  struct sig_session *session;
  if (session_new(s, verdict, link->source, &session) != 0) {
    s->counters.refused[SIG_REFUSED_MEMORY]++;
    sig__reply_no_memory(s, link, (struct bytes){NULL, 0});
    return;
  }
  struct sig_msg *welcome = sig__reply_welcome(s, session, false, now_ms);
  if (welcome == NULL) {
    sig__session_free(s, session);
    sig__reply_no_memory(s, link, (struct bytes){NULL, 0});
    return;
  }
  attach(s, session, link, welcome);
  s->counters.sessions_opened++;
  log_event(s->log, LOG_LEVEL_DEBUG, "session-opened", LOG_BYTES("peer", SIG_ARRAY(session->peer)),
            LOG_ADDR("client", &link->source->address));
}

void sig__hello(struct sig *s, struct sig_link *link, const struct sig_message *m, uint64_t now_ms)
{
  if (link->session != NULL || link->question != 0) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_BAD_MESSAGE},
                     "this connection has said hello already");
    return;
  }
  /* The key proves enough: a token may have expired in the middle of a call. */
  if (m->resume.at != NULL) {
    resume(s, link, m, now_ms);
    return;
  }
  struct bytes token =
      m->token.at != NULL ? m->token : (struct bytes){link->token, link->token_len};
  if (s->config->asks) {
    sig__ask(s, link, token, now_ms);
    return;
  }
  struct sig_verdict verdict = {.message_rate = SIG_AS_CONFIGURED,
                                .byte_rate = SIG_AS_CONFIGURED,
                                .rooms_per_session = SIG_AS_CONFIGURED};
  const char *why;
  if (sig__auth_check(s, token, sig__wall_s(s, now_ms), &verdict.claims, &why) != 0) {
    refuse(s, link, SIG_REFUSED_UNAUTHORIZED, why);
    return;
  }
  sig__hello_accept(s, link, &verdict, now_ms);
}

void sig__session_link_gone(struct sig *s, struct sig_session *session, uint64_t now_ms)
{
  detach(s, session);
  sig__session_wait(s, session, now_ms);
}

void sig__session_wait(struct sig *s, struct sig_session *session, uint64_t now_ms)
{
  uint64_t resume_ms = (uint64_t)s->config->limits.resume_s * 1000;
  if (session->polls && resume_ms < SIG_POLL_GAP_MS) {
    resume_ms = SIG_POLL_GAP_MS;
  }
  if (resume_ms == 0) {
    sig__session_doom(s, session, SIG_LEFT_TIMEOUT);
    return;
  }
  wheel_arm(&s->first->wheel, &session->timer, now_ms + resume_ms);
}

void sig__session_doom(struct sig *s, struct sig_session *session, enum sig_left why)
{
  if (!session->is_doomed) {
    session->is_doomed = true;
    session->end = why;
    list_push_back(&s->first->doomed, &session->doomed);
  }
}

static void say_end(struct sig *s, struct sig_link *link, enum sig_left why)
{
  switch (why) {
  case SIG_LEFT_OUTBOX_OVERFLOW:
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_OUTBOX_OVERFLOW},
                     "your outbox is full, so the session has ended: read faster, and send 'ack'");
    sig__link_close(link, SIG_CLOSE_OUTBOX_OVERFLOW, "outbox overflow");
    return;
  case SIG_LEFT_KICKED:
    sig__link_close(link, SIG_CLOSE_POLICY, "kicked");
    return;
  case SIG_LEFT_LEAVE:
  case SIG_LEFT_BYE:
  case SIG_LEFT_TIMEOUT:
  case SIG_LEFT_COUNT:
    sig__link_close(link, SIG_CLOSE_NORMAL, "bye");
    return;
  }
}

static void end(struct sig *s, struct sig_session *session, uint64_t now_ms)
{
  struct sig_link *link = session->link;
  struct sig_source *source = session->source;
  enum sig_left why = session->end;
  /* Its own queue first: what nobody will read must not stand in the way of those who do. */
  if (link != NULL) {
    detach(s, session);
  }
  while (!list_is_empty(&session->senders)) {
    struct sig_link *sender = CONTAINER_OF(session->senders.next, struct sig_link, in_senders);
    list_remove(&sender->in_senders);
    sender->session = NULL;
  }
  sig__leave_all(s, session, why);
  s->counters.sessions_left[why]++;
  log_event(s->log, why == SIG_LEFT_OUTBOX_OVERFLOW ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
            "session-ended", LOG_BYTES("peer", SIG_ARRAY(session->peer)),
            LOG_TEXT("reason", sig__left_text(why)), LOG_ADDR("client", &source->address));
  sig__session_free(s, session);
  if (link != NULL) {
    say_end(s, link, why);
  }
  sig__source_settle(s, source, now_ms);
}

/* Whom there is no memory for is not told, and goes on: that is no reason to end it. */
static void tell_drain(struct sig *s, struct sig_session *session, struct sig_msg *m)
{
  if (sig__outbox_reserve(s, session) == 0) {
    (void)sig__outbox_push(s, session, m);
  } else {
    s->counters.no_memory++;
  }
}

void sig_drain(struct sig *s, struct bytes url, uint32_t seconds, uint64_t now_ms)
{
  struct sig_msg *m = sig__reply_drain(s, url, seconds);
  s->first->draining = true;
  if (m == NULL) {
    s->counters.no_memory++;
    return;
  }
  for (size_t i = 0; i < s->sessions.bucket_count; i++) {
    for (struct hash_node *n = s->sessions.bucket[i]; n != NULL; n = n->next) {
      tell_drain(s, CONTAINER_OF(n, struct sig_session, by_id), m);
    }
  }
  sig__msg_release(s, m);
  sig__settle(s, now_ms);
}

/* A farewell may overflow the next outbox: until nobody is doomed. Each session is doomed once. */
void sig__settle(struct sig *s, uint64_t now_ms)
{
  while (!list_is_empty(&s->first->doomed)) {
    struct sig_session *session = CONTAINER_OF(s->first->doomed.next, struct sig_session, doomed);
    list_remove(&session->doomed);
    end(session->sig, session, now_ms);
  }
}
