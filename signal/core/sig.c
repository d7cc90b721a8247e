/* The verbs of sig.h: links, the way of a message in, and the way out. */
#include <string.h>

#include "signal/core/room.h"

void sig_config_defaults(struct sig_config *out)
{
  *out = (struct sig_config){
      .node = SIG_LIT("viaduct"),
      .turn_ttl_s = 86400,
      .limits = {.sessions = 10000,
                 .sessions_per_address = 256,
                 .links_per_address = 512,
                 .message_rate = 100,
                 .byte_rate = 512 * 1024,
                 .address_message_rate = 2000,
                 .address_byte_rate = 8 * 1024 * 1024,
                 .message_size = 64 * 1024,
                 .outbox_messages = 1024,
                 .outbox_bytes = 1024 * 1024,
                 .rooms_per_session = 16,
                 .members_per_room = 100,
                 .room_length = 128,
                 .name_length = 128,
                 .meta_size = 2048,
                 .hello_ms = 10000,
                 .asking = 256,
                 .asking_ms = 10000,
                 .resume_s = 30},
  };
}

int sig_new(const struct sig_setup *setup, struct sig **out)
{
  struct sig *s = mem_new(setup->mem, sizeof(*s));
  if (s == NULL) {
    return -ERR_NOMEM;
  }
  s->config = setup->config;
  s->effects = setup->effects;
  s->mem = setup->mem;
  s->random = setup->random;
  s->log = setup->log;
  s->first = setup->beside != NULL ? setup->beside->first : s;
  if (s->first == s) {
    wheel_init(&s->wheel, setup->now_ms);
    hash_table_init(&s->sources, s->mem);
    list_init(&s->doomed);
  }
  sig_set_wall(s, setup->now_ms, setup->wall_ms);
  s->hash_key = (struct hash_key){random_u64(s->random), random_u64(s->random)};
  hash_table_init(&s->sessions, s->mem);
  hash_table_init(&s->peers, s->mem);
  hash_table_init(&s->rooms, s->mem);
  hash_table_init(&s->members, s->mem);
  list_init(&s->links);
  list_init(&s->room_list);
  list_init(&s->asking);
  *out = s;
  return 0;
}

static void link_free(struct sig *s, struct sig_link *link)
{
  sig__ask_forget(s, link);
  wheel_cancel(&s->first->wheel, &link->timer);
  list_remove(&link->node);
  while (link->aside_count > 0) {
    link->aside_count--;
    sig__msg_release(s, link->aside[(link->aside_first + link->aside_count) % SIG_ASIDE].msg);
  }
  if (link->token != NULL) {
    bytes_wipe(link->token, link->token_len);
    mem_free(s->mem, link->token, link->token_len);
  }
  list_remove(&link->in_senders);
  link->source->links--;
  s->counters.links--;
  s->first->all_links--;
  s->counters.links_by_transport[link->transport]--;
  mem_free(s->mem, link, sizeof(*link));
}

/* In no order, and with nobody left to be told; rooms go with their last members. */
static void free_sessions(struct sig *s)
{
  for (size_t i = 0; i < s->sessions.bucket_count; i++) {
    for (struct hash_node *n = s->sessions.bucket[i]; n != NULL; n = n->next) {
      struct sig_session *session = CONTAINER_OF(n, struct sig_session, by_id);
      session->link = NULL;
      session->is_doomed = true;
    }
  }
  for (size_t i = 0; i < s->sessions.bucket_count; i++) {
    while (s->sessions.bucket[i] != NULL) {
      struct sig_session *session = CONTAINER_OF(s->sessions.bucket[i], struct sig_session, by_id);
      sig__leave_all(s, session, SIG_LEFT_TIMEOUT);
      sig__session_free(s, session);
    }
  }
}

static void free_sources(struct sig *s)
{
  for (size_t i = 0; i < s->sources.bucket_count; i++) {
    while (s->sources.bucket[i] != NULL) {
      sig__source_free(s, CONTAINER_OF(s->sources.bucket[i], struct sig_source, node));
    }
  }
}

void sig_free(struct sig *s)
{
  if (s == NULL) {
    return;
  }
  s->ends = true;
  while (!list_is_empty(&s->links)) {
    link_free(s, CONTAINER_OF(s->links.next, struct sig_link, node));
  }
  free_sessions(s);
  if (s->first == s) {
    free_sources(s);
  }
  sig__msg_release(s, s->held);
  hash_table_fini(&s->sessions);
  hash_table_fini(&s->peers);
  hash_table_fini(&s->rooms);
  hash_table_fini(&s->members);
  if (s->first == s) {
    hash_table_fini(&s->sources);
  }
  struct mem *mem = s->mem;
  bytes_wipe(&s->hash_key, sizeof(s->hash_key));
  mem_free(mem, s, sizeof(*s));
}

