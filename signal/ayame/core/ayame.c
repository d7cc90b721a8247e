/* Sockets: who is it, may he, what does he say, and what waits to be written for him. */
#include "signal/ayame/core/ayame.h"

#include <string.h>

#include "signal/ayame/core/core.h"

static const struct bytes ping_text = AYAME_LIT("{\"type\":\"ping\"}");

#define REJECT(reason) AYAME_LIT("{\"type\":\"reject\",\"reason\":\"" reason "\"}")

/* What a socket is told, and how it is closed. Ayame itself says "full", and closes without a word
 * where no reject stands. */
static const struct refusal {
  struct bytes text;
  uint16_t code;
  const char *reason;
} refusals[AYAME_REFUSAL_COUNT] = {
    [AYAME_FULL] = {REJECT("full"), SIG_CLOSE_NORMAL, "two are in this room"},
    [AYAME_WRONG_KEY] = {REJECT("wrong signalingKey"), SIG_CLOSE_POLICY, "wrong signalingKey"},
    [AYAME_BAD_REGISTER] =
        {REJECT("bad register"), SIG_CLOSE_POLICY,
         "register needs a roomId; roomId, clientId and signalingKey are strings "
         "of at most 256 bytes"},
    [AYAME_SERVER_FULL] = {REJECT("server full"), SIG_CLOSE_TRY_LATER, "the server is full"},
    [AYAME_BAD_JSON] = {{0}, SIG_CLOSE_POLICY, "this is not JSON"},
    [AYAME_UNKNOWN_TYPE] = {{0}, SIG_CLOSE_POLICY, "no such type"},
    [AYAME_NOT_REGISTERED] = {{0}, SIG_CLOSE_POLICY, "register first"},
    [AYAME_REGISTERED_TWICE] = {{0}, SIG_CLOSE_POLICY, "it is registered already"},
    [AYAME_RATE] = {{0}, SIG_CLOSE_POLICY, "too many messages"},
    [AYAME_SLOW_READER] = {{0}, SIG_CLOSE_OUTBOX_OVERFLOW, "messages were not read in time"},
    [AYAME_NO_REGISTER] = {{0}, SIG_CLOSE_POLICY, "no register in time"},
    [AYAME_NO_PONG] = {{0}, SIG_CLOSE_POLICY, "no pong in time"},
    [AYAME_NO_MEMORY] = {REJECT("InternalServerError"), SIG_CLOSE_TRY_LATER, "no memory"},
};

int ayame_new(const struct ayame_setup *setup, struct ayame **out)
{
  struct ayame *a = mem_new(setup->mem, sizeof(*a));
  if (a == NULL) {
    return -ERR_NOMEM;
  }
  a->config = setup->config;
  a->effects = setup->effects;
  a->mem = setup->mem;
  a->random = setup->random;
  a->log = setup->log;
  a->sig = setup->sig;
  a->hash_key = (struct hash_key){random_u64(a->random), random_u64(a->random)};
  wheel_init(&a->wheel, setup->now_ms);
  hash_table_init(&a->rooms, a->mem);
  list_init(&a->links);
  *out = a;
  return 0;
}

void ayame_set_config(struct ayame *a, const struct ayame_config *config)
{
  a->config = config;
}

const struct ayame_counters *ayame_counters(const struct ayame *a)
{
  return &a->counters;
}

/* Outboxes. */

static void drop_held(struct ayame *a)
{
  ayame__msg_free(a, a->held);
  a->held = NULL;
}

static struct ayame_msg *outbox_take(struct ayame *a, struct ayame_link *link)
{
  struct ayame_msg *m = CONTAINER_OF(link->messages.next, struct ayame_msg, node);
  list_remove(&m->node);
  link->message_count--;
  link->message_bytes -= m->len;
  a->counters.outbox_messages--;
  a->counters.outbox_bytes -= m->len;
  return m;
}

static void outbox_clear(struct ayame *a, struct ayame_link *link)
{
  while (!list_is_empty(&link->messages)) {
    ayame__msg_free(a, outbox_take(a, link));
  }
}

static void wake(struct ayame *a, struct ayame_link *link)
{
  if (!link->woken && !link->closing) {
    link->woken = true;
    a->effects->wake(a->effects->arg, link->edge);
  }
}

void ayame__close(struct ayame *a, struct ayame_link *link, struct bytes last, uint16_t code,
                  const char *reason)
{
  if (link->closing) {
    return;
  }
  link->closing = true;
  link->last = last;
  link->ping_waits = false;
  wheel_cancel(&a->wheel, &link->timer);
  ayame__leave(a, link);
  a->effects->close(a->effects->arg, link->edge, code, reason);
}

