/* Sockets and ids: who is it, may he, what does he say, and what waits to be written for him. */
#include "signal/peerjs/core/peerjs.h"

#include <string.h>

#include "base/json.h"
#include "signal/peerjs/core/core.h"

static const struct bytes open_text = PEERJS_LIT("{\"type\":\"OPEN\"}");

#define ERROR_TEXT(msg) PEERJS_LIT("{\"type\":\"ERROR\",\"payload\":{\"msg\":\"" msg "\"}}")

/* What a socket is told, and how it is closed. The texts are PeerServer's where it has one. */
static const struct refusal {
  struct bytes text;
  uint16_t code;
  const char *reason;
} refusals[PEERJS_REFUSAL_COUNT] = {
    [PEERJS_INCOMPLETE] = {ERROR_TEXT("No id, token, or key supplied to websocket server"),
                           SIG_CLOSE_POLICY, "no id, token or key"},
    [PEERJS_TOO_LONG] = {ERROR_TEXT("The id, the token or the key is too long"), SIG_CLOSE_POLICY,
                         "the id, the token or the key is too long"},
    [PEERJS_WRONG_KEY] = {ERROR_TEXT("Invalid key provided"), SIG_CLOSE_POLICY, "wrong key"},
    [PEERJS_ID_TAKEN] = {PEERJS_LIT(
                             "{\"type\":\"ID-TAKEN\",\"payload\":{\"msg\":\"ID is taken\"}}"),
                         SIG_CLOSE_POLICY, "this id is taken"},
    [PEERJS_FULL] = {ERROR_TEXT("Server has reached its concurrent user limit"),
                     SIG_CLOSE_TRY_LATER, "the server is full"},
    [PEERJS_RATE] = {ERROR_TEXT("Too many messages"), SIG_CLOSE_POLICY, "too many messages"},
    [PEERJS_SLOW_READER] = {{0}, SIG_CLOSE_OUTBOX_OVERFLOW, "messages were not read in time"},
    [PEERJS_NO_MEMORY] = {ERROR_TEXT("The server has no memory left"), SIG_CLOSE_TRY_LATER,
                          "no memory"},
};

int peerjs_new(const struct peerjs_setup *setup, struct peerjs **out)
{
  struct peerjs *p = mem_new(setup->mem, sizeof(*p));
  if (p == NULL) {
    return -ERR_NOMEM;
  }
  p->config = setup->config;
  p->effects = setup->effects;
  p->mem = setup->mem;
  p->random = setup->random;
  p->log = setup->log;
  p->sig = setup->sig;
  p->hash_key = (struct hash_key){random_u64(p->random), random_u64(p->random)};
  wheel_init(&p->wheel, setup->now_ms);
  hash_table_init(&p->clients, p->mem);
  hash_table_init(&p->queues, p->mem);
  hash_table_init(&p->pairs, p->mem);
  list_init(&p->links);
  *out = p;
  return 0;
}

void peerjs_set_config(struct peerjs *p, const struct peerjs_config *config)
{
  p->config = config;
}

const struct peerjs_counters *peerjs_counters(const struct peerjs *p)
{
  return &p->counters;
}

struct peerjs_link *peerjs__find(const struct peerjs *p, struct bytes id, uint64_t hash)
{
  for (struct hash_node *n = hash_table_first(&p->clients, hash); n != NULL;
       n = hash_table_next(n)) {
    struct peerjs_link *link = CONTAINER_OF(n, struct peerjs_link, by_id);
    if (bytes_equal(peerjs__id(link), id)) {
      return link;
    }
  }
  return NULL;
}

/* Outboxes. */

static void drop_held(struct peerjs *p)
{
  peerjs__msg_free(p, p->held);
  p->held = NULL;
}

static struct peerjs_msg *outbox_take(struct peerjs *p, struct peerjs_outbox *o)
{
  struct peerjs_msg *m = CONTAINER_OF(o->messages.next, struct peerjs_msg, node);
  list_remove(&m->node);
  o->count--;
  o->bytes -= m->len;
  p->counters.outbox_messages--;
  p->counters.outbox_bytes -= m->len;
  return m;
}

static void outbox_clear(struct peerjs *p, struct peerjs_outbox *o)
{
  while (!list_is_empty(&o->messages)) {
    peerjs__msg_free(p, outbox_take(p, o));
  }
}