void sig_set_config(struct sig *s, const struct sig_config *config)
{
  s->config = config;
}

void sig_set_wall(struct sig *s, uint64_t now_ms, uint64_t wall_ms)
{
  s->first->wall_base_ms = wall_ms - now_ms;
}

uint64_t sig__wall_s(const struct sig *s, uint64_t now_ms)
{
  return (s->first->wall_base_ms + now_ms) / 1000;
}

void sig__link_wake(struct sig_link *link)
{
  if (!link->woken && !link->closing) {
    link->woken = true;
    link->sig->effects->wake(link->sig->effects->arg, link->edge);
  }
}

void sig__link_close(struct sig_link *link, enum sig_close code, const char *reason)
{
  if (!link->closing) {
    link->closing = true;
    link->sig->effects->close(link->sig->effects->arg, link->edge, (uint16_t)code, reason);
  }
}

int sig__link_aside(struct sig_link *link, struct sig_aside aside)
{
  if (link->aside_count == SIG_ASIDE) {
    sig__msg_release(link->sig, aside.msg);
    return -ERR_FULL;
  }
  link->aside[(link->aside_first + link->aside_count) % SIG_ASIDE] = aside;
  link->aside_count++;
  sig__link_wake(link);
  return 0;
}

static void hello_is_late(struct timer *t, uint64_t now_ms)
{
  (void)now_ms;
  struct sig_link *link = CONTAINER_OF(t, struct sig_link, timer);
  if (link->question != 0) {
    sig__ask_late(link);
    return;
  }
  sig__link_close(link, SIG_CLOSE_POLICY, "no hello in time");
}

/* Links cost memory before anybody has said who he is: twice the sessions leaves room for those
 * that come back while their old link is not known to be dead yet. */
static bool is_full_of_links(struct sig *s, const struct sig_source *source)
{
  const struct sig_limits *limits = &s->config->limits;
  bool address = limits->links_per_address != 0 && source->links >= limits->links_per_address;
  bool all =
      (limits->sessions != 0 && s->counters.links >= 2 * (uint64_t)limits->sessions) ||
      (limits->all_sessions != 0 && s->first->all_links >= 2 * (uint64_t)limits->all_sessions);
  if (address || all) {
    s->counters.refused[address ? SIG_REFUSED_ADDRESS_LINKS : SIG_REFUSED_LINKS]++;
  }
  return address || all;
}

static int link_new(struct sig *s, const struct sig_link_setup *setup, struct sig_source *source,
                    struct sig_link **out)
{
  if (setup->token.len > SIG_TOKEN_SIZE) {
    return -ERR_DENIED;
  }
  struct sig_link *link = mem_new(s->mem, sizeof(*link));
  if (link == NULL) {
    return -ERR_NOMEM;
  }
  if (setup->token.len > 0) {
    link->token = mem_new(s->mem, setup->token.len);
    if (link->token == NULL) {
      mem_free(s->mem, link, sizeof(*link));
      return -ERR_NOMEM;
    }
    memcpy(link->token, setup->token.at, setup->token.len);
    link->token_len = (uint32_t)setup->token.len;
  }
  link->sig = s;
  link->source = source;
  link->edge = setup->edge;
  link->transport = (uint8_t)setup->transport;
  timer_init(&link->timer, hello_is_late);
  list_init(&link->in_senders);
  list_init(&link->in_asking);
  list_push_back(&s->links, &link->node);
  *out = link;
  return 0;
}

int sig_link_open(struct sig *s, const struct sig_link_setup *setup, uint64_t now_ms,
                  struct sig_link **out)
{
  if (!sig_origin_is_allowed(s->config->origin, s->config->origin_count, setup->origin,
                             setup->host)) {
    s->counters.links_refused++;
    s->counters.refused[SIG_REFUSED_ORIGIN]++;
    log_event(s->log, LOG_LEVEL_WARN, "origin-refused", LOG_BYTES("origin", setup->origin),
              LOG_ADDR("client", &setup->client));
    return -ERR_DENIED;
  }
  struct sig_source *source;
  int err = sig__source_get(s, &setup->client, &source);
  if (err != 0) {
    s->counters.no_memory++;
    s->counters.refused[SIG_REFUSED_MEMORY]++;
    return err;
  }
  struct sig_link *link = NULL;
  err = is_full_of_links(s, source) ? -ERR_FULL : link_new(s, setup, source, &link);
  if (err != 0) {
    s->counters.links_refused++;
    s->counters.refused[SIG_REFUSED_MEMORY] += err == -ERR_NOMEM;
    sig__source_settle(s, source, now_ms);
    return err;
  }
  source->links++;
  sig__source_settle(s, source, now_ms);
  s->counters.links++;
  s->first->all_links++;
  s->counters.links_by_transport[setup->transport]++;
  s->counters.links_opened++;
  if (s->config->limits.hello_ms != 0) {
    wheel_arm(&s->first->wheel, &link->timer, now_ms + s->config->limits.hello_ms);
  }
  *out = link;
  return 0;
}

