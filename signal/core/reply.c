/* What the server says to one client: answers and errors, into bytes. What members tell each other
 * is room.c's. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "signal/core/core.h"

/* No memory for what it has to be told last: it ends with the one text that needs none. */
static void end_mute(struct sig *s, struct sig_link *link)
{
  s->counters.no_memory++;
  link->is_mute = !link->closing;
  sig__link_wake(link);
  sig__link_close(link, SIG_CLOSE_TRY_LATER, "out of memory");
}

/* Takes `m` (NULL: there was no memory for it). With a session it goes into the outbox, before one
 * straight to the link. */
static void post(struct sig *s, struct sig_link *link, struct sig_msg *m)
{
  if (m == NULL && link->session != NULL) {
    s->counters.no_memory++;
    sig__session_doom(s, link->session, SIG_LEFT_OUTBOX_OVERFLOW);
    return;
  }
  if (m == NULL) {
    end_mute(s, link);
    return;
  }
  if (link->session != NULL) {
    (void)sig__outbox_push(s, link->session, m);
    sig__msg_release(s, m);
    return;
  }
  if (sig__link_aside(link, sig__aside(m, 0)) != 0) {
    sig__link_close(link, SIG_CLOSE_POLICY, "too many errors before hello");
  }
}

/* As post, but what is wrong with a request's message is that request's answer. */
static void post_error(struct sig *s, struct sig_link *link, struct sig_msg *m,
                       const struct sig_problem *problem)
{
  if (link->session != NULL && !link->sends) {
    post(s, link, m);
    return;
  }
  if (m == NULL) {
    end_mute(s, link);
    return;
  }
  struct sig_aside aside = sig__aside(m, 0);
  aside.error = (uint8_t)problem->error;
  aside.retry_s = problem->retry_s;
  if (sig__link_aside(link, aside) != 0) {
    sig__link_close(link, SIG_CLOSE_POLICY, "too many errors before hello");
  }
}

void sig__reply_error(struct sig *s, struct sig_link *link, const struct sig_problem *problem,
                      const char *format, ...)
{
  char prose[SIG_PROSE], retry[16];
  uint8_t json[2 * SIG_PROSE];
  va_list args;
  va_start(args, format);
  (void)vsnprintf(prose, sizeof(prose), format, args);
  va_end(args);
  struct buf quoted;
  buf_init(&quoted, json, sizeof(json));
  json_put_string(&quoted, bytes_of(prose));
  (void)snprintf(retry, sizeof(retry), "%u", problem->retry_s);
  bool has_id = problem->id.len > 0, has_retry = problem->retry_s > 0;
  const struct bytes piece[] = {
      SIG_LIT("\"type\":\"error\",\"code\":\""),
      bytes_of(sig_error_code(problem->error)),
      SIG_LIT("\",\"message\":"),
      {json, quoted.len},
      has_id ? SIG_LIT(",\"id\":") : SIG_LIT(""),
      problem->id,
      has_retry ? SIG_LIT(",\"retryAfter\":") : SIG_LIT(""),
      bytes_of(has_retry ? retry : ""),
      SIG_LIT("}"),
  };
  s->counters.errors[problem->error]++;
  post_error(s, link, sig__msg_join(s, piece, sizeof(piece) / sizeof(piece[0])), problem);
}

void sig__reply_no_memory(struct sig *s, struct sig_link *link, struct bytes id)
{
  s->counters.no_memory++;
  sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_SERVER_FULL, .id = id},
                   "the server is out of memory; try again in a moment");
}

void sig__reply_delivered(struct sig *s, struct sig_link *link, struct bytes id)
{
  const struct bytes piece[] = {SIG_LIT("\"type\":\"delivered\",\"id\":"), id, SIG_LIT("}")};
  post(s, link, sig__msg_join(s, piece, 3));
}

void sig__reply_pong(struct sig *s, struct sig_link *link, struct bytes t)
{
  const struct bytes piece[] = {SIG_LIT("\"type\":\"pong\""),
                                t.at != NULL ? SIG_LIT(",\"t\":") : SIG_LIT(""), t, SIG_LIT("}")};
  struct sig_msg *m = sig__msg_join(s, piece, 4);
  if (m == NULL) {
    sig__reply_no_memory(s, link, (struct bytes){NULL, 0});
    return;
  }
  /* Behind everything that was queued before it: whoever sees a pong has seen all of that. */
  if (sig__link_aside(link, sig__aside(m, sig__outbox_next_seq(&link->session->outbox))) != 0) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_RATE_LIMITED, .retry_s = 1},
                     "%d pongs wait to be read already; read them before you ping again",
                     SIG_ASIDE);
  }
}