static void wake(struct peerjs_link *link)
{
  struct peerjs *p = link->peerjs;
  if (!link->woken) {
    link->woken = true;
    p->effects->wake(p->effects->arg, link->edge);
  }
}

bool peerjs__push(struct peerjs *p, struct peerjs_link *link, struct peerjs_msg *m)
{
  const struct peerjs_config *c = p->config;
  struct peerjs_outbox *o = &link->outbox;
  if ((c->outbox_messages != 0 && o->count >= c->outbox_messages) ||
      (c->outbox_bytes != 0 && o->bytes + m->len > c->outbox_bytes)) {
    outbox_clear(p, o);
    peerjs__refuse(p, link, PEERJS_SLOW_READER);
    return false;
  }
  list_push_back(&o->messages, &m->node);
  o->count++;
  o->bytes += m->len;
  p->counters.outbox_messages++;
  p->counters.outbox_bytes += m->len;
  wake(link);
  return true;
}

/* Having an id and losing it. */

static void lose_id(struct peerjs *p, struct peerjs_link *link)
{
  if (link->is_in) {
    link->is_in = false;
    hash_table_remove(&p->clients, &link->by_id);
    sig_guest_leave(&link->guest);
    p->counters.clients--;
  }
}

static void close_link(struct peerjs *p, struct peerjs_link *link, uint16_t code,
                       const char *reason)
{
  lose_id(p, link);
  wheel_cancel(&p->wheel, &link->timer);
  if (!link->closing) {
    link->closing = true;
    p->effects->close(p->effects->arg, link->edge, code, reason);
  }
}

void peerjs__refuse(struct peerjs *p, struct peerjs_link *link, enum peerjs_refusal why)
{
  const struct refusal *r = &refusals[why];
  p->counters.refused[why]++;
  log_event(p->log, LOG_LEVEL_DEBUG, "peerjs-refused", LOG_TEXT("reason", r->reason));
  link->last = r->text;
  close_link(p, link, r->code, r->reason);
}

static void heartbeat_is_late(struct timer *t, uint64_t now_ms)
{
  struct peerjs_link *link = CONTAINER_OF(t, struct peerjs_link, timer);
  struct peerjs *p = link->peerjs;
  uint64_t due_ms = link->seen_ms + p->config->alive_ms;
  if (p->config->alive_ms == 0 || due_ms > now_ms) {
    if (p->config->alive_ms != 0) {
      wheel_arm(&p->wheel, t, due_ms);
    }
    return;
  }
  p->counters.timed_out += link->is_in;
  close_link(p, link, SIG_CLOSE_POLICY, "no heartbeat in time");
}

/* The new socket has its id, unless it has not: then why. */
static int get_id(struct peerjs *p, struct peerjs_link *link, uint64_t hash)
{
  uint32_t limit = p->config->limit;
  if ((limit != 0 && p->counters.clients >= limit) || sig_guest_enter(p->sig, &link->guest) != 0) {
    return PEERJS_FULL;
  }
  if (hash_table_insert(&p->clients, &link->by_id, hash) != 0) {
    sig_guest_leave(&link->guest);
    return PEERJS_NO_MEMORY;
  }
  link->is_in = true;
  p->counters.clients++;
  p->counters.opened++;
  peerjs__wait_over(p, link);
  return PEERJS_REFUSAL_COUNT;
}

/* What was not written on the old socket yet is written on the new one. */
static int take_over(struct peerjs *p, struct peerjs_link *old, struct peerjs_link *link,
                     uint64_t hash)
{
  if (old->guest.source == link->guest.source) {
    sig_guest_leave(&old->guest);
  }
  if (sig_guest_enter(p->sig, &link->guest) != 0) {
    return PEERJS_FULL;
  }
  list_append(&link->outbox.messages, &old->outbox.messages);
  link->outbox.count = old->outbox.count;
  link->outbox.bytes = old->outbox.bytes;
  old->outbox.count = 0;
  old->outbox.bytes = 0;
  close_link(p, old, SIG_CLOSE_TAKEN_OVER, "another connection has taken over");
  (void)hash_table_insert(&p->clients, &link->by_id, hash); /* its bucket is there */
  link->is_in = true;
  p->counters.clients++;
  p->counters.taken_over++;
  return PEERJS_REFUSAL_COUNT;
}

