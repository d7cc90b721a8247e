/* The fake edge, its clock and its memory. */
#include "tests/support/turn_world.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/wheel.h"
#include "stun/core/integrity.h"
#include "tests/support/turn_aead.h"

static void take_log(void *arg, const struct log_record *record)
{
  struct world *w = arg;
  uint8_t line[2048];
  struct buf b;
  buf_init(&b, line, sizeof(line));
  log_format_text(&b, w->now_ms, "world", record);
  const size_t len = strlen(record->event);
  memcpy(w->last_event, record->event, len + 1 < sizeof(w->last_event) ? len + 1 : 0);
}

struct world_output *world_record(struct world *w, enum world_kind kind, const uint8_t *p,
                                  size_t len)
{
  if (w->output_count == WORLD_OUTPUTS) {
    w->broken = "more outputs than one input can explain";
    w->output_count--;
    free(w->output[w->output_count].at);
  }
  struct world_output *o = &w->output[w->output_count++];
  *o = (struct world_output){.kind = kind, .len = len, .at = malloc(len ? len : 1)};
  if (!o->at)
    abort();
  if (len)
    memcpy(o->at, p, len);
  return o;
}

static bool is_inside(const struct dgram *d)
{
  return d->at >= d->storage && d->at + d->len <= d->storage + d->cap;
}

static void take_to_client(void *arg, const struct turn_flow *flow, struct dgram *d)
{
  struct world *w = arg;
  if (!is_inside(d))
    w->broken = "a datagram that reaches outside of its storage";
  else
    world_record(w, WORLD_TO_CLIENT, d->at, d->len)->flow = *flow;
}

static struct world_relay *open_relay(struct world *w, turn_relay relay)
{
  if (relay < 0 || (size_t)relay >= w->relay_count || !w->relay[relay].open) {
    w->broken = "a relay socket that is not open";
    return NULL;
  }
  return &w->relay[relay];
}

static void take_to_peer(void *arg, turn_relay relay, const struct addr *peer, struct dgram *d,
                         bool dont_fragment)
{
  struct world *w = arg;
  const struct world_relay *r = open_relay(w, relay);
  if (!r)
    return;
  if (!is_inside(d) || r->tcp) {
    w->broken =
        r->tcp ? "a datagram for a TCP listener" : "a datagram that reaches outside of its storage";
    return;
  }
  struct world_output *o = world_record(w, WORLD_TO_PEER, d->at, d->len);
  o->relay = r->at;
  o->peer = *peer;
  o->dont_fragment = dont_fragment;
}

static void take_reply(void *arg, const struct turn_flow *flow, struct bytes message)
{
  world_record(arg, WORLD_REPLY, message.at, message.len)->flow = *flow;
}

static int relay_open(void *arg, const struct addr *at, turn_relay *out)
{
  struct world *w = arg;
  if (w->snapshot[w->snapshot_now].relay_virtual)
    w->broken = "a socket to open where there are none";
  for (size_t i = 0; i < w->busy_count; i++)
    if (w->busy[i] == at->port)
      return -ERR_BUSY;
  for (size_t i = 0; i < w->relay_count; i++)
    if (w->relay[i].open && addr_equal(&w->relay[i].at, at)) {
      w->broken = "one port given to two";
      return -ERR_BUSY;
    }
  /* Without memory for another range the core keeps the one that it has. */
  if ((at->port < w->config.min_port || at->port > w->config.max_port) &&
      !failing_mem_has_failed(&w->mem))
    w->broken = "a port outside of the range";
  if (w->relay_count == WORLD_RELAYS)
    return -ERR_IO;
  *out = (turn_relay)w->relay_count;
  w->relay[w->relay_count++] = (struct world_relay){.open = true, .at = *at};
  w->relay_open++;
  return 0;
}

static void relay_close(void *arg, turn_relay relay)
{
  struct world *w = arg;
  struct world_relay *r = open_relay(w, relay);
  if (!r)
    return;
  r->open = false;
  w->relay_open--;
}

static bool is_same_link(const struct turn_flow *a, const struct turn_flow *b)
{
  return a->transport == b->transport && a->link == b->link && addr_equal(&a->client, &b->client) &&
         addr_equal(&a->server, &b->server);
}

