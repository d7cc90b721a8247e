/* Fuzz target: turn/core as a whole. The input is a play: datagrams from six clients and peers, TCP
 * connections with peers, time, reloads, lost connections, failing allocations. The clients know
 * the passwords, so that signed requests get deep. What must hold is checked after each step. */
#include <string.h>

#include "base/err.h"
#include "stun/core/frame.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"
#include "tests/support/turn_client.h"
#include "tests/support/turn_world.h"
#include "turn/core/internal.h"

enum {
  CLIENTS = 6,
  PEERS = 6,
  GRANTS = 64,
  STEPS_MAX = 400,
  MESSAGE_MAX = 2048,
  FOREVER_S = 4000 /* longer than any lifetime */
};

/* What an allocation was granted, as its client's responses said. */
struct grant {
  const struct turn_allocation *to;
  struct addr ip;
  uint64_t until_ms;
};

struct play {
  struct world world;
  struct turn_client client[CLIENTS];
  struct addr peer[PEERS];
  uint8_t last[CLIENTS][MESSAGE_MAX]; /* the last message of each, for retransmission */
  size_t last_len[CLIENTS];
  struct grant grant[GRANTS];
  size_t grant_count;
  struct input in;
};

static bool is_same_client(const struct turn_client *c, const struct turn_flow *flow)
{
  return c->flow.transport == flow->transport && addr_equal(&c->flow.client, &flow->client);
}

static const struct turn_allocation *allocation_of(const struct play *p, uint8_t client)
{
  const struct turn_flow *flow = &p->client[client].flow;
  const struct turn_allocation *a = turn__find(p->world.turn, flow);
  return a ? a : turn__mobility_find(p->world.turn, flow);
}

static void grant_all(struct play *p, uint8_t client, const struct stun_view *request)
{
  const struct turn_allocation *to = allocation_of(p, client);
  struct addr peer;
  size_t cursor = 0;
  while (stun_next_addr(request, STUN_ATTR_XOR_PEER_ADDRESS, &cursor, &peer) == 0) {
    const struct grant g = {to, peer, p->world.now_ms + 300000};
    size_t i = 0;
    while (i < p->grant_count && (p->grant[i].to != to || !addr_equal_ip(&p->grant[i].ip, &peer)))
      i++;
    if (i == p->grant_count && p->grant_count == GRANTS)
      i = 0; /* not reached: fewer peers than that */
    p->grant_count += i == p->grant_count;
    p->grant[i] = g;
  }
}

static void ungrant(struct play *p, uint8_t client)
{
  const struct turn_allocation *to = allocation_of(p, client);
  for (size_t i = 0; i < p->grant_count; i++)
    if (p->grant[i].to == to)
      p->grant[i].until_ms = 0;
}

static bool is_granted(const struct play *p, uint8_t client, const struct addr *peer)
{
  const struct turn_allocation *to = allocation_of(p, client);
  REQUIRE(to);
  for (size_t i = 0; i < p->grant_count; i++)
    if (p->grant[i].to == to && addr_equal_ip(&p->grant[i].ip, peer) &&
        p->world.now_ms < p->grant[i].until_ms)
      return true;
  return false;
}

/* A response belongs to the message that was just sent, and to who sent it. */
static void check_reply(struct play *p, uint8_t client, const struct world_output *o)
{
  struct turn_client *c = &p->client[client];
  struct stun_view request, v;
  REQUIRE(is_same_client(c, &o->flow));
  REQUIRE(stun_decode(o->at, o->len, &v) == 0 && v.unknown_count == 0);
  REQUIRE(stun_decode(p->last[client], p->last_len[client], &request) >= 0);
  REQUIRE(request.class == STUN_REQUEST && request.method == v.method);
  REQUIRE(memcmp(stun_txid(&request), stun_txid(&v), STUN_TXID_LEN) == 0);
  REQUIRE(v.class == STUN_SUCCESS || (v.class == STUN_ERROR && stun_get_error(&v) >= 300));
  REQUIRE(stun_check_fingerprint(&v));
  /* Who has proven nothing gets three times what he sent at most, as it crosses the network. */
  const size_t headers = c->flow.client.family == ADDR_V6 ? 48 : 28;
  REQUIRE(c->flow.transport != TURN_UDP || stun_has(&v, STUN_ATTR_MESSAGE_INTEGRITY) ||
          stun_has(&v, STUN_ATTR_MESSAGE_INTEGRITY_SHA256) ||
          o->len + headers <= STUN_GAIN_MAX * (request.len + headers));
  client_learn(c, &v);
  if (v.class != STUN_SUCCESS || v.method == STUN_BINDING)
    return;
  /* Only who signed gets anything done. */
  REQUIRE(stun_has(&request, STUN_ATTR_MESSAGE_INTEGRITY) ||
          stun_has(&request, STUN_ATTR_MESSAGE_INTEGRITY_SHA256));
  REQUIRE(client_trusts(c, &v) || c->sha256_key);
  if (v.method == STUN_CREATE_PERMISSION || v.method == STUN_CHANNEL_BIND)
    grant_all(p, client, &request);
}

