/* See client.h. */
#include "bench/load/client.h"

#include <string.h>

void load_client_init(struct load_client *c, const char *username, const char *password,
                      uint64_t id)
{
  *c = (struct load_client){.username = username, .password = password};
  store_be64(c->txid, id);
}

static void next_transaction(struct load_client *c)
{
  store_be32(c->txid + 8, load_be32(c->txid + 8) + 1);
  c->tries = 0;
}

static void sign(const struct load_client *c, struct stun_encoder *e)
{
  if (c->nonce_len == 0)
    return;
  stun_put_text(e, STUN_ATTR_USERNAME, c->username);
  stun_put_bytes(e, STUN_ATTR_REALM, c->realm, c->realm_len);
  stun_put_bytes(e, STUN_ATTR_NONCE, c->nonce, c->nonce_len);
  stun_put_integrity(e, STUN_INTEGRITY_SHA1, &c->key);
}

static size_t end(struct stun_encoder *e)
{
  const int len = stun_end(e);
  return len > 0 ? (size_t)len : 0;
}

size_t load_client_request(const struct load_client *c, uint8_t *out)
{
  static const uint16_t method[] = {[LOAD_CHALLENGE] = STUN_ALLOCATE,
                                    [LOAD_ALLOCATE] = STUN_ALLOCATE,
                                    [LOAD_PERMIT] = STUN_CREATE_PERMISSION,
                                    [LOAD_BIND] = STUN_CHANNEL_BIND};
  struct stun_encoder e;
  if (c->step >= LOAD_READY)
    return 0;
  stun_begin(&e, out, LOAD_REQUEST_MAX, STUN_REQUEST, method[c->step], c->txid);
  if (c->step == LOAD_CHALLENGE || c->step == LOAD_ALLOCATE)
    stun_put_uint(&e, STUN_ATTR_REQUESTED_TRANSPORT, 17);
  if (c->ipv6 && c->step <= LOAD_ALLOCATE)
    stun_put_uint(&e, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, 2);
  if (c->step == LOAD_BIND)
    stun_put_uint(&e, STUN_ATTR_CHANNEL_NUMBER, LOAD_CHANNEL);
  if (c->step == LOAD_PERMIT || c->step == LOAD_BIND)
    stun_put_addr(&e, STUN_ATTR_XOR_PEER_ADDRESS, &c->peer);
  if (c->step != LOAD_CHALLENGE)
    sign(c, &e);
  return end(&e);
}

size_t load_client_farewell(struct load_client *c, uint8_t *out)
{
  struct stun_encoder e;
  next_transaction(c);
  stun_begin(&e, out, LOAD_REQUEST_MAX, STUN_REQUEST, STUN_REFRESH, c->txid);
  stun_put_uint(&e, STUN_ATTR_LIFETIME, 0);
  sign(c, &e);
  return end(&e);
}

static bool fail(struct load_client *c, int code)
{
  c->step_failed = c->step;
  c->step = LOAD_FAILED;
  c->code = code;
  return true;
}

static bool learn(struct load_client *c, const struct stun_view *v)
{
  const struct bytes realm = stun_get_bytes(v, STUN_ATTR_REALM);
  const struct bytes nonce = stun_get_bytes(v, STUN_ATTR_NONCE);
  if (realm.len == 0 || nonce.len == 0 || realm.len > STUN_NONCE_MAX || nonce.len > STUN_NONCE_MAX)
    return fail(c, 401);
  memcpy(c->realm, realm.at, realm.len);
  memcpy(c->nonce, nonce.at, nonce.len);
  c->realm_len = (uint8_t)realm.len;
  c->nonce_len = (uint8_t)nonce.len;
  c->key = stun_key_md5(bytes_of(c->username), realm, bytes_of(c->password));
  next_transaction(c);
  if (c->step == LOAD_CHALLENGE)
    c->step = LOAD_ALLOCATE;
  return true;
}

static bool advance(struct load_client *c, const struct stun_view *v)
{
  const bool allocated = c->step == LOAD_CHALLENGE || c->step == LOAD_ALLOCATE;
  if (allocated && stun_get_addr(v, STUN_ATTR_XOR_RELAYED_ADDRESS, &c->relayed) != 0)
    return fail(c, 0);
  if (allocated)
    c->step = LOAD_PERMIT;
  else if (c->step == LOAD_PERMIT && c->channel)
    c->step = LOAD_BIND;
  else
    c->step = LOAD_READY;
  next_transaction(c);
  return true;
}

bool load_client_take(struct load_client *c, struct bytes datagram)
{
  struct stun_view v;
  if (c->step >= LOAD_READY || datagram.len == 0 || datagram.at[0] > 3 ||
      stun_decode(datagram.at, datagram.len, &v) != 0 ||
      memcmp(stun_txid(&v), c->txid, STUN_TXID_LEN) != 0)
    return false;
  if (v.class == STUN_SUCCESS)
    return advance(c, &v);
  if (v.class != STUN_ERROR)
    return false;
  const int code = stun_get_error(&v);
  const bool asked = (code == 401 && c->step == LOAD_CHALLENGE) || code == 438;
  return asked ? learn(c, &v) : fail(c, code);
}