static void hold(void *arg, const struct turn_flow *flow, bool on)
{
  struct world *w = arg;
  size_t i = 0;
  while (i < w->hold_count && !is_same_link(&w->hold[i].flow, flow))
    i++;
  if (!on && i == w->hold_count) {
    w->broken = "a connection to let go that it does not hold";
  } else if (!on) {
    if (--w->hold[i].count == 0)
      w->hold[i] = w->hold[--w->hold_count];
  } else if (i == WORLD_HOLDS) {
    w->broken = "more connections to hold than there are";
  } else {
    w->hold[i] = (struct world_hold){*flow, i < w->hold_count ? w->hold[i].count + 1 : 1};
    w->hold_count += i == w->hold_count;
  }
}

static int relay_listen(void *arg, const struct addr *at, turn_relay *out)
{
  struct world *w = arg;
  const int rc = relay_open(arg, at, out);
  if (rc == 0)
    w->relay[*out].tcp = true;
  return rc;
}

/* ---- TCP connections with peers ---- */

/* NULL, and the core broke its word, when there is none that lives. */
static struct world_peer *live_peer(struct world *w, uint32_t id)
{
  for (size_t i = 0; i < w->peer_count; i++)
    if (w->peer[i].id == id && w->peer[i].state != WORLD_PEER_GONE)
      return &w->peer[i];
  w->broken = "a connection with a peer that is not there";
  return NULL;
}

static struct world_peer *peer_at(struct world *w, const struct addr *peer)
{
  for (size_t i = 0; i < w->peer_count; i++)
    if (w->peer[i].state != WORLD_PEER_GONE && addr_equal(&w->peer[i].peer, peer))
      return &w->peer[i];
  return NULL;
}

static bool add_peer(struct world *w, uint32_t id, const struct addr *peer,
                     enum world_peer_state state)
{
  for (size_t i = 0; i < w->peer_count; i++)
    if (w->peer[i].id == id && w->peer[i].state != WORLD_PEER_GONE)
      w->broken = "one CONNECTION-ID given to two";
  if (id == 0 || id % w->share_count != w->share_index)
    w->broken = "a CONNECTION-ID that is not this worker's";
  if (w->peer_count == WORLD_PEERS)
    return false;
  w->peer[w->peer_count++] = (struct world_peer){.state = state, .id = id, .peer = *peer};
  w->peer_open++;
  return true;
}

static void end_peer(struct world *w, struct world_peer *p)
{
  p->state = WORLD_PEER_GONE;
  w->peer_open--;
}

static int peer_connect(void *arg, turn_relay relay, const struct addr *peer, uint32_t id)
{
  struct world *w = arg;
  const struct world_relay *r = open_relay(w, relay);
  if (!r)
    return -ERR_IO;
  if (!r->tcp || r->at.family != peer->family)
    w->broken = "a connection from a socket that cannot have it";
  if (w->no_route)
    return -ERR_UNREACHABLE;
  if (!add_peer(w, id, peer, WORLD_CONNECTING))
    return -ERR_FULL;
  struct world_output *o = world_record(w, WORLD_CONNECT, NULL, 0);
  o->relay = r->at;
  o->peer = *peer;
  return 0;
}

static void peer_close(void *arg, uint32_t id)
{
  struct world *w = arg;
  struct world_peer *p = live_peer(w, id);
  if (!p)
    return;
  const bool joined = p->state == WORLD_JOINED;
  const struct turn_flow client = p->client;
  world_record(w, WORLD_CLOSE, NULL, 0)->peer = p->peer;
  end_peer(w, p);
  /* The client's connection goes with it, which the edge says at once, from within. */
  if (joined)
    turn_client_gone(w->turn, &client);
}

static int peer_join(void *arg, uint32_t id, const struct turn_flow *client)
{
  struct world *w = arg;
  struct world_peer *p = live_peer(w, id);
  if (!p)
    return -ERR_MISSING;
  if (p->state != WORLD_CONNECTED)
    w->broken = "a connection to join that does not stand alone";
  p->state = WORLD_JOINED;
  p->client = *client;
  struct world_output *o = world_record(w, WORLD_JOIN, NULL, 0);
  o->peer = p->peer;
  o->flow = *client;
  return 0;
}

