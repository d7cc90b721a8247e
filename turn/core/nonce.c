/* Nonces that need no memory: the time, and a MAC over it and the client's address under a key that
 * every node of the service may share. reply.c makes them, auth.c checks them.
 *
 *   "obMatJos2" | 4 characters: security features | 15 characters: 4 bytes time, 7 bytes MAC
 *
 * RFC 8489 9.2: "a server MUST prepend the NONCE attribute value with the character string composed
 * of "obMatJos2" concatenated with the (4-character) base64 encoding of the 24-bit STUN Security
 * Features". Of the two features, password algorithms (bit 0) are always offered, and username
 * anonymity (bit 1) where every user stands in the configuration: a time-limited username is
 * nowhere stored, so no USERHASH of it can be looked up. What was offered stands in the nonce, and
 * a nonce with other bits than ours is not ours.
 *
 * The address is part of the MAC since 9.2.4 asks for it: "The server MUST NOT choose the same
 * NONCE for two requests unless they have the same source IP address and port." A nonce that was
 * seen on the wire is then of no use from anywhere else. A client behind a NAT that changed its
 * mapping pays with one 438; its allocation is lost with the mapping anyway.
 *
 * 56 bits of MAC, since a nonce proves nothing on its own: whoever hits one in 2^56 tries, each a
 * datagram to us, has a nonce that he would be given for the asking. A longer one makes longer
 * challenges, and those go to whoever forges an address (reply.c).
 */
#include <string.h>

#include "base/digest.h"
#include "turn/core/internal.h"

/* Bit 0 of 24 is the most significant: 80 00 00, and with bit 1 C0 00 00. */
static const char cookie_algorithms[] = "obMatJos2gAAA";
static const char cookie_anonymity[] = "obMatJos2wAAA";

enum {
  COOKIE_LEN = sizeof(cookie_algorithms) - 1,
  TIME_LEN = 4, /* seconds since 1970, until 2106 */
  MAC_LEN = 7,
  BODY_LEN = TIME_LEN + MAC_LEN,
  SKEW_S = 60 /* a nonce of another node whose clock is ahead */
};

static void nonce_body(const struct turn *t, const struct turn_flow *flow, struct bytes realm,
                       uint32_t made_s, uint8_t out[BODY_LEN])
{
  uint8_t port[2], mac[SHA256_SIZE];
  store_be32(out, made_s);
  store_be16(port, flow->client.port);
  const struct bytes piece[] = {
      {out, TIME_LEN},
      {flow->client.ip, sizeof(flow->client.ip)},
      {port, sizeof(port)},
      realm,
  };
  const struct bytes key = {t->config->nonce_key, sizeof(t->config->nonce_key)};
  hmac_sha256(key, piece, sizeof(piece) / sizeof(piece[0]), mac);
  memcpy(out + TIME_LEN, mac, MAC_LEN);
}

void turn__nonce_make(const struct turn *t, const struct turn_flow *flow, struct bytes realm,
                      uint64_t wall_s, uint8_t out[TURN__NONCE_LEN])
{
  uint8_t body[BODY_LEN];
  struct buf b;
  nonce_body(t, flow, realm, (uint32_t)wall_s, body);
  buf_init(&b, out, TURN__NONCE_LEN);
  buf_put(&b, turn__userhash_is_offered(t->config, realm) ? cookie_anonymity : cookie_algorithms,
          COOKIE_LEN);
  buf_put_base64url(&b, body, sizeof(body));
}

static bool is_ours(const struct turn *t, const struct turn_flow *flow, struct bytes realm,
                    struct bytes nonce, uint64_t wall_s, uint64_t *out)
{
  uint8_t expected[TURN__NONCE_LEN], body[BODY_LEN];
  if (nonce.len != TURN__NONCE_LEN)
    return false;
  const struct bytes text = {nonce.at + COOKIE_LEN, nonce.len - COOKIE_LEN};
  if (base64_decode(text, body, sizeof(body)) != BODY_LEN)
    return false;
  const uint64_t made_s = load_be32(body);
  /* Comparing the text, cookie included, leaves a man in the middle no bit to turn (RFC 8489 9.2.1:
   * bid-down) and no second spelling of the same nonce. */
  turn__nonce_make(t, flow, realm, made_s, expected);
  if (!bytes_equal_ct(expected, nonce.at, TURN__NONCE_LEN) || made_s > wall_s + SKEW_S)
    return false;
  *out = made_s;
  return true;
}

bool turn__nonce_is_ours(const struct turn *t, const struct turn_flow *flow, struct bytes realm,
                         struct bytes nonce, uint64_t wall_s)
{
  uint64_t made_s;
  return is_ours(t, flow, realm, nonce, wall_s, &made_s);
}

bool turn__nonce_is_fresh(const struct turn *t, const struct turn_flow *flow, struct bytes realm,
                          struct bytes nonce, uint64_t wall_s)
{
  uint64_t made_s;
  if (!is_ours(t, flow, realm, nonce, wall_s, &made_s))
    return false;
  const uint32_t lifetime_s = t->config->nonce_lifetime_s;
  return lifetime_s == 0 || made_s + lifetime_s > wall_s;
}

bool turn__userhash_is_offered(const struct turn_config *c, struct bytes realm)
{
  return c->user_hash && !c->secret_count && !c->realm[0].secret_count && !c->users_elsewhere &&
         !c->oauth && c->user_count <= TURN__USERHASH_MAX && bytes_equal(realm, c->realm[0].name);
}

/* RFC 8489 14.11: algorithm, length of its parameters (none), in the order of preference. A user
 * whose key is stored as MD5 (user=name:0xkey, a database) cannot be checked in any other way. */
struct bytes turn__algorithms(const struct turn_config *c)
{
  static const uint8_t both[] = {0, TURN__SHA256, 0, 0, 0, TURN__MD5, 0, 0};
  static const uint8_t md5[] = {0, TURN__MD5, 0, 0};
  bool stored = c->users_elsewhere;
  for (size_t i = 0; i < c->user_count && !stored; i++)
    stored = c->user[i].has_key;
  if (stored)
    return (struct bytes){md5, sizeof(md5)};
  return (struct bytes){both, sizeof(both)};
}