static void check_to_client(const struct play *p, const struct world_output *o)
{
  struct stun_frame frame;
  struct stun_view v;
  const bool stream = o->flow.transport == TURN_TCP;
  REQUIRE(o->len >= 4);
  const struct turn_client *c = NULL;
  for (size_t i = 0; i < CLIENTS; i++)
    if (is_same_client(&p->client[i], &o->flow))
      c = &p->client[i];
  REQUIRE(c);
  if (o->at[0] >= 64) {
    const size_t len = 4u + load_be16(o->at + 2);
    REQUIRE(o->len == (stream ? (len + 3) / 4 * 4 : len));
    for (size_t i = len; i < o->len; i++)
      REQUIRE(o->at[i] == 0);
  } else {
    REQUIRE(stun_decode(o->at, o->len, &v) == 0 && v.method == STUN_DATA);
    REQUIRE(v.class == STUN_INDICATION && stun_has(&v, STUN_ATTR_XOR_PEER_ADDRESS));
    REQUIRE(stun_has(&v, STUN_ATTR_DATA) != stun_has(&v, STUN_ATTR_ICMP));
  }
  if (stream)
    REQUIRE(stun_frame_next((struct bytes){o->at, o->len}, true, &frame) == 0 &&
            frame.padded == o->len);
}

/* `client` sent something just now. */
static void check_outputs(struct play *p, uint8_t client)
{
  const struct world_output *o;
  size_t count = 0;
  while ((o = world_next(&p->world)) != NULL) {
    if (o->kind == WORLD_CLOSE || o->kind == WORLD_JOIN)
      continue;            /* beside an answer: a Refresh with 0, a ConnectionBind */
    REQUIRE(++count == 1); /* one datagram in, at most one out */
    if (o->kind == WORLD_REPLY)
      check_reply(p, client, o);
    else if (o->kind == WORLD_TO_CLIENT)
      check_to_client(p, o);
    else if (o->kind == WORLD_CONNECT)
      REQUIRE(o->peer.port != 0 && o->peer.ip[0] != 10);
    else
      REQUIRE(o->kind == WORLD_TO_PEER && is_granted(p, client, &o->peer));
  }
  world_clear(&p->world);
}

/* Nobody sent anything: answers to Connect, ConnectionAttempts for whom permission was given, and
 * connections that end. */
static void check_late_outputs(struct play *p)
{
  const struct world_output *o;
  struct stun_view v;
  struct addr peer;
  while ((o = world_next(&p->world)) != NULL) {
    if (o->kind == WORLD_CLOSE)
      continue;
    REQUIRE(o->kind == WORLD_REPLY && stun_decode(o->at, o->len, &v) == 0);
    uint8_t client = 0;
    while (client < CLIENTS && !is_same_client(&p->client[client], &o->flow))
      client++;
    REQUIRE(client < CLIENTS);
    if (v.method == STUN_CONNECT) {
      REQUIRE(v.class == STUN_SUCCESS ? stun_has(&v, STUN_ATTR_CONNECTION_ID)
                                      : stun_get_error(&v) == 447);
      continue;
    }
    REQUIRE(v.method == STUN_CONNECTION_ATTEMPT && v.class == STUN_INDICATION);
    REQUIRE(stun_has(&v, STUN_ATTR_CONNECTION_ID) &&
            stun_get_addr(&v, STUN_ATTR_XOR_PEER_ADDRESS, &peer) == 0);
    REQUIRE(is_granted(p, client, &peer));
  }
  world_clear(&p->world);
}