static int elsewhere(void *arg, uint32_t share, const struct turn_flow *client,
                     struct bytes message)
{
  struct world *w = arg;
  if (share >= w->share_count || share == w->share_index)
    w->broken = "a worker that is not there";
  struct world_output *o = world_record(w, WORLD_ELSEWHERE, message.at, message.len);
  o->flow = *client;
  o->share = share;
  return 0;
}

bool world_peer_attempt(struct world *w, const struct addr *relayed, const struct addr *peer)
{
  for (size_t i = 0; i < w->relay_count; i++) {
    if (!w->relay[i].open || !w->relay[i].tcp || w->relay[i].at.port != relayed->port ||
        w->relay[i].at.family != relayed->family)
      continue;
    const uint32_t id = turn_peer_attempt(w->turn, (turn_relay)i, peer, w->now_ms);
    if (id == 0)
      world_record(w, WORLD_CLOSE, NULL, 0)->peer = *peer;
    else if (!add_peer(w, id, peer, WORLD_CONNECTED))
      turn_peer_gone(w->turn, id, w->now_ms);
    return true;
  }
  return false;
}

bool world_peer_connected(struct world *w, const struct addr *peer, bool success)
{
  struct world_peer *p = peer_at(w, peer);
  if (!p || p->state != WORLD_CONNECTING)
    return false;
  if (success)
    p->state = WORLD_CONNECTED;
  else
    end_peer(w, p);
  turn_peer_connected(w->turn, p->id, success, w->now_ms);
  return true;
}

bool world_peer_gone(struct world *w, const struct addr *peer)
{
  struct world_peer *p = peer_at(w, peer);
  if (!p)
    return false;
  end_peer(w, p);
  turn_peer_gone(w->turn, p->id, w->now_ms);
  return true;
}

void world_client_gone(struct world *w, const struct turn_flow *flow)
{
  for (size_t i = 0; i < w->peer_count; i++) {
    struct world_peer *p = &w->peer[i];
    if (p->state == WORLD_JOINED && p->client.transport == flow->transport &&
        addr_equal(&p->client.client, &flow->client)) {
      end_peer(w, p);
      turn_peer_gone(w->turn, p->id, w->now_ms);
      return;
    }
  }
  turn_client_gone(w->turn, flow);
  world_fast_check(w);
}

struct bytes world_text(struct world *w, const char *text)
{
  const size_t len = strlen(text);
  if (len > WORLD_TEXT - w->text_len)
    abort();
  char *at = w->text + w->text_len;
  memcpy(at, text, len);
  w->text_len += len;
  return (struct bytes){(const uint8_t *)at, len};
}

void world_add_user(struct world *w, const char *name, const char *password)
{
  if (w->config.user_count == WORLD_LISTS)
    abort();
  w->user[w->config.user_count++] =
      (struct turn_user){.name = world_text(w, name), .password = world_text(w, password)};
}

