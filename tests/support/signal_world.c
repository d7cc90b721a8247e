/* The fake edge of signalling; see signal_world.h. */
#include "tests/support/signal_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/wheel.h"
#include "signal/core/admin.h"

static void on_wake(void *arg, void *edge)
{
  struct sig_world *w = arg;
  struct sig_client *c = edge;
  if (c->woken) {
    w->broken = "woken twice without sig_next between";
  }
  if (c->closed) {
    w->broken = "woken after a close";
  }
  c->woken = true;
}

static void on_close(void *arg, void *edge, uint16_t ws_code, const char *reason)
{
  struct sig_world *w = arg;
  struct sig_client *c = edge;
  if (c->closed) {
    w->broken = "closed twice";
  }
  if (strlen(reason) > 123) {
    w->broken = "a reason of more than 123 bytes (RFC 6455 section 5.5)";
  }
  c->closing = c->closed = true;
  c->close_code = ws_code;
  c->close_reason = reason;
}

static int on_ask(void *arg, const struct sig_question *q)
{
  struct sig_world *w = arg;
  struct sig_client *c = q->edge;
  if (w->asker_is_full) {
    return -ERR_FULL;
  }
  if (c->question == q->number) {
    w->broken = "one number for two questions";
  }
  c->question = q->number;
  c->forgotten = false;
  snprintf(c->asked, sizeof(c->asked), "%.*s", (int)q->token.len, (const char *)q->token.at);
  return 0;
}

static void on_forget(void *arg, uint64_t number)
{
  struct sig_world *w = arg;
  for (size_t i = 0; i < w->client_count; i++) {
    if (w->client[i].question == number && !w->client[i].forgotten) {
      w->client[i].forgotten = true;
      return;
    }
  }
  w->broken = "forgot what was not asked, or forgot it twice";
}

static void put_log(struct sig_world *w, const void *p, size_t len)
{
  if (len < WORLD_LOG - 1 - w->log_len) {
    memcpy(w->log_text + w->log_len, p, len);
    w->log_len += len;
    w->log_text[w->log_len] = 0;
  }
}

static void on_log(void *arg, const struct log_record *record)
{
  struct sig_world *w = arg;
  put_log(w, record->event, strlen(record->event));
  for (size_t i = 0; i < record->field_count; i++) {
    const struct log_field *f = &record->field[i];
    put_log(w, " ", 1);
    if (f->kind == LOG_KIND_TEXT && f->as.text != NULL) {
      put_log(w, f->as.text, strlen(f->as.text));
    } else if (f->kind == LOG_KIND_BYTES) {
      put_log(w, f->as.bytes.at, f->as.bytes.len);
    }
  }
  put_log(w, "\n", 1);
}

void world_init(struct sig_world *w)
{
  /* A fuzzer makes worlds by the thousand: the log is emptied, not wiped. */
  memset(w, 0, offsetof(struct sig_world, log_text));
  w->log_text[0] = 0;
  failing_mem_init(&w->memory);
  w->random = random_seeded(&w->seed, 20261124);
  w->log = (struct log){.level = LOG_LEVEL_DEBUG, .take = on_log, .arg = w};
  w->effects = (struct sig_effects){
      .arg = w, .wake = on_wake, .close = on_close, .ask = on_ask, .forget = on_forget};
  sig_config_defaults(&w->config);
  w->now_ms = 1000000;
  w->wall_ms = 1795500000000;
}

int world_start(struct sig_world *w)
{
  const struct sig_setup setup = {.config = &w->config,
                                  .effects = &w->effects,
                                  .mem = &w->memory.mem,
                                  .random = &w->random,
                                  .log = &w->log,
                                  .now_ms = w->now_ms,
                                  .wall_ms = w->wall_ms};
  return sig_new(&setup, &w->sig);
}

static void forget(struct sig_client *c)
{
  for (size_t i = 0; i < c->got_count; i++) {
    free(c->got[i]);
  }
  free(c->got);
  c->got = NULL;
  c->got_count = c->got_read = 0;
}

