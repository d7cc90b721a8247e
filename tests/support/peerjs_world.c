/* The fake edge of PeerJS; see peerjs_world.h. */
#include "tests/support/peerjs_world.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/wheel.h"

static void on_wake(void *arg, void *edge)
{
  struct peerjs_world *w = arg;
  struct peer *p = edge;
  if (p->woken) {
    w->broken = "woken twice without peerjs_next between";
  }
  if (p->closed) {
    w->broken = "woken after a close";
  }
  p->woken = true;
}

static void on_close(void *arg, void *edge, uint16_t ws_code, const char *reason)
{
  struct peerjs_world *w = arg;
  struct peer *p = edge;
  if (p->closed) {
    w->broken = "closed twice";
  }
  if (p->link == NULL) {
    w->broken = "closed while it is opened, or gone";
  }
  if (strlen(reason) > 123) {
    w->broken = "a reason of more than 123 bytes (RFC 6455 section 5.5)";
  }
  p->closing = p->closed = true;
  p->close_code = ws_code;
  p->close_reason = reason;
}

static void on_log(void *arg, const struct log_record *record)
{
  (void)arg;
  (void)record;
}

void peerjs_world_init(struct peerjs_world *w)
{
  memset(w, 0, sizeof(*w));
  failing_mem_init(&w->memory);
  w->random = random_seeded(&w->seed, 20261124);
  w->log = (struct log){.level = LOG_LEVEL_ERROR, .take = on_log, .arg = w};
  w->effects = (struct sig_effects){.arg = w, .wake = on_wake, .close = on_close};
  sig_config_defaults(&w->sig_config);
  w->sig_config.limits.message_rate = 0;
  w->sig_config.limits.byte_rate = 0;
  w->sig_config.limits.address_message_rate = 0;
  w->sig_config.limits.address_byte_rate = 0;
  w->config = (struct peerjs_config){.key = bytes_of("peerjs"),
                                     .limit = 5000,
                                     .alive_ms = 60000,
                                     .expire_ms = 5000,
                                     .outbox_messages = 1024,
                                     .outbox_bytes = 1048576,
                                     .waiting_bytes = 1048576};
  w->now_ms = 1000000;
  for (size_t i = 0; i < PEERS; i++) {
    w->peer[i].world = w;
  }
}

int peerjs_world_start(struct peerjs_world *w)
{
  const struct sig_setup sig = {.config = &w->sig_config,
                                .effects = &w->effects,
                                .mem = &w->memory.mem,
                                .random = &w->random,
                                .log = &w->log,
                                .now_ms = w->now_ms,
                                .wall_ms = 1795500000000};
  int err = sig_new(&sig, &w->sig);
  if (err != 0) {
    return err;
  }
  const struct peerjs_setup setup = {.config = &w->config,
                                     .effects = &w->effects,
                                     .mem = &w->memory.mem,
                                     .random = &w->random,
                                     .log = &w->log,
                                     .sig = w->sig,
                                     .now_ms = w->now_ms};
  return peerjs_new(&setup, &w->peerjs);
}

static void forget(struct peer *p)
{
  for (size_t i = 0; i < PEER_GOT; i++) {
    free(p->got[i]);
    p->got[i] = NULL;
  }
  p->got_count = p->got_read = 0;
}

bool peerjs_world_fini(struct peerjs_world *w)
{
  peerjs_free(w->peerjs);
  sig_free(w->sig);
  w->peerjs = NULL;
  w->sig = NULL;
  for (size_t i = 0; i < PEERS; i++) {
    forget(&w->peer[i]);
  }
  if (w->memory.bytes != 0 || w->memory.blocks != 0) {
    w->broken = "memory was not given back";
  }
  return w->broken == NULL;
}

static void keep(struct peer *p, struct bytes text)
{
  char **slot = &p->got[p->got_count++ % PEER_GOT];
  free(*slot);
  *slot = malloc(text.len + 1);
  if (*slot == NULL) {
    abort();
  }
  memcpy(*slot, text.at, text.len);
  (*slot)[text.len] = 0;
}

static bool drain(struct peer *p)
{
  struct bytes text;
  if (p->link == NULL || p->held || !(p->woken || p->closing)) {
    return false;
  }
  while (peerjs_next(p->world->peerjs, p->link, &text)) {
    keep(p, text);
  }
  p->woken = false;
  if (p->closing) {
    peer_drop(p);
  }
  return true;
}

static void settle(struct peerjs_world *w)
{
  bool more = true;
  while (more) {
    more = false;
    for (size_t i = 0; i < PEERS; i++) {
      more = drain(&w->peer[i]) || more;
    }
  }
}

void peer_drop(struct peer *p)
{
  struct peerjs_link *link = p->link;
  p->link = NULL;
  p->woken = p->closing = p->held = false;
  if (link != NULL) {
    peerjs_gone(p->world->peerjs, link, p->world->now_ms);
  }
}

int peer_open(struct peer *p, struct peerjs_hello *hello)
{
  peer_drop(p);
  forget(p);
  p->closed = false;
  hello->edge = p;
  if (hello->client.family == ADDR_NONE) {
    hello->client = addr_v4(192, 0, 2, 1, 1000);
  }
  int err = peerjs_open(p->world->peerjs, hello, p->world->now_ms, &p->link);
  p->woken = err == 0;
  settle(p->world);
  return err;
}

int peer_connect(struct peer *p, const char *id, const char *token)
{
  struct peerjs_hello hello = {
      .id = bytes_of(id), .token = bytes_of(token), .key = bytes_of("peerjs")};
  return peer_open(p, &hello);
}

void peer_say(struct peer *p, struct bytes text)
{
  if (p->link != NULL && !p->closing) {
    peerjs_input(p->world->peerjs, p->link, text, p->world->now_ms);
    settle(p->world);
  }
}

void peer_hold(struct peer *p, bool held)
{
  p->held = held;
  settle(p->world);
}

void peerjs_world_elapse(struct peerjs_world *w, uint64_t ms)
{
  uint64_t end_ms = w->now_ms + ms;
  uint64_t due_ms = peerjs_next_ms(w->peerjs);
  while (due_ms <= end_ms) {
    w->now_ms = due_ms > w->now_ms ? due_ms : w->now_ms;
    peerjs_tick(w->peerjs, w->now_ms);
    settle(w);
    due_ms = peerjs_next_ms(w->peerjs);
  }
  w->now_ms = end_ms;
  sig_tick(w->sig, end_ms);
}

const char *peer_next(struct peer *p)
{
  return p->got_read < p->got_count ? p->got[p->got_read++ % PEER_GOT] : NULL;
}