static void check_world(struct play *p)
{
  const struct world *w = &p->world;
  const struct turn_counters *c = turn_counters(w->turn);
  size_t legs = 0, relayed = 0, allocations = 0, held = 0, connections = 0;
  uint64_t bps = 0;
  if (w->broken)
    fprintf(stderr, "the core gave the edge %s\n", w->broken);
  REQUIRE(!w->broken);
  for (struct list *l = w->turn->allocations.next; l != &w->turn->allocations; l = l->next) {
    const struct turn_allocation *a = CONTAINER_OF(l, struct turn_allocation, link);
    REQUIRE(a->leg[0].open || a->leg[1].open);
    REQUIRE(a->permissions.count <= a->permissions.cap && a->channels.count <= a->channels.cap);
    REQUIRE(!a->mobility || a->mobility->owner == a);
    held += a->brake & TURN__AWAY ? 0 : 1;
    held += a->mobility && a->mobility->moving ? 1 : 0;
    size_t mine = 0;
    for (struct list *k = a->connections.next; k != &a->connections; k = k->next)
      mine++;
    REQUIRE(mine == a->connection_count && mine <= w->config.max_connections);
    REQUIRE(a->tcp ? a->channels.count == 0 : mine == 0);
    connections += mine;
    for (size_t i = 0; i < 2; i++)
      legs += a->leg[i].open && a->leg[i].socket.relay != TURN__NO_SOCKET;
    relayed += a->tcp ? 0 : a->leg[0].open + a->leg[1].open;
    allocations++;
    REQUIRE(a->share.bps ? (a->brake & TURN__LIMITED) != 0 : !w->realm[0].max_bps);
    bps += a->share.bps;
  }
  REQUIRE(c->allocations == allocations);
  REQUIRE(c->connections == connections && w->peer_open == connections);
  REQUIRE(c->allocations_created ==
          c->allocations + c->allocations_deleted + c->allocations_expired);
  REQUIRE(w->hold_count == held && w->turn->by_flow.count + w->turn->by_next.count == held);
  for (struct list *l = w->turn->reservations.next; l != &w->turn->reservations; l = l->next)
    legs += CONTAINER_OF(l, struct turn_reservation, link)->socket.relay != TURN__NO_SOCKET;
  REQUIRE(w->relay_open == legs);
  REQUIRE(w->relayed_count == relayed);
  REQUIRE(c->allocations + w->turn->reservation_count <= w->config.total_quota);
  REQUIRE(w->turn->book.count == c->allocations + w->turn->reservation_count);
  REQUIRE(w->turn->book.bps == bps && c->reserved_bps == bps && bps <= w->config.bps_capacity);
  for (size_t i = 0; i < 2; i++)
    REQUIRE(w->turn->ports[i].free_count <= w->turn->ports[i].count);
}

/* What a joined connection carries does not come to the core. */
static bool is_joined(const struct play *p, uint8_t client)
{
  const struct world *w = &p->world;
  for (size_t i = 0; i < w->peer_count; i++)
    if (w->peer[i].state == WORLD_JOINED && is_same_client(&p->client[client], &w->peer[i].client))
      return true;
  return false;
}

static void deliver(struct play *p, uint8_t client)
{
  if (is_joined(p, client))
    return;
  const uint64_t created = turn_counters(p->world.turn)->allocations_created;
  world_client_input(&p->world, &p->client[client].flow, p->last[client], p->last_len[client]);
  if (turn_counters(p->world.turn)->allocations_created != created)
    ungrant(p, client);
  check_outputs(p, client);
}

/* The ticket of the first allocation that has one, or the one before it. */
static void make_ticket(const struct play *p, uint8_t bytes[64])
{
  const struct turn *t = p->world.turn;
  const struct list *l = t->allocations.next;
  while (l != &t->allocations && !CONTAINER_OF(l, struct turn_allocation, link)->mobility)
    l = l->next;
  if (l == &t->allocations)
    return;
  struct turn_mobility m = *CONTAINER_OF(l, struct turn_allocation, link)->mobility;
  m.serial = (uint16_t)(m.serial - (bytes[0] & 1));
  turn__ticket_make(t, &m, bytes);
}

