/* Fuzz target: access tokens (RFC 7635), to the whole relay. An even first byte: the rest is the
 * value of ACCESS-TOKEN. An odd one: it is the block, which is sealed with the right key, so that
 * what is inside it is read. The request is signed with the key that the block should have. What
 * must hold: who gets an allocation had a sealed block of the right form that is of this time, and
 * his allocation ends with it. */
#include <string.h>

#include "stun/core/integrity.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/turn_aead.h"
#include "tests/support/turn_client.h"
#include "tests/support/turn_world.h"

enum { VALUE_MAX = 500, DELTA_S = 5 };

static const char key[] = "0123456789abcdef0123456789abcdef";

struct block {
  struct bytes mac_key;
  uint64_t made_s;
  uint32_t lifetime_s;
};

/* As section 6.2 has it, written anew. False: no block. */
static bool read_block(const uint8_t *p, size_t len, struct block *out)
{
  if (len < 14 || (size_t)p[0] << 8 != 0 || len != 14u + p[1] || p[1] == 0 || p[1] > STUN_KEY_MAX)
    return false;
  const uint8_t *q = p + 2 + p[1];
  out->mac_key = (struct bytes){p + 2, p[1]};
  out->made_s = (uint64_t)load_be16(q) << 32 | load_be32(q + 2);
  out->lifetime_s = load_be32(q + 8);
  return true;
}

static bool is_recent(const struct block *b, uint64_t now_s)
{
  const uint64_t age_s = now_s > b->made_s ? now_s - b->made_s : b->made_s - now_s;
  return b->lifetime_s > 0 && (uint64_t)b->lifetime_s + DELTA_S > age_s;
}

static size_t seal(const struct world *w, const uint8_t *block, size_t len, uint8_t *out)
{
  store_be16(out, FAKE_AEAD_NONCE);
  memset(out + 2, 'n', FAKE_AEAD_NONCE);
  const struct turn_sealed box = {
      .key = {(const uint8_t *)key, sizeof(key) - 1},
      .nonce = {out + 2, FAKE_AEAD_NONCE},
      .associated = w->config.server_name,
      .sealed = {block, len},
  };
  fake_aead_seal(&box, out + 2 + FAKE_AEAD_NONCE);
  return 2 + FAKE_AEAD_NONCE + len + FAKE_AEAD_TAG;
}

static int send_allocate(struct world *w, struct turn_client *c, bool sign)
{
  uint8_t message[2048];
  struct stun_encoder e;
  struct stun_view v;
  client_begin(c, &e, message, sizeof(message), STUN_REQUEST, STUN_ALLOCATE);
  stun_put_uint(&e, STUN_ATTR_REQUESTED_TRANSPORT, 17);
  stun_put_uint(&e, STUN_ATTR_LIFETIME, 3600);
  if (sign)
    client_sign(c, &e);
  const int len = stun_end(&e);
  REQUIRE(len > 0);
  world_client_input(w, &c->flow, message, (size_t)len);
  const struct world_output *o = world_next(w);
  REQUIRE(o && o->kind == WORLD_REPLY && stun_decode(o->at, o->len, &v) == 0);
  const int code = stun_get_error(&v);
  uint32_t lifetime_s = 0;
  if (code == 401)
    client_learn(c, &v);
  else
    REQUIRE(client_trusts(c, &v) && stun_get_uint(&v, STUN_ATTR_LIFETIME, &lifetime_s));
  REQUIRE(!world_next(w));
  world_clear(w);
  return code ? -code : (int)lifetime_s;
}

static void check(struct world *w, const struct block *block, int got)
{
  const bool good = block && is_recent(block, world_wall_s(w));
  REQUIRE(!w->broken && (got == -401 || got > 0));
  REQUIRE((got > 0) == good);
  REQUIRE(turn_counters(w->turn)->allocations == good);
  if (!good)
    return;
  REQUIRE((uint32_t)got <= block->lifetime_s && got <= 3600);
  world_elapse(w, (uint64_t)got * 1000 - 1);
  REQUIRE(turn_counters(w->turn)->allocations == 1);
  world_elapse(w, 1);
  REQUIRE(turn_counters(w->turn)->allocations == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct world w;
  struct turn_client c;
  struct block block;
  const struct addr from = addr_v4(8, 8, 8, 8, 1), to = addr_v4(9, 9, 9, 9, 3478);
  if (size == 0 || size > VALUE_MAX)
    return 0;
  world_init(&w);
  w.config.oauth = true;
  w.config.server_name = bytes_of("turn.example.org");
  w.config.oauth_key_count = 1;
  w.oauth_key[0] = (struct turn_oauth_key){.kid = bytes_of("bob"), .key_len = sizeof(key) - 1};
  memcpy(w.oauth_key[0].key, key, sizeof(key) - 1);
  REQUIRE(world_start(&w) == 0);
  client_init(&c, &from, &to, TURN_UDP);
  REQUIRE(send_allocate(&w, &c, false) == -401);
  const bool sealed = data[0] & 1 && read_block(data + 1, size - 1, &block);
  if (data[0] & 1)
    c.token.len = seal(&w, data + 1, size - 1, c.token.at);
  else
    client_text_set(&c.token, data + 1, size - 1);
  if (data[0] & 1 && size > 3 && data[2] > 0 && data[2] <= STUN_KEY_MAX && size >= 3u + data[2])
    client_text_set(&c.mac_key, data + 3, data[2]);
  /* Without a value, an ACCESS-TOKEN is not even sent. */
  if (c.token.len)
    check(&w, sealed ? &block : NULL, send_allocate(&w, &c, true));
  REQUIRE(world_stop(&w));
  return 0;
}