bool world_fini(struct sig_world *w)
{
  sig_free(w->sig);
  w->sig = NULL;
  for (size_t i = 0; i < w->client_count; i++) {
    forget(&w->client[i]);
  }
  if (w->memory.bytes != 0 || w->memory.blocks != 0) {
    w->broken = "memory was not given back";
  }
  return w->broken == NULL;
}

struct sig_client *world_client(struct sig_world *w, const char *name)
{
  for (size_t i = 0; i < w->client_count; i++) {
    if (strcmp(w->client[i].name, name) == 0) {
      return &w->client[i];
    }
  }
  if (w->client_count == WORLD_CLIENTS || strlen(name) >= WORLD_NAME) {
    fprintf(stderr, "signal_world: more than %d clients, or a name that is too long\n",
            WORLD_CLIENTS);
    exit(1);
  }
  struct sig_client *c = &w->client[w->client_count++];
  memcpy(c->name, name, strlen(name) + 1);
  c->world = w;
  return c;
}

/* The seq of a text that begins with it, else 0. */
static uint64_t seq_of(const char *text)
{
  static const char head[] = "{\"seq\":";
  return strncmp(text, head, sizeof(head) - 1) == 0 ? strtoull(text + sizeof(head) - 1, NULL, 10)
                                                    : 0;
}

static const char *keep(struct sig_client *c, struct bytes head, struct bytes body)
{
  char *text = malloc(head.len + body.len + 1);
  char **more = realloc(c->got, (c->got_count + 1) * sizeof(*more));
  if (text == NULL || more == NULL) {
    abort();
  }
  if (head.len > 0) {
    memcpy(text, head.at, head.len);
  }
  memcpy(text + head.len, body.at, body.len);
  text[head.len + body.len] = 0;
  c->got = more;
  c->got[c->got_count++] = text;
  return text;
}

void world_tell(struct sig_client *c, struct bytes text)
{
  (void)keep(c, (struct bytes){NULL, 0}, text);
}

static void on_event(void *arg, const struct sig *sig, const struct sig_event *e)
{
  struct sig_world *w = arg;
  if (sig != w->sig) {
    w->broken = "an event of another core";
  }
  size_t cap = sig_event_size(e) + 2;
  uint8_t *text = malloc(cap);
  struct buf b;
  if (text == NULL) {
    abort();
  }
  buf_init(&b, text, cap);
  buf_put_text(&b, "{");
  sig_event_put(e, &b);
  buf_put_text(&b, "}");
  if (b.overflow) {
    w->broken = "an event is longer than sig_event_size says";
  }
  world_tell(world_client(w, "hook"), (struct bytes){b.at, b.len});
  free(text);
}

void world_watch(struct sig_world *w)
{
  w->effects.event = on_event;
}

static void take(struct sig_client *c, const struct sig_out *out)
{
  const char *text = keep(c, out->head, out->body);
  if (seq_of(text) != out->seq) {
    c->world->broken = "the text names another seq than sig_next does";
  }
  if (out->seq != 0) {
    if (c->last_seq != 0 && out->seq != c->last_seq + 1) {
      c->world->broken = "a seq does not follow the one before it";
    }
    c->last_seq = out->seq;
  }
}

static void drain(struct sig_client *c)
{
  struct sig_out out;
  if (c->held || (!c->woken && !c->closing)) {
    return;
  }
  c->woken = false;
  for (;;) {
    bool has = sig_has_next(c->link), got = sig_next(c->world->sig, c->link, &out);
    if (has != got) {
      c->world->broken = "sig_has_next and sig_next do not agree";
    }
    if (!got) {
      return;
    }
    take(c, &out);
  }
}

static void drop(struct sig_client *c)
{
  struct sig_link *link = c->link;
  c->link = NULL;
  c->woken = c->closing = false;
  c->last_seq = 0;
  sig_link_gone(c->world->sig, link, c->world->now_ms);
}

static bool has_work(const struct sig_client *c)
{
  return c->link != NULL && !c->held && (c->woken || c->closing);
}

void world_settle(struct sig_world *w)
{
  /* An end may wake others: again until nobody has work. */
  for (size_t i = 0; i < w->client_count;) {
    struct sig_client *c = &w->client[i];
    if (!has_work(c)) {
      i++;
      continue;
    }
    drain(c);
    if (c->closing) {
      drop(c);
    }
    i = 0;
  }
}