static void put_attr(struct play *p, struct stun_encoder *e)
{
  struct input *in = &p->in;
  static const enum stun_attr numbers[] = {
      STUN_ATTR_LIFETIME, STUN_ATTR_REQUESTED_TRANSPORT, STUN_ATTR_REQUESTED_ADDRESS_FAMILY,
      STUN_ATTR_CHANNEL_NUMBER, STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY};
  uint8_t bytes[64] = {0};
  const uint8_t kind = take(in);
  const uint8_t value = take(in);
  if (kind >= 240) { /* the CONNECTION-ID of whatever connection there is */
    const struct world *w = &p->world;
    const size_t count = w->peer_count;
    stun_put_uint(e, STUN_ATTR_CONNECTION_ID,
                  count ? w->peer[count - 1 - value % count].id : value);
    return;
  }
  if (kind >= 232) { /* an empty ticket, or a real one */
    bytes[0] = value >> 1;
    make_ticket(p, bytes);
    stun_put_bytes(e, STUN_ATTR_MOBILITY_TICKET, bytes, value & 1 ? 0 : TURN__TICKET_LEN);
    return;
  }
  switch (kind % 8) {
  case 0:
  case 1:
    stun_put_addr(e, STUN_ATTR_XOR_PEER_ADDRESS, &p->peer[value % PEERS]);
    return;
  case 2:
    stun_put_uint(e, STUN_ATTR_CHANNEL_NUMBER, 0x4000u + value % 8);
    return;
  case 3:
    bytes[0] = value;
    stun_put_bytes(e, STUN_ATTR_EVEN_PORT, bytes, 1);
    return;
  case 4:
    stun_put_uint(e, numbers[value % 5], take(in));
    return;
  case 5: { /* the token of whatever reservation there is */
    const struct list *l = p->world.turn->reservations.next;
    memset(bytes, value, TURN__TOKEN_LEN);
    if (l != &p->world.turn->reservations)
      memcpy(bytes, CONTAINER_OF(l, struct turn_reservation, link)->token, TURN__TOKEN_LEN);
    stun_put_bytes(e, STUN_ATTR_RESERVATION_TOKEN, bytes, TURN__TOKEN_LEN);
    return;
  }
  case 6:
    stun_put_bytes(e, STUN_ATTR_DATA, bytes, take_bytes(in, bytes, sizeof(bytes)));
    return;
  default: { /* any attribute, with any bytes */
    const enum stun_attr a = (enum stun_attr)(value % STUN_ATTR_COUNT);
    const size_t len = take_bytes(in, bytes, sizeof(bytes));
    const struct stun_attr_row *row = stun_attr_row(a);
    if (len >= row->least && len <= row->most && row->kind != STUN_KIND_MAC)
      stun_put_bytes(e, a, bytes, len);
  }
  }
}

static void step_request(struct play *p, uint8_t client)
{
  static const uint16_t method[] = {STUN_ALLOCATE,     STUN_REFRESH,        STUN_CREATE_PERMISSION,
                                    STUN_CHANNEL_BIND, STUN_BINDING,        STUN_SEND,
                                    STUN_CONNECT,      STUN_CONNECTION_BIND};
  struct turn_client *c = &p->client[client];
  struct stun_encoder e;
  const uint8_t what = take(&p->in), how = take(&p->in);
  const uint16_t m = method[what % 8];
  const enum stun_class class = m == STUN_SEND ? STUN_INDICATION
                                : what >= 250  ? (enum stun_class)(what % 4)
                                               : STUN_REQUEST;
  client_begin(c, &e, p->last[client], MESSAGE_MAX, class, m);
  if (m == STUN_ALLOCATE && !(how & 1))
    stun_put_uint(&e, STUN_ATTR_REQUESTED_TRANSPORT,
                  what & 8 ? TURN__PROTOCOL_TCP : TURN__PROTOCOL_UDP);
  for (unsigned i = 0; i < (how >> 1) % 8u; i++)
    put_attr(p, &e);
  if (how & 16)
    client_sign(c, &e);
  if (how & 32)
    stun_put_fingerprint(&e);
  const int len = stun_end(&e);
  if (len < 0)
    return;
  p->last_len[client] = (size_t)len;
  if (how >> 6 == 3) /* a bit that turned on the way */
    p->last[client][take(&p->in) % (size_t)len] ^= (uint8_t)(1 << (take(&p->in) % 8));
  deliver(p, client);
}

static void step_channel(struct play *p, uint8_t client)
{
  uint8_t *m = p->last[client];
  store_be16(m, (uint16_t)(0x4000 + take(&p->in) % 8));
  const size_t len = take_bytes(&p->in, m + 4, 255);
  store_be16(m + 2, (uint16_t)(take(&p->in) == 255 ? len + 1 : len));
  p->last_len[client] = 4 + len;
  deliver(p, client);
}

