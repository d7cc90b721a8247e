/* See behaviour.h. RFC 5780 sections 4.3 (mapping), 4.4 (filtering) and 4.5 (hairpinning). */
#include "peer-demo/core/behaviour.h"

#include <string.h>

#include "stun/core/decode.h"
#include "stun/core/encode.h"

/* The tests by their names in RFC 5780, each with the socket that it runs on. */
enum {
  MAP_I,      /* to the server's first address */
  MAP_II,     /* to its other address and first port */
  MAP_III,    /* to its other address and other port */
  FILTER_I,   /* as MAP_I: from here on the filter lets the first address in */
  FILTER_II,  /* to the first address: answered from the other address and other port */
  FILTER_III, /* to the first address: answered from the first address and other port */
  HAIRPIN_I,  /* as MAP_I, so that the NAT knows this socket */
  HAIRPIN_II, /* to the address that MAP_I was told: our own request comes back */
};

enum { SOCKET_MAP, SOCKET_FILTER, SOCKET_HAIRPIN };

enum { IDLE, ASKING, ANSWERED, SILENT, SKIPPED };

/* CHANGE-REQUEST's flags, RFC 5780 section 7.2. */
enum { CHANGE_PORT = 2, CHANGE_IP = 4 };

static const struct {
  uint8_t socket, change;
} plan[BEHAVIOUR_TESTS] = {
    [MAP_I] = {SOCKET_MAP, 0},
    [MAP_II] = {SOCKET_MAP, 0},
    [MAP_III] = {SOCKET_MAP, 0},
    [FILTER_I] = {SOCKET_FILTER, 0},
    [FILTER_II] = {SOCKET_FILTER, CHANGE_IP | CHANGE_PORT},
    [FILTER_III] = {SOCKET_FILTER, CHANGE_PORT},
    [HAIRPIN_I] = {SOCKET_HAIRPIN, 0},
    [HAIRPIN_II] = {SOCKET_HAIRPIN, 0},
};

static bool is_over(const struct behaviour_test *t)
{
  return t->state >= ANSWERED;
}

static void ask(struct behaviour_run *b, int which, const struct addr *to, uint64_t now_ms)
{
  struct behaviour_test *t = &b->test[which];
  struct random *random = b->setup.random;
  *t = (struct behaviour_test){
      .state = ASKING, .socket = plan[which].socket, .to = *to, .due_ms = now_ms};
  random->fill(random->arg, t->txid, sizeof t->txid);
}

static void skip(struct behaviour_run *b, int which)
{
  b->test[which].state = SKIPPED;
}

/* The server's four addresses: `other_ip` and `other_port` say which half is the other one's. */
static struct addr quarter(const struct behaviour_run *b, bool other_ip, bool other_port)
{
  struct addr at = other_ip ? b->found.other : b->setup.server;
  at.port = other_port ? b->found.other.port : b->setup.server.port;
  return at;
}

/* RFC 5780 section 7.4: OTHER-ADDRESS is that of the server's second address and second port, both
 * of which differ from the first ones in a server that can do these tests. */
static bool has_other(const struct behaviour_run *b)
{
  const struct addr *other = &b->found.other, *server = &b->setup.server;
  return other->family == server->family && !addr_equal_ip(other, server) && other->port != 0 &&
         other->port != server->port;
}

static void after_map(struct behaviour_run *b, uint64_t now_ms)
{
  const struct behaviour_test *t = &b->test[MAP_I];
  const struct addr second = quarter(b, true, false), third = quarter(b, true, true);
  b->found.answers = t->state == ANSWERED;
  b->found.mapped = t->mapped;
  if (t->state != ANSWERED || !has_other(b)) {
    skip(b, MAP_II);
    skip(b, MAP_III);
    return;
  }
  ask(b, MAP_II, &second, now_ms);
  ask(b, MAP_III, &third, now_ms);
}

static void after_filter(struct behaviour_run *b, uint64_t now_ms)
{
  if (b->test[FILTER_I].state != ANSWERED || !has_other(b)) {
    skip(b, FILTER_II);
    skip(b, FILTER_III);
    return;
  }
  ask(b, FILTER_II, &b->setup.server, now_ms);
  ask(b, FILTER_III, &b->setup.server, now_ms);
}