void world_init(struct world *w)
{
  memset(w, 0, sizeof(*w));
  failing_mem_init(&w->mem);
  w->log = (struct log){.level = LOG_LEVEL_DEBUG, .take = take_log, .arg = w};
  w->random = random_seeded(&w->seed, 1);
  w->effects = (struct turn_effects){
      .arg = w,
      .to_client = take_to_client,
      .to_peer = take_to_peer,
      .reply = take_reply,
      .relay_open = relay_open,
      .relay_close = relay_close,
      .aead_open = fake_aead_open,
      .find_user = world_find_user,
      .hold = hold,
      .relay_listen = relay_listen,
      .peer_connect = peer_connect,
      .peer_close = peer_close,
      .peer_join = peer_join,
      .elsewhere = elsewhere,
      .inside = world_inside,
      .relayed = world_relayed,
      .fast = world_fast,
      .fast_takes = world_fast_takes,
  };
  w->fast_most = WORLD_FAST;
  w->share_count = 1;
  w->relay_address[0].local = addr_v4(9, 9, 9, 9, 0);
  addr_parse(bytes_of("2a00::9"), &w->relay_address[1].local);
  w->config = (struct turn_config){
      .auth_required = true,
      .user = w->user,
      .secret = w->secret,
      .rest_separator = ':',
      .relay = w->relay_address,
      .relay_count = 2,
      .min_port = 49152,
      .max_port = 49407,
      .default_lifetime_s = 600,
      .max_lifetime_s = 3600,
      .permission_lifetime_s = 300,
      .channel_lifetime_s = 600,
      .nonce_lifetime_s = 3600,
      .max_permissions = 64,
      .max_channels = 64,
      .realm = w->realm,
      .oauth_key = w->oauth_key,
      .realm_count = 1,
      .origin = w->origin,
      .peer_rule = w->peer_rule,
      .alternate = {{.row = w->alternate[0]}, {.row = w->alternate[1]}},
      .listener = w->listener,
      .local = w->local,
  };
  w->realm[0].name = world_text(w, "example.org");
  w->config.software = world_text(w, "Viaduct");
  memset(w->config.nonce_key, 7, sizeof(w->config.nonce_key));
}

/* The relay addresses are copied too, since the core compares the old ones with the new, and the
 * realms, since it points at them. */
static void take_snapshot(struct world *w, size_t i)
{
  w->snapshot[i] = w->config;
  memcpy(w->snapshot_relay[i], w->relay_address, sizeof(w->relay_address));
  w->snapshot[i].relay = w->snapshot_relay[i];
  memcpy(w->snapshot_realm[i], w->realm, sizeof(w->realm));
  w->snapshot[i].realm = w->snapshot_realm[i];
  for (size_t k = 0; k < w->config.user_count; k++)
    stun_userhash(w->user[k].name, w->realm[0].name, w->user_hash[i][k]);
  w->snapshot[i].user_hash = w->userhash ? w->user_hash[i] : NULL;
  w->snapshot_now = i;
}

int world_start(struct world *w)
{
  take_snapshot(w, 0);
  const struct turn_setup setup = {
      .config = &w->snapshot[0],
      .effects = &w->effects,
      .mem = &w->mem.mem,
      .random = &w->random,
      .log = &w->log,
      .now_ms = w->now_ms,
      .share_index = w->share_index,
      .share_count = w->share_count,
  };
  return turn_new(&setup, &w->turn);
}

void world_reload(struct world *w)
{
  const size_t now = w->snapshot_now ^ 1u;
  take_snapshot(w, now);
  turn_set_config(w->turn, &w->snapshot[now]);
  /* The edge may free it now; what the core would still read there is nonsense. */
  memset(&w->snapshot[now ^ 1u], 0xA5, sizeof(w->snapshot[0]));
  memset(w->snapshot_relay[now ^ 1u], 0xA5, sizeof(w->snapshot_relay[0]));
  memset(w->snapshot_realm[now ^ 1u], 0xA5, sizeof(w->snapshot_realm[0]));
  world_fast_check(w);
}

bool world_stop(struct world *w)
{
  turn_free(w->turn);
  w->turn = NULL;
  for (size_t i = 0; i < WORLD_FAST; i++)
    if (w->fast_group[i].count)
      w->broken = "an allocation that others still carry for, at the end";
  world_forget_parked(w);
  world_clear(w);
  return w->mem.blocks == 0 && w->mem.bytes == 0 && w->relay_open == 0 && w->hold_count == 0 &&
         w->peer_open == 0 && w->relayed_count == 0 && w->fast_count == 0;
}

uint64_t world_wall_s(const struct world *w)
{
  return WORLD_WALL_S + w->now_ms / 1000;
}

/* Every datagram gets a block of its own, so that AddressSanitizer sees a byte too far; what is not
 * payload is no zero, so that padding that was forgotten shows. */
struct dgram world_dgram(const uint8_t *p, size_t len)
{
  struct dgram d = {.cap = DGRAM_HEADROOM + len + DGRAM_TAILROOM, .len = len};
  d.storage = malloc(d.cap);
  if (!d.storage)
    abort();
  memset(d.storage, 0xAA, d.cap);
  d.at = d.storage + DGRAM_HEADROOM;
  if (len)
    memcpy(d.at, p, len);
  return d;
}