static void refuse(struct ayame *a, struct ayame_link *link, enum ayame_refusal why)
{
  const struct refusal *r = &refusals[why];
  /* A reject is the answer to a register, and to nothing else. */
  struct bytes text = link->room == NULL ? r->text : (struct bytes){0};
  a->counters.refused[why]++;
  log_event(a->log, LOG_LEVEL_DEBUG, "ayame-refused", LOG_TEXT("reason", r->reason));
  ayame__close(a, link, text, r->code, r->reason);
}

static void outbox_put(struct ayame *a, struct ayame_link *link, struct ayame_msg *m)
{
  list_push_back(&link->messages, &m->node);
  link->message_count++;
  link->message_bytes += m->len;
  a->counters.outbox_messages++;
  a->counters.outbox_bytes += m->len;
  wake(a, link);
}

/* Takes `m`. False: the outbox ran over, the socket is being closed, and `m` was not taken. */
static bool push(struct ayame *a, struct ayame_link *link, struct ayame_msg *m)
{
  const struct ayame_config *c = a->config;
  if ((c->outbox_messages != 0 && link->message_count >= c->outbox_messages) ||
      (c->outbox_bytes != 0 && link->message_bytes + m->len > c->outbox_bytes)) {
    outbox_clear(a, link);
    refuse(a, link, AYAME_SLOW_READER);
    return false;
  }
  outbox_put(a, link, m);
  return true;
}

/* Time. */

static uint64_t ping_gap_ms(const struct ayame_config *c)
{
  uint64_t third = c->pong_ms / 3 + 1;
  return c->pong_ms != 0 && third < AYAME_PING_EVERY_MS ? third : AYAME_PING_EVERY_MS;
}

static void on_timer(struct timer *t, uint64_t now_ms)
{
  struct ayame_link *link = CONTAINER_OF(t, struct ayame_link, timer);
  struct ayame *a = link->ayame;
  if (link->room == NULL) {
    refuse(a, link, AYAME_NO_REGISTER);
    return;
  }
  if (a->config->pong_ms != 0 && now_ms >= link->pong_ms + a->config->pong_ms) {
    refuse(a, link, AYAME_NO_PONG);
    return;
  }
  link->ping_waits = true; /* one at most: who does not read is not told twice */
  wake(a, link);
  wheel_arm(&a->wheel, t, now_ms + ping_gap_ms(a->config));
}

static struct ayame_link *link_new(struct ayame *a, void *edge)
{
  struct ayame_link *link = mem_new(a->mem, sizeof(*link));
  if (link == NULL) {
    return NULL;
  }
  link->ayame = a;
  link->edge = edge;
  timer_init(&link->timer, on_timer);
  list_init(&link->messages);
  list_push_back(&a->links, &link->node);
  return link;
}

static void link_free(struct ayame *a, struct ayame_link *link)
{
  wheel_cancel(&a->wheel, &link->timer);
  list_remove(&link->node);
  outbox_clear(a, link);
  mem_free(a->mem, link, sizeof(*link));
}

int ayame_open(struct ayame *a, const struct addr *client, void *edge, uint64_t now_ms,
               struct ayame_link **out)
{
  drop_held(a);
  struct ayame_link *link = link_new(a, edge);
  if (link == NULL) {
    return -ERR_NOMEM;
  }
  int err = sig_guest_open(a->sig, client, now_ms, &link->guest);
  if (err != 0) {
    link_free(a, link);
    return err;
  }
  a->counters.links++;
  if (a->config->register_ms != 0) {
    wheel_arm(&a->wheel, &link->timer, now_ms + a->config->register_ms);
  }
  log_event(a->log, LOG_LEVEL_DEBUG, "ayame-socket", LOG_ADDR("client", client));
  *out = link;
  return 0;
}

/* The way in. */

static bool has_key(const struct ayame *a, struct bytes key)
{
  struct bytes right = a->config->key;
  return right.len == 0 || (key.len == right.len && bytes_equal_ct(key.at, right.at, key.len));
}

/* AYAME_REFUSAL_COUNT: it is in the room, and `accept` is on its way. */
static enum ayame_refusal enter(struct ayame *a, struct ayame_link *link,
                                const struct ayame_message *in, uint64_t now_ms)
{
  uint32_t limit = a->config->limit;
  if (!has_key(a, in->key)) {
    return AYAME_WRONG_KEY;
  }
  if ((limit != 0 && a->counters.clients >= limit) || sig_guest_enter(a->sig, &link->guest) != 0) {
    return AYAME_SERVER_FULL;
  }
  struct ayame_msg *m = ayame__accept_new(a);
  int err = m == NULL ? -ERR_NOMEM : ayame__join(a, link, in->room);
  if (err != 0) {
    ayame__msg_free(a, m);
    sig_guest_leave(&link->guest);
    return err == -ERR_FULL ? AYAME_FULL : AYAME_NO_MEMORY;
  }
  ayame__accept_write(a, m, ayame__other(link) != NULL, now_ms);
  outbox_put(a, link, m);
  return AYAME_REFUSAL_COUNT;
}