int world_connect(struct sig_client *c, struct sig_link_setup *setup)
{
  if (c->link != NULL) {
    drop(c);
  }
  c->closed = c->closing = c->woken = c->held = false;
  c->close_code = 0;
  c->close_reason = "";
  c->last_seq = 0;
  setup->edge = c;
  int err = sig_link_open(c->world->sig, setup, c->world->now_ms, &c->link);
  world_settle(c->world);
  return err;
}

/* A block of exactly that size, so that AddressSanitizer sees a byte too much. */
static uint8_t *copy_of(struct bytes text)
{
  uint8_t *copy = malloc(text.len == 0 ? 1 : text.len);
  if (copy == NULL) {
    abort();
  }
  if (text.len > 0) {
    memcpy(copy, text.at, text.len);
  }
  return copy;
}

bool world_read(struct sig_client *c, struct bytes key, uint64_t after)
{
  if (c->link == NULL) {
    return false;
  }
  uint8_t *copy = copy_of(key);
  bool reads =
      sig_link_read(c->world->sig, c->link, (struct bytes){copy, key.len}, after, c->world->now_ms);
  free(copy);
  c->last_seq = 0;
  if (reads && sig_link_last(c->link) < after) {
    c->world->broken = "it does not read from where it was asked to";
  }
  if (reads) {
    c->last_seq = sig_link_last(c->link);
  }
  world_settle(c->world);
  return reads;
}

/* The next message in a block of its own, as above. */
static void post_message(struct sig_client *c, struct bytes text)
{
  uint8_t *copy = copy_of(text);
  bool was_closing = c->closing;
  size_t before = c->got_count;
  sig_input(c->world->sig, c->link, (struct bytes){copy, text.len}, c->world->now_ms);
  free(copy);
  /* Its answer, if it has one, is taken at once. */
  c->woken = true;
  drain(c);
  if (c->closing && !was_closing && c->got_count == before) {
    c->world->broken = "a message of a request was refused without a word";
  }
}

int world_post(struct sig_client *c, struct bytes key, struct bytes body)
{
  static struct sig_batch batch;
  if (c->link == NULL) {
    return -ERR_MISSING;
  }
  uint8_t *copy = copy_of(body);
  int err = -ERR_MISSING;
  if (sig_link_send(c->world->sig, c->link, key, c->world->now_ms)) {
    err = sig_batch_cut((struct bytes){copy, body.len}, &batch);
    for (size_t i = 0; err == 0 && i < batch.count; i++) {
      post_message(c, batch.message[i]);
    }
  }
  free(copy);
  c->woken = true;
  drain(c);
  drop(c);
  world_settle(c->world);
  return err;
}

void world_send(struct sig_client *c, struct bytes text)
{
  if (c->link == NULL) {
    return;
  }
  uint8_t *copy = copy_of(text);
  sig_input(c->world->sig, c->link, (struct bytes){copy, text.len}, c->world->now_ms);
  free(copy);
  world_settle(c->world);
}

void world_send_bad(struct sig_client *c, enum sig_error error)
{
  if (c->link != NULL) {
    sig_input_bad(c->world->sig, c->link, error, c->world->now_ms);
    world_settle(c->world);
  }
}

void world_drop(struct sig_client *c)
{
  if (c->link != NULL) {
    drop(c);
    world_settle(c->world);
  }
}

void world_answer(struct sig_client *c, const struct sig_verdict *verdict)
{
  sig_answer(c->world->sig, c->question, verdict, c->world->now_ms);
  world_settle(c->world);
}

void world_elapse(struct sig_world *w, uint64_t ms)
{
  uint64_t end_ms = w->now_ms + ms;
  for (;;) {
    uint64_t next_ms = sig_next_ms(w->sig);
    w->now_ms = next_ms < end_ms ? (next_ms > w->now_ms ? next_ms : w->now_ms) : end_ms;
    sig_tick(w->sig, w->now_ms);
    world_settle(w);
    if (w->now_ms == end_ms) {
      return;
    }
  }
}

const char *world_next(struct sig_client *c)
{
  return c->got_read < c->got_count ? c->got[c->got_read++] : NULL;
}
