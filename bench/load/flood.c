/* See flood.h. Every packet stands ready in a batch, and is changed where it differs from the one
 * before; nothing of this waits. */
#include "bench/load/flood.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/engine_priv.h"
#include "bench/load/origin.h"
#include "bench/load/payload.h"
#include "bench/load/spoof.h"

enum {
  BATCH = 16, /* so few that what goes on beside it does not wait long */
  STRANGERS = 64,
  SLOT = LOAD_PAYLOAD_MOST + 4,
  CHANNEL_LAST = 0x4fff /* RFC 8656 12 */
};

struct load_flood {
  const struct load_setup *setup;
  struct load_engine *client;   /* CHANNELS: one with an allocation of its own */
  int fd[STRANGERS], fd_count;  /* that it sends from, in turn */
  int sink;                     /* BINDINGS: where answers to loopback come */
  struct load_origin origin;    /* BINDINGS */
  struct load_flood_result now; /* of the trial */
  uint64_t began_ns, random, batches;
  uint32_t mark;
  size_t len; /* of each datagram */
  uint8_t bytes[BATCH * SLOT];
};

const char *load_flood_name(enum load_flood_kind k)
{
  static const char *const names[] = {"none", "channels", "strangers", "peers", "bindings"};
  return names[k];
}

/* ---- its sockets ---- */

static int own_client(struct load_flood *f, struct net_error *e)
{
  struct load_setup one = *f->setup;
  struct load_birth birth;
  one.allocations = 1;
  one.direction = LOAD_UP;
  one.indications = false;
  one.flood = LOAD_FLOOD_NONE;
  f->client = load_engine_new(&one, &birth, e);
  return f->client != NULL ? 0 : -1;
}

static int sockets(struct load_flood *f, const struct addr *at, const struct addr *to, int count,
                   struct net_error *e)
{
  while (f->fd_count < count) {
    const int fd = load_open(at, to, false, e);
    if (fd < 0)
      return -1;
    f->fd[f->fd_count++] = fd;
  }
  return 0;
}

static int open_all(struct load_flood *f, struct net_error *e)
{
  const struct load_way *w = &f->setup->way;
  const struct addr any = addr_v4(0, 0, 0, 0, 0);
  switch (f->setup->flood) {
  case LOAD_FLOOD_CHANNELS:
    return own_client(f, e);
  case LOAD_FLOOD_STRANGERS:
    return sockets(f, &w->client, &w->server, STRANGERS, e);
  case LOAD_FLOOD_PEERS:
    return sockets(f, &f->setup->flood_from, NULL, 1, e);
  case LOAD_FLOOD_BINDINGS:
    f->sink = load_open(&any, NULL, false, e);
    if (f->sink < 0 || load_origin_open(&f->origin, w, f->sink, e) != 0)
      return -1;
    f->fd[f->fd_count++] = f->origin.fd;
    return 0;
  case LOAD_FLOOD_NONE:
    break;
  }
  return 0;
}

struct load_flood *load_flood_new(const struct load_setup *setup, struct net_error *e)
{
  struct load_flood *f = calloc(1, sizeof(*f));
  if (f == NULL) {
    net_error_set(e, "viaduct-load has no memory");
    return NULL;
  }
  f->setup = setup;
  f->sink = -1;
  f->random = 0x9e3779b97f4a7c15u;
  if (open_all(f, e) == 0)
    return f;
  load_flood_free(f);
  return NULL;
}

void load_flood_free(struct load_flood *f)
{
  if (f == NULL)
    return;
  load_engine_free(f->client);
  for (int i = 0; i < f->fd_count; i++)
    close(f->fd[i]);
  if (f->sink >= 0)
    close(f->sink);
  free(f);
}

/* ---- its packets ---- */

/* xorshift64: fast, and the same in every run. */
static uint64_t next(struct load_flood *f)
{
  f->random ^= f->random << 13;
  f->random ^= f->random >> 7;
  f->random ^= f->random << 17;
  return f->random;
}

static bool has_channels(const struct load_flood *f)
{
  return f->setup->flood == LOAD_FLOOD_CHANNELS || f->setup->flood == LOAD_FLOOD_STRANGERS;
}