/* The core has promised the bytes as they came. More than there is room for get lost. */
static void park(struct world *w, const struct turn_flow *flow, const struct dgram *d,
                 const uint8_t *p, size_t len)
{
  if (d->len != len || memcmp(d->at, p, len) != 0)
    w->broken = "a request that waits, with other bytes";
  if (w->parked_count == WORLD_PARKED)
    return;
  struct world_parked *parked = &w->parked[w->parked_count++];
  *parked = (struct world_parked){.flow = *flow, .at = malloc(len ? len : 1), .len = len};
  if (!parked->at)
    abort();
  memcpy(parked->at, p, len);
}

/* As net/tcp hands a message over: its own bytes, and not one more. */
static void leave_no_room(struct dgram *d)
{
  uint8_t *exact = malloc(d->len > 0 ? d->len : 1);
  if (!exact)
    abort();
  memcpy(exact, d->at, d->len);
  free(d->storage);
  *d = (struct dgram){.storage = exact, .cap = d->len, .at = exact, .len = d->len};
}

void world_client_input(struct world *w, const struct turn_flow *flow, const uint8_t *p, size_t len)
{
  struct dgram d = world_dgram(p, len);
  w->pending = false;
  if (flow->transport == TURN_TCP || flow->transport == TURN_TLS)
    leave_no_room(&d); /* other messages stand before and behind it */
  const struct world_forecast f = world_forecast_client(w, flow, p, len);
  turn_client_input(w->turn, flow, &d, w->now_ms, world_wall_s(w));
  world_forecast_check(w, &f);
  if (w->pending)
    park(w, flow, &d, p, len);
  free(d.storage);
  world_take_inside(w);
  world_fast_check(w);
}

/* Negative: none. */
static turn_relay relay_at(const struct world *w, const struct addr *relayed)
{
  for (size_t i = 0; i < w->relay_count; i++)
    if (w->relay[i].open && w->relay[i].at.port == relayed->port &&
        w->relay[i].at.family == relayed->family)
      return (turn_relay)i;
  return -1;
}

bool world_peer_input(struct world *w, const struct addr *relayed, const struct addr *peer,
                      const uint8_t *p, size_t len)
{
  const turn_relay relay = relay_at(w, relayed);
  if (relay < 0)
    return false;
  struct dgram d = world_dgram(p, len);
  const struct world_forecast f = world_forecast_peer(w, relay, peer);
  turn_peer_input(w->turn, relay, peer, &d, w->now_ms);
  world_forecast_check(w, &f);
  free(d.storage);
  world_fast_check(w);
  return true;
}

void world_icmp_input(struct world *w, const struct addr *relayed, const struct turn_icmp *e)
{
  static const uint8_t room[64]; /* as much as turn.h asks for */
  const turn_relay relay = relay_at(w, relayed);
  if (relay < 0)
    return;
  struct dgram d = world_dgram(room, sizeof(room));
  d.cap -= DGRAM_TAILROOM;
  d.len = 0;
  turn_peer_error(w->turn, relay, e, &d, w->now_ms);
  free(d.storage);
}

void world_elapse(struct world *w, uint64_t ms)
{
  const uint64_t until = w->now_ms + ms;
  for (uint64_t next = turn_next_ms(w->turn); next <= until; next = turn_next_ms(w->turn)) {
    if (next > w->now_ms)
      w->now_ms = next;
    turn_tick(w->turn, w->now_ms);
    if (turn_next_ms(w->turn) <= next) {
      w->broken = "a timer that is due and stays due";
      break;
    }
  }
  w->now_ms = until;
  turn_tick(w->turn, until);
  world_fast_check(w);
}

const struct world_output *world_next(struct world *w)
{
  return w->output_read < w->output_count ? &w->output[w->output_read++] : NULL;
}

void world_clear(struct world *w)
{
  for (size_t i = 0; i < w->output_count; i++)
    free(w->output[i].at);
  w->output_count = w->output_read = 0;
}