static bool equal_ct(struct bytes a, struct bytes b)
{
  return a.len == b.len && bytes_equal_ct(a.at, b.at, a.len);
}

/* PEERJS_REFUSAL_COUNT: it has its id. */
static int enter(struct peerjs *p, struct peerjs_link *link, const struct peerjs_hello *hello)
{
  if (hello->is_too_long) {
    return PEERJS_TOO_LONG;
  }
  if (hello->id.len == 0 || hello->token.len == 0 || hello->key.len == 0 ||
      !utf8_is_valid(hello->id)) {
    return PEERJS_INCOMPLETE;
  }
  if (!equal_ct(hello->key, p->config->key)) {
    return PEERJS_WRONG_KEY;
  }
  uint64_t hash = peerjs__hash(p, hello->id);
  struct peerjs_link *old = peerjs__find(p, hello->id, hash);
  if (old == NULL) {
    return get_id(p, link, hash);
  }
  if (!equal_ct(hello->token, peerjs__token(old))) {
    return PEERJS_ID_TAKEN;
  }
  return take_over(p, old, link, hash);
}

static struct peerjs_link *link_new(struct peerjs *p, const struct peerjs_hello *hello,
                                    uint64_t now_ms)
{
  uint8_t src[6 * PEERJS_ID_SIZE + 2];
  struct buf b;
  buf_init(&b, src, sizeof(src));
  json_put_string(&b, hello->id);
  size_t size = sizeof(struct peerjs_link) + hello->id.len + hello->token.len + b.len;
  struct peerjs_link *link = mem_new(p->mem, size);
  if (link == NULL) {
    return NULL;
  }
  uint8_t *at = link->text;
  const struct bytes piece[] = {hello->id, hello->token, {b.at, b.len}};
  for (size_t i = 0; i < sizeof(piece) / sizeof(piece[0]); i++) {
    if (piece[i].len > 0) {
      memcpy(at, piece[i].at, piece[i].len);
      at += piece[i].len;
    }
  }
  link->id_len = (uint16_t)hello->id.len;
  link->token_len = (uint16_t)hello->token.len;
  link->src_len = (uint16_t)b.len;
  link->peerjs = p;
  link->edge = hello->edge;
  link->seen_ms = now_ms;
  link->woken = true; /* the edge asks by itself at first */
  timer_init(&link->timer, heartbeat_is_late);
  list_init(&link->outbox.messages);
  list_push_back(&p->links, &link->node);
  return link;
}

static void link_free(struct peerjs *p, struct peerjs_link *link)
{
  wheel_cancel(&p->wheel, &link->timer);
  list_remove(&link->node);
  outbox_clear(p, &link->outbox);
  size_t size = sizeof(*link) + link->id_len + link->token_len + link->src_len;
  bytes_wipe(link->text, link->id_len + (size_t)link->token_len);
  mem_free(p->mem, link, size);
}

int peerjs_open(struct peerjs *p, const struct peerjs_hello *hello, uint64_t now_ms,
                struct peerjs_link **out)
{
  struct peerjs_hello h = *hello;
  drop_held(p);
  if (h.id.len > PEERJS_ID_SIZE || h.token.len > PEERJS_TOKEN_SIZE || h.key.len > PEERJS_KEY_SIZE) {
    h.is_too_long = true;
  }
  if (h.is_too_long) {
    h.id = h.token = h.key = (struct bytes){0};
  }
  struct peerjs_link *link = link_new(p, &h, now_ms);
  if (link == NULL) {
    return -ERR_NOMEM;
  }
  int err = sig_guest_open(p->sig, &h.client, now_ms, &link->guest);
  if (err != 0) {
    link_free(p, link);
    return err;
  }
  p->counters.links++;
  int why = enter(p, link, &h);
  link->first = open_text;
  if (why != PEERJS_REFUSAL_COUNT) {
    p->counters.refused[why]++;
    link->first = refusals[why].text;
    link->close_code = refusals[why].code;
    link->close_reason = refusals[why].reason;
  } else if (p->config->alive_ms != 0) {
    wheel_arm(&p->wheel, &link->timer, now_ms + p->config->alive_ms);
  }
  log_event(p->log, LOG_LEVEL_DEBUG, "peerjs-socket", LOG_ADDR("client", &h.client),
            LOG_TEXT("refused", link->close_reason != NULL ? link->close_reason : "no"));
  *out = link;
  return 0;
}