static void step_peer(struct play *p)
{
  uint8_t payload[256];
  const struct addr *peer = &p->peer[take(&p->in) % PEERS];
  const struct world_relay *r = NULL;
  size_t which = take(&p->in), skip = which % 8;
  for (size_t i = 0; i < p->world.relay_count; i++)
    if (p->world.relay[i].open && skip-- == 0)
      r = &p->world.relay[i];
  if (!r)
    return;
  if (which >= 192) { /* the network, in place of the peer */
    const struct turn_icmp e = {*peer, take(&p->in), take(&p->in), 1280};
    world_icmp_input(&p->world, &r->at, &e);
  } else {
    world_peer_input(&p->world, &r->at, peer, payload, take_bytes(&p->in, payload, 255));
  }
  check_outputs(p, 0);
}

static void step_time(struct play *p)
{
  const uint64_t n = take(&p->in);
  world_elapse(&p->world, n < 100 ? n : (n - 99) * 10000);
  check_late_outputs(p);
}

/* A peer connects, answers, refuses or hangs up. */
static void step_connection(struct play *p)
{
  struct world *w = &p->world;
  const uint8_t what = take(&p->in), which = take(&p->in);
  const struct addr *peer = &p->peer[which % PEERS];
  struct addr relayed = {0};
  size_t skip = what / 4 % 8u;
  for (size_t i = 0; i < w->relay_count; i++)
    if (w->relay[i].open && w->relay[i].tcp && skip-- == 0)
      relayed = w->relay[i].at;
  if (what % 4 == 0)
    world_peer_attempt(w, &relayed, peer);
  else if (what % 4 == 3)
    world_peer_gone(w, peer);
  else
    world_peer_connected(w, peer, what % 4 == 1);
  check_late_outputs(p);
}

/* A user of the database is found, or not, and the requests that waited come in again. */
static void step_answer(struct play *p, uint8_t how)
{
  struct world *w = &p->world;
  const struct turn_user ann = {.name = bytes_of("ann"), .password = bytes_of("sesame")};
  const size_t waiting = w->parked_count;
  const struct world_output *o;
  struct stun_view v;
  size_t count = 0;
  for (size_t i = 0; i < waiting; i++)
    for (uint8_t client = 0; client < CLIENTS; client++)
      if (is_same_client(&p->client[client], &w->parked[i].flow) &&
          stun_decode(w->parked[i].at, w->parked[i].len, &v) >= 0)
        grant_all(p, client, &v); /* or it will not be */
  world_answer(w, &ann, how & 1 ? -ERR_MISSING : how & 2 ? -ERR_IO : 0);
  world_unpark(w);
  while ((o = world_next(w)) != NULL)
    if (o->kind != WORLD_CLOSE && o->kind != WORLD_JOIN) /* beside an answer */
      REQUIRE(++count <= waiting && (o->kind == WORLD_REPLY || o->kind == WORLD_CONNECT));
  world_clear(w);
}

static void step_reload(struct play *p)
{
  struct world *w = &p->world;
  const uint8_t how = take(&p->in);
  w->config.peer_rule_count = how & 1;
  w->config.min_port = how & 2 ? 50004 : 50000;
  w->config.max_port = (uint16_t)(w->config.min_port + 7);
  w->config.relay_count = how & 4 ? 1 : 2;
  w->config.fingerprint = how & 8;
  w->config.relay_virtual = (how & 12) == 12; /* for allocations to come */
  w->config.alternate[0].count = how & 16 ? 1 : 0;
  w->config.secure_stun = how & 32;
  w->config.stun_only = (how & 0xc0) == 0xc0;
  w->config.listener_count = how & 64 ? 1 : 0;
  w->config.users_elsewhere = how & 16;
  /* Without memory the old range stays, which the world would take for a broken word. */
  failing_mem_fail_at(&w->mem, 0);
  w->no_route = how & 16;
  if ((how & 0x84) == 0x84)
    w->fast_most = 1; /* and from now on some channels are the core's alone */
  world_reload(w);
  check_late_outputs(p);
  if (how & 32)
    step_answer(p, how >> 6);
}

/* As an operator does: whom it ends is gone. */
static void step_operator(struct play *p)
{
  const uint64_t n = turn_counters(p->world.turn)->allocations;
  REQUIRE(turn_end_sessions(p->world.turn, 0, bytes_of(take(&p->in) & 1 ? "eve" : "bob")) <= n);
}

