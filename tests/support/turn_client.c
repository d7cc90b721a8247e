/* The client's side of RFC 8489 section 9.2. */
#include "tests/support/turn_client.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/turn_world.h"

void client_text_set(struct client_text *t, const void *p, size_t len)
{
  if (len > sizeof(t->at))
    abort();
  if (len)
    memcpy(t->at, p, len);
  t->len = len;
}

void client_init(struct turn_client *c, const struct addr *from, const struct addr *to,
                 enum turn_transport transport)
{
  *c = (struct turn_client){
      .flow = {.client = *from, .server = *to, .transport = transport, .link = 1},
      .integrity = STUN_INTEGRITY_SHA1,
  };
  client_text_set(&c->user, "bob", 3);
  client_text_set(&c->password, "secret", 6);
}

void client_begin(struct turn_client *c, struct stun_encoder *e, void *out, size_t cap,
                  enum stun_class class, uint16_t method)
{
  uint8_t txid[STUN_TXID_LEN] = {0};
  store_be32(txid, c->flow.client.port);
  store_be64(txid + 4, ++c->transactions);
  stun_begin(e, out, cap, class, method, txid);
}

static struct bytes text(const struct client_text *t)
{
  return (struct bytes){t->at, t->len};
}

struct stun_key client_key(const struct turn_client *c)
{
  if (c->mac_key.len) {
    struct stun_key key = {.len = (uint8_t)c->mac_key.len};
    memcpy(key.bytes, c->mac_key.at, c->mac_key.len);
    return key;
  }
  if (c->sha256_key)
    return stun_key_sha256(text(&c->user), text(&c->realm), text(&c->password));
  return stun_key_md5(text(&c->user), text(&c->realm), text(&c->password));
}

void client_sign(const struct turn_client *c, struct stun_encoder *e)
{
  static const uint8_t sha256[] = {0, 2, 0, 0};
  const struct stun_key key = client_key(c);
  uint8_t hash[32];
  stun_userhash(text(&c->user), text(&c->realm), hash);
  if (c->userhash)
    stun_put_bytes(e, STUN_ATTR_USERHASH, hash, sizeof(hash));
  else
    stun_put_bytes(e, STUN_ATTR_USERNAME, c->user.at, c->user.len);
  const uint16_t type = load_be16(e->at);
  if (c->token.len && (type == STUN_ALLOCATE || type == STUN_REFRESH))
    stun_put_bytes(e, STUN_ATTR_ACCESS_TOKEN, c->token.at, c->token.len);
  stun_put_bytes(e, STUN_ATTR_REALM, c->realm.at, c->realm.len);
  stun_put_bytes(e, STUN_ATTR_NONCE, c->nonce.at, c->nonce.len);
  if (c->sha256_key) {
    stun_put_bytes(e, STUN_ATTR_PASSWORD_ALGORITHMS, c->algorithms.at, c->algorithms.len);
    stun_put_bytes(e, STUN_ATTR_PASSWORD_ALGORITHM, sha256, sizeof(sha256));
  }
  stun_put_integrity(e, c->integrity, &key);
}

static void learn(struct client_text *t, const struct stun_view *v, enum stun_attr a)
{
  const struct bytes value = stun_get_bytes(v, a);
  if (stun_has(v, a) && value.len <= sizeof(t->at))
    client_text_set(t, value.at, value.len);
}

void client_learn(struct turn_client *c, const struct stun_view *response)
{
  learn(&c->realm, response, STUN_ATTR_REALM);
  learn(&c->nonce, response, STUN_ATTR_NONCE);
  learn(&c->algorithms, response, STUN_ATTR_PASSWORD_ALGORITHMS);
}

bool client_exchange(struct turn_client *c, struct stun_encoder *e, bool sign, struct world *w)
{
  struct stun_view v;
  if (sign)
    client_sign(c, e);
  const int len = stun_end(e);
  if (len <= 0)
    return false;
  world_client_input(w, &c->flow, e->at, (size_t)len);
  const struct world_output *o = world_next(w);
  if (!o || stun_decode(o->at, o->len, &v) != 0)
    return false;
  client_learn(c, &v);
  world_clear(w);
  return true;
}

bool client_trusts(const struct turn_client *c, const struct stun_view *v)
{
  const struct stun_key key = client_key(c);
  const bool sha1 = stun_has(v, STUN_ATTR_MESSAGE_INTEGRITY);
  const bool sha256 = stun_has(v, STUN_ATTR_MESSAGE_INTEGRITY_SHA256);
  return (sha1 || sha256) && (!sha1 || stun_check_integrity(v, STUN_INTEGRITY_SHA1, &key)) &&
         (!sha256 || stun_check_integrity(v, STUN_INTEGRITY_SHA256, &key));
}
