/* Third-party authorization (RFC 7635): a token that an authorization server sealed for this server
 * brings the key that signs the request. USERNAME is the kid, the name of the key that the two
 * servers share; nothing else is known of the user. auth.c asks here for requests with
 * ACCESS-TOKEN.
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |         nonce_length          |  nonce ...                    |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  encrypted_block, and the tag of the AEAD ...                 |
 *
 * and in the block key_length (16 bits), mac_key, timestamp (48 bits of seconds and 16 of 1/64000),
 * lifetime (32 bits).
 */
#include <string.h>

#include "base/err.h"
#include "turn/core/internal.h"

enum {
  NONCE_LEN = 12, /* RFC 5116 5.1: N_MIN and N_MAX of both AEADs */
  TAG_LEN = 16,
  CUT_KEY_LEN = 16,
  LENGTH_LEN = 2,
  TIMES_LEN = 8 + 4,
  PLAIN_MAX = LENGTH_LEN + STUN_KEY_MAX + TIMES_LEN,
  DELTA_S = 5 /* what RFC 7635 section 7 recommends */
};

struct token {
  struct stun_key key;
  uint64_t made_s;
  uint32_t lifetime_s;
};

static bool read_block(struct bytes plain, struct token *out)
{
  const size_t key_len = plain.len < LENGTH_LEN ? 0 : load_be16(plain.at);
  if (key_len == 0 || key_len > STUN_KEY_MAX || plain.len != LENGTH_LEN + key_len + TIMES_LEN)
    return false;
  const uint8_t *times = plain.at + LENGTH_LEN + key_len;
  memcpy(out->key.bytes, plain.at + LENGTH_LEN, key_len);
  out->key.len = (uint8_t)key_len;
  out->made_s = load_be64(times) >> 16;
  out->lifetime_s = load_be32(times + 8);
  return true;
}

/* The associated data is the name of the server (6.2): a token for another one that shares the key
 * is none for us. */
static bool open_with(const struct turn_request *rq, const struct turn_oauth_key *key,
                      struct token *out)
{
  const struct turn *t = rq->t;
  const struct bytes value = stun_get_bytes(rq->view, STUN_ATTR_ACCESS_TOKEN);
  uint8_t plain[PLAIN_MAX];
  if (value.len < LENGTH_LEN + NONCE_LEN + TAG_LEN || load_be16(value.at) != NONCE_LEN)
    return false;
  const struct bytes sealed = {value.at + LENGTH_LEN + NONCE_LEN,
                               value.len - LENGTH_LEN - NONCE_LEN};
  if (sealed.len > PLAIN_MAX + TAG_LEN)
    return false;
  const struct turn_sealed box = {
      .key = {key->key, key->key_len},
      .nonce = {value.at + LENGTH_LEN, NONCE_LEN},
      .associated = t->config->server_name,
      .sealed = sealed,
  };
  const bool opened = t->effects->aead_open(t->effects->arg, &box, plain) == 0 &&
                      read_block((struct bytes){plain, sealed.len - TAG_LEN}, out);
  bytes_wipe(plain, sizeof(plain));
  return opened;
}

static bool is_usable(const struct turn_request *rq, const struct turn_oauth_key *key)
{
  return bytes_equal(key->kid, rq->username) &&
         (key->realm.len == 0 || bytes_equal(key->realm, rq->realm->name)) &&
         rq->wall_s >= key->from_s && (key->until_s == 0 || rq->wall_s < key->until_s);
}

/* The kid in USERNAME selects the key (section 7); of one name there may be several, while one
 * replaces another. */
static bool open_token(const struct turn_request *rq, struct token *out)
{
  const struct turn_config *c = rq->t->config;
  for (size_t i = 0; i < c->oauth_key_count; i++)
    if (is_usable(rq, &c->oauth_key[i]) && open_with(rq, &c->oauth_key[i], out))
      return true;
  return false;
}

/* A token is good while "lifetime + Delta > abs(RDnew - TS)" (section 7): RDnew is when the request
 * came, TS the timestamp. How many seconds that will be, at most its lifetime; 0: it is not. */
static uint32_t seconds_left(const struct token *token, uint64_t wall_s)
{
  const uint64_t age_s = wall_s > token->made_s ? wall_s - token->made_s : token->made_s - wall_s;
  const uint64_t allowed_s = (uint64_t)token->lifetime_s + DELTA_S;
  if (token->lifetime_s == 0 || allowed_s <= age_s)
    return 0;
  const uint64_t left_s = allowed_s - age_s;
  return left_s < token->lifetime_s ? (uint32_t)left_s : token->lifetime_s;
}

/* coturn, and the clients that were tried against it, sign with the first 16 bytes of the key,
 * which is the length of an MD5 key; its tools do in version 4.6. */
static bool token_fits(struct turn_request *rq)
{
  struct stun_key *key = &rq->key.hmac;
  if (turn__key_fits(rq, key))
    return true;
  if (key->len <= CUT_KEY_LEN || stun_has(rq->view, STUN_ATTR_MESSAGE_INTEGRITY_SHA256))
    return false;
  key->len = CUT_KEY_LEN;
  return turn__key_fits(rq, key);
}

int turn__token(struct turn_request *rq)
{
  struct token token = {.lifetime_s = 0};
  const uint32_t left_s = open_token(rq, &token) ? seconds_left(&token, rq->wall_s) : 0;
  rq->key.hmac = token.key;
  rq->key.algorithm = TURN__TOKEN;
  rq->expiry_s = rq->wall_s + left_s;
  rq->account = rq->username;
  bytes_wipe(&token, sizeof(token));
  return left_s > 0 && token_fits(rq) ? 0 : 401;
}

/* No lifetime in an Allocate or Refresh response is longer than the token's (section 9). */
uint32_t turn__token_cap(const struct turn_request *rq, uint32_t seconds)
{
  if (rq->key.algorithm != TURN__TOKEN || !rq->authentic)
    return seconds;
  const uint64_t left_s = rq->expiry_s > rq->wall_s ? rq->expiry_s - rq->wall_s : 0;
  return seconds < left_s ? seconds : (uint32_t)left_s;
}

/* A client that has got a new token refreshes its allocations with that one (section 9): its key
 * signs what comes, and its kid may be another, when the servers have changed their key. */
int turn__token_adopt(struct turn_request *rq, struct turn_allocation *a)
{
  if (rq->key.algorithm != TURN__TOKEN || !stun_has(rq->view, STUN_ATTR_ACCESS_TOKEN))
    return 0;
  if (!bytes_equal((struct bytes){a->username, a->username_len}, rq->username)) {
    struct mem *mem = rq->t->mem;
    char *name = mem_copy_text(mem, rq->username.at, rq->username.len);
    if (!name)
      return 508;
    mem_free(mem, a->username, (size_t)a->username_len + 1);
    a->username = (uint8_t *)name;
    a->username_len = (uint16_t)rq->username.len;
  }
  a->key = rq->key;
  a->expiry_s = rq->expiry_s;
  return 0;
}