void sig_link_gone(struct sig *s, struct sig_link *link, uint64_t now_ms)
{
  struct sig_source *source = link->source;
  if (link->session != NULL && link->sends) {
    sig__sender_gone(s, link, now_ms);
  } else if (link->session != NULL) {
    sig__session_link_gone(s, link->session, now_ms);
  }
  sig__settle(s, now_ms);
  link_free(s, link); /* last: it is what keeps its source */
  sig__source_settle(s, source, now_ms);
}

/* The next seq that no link has handed out yet, as far as this one may know. */
static uint64_t next_unsent(const struct sig_link *link)
{
  const struct sig_session *session = link->session;
  if (!link->sends) {
    return link->cursor;
  }
  return session->link != NULL && session->link->cursor > session->handed ? session->link->cursor
                                                                          : session->handed;
}

static void acknowledge(struct sig *s, struct sig_link *link, uint64_t seq)
{
  uint64_t next = next_unsent(link);
  if (seq >= next) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_BAD_MESSAGE},
                     "'seq' was not sent to you yet; the last one is %llu",
                     (unsigned long long)(next - 1));
    return;
  }
  sig__outbox_ack(s, link->session, seq);
  /* An earlier reader may have got further than the present one has: what is confirmed is gone. */
  struct sig_link *reader = link->session->link;
  if (reader != NULL && reader->cursor < link->session->outbox.first_seq) {
    reader->cursor = link->session->outbox.first_seq;
  }
}

static void dispatch(struct sig *s, struct sig_link *link, const struct sig_message *m,
                     uint64_t now_ms)
{
  if (link->sends && link->session == NULL) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_SESSION_GONE, .id = m->id},
                     "the session has ended: open another one, and join your rooms again");
    return;
  }
  if (m->type != SIG_HELLO && link->session == NULL) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_HELLO_FIRST, .id = m->id},
                     link->question != 0 ? "wait for the welcome: your 'hello' is being looked at"
                                         : "the first message is 'hello'");
    return;
  }
  switch (m->type) {
  case SIG_HELLO:
    sig__hello(s, link, m, now_ms);
    return;
  case SIG_JOIN:
    sig__join(s, link, m);
    return;
  case SIG_LEAVE:
    sig__leave(s, link, m);
    return;
  case SIG_SIGNAL:
    sig__signal(s, link, m);
    return;
  case SIG_BROADCAST:
    sig__broadcast(s, link, m);
    return;
  case SIG_KICK:
    sig__kick(s, link, m);
    return;
  case SIG_ACK:
    acknowledge(s, link, m->seq);
    return;
  case SIG_PING:
    sig__reply_pong(s, link, m->t);
    return;
  case SIG_ICE:
    sig__reply_ice(s, link, now_ms);
    return;
  case SIG_BYE:
    sig__session_doom(s, link->session, SIG_LEFT_BYE);
    return;
  case SIG_TYPE_COUNT:
    return;
  }
}

/* Whether a message of that length may be looked at; if not, it has its answer. */
static bool is_within_limits(struct sig *s, struct sig_link *link, size_t len, uint64_t now_ms)
{
  uint32_t size_limit = s->config->limits.message_size;
  size_t charged = size_limit != 0 && len > size_limit ? size_limit : len;
  uint32_t wait_s = sig__limits_take(s, link, charged, now_ms);
  if (wait_s != 0) {
    sig__reply_error(
        s, link, &(struct sig_problem){.error = SIG_ERROR_RATE_LIMITED, .retry_s = wait_s},
        "more than the server takes: send what was not delivered again after 'retryAfter' "
        "seconds, and slower");
    return false;
  }
  if (size_limit != 0 && len > size_limit) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_TOO_LARGE},
                     "a message may have at most %u bytes", size_limit);
    return false;
  }
  return true;
}

void sig_input(struct sig *s, struct sig_link *link, struct bytes text, uint64_t now_ms)
{
  if (link->closing) { /* what it still says is late */
    return;
  }
  s->counters.messages_in++;
  s->counters.bytes_in += text.len;
  if (is_within_limits(s, link, text.len, now_ms)) {
    struct sig_message message;
    struct sig_refusal refusal;
    if (sig__message_read(text, &s->config->limits, &message, &refusal) == 0) {
      dispatch(s, link, &message, now_ms);
    } else {
      sig__reply_error(s, link, &(struct sig_problem){.error = refusal.error, .id = refusal.id},
                       "%s", refusal.prose);
    }
  }
  sig__settle(s, now_ms);
}

