/* The fake edge of Ayame's core; see ayame_world.h. */
#include "tests/support/ayame_world.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/wheel.h"

static void on_wake(void *arg, void *edge)
{
  struct ayame_world *w = arg;
  struct ayame_peer *p = edge;
  if (p->woken) {
    w->sig.broken = "woken twice without ayame_next between";
  }
  if (p->close_code != 0) {
    w->sig.broken = "woken after a close";
  }
  p->woken = true;
}

static void on_close(void *arg, void *edge, uint16_t ws_code, const char *reason)
{
  struct ayame_world *w = arg;
  struct ayame_peer *p = edge;
  if (p->close_code != 0) {
    w->sig.broken = "closed twice";
  }
  if (strlen(reason) > 123) {
    w->sig.broken = "a reason of more than 123 bytes (RFC 6455 section 5.5)";
  }
  p->closing = true;
  p->close_code = ws_code;
  p->close_reason = reason;
}

void ayame_world_init(struct ayame_world *w)
{
  world_init(&w->sig);
  memset(w->peer, 0, sizeof(w->peer));
  w->ayame = NULL;
  w->config = (struct ayame_config){
      .register_ms = 10000, .pong_ms = 60000, .outbox_messages = 1024, .outbox_bytes = 1 << 20};
  w->effects = (struct sig_effects){.arg = w, .wake = on_wake, .close = on_close};
  for (size_t i = 0; i < AYAME_WORLD_PEERS; i++) {
    w->peer[i].world = w;
  }
}

int ayame_world_start(struct ayame_world *w)
{
  int err = world_start(&w->sig);
  if (err != 0) {
    return err;
  }
  const struct ayame_setup setup = {.config = &w->config,
                                    .effects = &w->effects,
                                    .mem = &w->sig.memory.mem,
                                    .random = &w->sig.random,
                                    .log = &w->sig.log,
                                    .sig = w->sig.sig,
                                    .now_ms = w->sig.now_ms};
  return ayame_new(&setup, &w->ayame);
}

static void forget(struct ayame_peer *p)
{
  for (size_t i = 0; i < p->got_count; i++) {
    free(p->got[i]);
  }
  free(p->got);
  p->got = NULL;
  p->got_count = p->got_read = 0;
}

bool ayame_world_fini(struct ayame_world *w)
{
  ayame_free(w->ayame);
  w->ayame = NULL;
  for (size_t i = 0; i < AYAME_WORLD_PEERS; i++) {
    forget(&w->peer[i]);
  }
  return world_fini(&w->sig);
}

int ayame_world_connect(struct ayame_peer *p, const char *address)
{
  struct addr client;
  if (addr_parse(bytes_of(address), &client) != 0) {
    return -ERR_BAD;
  }
  p->woken = p->closing = p->held = false;
  p->close_code = 0;
  p->close_reason = NULL;
  forget(p);
  return ayame_open(p->world->ayame, &client, p, p->world->sig.now_ms, &p->link);
}

static void take(struct ayame_peer *p, struct bytes text)
{
  char **got = realloc(p->got, (p->got_count + 1) * sizeof(*got));
  char *copy = malloc(text.len + 1);
  if (got == NULL || copy == NULL) {
    abort();
  }
  memcpy(copy, text.at, text.len);
  copy[text.len] = 0;
  p->got = got;
  p->got[p->got_count++] = copy;
}

static void drain(struct ayame_peer *p)
{
  struct bytes text;
  p->woken = false;
  while (ayame_next(p->world->ayame, p->link, &text)) {
    if (text.len == 0) {
      p->world->sig.broken = "an empty message";
      return;
    }
    take(p, text);
  }
}

void ayame_world_drop(struct ayame_peer *p)
{
  struct ayame_link *link = p->link;
  p->link = NULL;
  p->woken = p->closing = false;
  if (link != NULL) {
    ayame_gone(p->world->ayame, link, p->world->sig.now_ms);
  }
}

void ayame_world_settle(struct ayame_world *w)
{
  bool again;
  do {
    again = false;
    for (size_t i = 0; i < AYAME_WORLD_PEERS; i++) {
      struct ayame_peer *p = &w->peer[i];
      if (p->link == NULL || (!p->woken && !p->closing)) {
        continue;
      }
      if (!p->held) {
        drain(p);
      }
      if (p->closing) {
        ayame_world_drop(p);
        again = true;
      }
    }
  } while (again);
}

void ayame_world_send(struct ayame_peer *p, struct bytes text)
{
  if (p->link != NULL) {
    ayame_input(p->world->ayame, p->link, text, p->world->sig.now_ms);
  }
  ayame_world_settle(p->world);
}

void ayame_world_elapse(struct ayame_world *w, uint64_t ms)
{
  uint64_t end = w->sig.now_ms + ms;
  for (;;) {
    uint64_t ours = ayame_next_ms(w->ayame), theirs = sig_next_ms(w->sig.sig);
    uint64_t due = ours < theirs ? ours : theirs;
    if (due > end) {
      break;
    }
    if (due > w->sig.now_ms) {
      w->sig.now_ms = due;
    }
    ayame_tick(w->ayame, w->sig.now_ms);
    sig_tick(w->sig.sig, w->sig.now_ms);
    ayame_world_settle(w);
  }
  w->sig.now_ms = end;
}

const char *ayame_world_next(struct ayame_peer *p)
{
  return p->got_read < p->got_count ? p->got[p->got_read++] : "";
}
