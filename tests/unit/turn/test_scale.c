/* A hundred thousand allocations in one struct turn: what time costs then, and what each one takes
 * of memory; and what floods cost. Counts of work and of bytes, never of time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/failing_mem.h"
#include "tests/support/turn_client.h"
#include "turn/core/internal.h"

enum {
  MANY = 100000,
  SIGNED = 10000,
  EACH_FAMILY = 50000,
  CHANNEL = 0x4000,
  NAME_LEN = 32, /* of a time-limited user: ten digits, a colon and a name */
  SPREAD_MS = 60000
};

static struct {
  struct failing_mem memory;
  struct random_seed seed;
  struct random random;
  struct log log;
  struct turn_realm realm;
  struct turn_user user;
  struct turn_relay_address relay[2];
  struct turn_config config;
  struct turn_effects effects;
  struct turn *turn;
  uint64_t now_ms;
  turn_relay last_relay;
  size_t open, replies;            /* relay sockets, answers */
  size_t relayed, lines;           /* datagrams; of the log */
  uint8_t reply[STUN_MESSAGE_MAX]; /* the last */
  size_t reply_len;
} edge;

static int relay_open(void *arg, const struct addr *at, turn_relay *out)
{
  (void)arg;
  (void)at;
  *out = edge.last_relay++;
  edge.open++;
  return 0;
}

static void relay_close(void *arg, turn_relay relay)
{
  (void)arg;
  (void)relay;
  edge.open--;
}

static void reply(void *arg, const struct turn_flow *flow, struct bytes message)
{
  (void)arg;
  (void)flow;
  assert_in_range(message.len, 1, sizeof(edge.reply));
  memcpy(edge.reply, message.at, message.len);
  edge.reply_len = message.len;
  edge.replies++;
}

static void take_log(void *arg, const struct log_record *record)
{
  (void)arg;
  (void)record;
  edge.lines++;
}

static void to_client(void *arg, const struct turn_flow *flow, struct dgram *d)
{
  (void)arg;
  (void)flow;
  (void)d;
  edge.relayed++;
}

static void to_peer(void *arg, turn_relay relay, const struct addr *peer, struct dgram *d,
                    bool dont_fragment)
{
  (void)arg;
  (void)relay;
  (void)peer;
  (void)d;
  (void)dont_fragment;
  edge.relayed++;
}

static const uint8_t name[NAME_LEN] = "1800000000:somebody-with-a-name";

static void begin(bool auth)
{
  memset(&edge, 0, sizeof(edge));
  failing_mem_init(&edge.memory);
  edge.random = random_seeded(&edge.seed, 1);
  edge.log = (struct log){.level = LOG_LEVEL_DEBUG, .take = take_log};
  edge.realm = (struct turn_realm){.name = bytes_of("example.org")};
  edge.user = (struct turn_user){.name = {name, NAME_LEN}, .password = bytes_of("secret")};
  edge.relay[0].local = addr_v4(203, 0, 113, 1, 0);
  edge.relay[1].local = addr_from_ip((const uint8_t[16]){0x20, 1, 0x0d, 0xb8, [15] = 1}, 16, 0);
  edge.config = (struct turn_config){
      .realm = &edge.realm,
      .realm_count = 1,
      .user = &edge.user,
      .user_count = auth ? 1 : 0,
      .auth_required = auth,
      .relay = edge.relay,
      .relay_count = 2,
      .min_port = 1024,
      .max_port = 65535,
      .default_lifetime_s = 600,
      .max_lifetime_s = 3600,
      .permission_lifetime_s = 300,
      .channel_lifetime_s = 600,
      .nonce_lifetime_s = 600,
  };
  edge.effects = (struct turn_effects){.relay_open = relay_open,
                                       .relay_close = relay_close,
                                       .reply = reply,
                                       .to_client = to_client,
                                       .to_peer = to_peer};
  edge.now_ms = 1000000000;
  const struct turn_setup s = {.config = &edge.config,
                               .effects = &edge.effects,
                               .mem = &edge.memory.mem,
                               .random = &edge.random,
                               .log = &edge.log,
                               .now_ms = edge.now_ms,
                               .share_count = 1};
  assert_int_equal(turn_new(&s, &edge.turn), 0);
}

static void end(void)
{
  turn_free(edge.turn);
  assert_int_equal(edge.memory.bytes, 0);
  assert_int_equal(edge.open, 0);
}