void sig_input_bad(struct sig *s, struct sig_link *link, enum sig_error error, uint64_t now_ms)
{
  if (link->closing) { /* what it still says is late */
    return;
  }
  s->counters.messages_in++;
  /* Nobody has counted its bytes: as many as a message may have. */
  if (is_within_limits(s, link, s->config->limits.message_size, now_ms)) {
    if (error == SIG_ERROR_TOO_LARGE) {
      sig__reply_error(s, link, &(struct sig_problem){.error = error},
                       "a message may have at most %u bytes", s->config->limits.message_size);
    } else if (error == SIG_ERROR_SERVER_FULL) {
      sig__reply_no_memory(s, link, (struct bytes){NULL, 0});
    } else {
      sig__reply_error(s, link, &(struct sig_problem){.error = error},
                       "messages are text frames with JSON in UTF-8");
    }
  }
  sig__settle(s, now_ms);
}

bool sig_has_next(const struct sig_link *link)
{
  if (link->aside_count > 0 || link->is_mute) {
    return true;
  }
  return link->session != NULL && link->cursor < sig__outbox_next_seq(&link->session->outbox);
}

/* The pong or the like whose turn it is. */
static bool is_aside_next(const struct sig_link *link)
{
  return link->aside_count > 0 &&
         (link->session == NULL || link->aside[link->aside_first].before_seq <= link->cursor);
}

static struct sig_msg *take_aside(struct sig_link *link, struct sig_out *out)
{
  const struct sig_aside *aside = &link->aside[link->aside_first];
  out->error = (enum sig_error)aside->error;
  out->retry_s = aside->retry_s;
  link->aside_first = (uint8_t)((link->aside_first + 1) % SIG_ASIDE);
  link->aside_count--;
  return aside->msg;
}

/* What is left to say where there is no memory to say more. */
static void take_mute(struct sig *s, struct sig_link *link, struct sig_out *out)
{
  link->is_mute = false;
  *out = (struct sig_out){
      .head = SIG_LIT("{"),
      .body =
          SIG_LIT("\"type\":\"error\",\"code\":\"server-full\",\"message\":\"the server is out of "
                  "memory; try again in a moment\",\"retryAfter\":1}"),
      .error = SIG_ERROR_SERVER_FULL,
      .retry_s = 1,
  };
  s->counters.messages_out++;
  s->counters.bytes_out += out->head.len + out->body.len;
}

bool sig_next(struct sig *s, struct sig_link *link, struct sig_out *out)
{
  sig__msg_release(s, s->held);
  s->held = NULL;
  struct buf head;
  buf_init(&head, s->head, sizeof(s->head));
  struct sig_msg *m;
  if (link->is_mute && link->aside_count == 0) {
    take_mute(s, link, out);
    return true;
  }
  if (is_aside_next(link)) {
    m = s->held = take_aside(link, out);
    out->seq = 0;
    buf_put_byte(&head, '{');
  } else if (sig_has_next(link) &&
             (m = sig__outbox_at(&link->session->outbox, link->cursor)) != NULL) {
    out->seq = link->cursor++;
    out->error = SIG_ERROR_COUNT;
    out->retry_s = 0;
    sig__measure(s, (enum sig_transport)link->transport, m);
    buf_put_text(&head, "{\"seq\":");
    buf_put_uint(&head, out->seq);
    buf_put_byte(&head, ',');
  } else {
    link->woken = false;
    return false;
  }
  out->head = (struct bytes){head.at, head.len};
  out->body = (struct bytes){m->text, m->len};
  s->counters.messages_out++;
  s->counters.bytes_out += head.len + m->len;
  return true;
}

void sig_tick(struct sig *s, uint64_t now_ms)
{
  wheel_run(&s->first->wheel, now_ms);
  sig__settle(s, now_ms);
}

uint64_t sig_next_ms(const struct sig *s)
{
  return wheel_next_ms(&s->first->wheel);
}

const struct sig_counters *sig_counters(const struct sig *s)
{
  return &s->counters;
}

bool sig_is_full(const struct sig *s)
{
  const struct sig_limits *limits = &s->config->limits;
  return (limits->sessions != 0 && s->counters.sessions >= limits->sessions) ||
         (limits->all_sessions != 0 && s->first->all_sessions >= limits->all_sessions);
}

struct bytes sig_link_peer(const struct sig_link *link)
{
  return link->session == NULL ? SIG_LIT("") : SIG_ARRAY(link->session->peer);
}