static void on_register(struct ayame *a, struct ayame_link *link, const struct ayame_message *in,
                        uint64_t now_ms)
{
  if (link->room != NULL) {
    refuse(a, link, AYAME_REGISTERED_TWICE);
    return;
  }
  enum ayame_refusal why = enter(a, link, in, now_ms);
  if (why != AYAME_REFUSAL_COUNT) {
    refuse(a, link, why);
  } else {
    link->standalone = in->standalone;
    link->pong_ms = now_ms;
    a->counters.accepted++;
    wheel_arm(&a->wheel, &link->timer, now_ms + ping_gap_ms(a->config));
  }
}

static void relay(struct ayame *a, struct ayame_link *from, struct bytes text)
{
  struct ayame_link *to = ayame__other(from);
  if (to == NULL) {
    a->counters.alone++;
    return;
  }
  struct ayame_msg *m = ayame__msg_new(a, text.len);
  if (m == NULL) {
    refuse(a, from, AYAME_NO_MEMORY);
    return;
  }
  memcpy(m->text, text.at, text.len);
  m->len = (uint32_t)text.len;
  if (push(a, to, m)) {
    a->counters.relayed++;
  } else {
    ayame__msg_free(a, m);
  }
}

static void take_message(struct ayame *a, struct ayame_link *link, const struct ayame_message *m,
                         struct bytes text, uint64_t now_ms)
{
  if (m->type == AYAME_REGISTER) {
    on_register(a, link, m, now_ms);
  } else if (m->type == AYAME_PONG) {
    link->pong_ms = now_ms;
  } else if (link->room == NULL) {
    refuse(a, link, AYAME_NOT_REGISTERED);
  } else if (m->type == AYAME_CONNECTED) {
    link->has_connected = true;
    if (link->standalone) {
      ayame__close(a, link, (struct bytes){0}, SIG_CLOSE_NORMAL, "connected");
    }
  } else if (m->type == AYAME_BYE) {
    ayame__close(a, link, (struct bytes){0}, SIG_CLOSE_NORMAL, "bye");
  } else {
    relay(a, link, text);
  }
}

void ayame_input(struct ayame *a, struct ayame_link *link, struct bytes text, uint64_t now_ms)
{
  struct ayame_message m;
  m.room = (struct bytes){0};
  drop_held(a);
  a->counters.messages_in++;
  a->counters.bytes_in += text.len;
  if (link->closing) {
    return;
  }
  if (sig_guest_take(a->sig, &link->guest, text.len, now_ms) != 0) {
    refuse(a, link, AYAME_RATE);
    return;
  }
  enum ayame_refusal why = ayame__read(text, &m);
  if (why == AYAME_BAD_REGISTER && link->room != NULL) {
    why = AYAME_REGISTERED_TWICE;
  }
  if (why != AYAME_REFUSAL_COUNT) {
    refuse(a, link, why);
  } else {
    take_message(a, link, &m, text, now_ms);
  }
  if (m.room.len > 0) {
    bytes_wipe(m.scratch, sizeof(m.scratch)); /* perhaps the key */
  }
}

/* The way out. */

bool ayame_next(struct ayame *a, struct ayame_link *link, struct bytes *out)
{
  drop_held(a);
  if (!list_is_empty(&link->messages)) {
    a->held = outbox_take(a, link);
    *out = (struct bytes){a->held->text, a->held->len};
  } else if (link->ping_waits) {
    link->ping_waits = false;
    *out = ping_text;
  } else if (link->last.len > 0) {
    *out = link->last;
    link->last = (struct bytes){0};
  } else {
    link->woken = false;
    return false;
  }
  a->counters.messages_out++;
  a->counters.bytes_out += out->len;
  return true;
}

void ayame_gone(struct ayame *a, struct ayame_link *link, uint64_t now_ms)
{
  drop_held(a);
  link->closing = true;
  ayame__leave(a, link);
  sig_guest_close(a->sig, &link->guest, now_ms);
  link_free(a, link);
  a->counters.links--;
}

void ayame_tick(struct ayame *a, uint64_t now_ms)
{
  drop_held(a);
  wheel_run(&a->wheel, now_ms);
}

uint64_t ayame_next_ms(const struct ayame *a)
{
  return wheel_next_ms(&a->wheel);
}

void ayame_free(struct ayame *a)
{
  if (a == NULL) {
    return;
  }
  drop_held(a);
  while (!list_is_empty(&a->links)) {
    struct ayame_link *link = CONTAINER_OF(a->links.next, struct ayame_link, node);
    link->closing = true;
    struct ayame_link *other = ayame__other(link);
    if (other != NULL) {
      other->closing = true;
    }
    ayame__leave(a, link);
    link_free(a, link);
  }
  hash_table_fini(&a->rooms);
  bytes_wipe(&a->hash_key, sizeof(a->hash_key));
  mem_free(a->mem, a, sizeof(*a));
}