static void client_of(struct turn_client *c, size_t i)
{
  const struct addr from = addr_v4(8, 8, (uint8_t)(i >> 15), 8, (uint16_t)(1024 + (i & 0x7fff)));
  const struct addr to = addr_v4(203, 0, 113, 1, 3478);
  client_init(c, &from, &to, TURN_UDP);
  client_text_set(&c->user, name, NAME_LEN);
  client_text_set(&c->password, "secret", 6);
}

/* The class of the answer. */
static enum stun_class ask(struct turn_client *c, uint16_t method, bool v6, bool sign)
{
  uint8_t out[STUN_MESSAGE_MAX];
  struct stun_encoder e;
  struct stun_view v;
  const struct addr peer =
      v6 ? addr_from_ip((const uint8_t[16]){0x2a, 1, [15] = 9}, 16, 9) : addr_v4(9, 9, 9, 9, 9);
  client_begin(c, &e, out, sizeof(out), STUN_REQUEST, method);
  if (method == STUN_ALLOCATE)
    stun_put_uint(&e, STUN_ATTR_REQUESTED_TRANSPORT, TURN__PROTOCOL_UDP);
  if (method == STUN_ALLOCATE && v6)
    stun_put_uint(&e, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, 2);
  if (method == STUN_CHANNEL_BIND) {
    stun_put_uint(&e, STUN_ATTR_CHANNEL_NUMBER, CHANNEL);
    stun_put_addr(&e, STUN_ATTR_XOR_PEER_ADDRESS, &peer);
  }
  if (sign)
    client_sign(c, &e);
  const int len = stun_end(&e);
  assert_true(len > 0);
  struct dgram d = {.storage = out, .cap = sizeof(out), .at = out, .len = (size_t)len};
  const size_t before = edge.replies;
  turn_client_input(edge.turn, &c->flow, &d, edge.now_ms, 1800000000 - 60);
  assert_int_equal(edge.replies, before + 1);
  assert_int_equal(stun_decode(edge.reply, edge.reply_len, &v), 0);
  client_learn(c, &v);
  return v.class;
}

/* Of 100,000 allocations made within a minute, each with a permission and a channel. */
static void time_costs_what_expires(void **state)
{
  (void)state;
  begin(false);
  struct turn_client c;
  const uint64_t start = edge.now_ms;
  for (size_t i = 0; i < MANY; i++) {
    edge.now_ms = start + i * SPREAD_MS / MANY;
    client_of(&c, i);
    assert_int_equal(ask(&c, STUN_ALLOCATE, i >= EACH_FAMILY, false), STUN_SUCCESS);
    assert_int_equal(ask(&c, STUN_CHANNEL_BIND, i >= EACH_FAMILY, false), STUN_SUCCESS);
  }
  assert_int_equal(edge.open, MANY);
  const struct wheel *wheel = &edge.turn->wheel;
  uint64_t asked = edge.memory.asked, worst = 0;
  for (uint64_t ms = SPREAD_MS; ms < 600000; ms++) {
    const uint64_t before = wheel->moves;
    turn_tick(edge.turn, start + ms);
    worst = wheel->moves - before > worst ? wheel->moves - before : worst;
  }
  /* Permissions and channels expire without a timer, and nothing is allocated for time. */
  assert_int_equal(edge.open, MANY);
  assert_int_equal(edge.memory.asked, asked);
  assert_in_range(turn_next_ms(edge.turn), start + 600000 - 1, start + 600000);
  for (uint64_t ms = 0; ms < SPREAD_MS; ms++) {
    const uint64_t before = wheel->moves;
    turn_tick(edge.turn, start + 600000 + ms);
    worst = wheel->moves - before > worst ? wheel->moves - before : worst;
    /* Made in this millisecond or before, each to the very one. */
    assert_int_equal(edge.open, MANY - ((ms + 1) * MANY + SPREAD_MS - 1) / SPREAD_MS);
  }
  assert_int_equal(edge.open, 0);
  /* Twice those of the slot of four seconds that a finer one takes when its time comes. */
  assert_in_range(worst, 1, 2 * (uint64_t)MANY * 4096 / SPREAD_MS);
  assert_true(wheel->moves <= (uint64_t)MANY * WHEEL_LEVELS);
  assert_int_equal(turn_next_ms(edge.turn), WHEEL_NEVER);
  end();
}