/* Both have to be known to the NAT before the one can call the other. */
static void before_hairpin(struct behaviour_run *b, uint64_t now_ms)
{
  const struct behaviour_test *map = &b->test[MAP_I], *own = &b->test[HAIRPIN_I];
  if (b->test[HAIRPIN_II].state != IDLE || !is_over(map) || !is_over(own))
    return;
  if (map->state == ANSWERED && own->state == ANSWERED)
    ask(b, HAIRPIN_II, &map->mapped, now_ms);
  else
    skip(b, HAIRPIN_II);
}

static enum behaviour judge_mapping(const struct behaviour_run *b)
{
  const struct behaviour_test *one = &b->test[MAP_I], *two = &b->test[MAP_II],
                              *three = &b->test[MAP_III];
  if (one->state != ANSWERED)
    return BEHAVIOUR_UNKNOWN;
  if (addr_equal(&one->mapped, &b->setup.local[SOCKET_MAP]))
    return BEHAVIOUR_NONE;
  if (two->state != ANSWERED)
    return BEHAVIOUR_UNKNOWN;
  if (addr_equal(&one->mapped, &two->mapped))
    return BEHAVIOUR_ENDPOINT_INDEPENDENT;
  if (three->state != ANSWERED)
    return BEHAVIOUR_UNKNOWN;
  return addr_equal(&two->mapped, &three->mapped) ? BEHAVIOUR_ADDRESS_DEPENDENT
                                                  : BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
}

static enum behaviour judge_filtering(const struct behaviour_run *b)
{
  if (b->test[FILTER_II].state == SKIPPED)
    return BEHAVIOUR_UNKNOWN;
  if (b->test[FILTER_II].state == ANSWERED)
    return BEHAVIOUR_ENDPOINT_INDEPENDENT;
  return b->test[FILTER_III].state == ANSWERED ? BEHAVIOUR_ADDRESS_DEPENDENT
                                               : BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
}

static enum behaviour_hairpin judge_hairpin(const struct behaviour_run *b)
{
  switch (b->test[HAIRPIN_II].state) {
  case ANSWERED:
    return BEHAVIOUR_HAIRPIN_YES;
  case SILENT:
    return BEHAVIOUR_HAIRPIN_NO;
  default:
    return BEHAVIOUR_HAIRPIN_UNKNOWN;
  }
}

static void finish(struct behaviour_run *b, int which, uint64_t now_ms)
{
  if (which == MAP_I)
    after_map(b, now_ms);
  if (which == FILTER_I)
    after_filter(b, now_ms);
  before_hairpin(b, now_ms);
  b->found.mapping = judge_mapping(b);
  b->found.filtering = judge_filtering(b);
  b->found.hairpin = judge_hairpin(b);
}

void behaviour_begin(struct behaviour_run *b, const struct behaviour_setup *setup, uint64_t now_ms)
{
  static const int first[] = {MAP_I, FILTER_I, HAIRPIN_I};
  *b = (struct behaviour_run){.setup = *setup};
  for (size_t i = 0; i < sizeof first / sizeof first[0]; i++)
    ask(b, first[i], &setup->server, now_ms);
}

static void write_request(const struct behaviour_test *t, uint8_t change,
                          struct behaviour_datagram *out)
{
  struct stun_encoder e;
  stun_begin(&e, out->at, sizeof out->at, STUN_REQUEST, STUN_BINDING, t->txid);
  if (change != 0)
    stun_put_uint(&e, STUN_ATTR_CHANGE_REQUEST, change);
  /* A server that gives no spoofer a long answer for a short request (ours) has room for
   * OTHER-ADDRESS in IPv6 only where the request is longer than a bare header. */
  stun_put_text(&e, STUN_ATTR_SOFTWARE, "viaduct-peer");
  int len = stun_end(&e);
  out->len = len > 0 ? (size_t)len : 0;
  out->socket = t->socket;
  out->to = t->to;
}