static void prepare_data(struct load_flood *f, size_t size)
{
  const size_t header = has_channels(f) ? 4 : 0;
  const struct load_payload payload = {.flow = f->mark};
  f->len = header + size;
  for (size_t i = 0; i < BATCH; i++) {
    uint8_t *at = f->bytes + i * f->len;
    if (header > 0) {
      store_be16(at, LOAD_CHANNEL);
      store_be16(at + 2, (uint16_t)size);
    }
    load_payload_put(at + header, size, &payload);
  }
}

static void ask(struct load_flood *f, uint8_t *at)
{
  uint8_t txid[STUN_TXID_LEN];
  struct stun_encoder e;
  store_be64(txid, next(f));
  store_be32(txid + 8, (uint32_t)next(f));
  stun_begin(&e, at + LOAD_SPOOF_HEADERS, STUN_HEADER_LEN, STUN_REQUEST, STUN_BINDING, txid);
  (void)stun_end(&e); /* a header always fits */
  const struct addr from = load_origin_pick(&f->origin, (uint32_t)next(f));
  load_spoof_put(at, STUN_HEADER_LEN, &from, &f->setup->way.server);
}

/* What differs from batch to batch. */
static void change(struct load_flood *f)
{
  for (size_t i = 0; i < BATCH; i++) {
    uint8_t *at = f->bytes + i * f->len;
    if (f->setup->flood == LOAD_FLOOD_BINDINGS)
      ask(f, at);
    if (f->setup->flood == LOAD_FLOOD_CHANNELS) /* any but the one that is bound */
      store_be16(at, (uint16_t)(LOAD_CHANNEL + 1 + next(f) % (CHANNEL_LAST - LOAD_CHANNEL)));
  }
}

void load_flood_begin(struct load_flood *f, uint32_t mark, size_t size, uint64_t now_ns)
{
  f->now = (struct load_flood_result){0};
  f->began_ns = now_ns;
  f->mark = mark;
  if (f->setup->flood == LOAD_FLOOD_BINDINGS)
    f->len = LOAD_SPOOF_HEADERS + STUN_HEADER_LEN;
  else
    prepare_data(f, size);
}

/* ---- a trial ---- */

static void count_answer(void *arg, struct bytes datagram, uint64_t now_ns)
{
  (void)now_ns;
  struct load_flood *f = arg;
  f->now.answered += datagram.len >= STUN_HEADER_LEN && load_be16(datagram.at) == 0x0101;
}

static void count_leak(void *arg, struct bytes datagram, uint64_t now_ns)
{
  (void)datagram;
  (void)now_ns;
  struct load_flood *f = arg;
  f->now.leaked++;
}

static uint64_t due(const struct load_flood *f, uint64_t now_ns)
{
  return (uint64_t)((double)(now_ns - f->began_ns) * (double)f->setup->flood_rate / 1e9);
}

void load_flood_go_on(struct load_flood *f, const struct addr *relayed, uint64_t now_ns)
{
  if (f->now.sent + f->now.refused + BATCH > due(f, now_ns))
    return;
  change(f);
  struct load_burst b = {.at = f->bytes, .len = f->len, .count = BATCH};
  size_t sent;
  if (f->client != NULL) {
    struct load_link *l = &f->client->flow[0].link;
    sent = load_link_send(l, &b);
    load_link_flush(l);
  } else {
    b.fd = f->fd[f->batches++ % (uint64_t)f->fd_count];
    if (f->setup->flood == LOAD_FLOOD_PEERS)
      b.to = relayed;
    if (f->setup->flood == LOAD_FLOOD_BINDINGS)
      b.to = &f->setup->way.server;
    sent = load_send(&b);
  }
  f->now.sent += sent;
  f->now.refused += BATCH - sent;
  if (f->sink >= 0)
    (void)load_receive(f->sink, 1, count_answer, f);
}

void load_flood_stop(struct load_flood *f, uint64_t now_ns)
{
  const bool stream = load_transport_is_stream(f->setup->way.transport);
  const uint64_t tried = f->now.sent + (stream && f->client != NULL ? f->now.refused : 0);
  f->now.too_slow = (double)(tried + BATCH) < 0.98 * (double)due(f, now_ns);
}

void load_flood_count(struct load_flood *f, struct load_result *r)
{
  if (f->sink >= 0)
    while (load_receive(f->sink, 1, count_answer, f) > 0)
      ;
  if (f->client != NULL)
    while (load_receive(f->client->peer_fd, 1, count_leak, f) > 0)
      ;
  r->closed += f->client != NULL && f->client->flow[0].link.state == LOAD_LINK_CLOSED;
  r->flood = f->now;
}