static void step(struct play *p)
{
  const uint8_t what = take(&p->in);
  const uint8_t client = (what >> 4) % CLIENTS;
  switch (what % 16) {
  case 0:
    p->last_len[client] = take_bytes(&p->in, p->last[client], 255);
    deliver(p, client);
    return;
  case 1:
    deliver(p, client);
    return;
  case 2:
    if (what >> 4 == 15)
      step_operator(p);
    else
      world_client_gone(&p->world, &p->client[client].flow);
    check_late_outputs(p);
    return;
  case 3:
    step_reload(p);
    return;
  case 4:
    failing_mem_fail_at(&p->world.mem, take(&p->in) % 8);
    return;
  case 5:
  case 6:
    step_time(p);
    return;
  case 7:
  case 8:
    step_peer(p);
    return;
  case 9:
    step_channel(p, client);
    return;
  case 10:
    step_connection(p);
    return;
  default:
    step_request(p, client);
  }
}

static void start(struct play *p)
{
  static const char *const peers[PEERS] = {"8.8.4.4:9",     "8.8.4.4:10",    "8.8.4.5:9",
                                           "[2a00:7::7]:9", "9.9.9.9:50001", "10.0.0.1:9"};
  static const char *const clients[CLIENTS] = {"8.8.8.8:1",     "8.8.8.8:2", "8.8.8.8:3",
                                               "[2a00:1::5]:4", "8.8.8.8:5", "8.8.8.8:6"};
  struct world *w = &p->world;
  world_init(w);
  world_add_user(w, "bob", "secret");
  world_add_user(w, "eve", "sesame");
  w->config.min_port = 50000;
  w->config.max_port = 50007;
  w->config.max_permissions = 4;
  w->config.max_channels = 4;
  w->config.mobility = true;
  w->config.max_connections = 3;
  w->realm[0].user_quota = 3;
  w->config.total_quota = 5;
  addr_range_parse(bytes_of("8.8.4.5"), &w->peer_rule[0].range);
  w->realm[0].max_bps = 300;
  w->config.bps_capacity = 1400;
  for (size_t i = 0; i < PEERS; i++)
    addr_parse(bytes_of(peers[i]), &p->peer[i]);
  w->alternate[0][0] = addr_v4(8, 1, 1, 1, 3478);
  w->listener[0] = p->peer[0];
  REQUIRE(world_start(w) == 0);
  for (uint8_t i = 0; i < CLIENTS; i++) {
    struct addr from, to = addr_v4(9, 9, 9, 9, 3478);
    addr_parse(bytes_of(clients[i]), &from);
    client_init(&p->client[i], &from, &to, i == 2 || i >= 4 ? TURN_TCP : TURN_UDP);
    struct stun_encoder e;
    client_begin(&p->client[i], &e, p->last[i], MESSAGE_MAX, STUN_REQUEST, STUN_ALLOCATE);
    p->last_len[i] = (size_t)stun_end(&e);
    deliver(p, i); /* the challenge */
  }
  client_text_set(&p->client[1].user, "eve", 3);
  client_text_set(&p->client[1].password, "sesame", 6);
  client_text_set(&p->client[2].user, "ann", 3); /* in the database alone */
  client_text_set(&p->client[2].password, "sesame", 6);
  p->client[3].sha256_key = true;
  p->client[3].integrity = STUN_INTEGRITY_SHA256;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct play p; /* large */
  memset(&p, 0, sizeof(p));
  p.in = (struct input){data, size};
  start(&p);
  for (int i = 0; i < STEPS_MAX && p.in.len; i++) {
    step(&p);
    check_world(&p);
  }
  /* After long enough all is gone, and every port is back. */
  failing_mem_fail_at(&p.world.mem, 0);
  world_elapse(&p.world, (uint64_t)FOREVER_S * 1000);
  check_world(&p);
  REQUIRE(turn_counters(p.world.turn)->allocations == 0 && p.world.relay_open == 0);
  REQUIRE(turn_next_ms(p.world.turn) == WHEEL_NEVER);
  for (size_t i = 0; i < 2; i++)
    REQUIRE(p.world.turn->ports[i].free_count == p.world.turn->ports[i].count);
  REQUIRE(world_stop(&p.world));
  return 0;
}