/* Bytes asked for, beyond those of a struct turn without any. */
static void an_allocation_takes_a_kilobyte_at_most(void **state)
{
  (void)state;
  begin(true);
  struct turn_client c;
  const size_t bytes = edge.memory.bytes, blocks = edge.memory.blocks;
  for (size_t i = 0; i < SIGNED; i++) {
    client_of(&c, i);
    assert_int_equal(ask(&c, STUN_ALLOCATE, false, false), STUN_ERROR);
    assert_int_equal(ask(&c, STUN_ALLOCATE, false, true), STUN_SUCCESS);
    assert_int_equal(ask(&c, STUN_CHANNEL_BIND, false, true), STUN_SUCCESS);
  }
  assert_int_equal(edge.open, SIGNED);
  const size_t each = (edge.memory.bytes - bytes) / SIGNED;
  print_message("%zu bytes for each allocation with a permission and a channel\n", each);
  assert_in_range(each, sizeof(struct turn_allocation) + NAME_LEN, 1024);
  /* The allocation and its user's name; and what all share: three tables, a realm, an account. */
  assert_in_range(edge.memory.blocks - blocks, 2 * SIGNED, 2 * SIGNED + 8);
  end();
}

/* ---- floods ---- */

enum { FLOOD = 10000 };

static void flood_of(const struct turn_client *c, const void *message, size_t len)
{
  uint8_t storage[256];
  struct dgram d = {.storage = storage, .cap = sizeof(storage), .at = storage + 100, .len = len};
  memcpy(d.at, message, len);
  turn_client_input(edge.turn, &c->flow, &d, edge.now_ms, 1800000000 - 60);
}

/* What clients, peers and strangers send in vain takes no memory, makes no line of the log and no
 * datagram; what is answered, no memory and no line either. */
static void a_flood_leaves_nothing_behind(void **state)
{
  (void)state;
  static const uint8_t unbound[12] = {0x4f, 0xff, 0, 8}, garbage[40] = {0xff},
                       bad[20] = {0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42},
                       binding[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42},
                       allocate[28] = {0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42, [20] = 0, 25, 0, 4, 17};
  begin(true);
  edge.config.unauthorized_per_s = 100;
  struct turn_client c, stranger;
  client_of(&c, 0);
  assert_int_equal(ask(&c, STUN_ALLOCATE, false, false), STUN_ERROR);
  assert_int_equal(ask(&c, STUN_ALLOCATE, false, true), STUN_SUCCESS);
  assert_int_equal(ask(&c, STUN_CHANNEL_BIND, false, true), STUN_SUCCESS);
  const size_t asked = edge.memory.asked, lines = edge.lines, replies = edge.replies;
  for (size_t i = 0; i < FLOOD; i++) {
    const struct addr peer = addr_v4(9, 9, (uint8_t)(i >> 8), (uint8_t)(i | 128), 9);
    uint8_t storage[128];
    struct dgram d = {.storage = storage, .cap = 128, .at = storage + 64, .len = 16};
    memset(storage, 0, sizeof(storage));
    client_of(&stranger, i + 1);
    flood_of(&c, unbound, sizeof(unbound));
    flood_of(&stranger, unbound, sizeof(unbound));
    flood_of(&stranger, garbage, sizeof(garbage));
    turn_peer_input(edge.turn, 0, &peer, &d, edge.now_ms);
    turn_peer_input(edge.turn, 7, &peer, &d, edge.now_ms); /* of no relay */
  }
  const struct turn_counters *counters = turn_counters(edge.turn);
  assert_int_equal(counters->dropped_no_channel, FLOOD);
  assert_int_equal(counters->dropped_no_allocation, 2 * FLOOD);
  assert_int_equal(counters->dropped_malformed, FLOOD);
  assert_int_equal(counters->dropped_no_permission, FLOOD);
  assert_int_equal(edge.replies, replies);
  for (size_t i = 0; i < FLOOD; i++) {
    client_of(&stranger, i + 1);
    flood_of(&stranger, binding, sizeof(binding));
    flood_of(&stranger, bad, sizeof(bad));
    flood_of(&stranger, allocate, sizeof(allocate));
  }
  assert_true(edge.replies >= replies + FLOOD);
  assert_int_equal(edge.relayed, 0);
  assert_int_equal(edge.memory.asked, asked);
  assert_int_equal(edge.lines, lines);
  end();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(time_costs_what_expires),
      cmocka_unit_test(an_allocation_takes_a_kilobyte_at_most),
      cmocka_unit_test(a_flood_leaves_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