/* The way in. */

static void relay(struct peerjs *p, struct peerjs_link *from, const struct peerjs_message *in,
                  uint64_t now_ms)
{
  uint64_t hash = peerjs__hash(p, in->dst);
  struct peerjs_link *to = peerjs__find(p, in->dst, hash);
  bool may_wait = in->type != PEERJS_LEAVE && in->type != PEERJS_EXPIRE;
  if (to == NULL && !may_wait) {
    return;
  }
  struct peerjs_msg *m = peerjs__msg_new(p, in->type, peerjs__src(from), in->dst_json, in->payload);
  if (m == NULL) {
    peerjs__refuse(p, from, PEERJS_NO_MEMORY);
  } else if (to != NULL && peerjs__push(p, to, m)) {
    p->counters.relayed++;
  } else if (!may_wait) {
    peerjs__msg_free(p, m);
  } else if (peerjs__wait(p, from, in, hash, m, now_ms) != 0) {
    peerjs__msg_free(p, m);
    peerjs__refuse(p, from, PEERJS_NO_MEMORY);
  }
}

void peerjs_input(struct peerjs *p, struct peerjs_link *link, struct bytes text, uint64_t now_ms)
{
  struct peerjs_message m;
  drop_held(p);
  p->counters.messages_in++;
  p->counters.bytes_in += text.len;
  if (!link->is_in) {
    p->counters.ignored++;
  } else if (sig_guest_take(p->sig, &link->guest, text.len, now_ms) != 0) {
    peerjs__refuse(p, link, PEERJS_RATE);
  } else if (peerjs__read(text, &m) != 0) {
    p->counters.ignored++;
  } else if (m.type == PEERJS_HEARTBEAT) {
    link->seen_ms = now_ms;
  } else if (m.type == PEERJS_LEAVE && !m.has_dst) {
    lose_id(p, link);
  } else if (m.dst_is_string) {
    relay(p, link, &m, now_ms);
  } else {
    p->counters.ignored++;
  }
}

/* The way out. */

static bool take_static(struct bytes *text, struct bytes *out)
{
  *out = *text;
  *text = (struct bytes){0};
  return out->len > 0;
}

bool peerjs_next(struct peerjs *p, struct peerjs_link *link, struct bytes *out)
{
  drop_held(p);
  if (take_static(&link->first, out)) {
    /* That comes before the rest. */
  } else if (!list_is_empty(&link->outbox.messages)) {
    p->held = outbox_take(p, &link->outbox);
    *out = (struct bytes){p->held->text, p->held->len};
  } else if (!take_static(&link->last, out)) {
    link->woken = false;
    if (link->close_reason != NULL && !link->closing) {
      close_link(p, link, link->close_code, link->close_reason);
    }
    return false;
  }
  p->counters.messages_out++;
  p->counters.bytes_out += out->len;
  return true;
}

void peerjs_gone(struct peerjs *p, struct peerjs_link *link, uint64_t now_ms)
{
  drop_held(p);
  lose_id(p, link);
  sig_guest_close(p->sig, &link->guest, now_ms);
  link_free(p, link);
  p->counters.links--;
}

void peerjs_tick(struct peerjs *p, uint64_t now_ms)
{
  drop_held(p);
  wheel_run(&p->wheel, now_ms);
}

uint64_t peerjs_next_ms(const struct peerjs *p)
{
  return wheel_next_ms(&p->wheel);
}

void peerjs_free(struct peerjs *p)
{
  if (p == NULL) {
    return;
  }
  drop_held(p);
  while (!list_is_empty(&p->links)) {
    link_free(p, CONTAINER_OF(p->links.next, struct peerjs_link, node));
  }
  peerjs__wait_fini(p);
  hash_table_fini(&p->clients);
  hash_table_fini(&p->queues);
  hash_table_fini(&p->pairs);
  bytes_wipe(&p->hash_key, sizeof(p->hash_key));
  mem_free(p->mem, p, sizeof(*p));
}