static size_t ice_size(const struct sig *s, const struct sig_session *session)
{
  return session->grant.ice != NULL ? session->grant.ice_len : sig__ice_size(s->config);
}

static void put_ice(struct sig *s, const struct sig_session *session, uint64_t now_ms,
                    struct buf *out)
{
  const struct sig_grant *grant = &session->grant;
  buf_put_text(out, ",\"iceServers\":");
  if (grant->ice != NULL) {
    buf_put(out, grant->ice, grant->ice_len);
    buf_put_text(out, ",\"iceTtl\":");
    buf_put_uint(out, grant->ice_ttl_s);
    return;
  }
  sig__ice_put(s->config, SIG_ARRAY(session->peer), sig__wall_s(s, now_ms), out);
  buf_put_text(out, ",\"iceTtl\":");
  buf_put_uint(out, s->config->turn_ttl_s);
}

void sig__reply_ice(struct sig *s, struct sig_link *link, uint64_t now_ms)
{
  struct sig_msg *m = sig__msg_new(s, 128 + ice_size(s, link->session));
  if (m != NULL) {
    struct buf out;
    buf_init(&out, m->text, m->cap);
    buf_put_text(&out, "\"type\":\"ice-servers\"");
    put_ice(s, link->session, now_ms, &out);
    buf_put_text(&out, "}");
    m->len = (uint32_t)out.len;
  }
  post(s, link, m);
}

struct sig_msg *sig__reply_drain(struct sig *s, struct bytes url, uint32_t seconds)
{
  struct sig_msg *m = sig__msg_new(s, 64 + 6 * url.len);
  if (m == NULL) {
    return NULL;
  }
  struct buf out;
  buf_init(&out, m->text, m->cap);
  buf_put_text(&out, "\"type\":\"drain\",\"seconds\":");
  buf_put_uint(&out, seconds);
  if (url.len > 0) {
    buf_put_text(&out, ",\"url\":");
    json_put_string(&out, url);
  }
  buf_put_text(&out, "}");
  m->len = (uint32_t)out.len;
  return m;
}

static void put_limits(const struct sig_limits *l, const struct sig_grant *own, struct buf *out)
{
  const struct {
    const char *name;
    uint32_t value;
  } row[] = {
      {"messageSize", l->message_size},
      {"messageRate", sig__limit(own->message_rate, l->message_rate)},
      {"byteRate", sig__limit(own->byte_rate, l->byte_rate)},
      {"outboxMessages", l->outbox_messages},
      {"outboxBytes", l->outbox_bytes},
      {"resumeSeconds", l->resume_s},
      {"roomsPerSession", sig__limit(own->rooms_per_session, l->rooms_per_session)},
      {"membersPerRoom", l->members_per_room},
      {"roomLength", l->room_length},
      {"nameLength", l->name_length},
      {"metaSize", l->meta_size},
  };
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    buf_put_text(out, i == 0 ? ",\"limits\":{\"" : ",\"");
    buf_put_text(out, row[i].name);
    buf_put_text(out, "\":");
    buf_put_uint(out, row[i].value);
  }
  buf_put_text(out, "}");
}

struct sig_msg *sig__reply_welcome(struct sig *s, const struct sig_session *session, bool resumed,
                                   uint64_t now_ms)
{
  size_t cap = 768 + ice_size(s, session) + 6 * s->config->node.len;
  struct sig_msg *m = sig__msg_new(s, cap);
  if (m == NULL) {
    return NULL;
  }
  struct buf out;
  buf_init(&out, m->text, m->cap);
  buf_put_text(&out, "\"type\":\"welcome\",\"session\":\"");
  buf_put(&out, session->id, sizeof(session->id));
  buf_put_text(&out, "\",\"key\":\"");
  buf_put_base64url(&out, session->key, sizeof(session->key));
  buf_put_text(&out, "\",\"peer\":\"");
  buf_put(&out, session->peer, sizeof(session->peer));
  buf_put_text(&out, resumed ? "\",\"resumed\":true" : "\",\"resumed\":false");
  put_ice(s, session, now_ms, &out);
  put_limits(&s->config->limits, &session->grant, &out);
  buf_put_text(&out, ",\"node\":");
  json_put_string(&out, s->config->node);
  buf_put_text(&out, "}");
  m->len = (uint32_t)out.len;
  return m;
}