bool behaviour_next(struct behaviour_run *b, uint64_t now_ms, struct behaviour_datagram *out)
{
  for (int i = 0; i < BEHAVIOUR_TESTS; i++) {
    struct behaviour_test *t = &b->test[i];
    if (t->state != ASKING || t->due_ms > now_ms)
      continue;
    if (t->tries == BEHAVIOUR_TRIES) {
      t->state = SILENT;
      finish(b, i, now_ms);
      i = -1; /* what follows from it may stand before it in the table */
      continue;
    }
    write_request(t, plan[i].change, out);
    t->due_ms = now_ms + ((uint64_t)BEHAVIOUR_RTO_MS << t->tries);
    t->tries++;
    return true;
  }
  return false;
}

uint64_t behaviour_next_ms(const struct behaviour_run *b)
{
  uint64_t soonest = UINT64_MAX;
  for (int i = 0; i < BEHAVIOUR_TESTS; i++) {
    if (b->test[i].state == ASKING && b->test[i].due_ms < soonest)
      soonest = b->test[i].due_ms;
  }
  return soonest;
}

/* Our own request, come back by way of the NAT's public side. */
static bool is_hairpin(int which, unsigned socket, const struct stun_view *v)
{
  return which == HAIRPIN_II && socket == SOCKET_MAP && v->class == STUN_REQUEST;
}

/* RFC 5780 section 4.4 asks from where an answer comes: one from the place that was asked says
 * nothing about the filter, only that the server did not do as it was told. */
static bool is_answer(const struct behaviour_run *b, int which, unsigned socket,
                      const struct addr *from, const struct stun_view *v)
{
  const uint8_t change = plan[which].change;
  const struct addr want = change ? quarter(b, (change & CHANGE_IP) != 0, true) : b->test[which].to;
  return which != HAIRPIN_II && socket == plan[which].socket && v->class == STUN_SUCCESS &&
         addr_equal(from, &want);
}

static void take_answer(struct behaviour_run *b, int which, const struct stun_view *v)
{
  struct behaviour_test *t = &b->test[which];
  if (stun_get_addr(v, STUN_ATTR_XOR_MAPPED_ADDRESS, &t->mapped) != 0)
    return;
  t->state = ANSWERED;
  if (b->found.other.family == ADDR_NONE)
    (void)stun_get_addr(v, STUN_ATTR_OTHER_ADDRESS, &b->found.other);
}

void behaviour_input(struct behaviour_run *b, unsigned socket, const struct addr *from,
                     struct bytes datagram, uint64_t now_ms)
{
  struct stun_view v;
  if (stun_decode(datagram.at, datagram.len, &v) != 0 || v.classic || v.method != STUN_BINDING)
    return;
  for (int i = 0; i < BEHAVIOUR_TESTS; i++) {
    struct behaviour_test *t = &b->test[i];
    if (t->state != ASKING || memcmp(t->txid, stun_txid(&v), STUN_TXID_LEN) != 0)
      continue;
    if (is_hairpin(i, socket, &v))
      t->state = ANSWERED;
    else if (is_answer(b, i, socket, from, &v))
      take_answer(b, i, &v);
    if (is_over(t))
      finish(b, i, now_ms);
    return;
  }
}

bool behaviour_is_done(const struct behaviour_run *b)
{
  for (int i = 0; i < BEHAVIOUR_TESTS; i++) {
    if (!is_over(&b->test[i]))
      return false;
  }
  return true;
}

const char *behaviour_name(enum behaviour behaviour)
{
  static const char *const name[BEHAVIOUR_COUNT] = {
      [BEHAVIOUR_UNKNOWN] = "unknown",
      [BEHAVIOUR_NONE] = "none",
      [BEHAVIOUR_ENDPOINT_INDEPENDENT] = "endpoint-independent",
      [BEHAVIOUR_ADDRESS_DEPENDENT] = "address-dependent",
      [BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT] = "address-and-port-dependent",
  };
  return name[behaviour < BEHAVIOUR_COUNT ? behaviour : BEHAVIOUR_UNKNOWN];
}
