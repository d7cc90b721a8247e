/* Who asks: the long-term credential mechanism (RFC 8489 section 9.2), with users from the
 * configuration, with time-limited usernames that a shared secret vouches for, and with access
 * tokens (token.c). input.c calls it for every request but Binding. Nothing is stored and nothing
 * is written before all is proven.
 */
#include <string.h>

#include "base/digest.h"
#include "base/err.h"
#include "turn/core/internal.h"

bool turn__key_fits(const struct turn_request *rq, const struct stun_key *key)
{
  /* "If the MESSAGE-INTEGRITY-SHA256 attribute is present, compute the value ... Otherwise, using
   * the same password, compute the value for the MESSAGE-INTEGRITY attribute" (RFC 8489 9.2.4). */
  const enum stun_integrity kind = stun_has(rq->view, STUN_ATTR_MESSAGE_INTEGRITY_SHA256)
                                       ? STUN_INTEGRITY_SHA256
                                       : STUN_INTEGRITY_SHA1;
  return stun_check_integrity(rq->view, kind, key);
}

static bool password_fits(struct turn_request *rq, struct bytes password)
{
  const struct bytes realm = rq->realm->name;
  rq->key.hmac = rq->key.algorithm == TURN__SHA256 ? stun_key_sha256(rq->username, realm, password)
                                                   : stun_key_md5(rq->username, realm, password);
  return turn__key_fits(rq, &rq->key.hmac);
}

/* The allocation that the request is about. A ConnectionBind comes by another flow: "Authentication
 * of the client by the server MUST use the same method and credentials as for the control
 * connection" (RFC 6062 4.3). */
static const struct turn_allocation *subject(const struct turn_request *rq)
{
  if (rq->moving)
    return rq->moving;
  return rq->connection ? rq->connection->owner : rq->allocation;
}

static bool has_run_out(const struct turn_request *rq, const struct turn_allocation *a)
{
  const bool matters = rq->t->config->enforce_expiry || a->key.algorithm == TURN__TOKEN;
  return matters && a->expiry_s && rq->wall_s >= a->expiry_s;
}

/* The key that made the allocation is good as long as the allocation lives (RFC 8656 section 6: the
 * authentication information is "used to both verify subsequent requests and to compute the message
 * integrity of responses"), as in coturn: the expiry of a time-limited username ends no call that
 * is under way, unless enforce-expiry wants it. And a Refresh costs no key derivation. */
static bool cached_key_fits(struct turn_request *rq)
{
  const struct turn_allocation *a = subject(rq);
  if (!a || has_run_out(rq, a))
    return false;
  /* A token brings its key itself, whatever algorithm makes one of a password. Clients put
   * ACCESS-TOKEN into Allocate and Refresh requests alone (RFC 7635 section 9), so that the others
   * show no more than the signature. */
  const uint8_t algorithm = rq->key.algorithm;
  if (a->key.algorithm == TURN__TOKEN)
    rq->key.algorithm = TURN__TOKEN;
  if (a->key.algorithm != rq->key.algorithm || !turn__is_owner(rq, a) ||
      !turn__key_fits(rq, &a->key.hmac)) {
    rq->key.algorithm = algorithm;
    return false;
  }
  rq->key = a->key;
  rq->expiry_s = a->expiry_s;
  rq->account = rq->username;
  return true;
}

bool turn__user_fits(struct turn_request *rq, const struct turn_user *u)
{
  rq->account = rq->username;
  if (!u->has_key)
    return password_fits(rq, u->password);
  rq->key.hmac.len = MD5_SIZE;
  memcpy(rq->key.hmac.bytes, u->key, MD5_SIZE);
  return turn__key_fits(rq, &rq->key.hmac);
}

/* The users of the configuration are those of its own realm, as coturn has it: their keys cover
 * that name. */
static bool user_fits(struct turn_request *rq)
{
  const struct turn_config *c = rq->t->config;
  if (rq->realm != &c->realm[0])
    return false;
  for (size_t i = 0; i < c->user_count; i++)
    if (bytes_equal(c->user[i].name, rq->username))
      return turn__user_fits(rq, &c->user[i]);
  return false;
}

/* "<expiry>:<name>", "<expiry>" alone, or as coturn takes it too, "<name>:<expiry>"; the first
 * separator counts. */
static bool read_expiry(struct bytes username, char separator, uint64_t *expiry, struct bytes *name)
{
  const uint8_t *sep = username.len ? memchr(username.at, separator, username.len) : NULL;
  if (!sep) {
    *name = (struct bytes){NULL, 0};
    return parse_uint(username, UINT64_MAX, expiry) == 0;
  }
  const size_t at = (size_t)(sep - username.at);
  const struct bytes before = {username.at, at};
  const struct bytes behind = {sep + 1, username.len - at - 1};
  *name = behind;
  if (parse_uint(before, UINT64_MAX, expiry) == 0)
    return true;
  *name = before;
  return parse_uint(behind, UINT64_MAX, expiry) == 0;
}

/* draft-uberti-behave-turn-rest: password = base64(HMAC-SHA1(secret, username)). Each secret is
 * tried, so that a new one can be brought in while the old one's credentials run out. */
static bool one_secret_fits(struct turn_request *rq, const struct bytes *secret, size_t count)
{
  bool fits = false;
  for (size_t i = 0; i < count && !fits; i++) {
    uint8_t mac[SHA1_SIZE], text[32];
    struct buf password;
    hmac_sha1(secret[i], &rq->username, 1, mac);
    buf_init(&password, text, sizeof(text));
    buf_put_base64(&password, mac, sizeof(mac));
    fits = password_fits(rq, (struct bytes){text, password.len});
    bytes_wipe(text, sizeof(text));
  }
  return fits;
}

static bool secret_fits(struct turn_request *rq)
{
  const struct turn_config *c = rq->t->config;
  const struct turn_realm *realm = rq->realm;
  uint64_t expiry;
  if (c->secret_count + realm->secret_count == 0 ||
      !read_expiry(rq->username, c->rest_separator, &expiry, &rq->account) || rq->wall_s >= expiry)
    return false;
  const bool fits = one_secret_fits(rq, c->secret, c->secret_count) ||
                    one_secret_fits(rq, realm->secret, realm->secret_count);
  rq->expiry_s = fits ? expiry : 0;
  return fits;
}

/* 0, 401, or what turn__lookup says. */
static int check_credential(struct turn_request *rq)
{
  if (rq->t->config->oauth && stun_has(rq->view, STUN_ATTR_ACCESS_TOKEN))
    return turn__token(rq);
  if (cached_key_fits(rq) || user_fits(rq) || secret_fits(rq))
    return 0;
  const int code = rq->t->config->users_elsewhere ? turn__lookup(rq) : 401;
  if (code)
    bytes_wipe(&rq->key.hmac, sizeof(rq->key.hmac));
  return code;
}

/* "Otherwise, unless (1) PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS are both present, (2)
 * PASSWORD-ALGORITHMS matches the value sent in the response that sent this NONCE, and (3)
 * PASSWORD-ALGORITHM matches one of the entries in PASSWORD-ALGORITHMS, the server MUST generate an
 * error response with an error code of 400" (RFC 8489 9.2.4). */
static int read_algorithm(struct turn_request *rq)
{
  const struct stun_view *v = rq->view;
  const bool list = stun_has(v, STUN_ATTR_PASSWORD_ALGORITHMS);
  const bool one = stun_has(v, STUN_ATTR_PASSWORD_ALGORITHM);
  rq->key.algorithm = TURN__MD5;
  rq->sign = STUN_INTEGRITY_SHA1;
  if (!list && !one)
    return 0;
  const struct bytes offered = turn__algorithms(rq->t->config);
  if (!list || !one || !bytes_equal(stun_get_bytes(v, STUN_ATTR_PASSWORD_ALGORITHMS), offered))
    return 400;
  /* "Any response generated by the server MUST include the MESSAGE-INTEGRITY-SHA256 attribute ...
   * unless the request was processed as though PASSWORD-ALGORITHM was MD5" */
  rq->sign = STUN_INTEGRITY_SHA256;
  const struct bytes chosen = stun_get_bytes(v, STUN_ATTR_PASSWORD_ALGORITHM);
  for (size_t at = 0; at < offered.len; at += 4)
    if (chosen.len == 4 && memcmp(chosen.at, offered.at + at, 4) == 0) {
      rq->key.algorithm = chosen.at[1];
      return 0;
    }
  return 400;
}

/* Whose hash this is (RFC 8489 14.4: SHA-256 of the name and the realm). They were computed when
 * the configuration was read, and all of them are compared, so that the time tells nothing. */
static bool find_userhash(struct turn_request *rq, const uint8_t *hash)
{
  const struct turn_config *c = rq->t->config;
  bool found = false;
  for (size_t i = 0; i < c->user_count; i++)
    if (bytes_equal_ct(c->user_hash[i], hash, sizeof(c->user_hash[i]))) {
      rq->username = c->user[i].name;
      found = true;
    }
  return found;
}

/* A user whom a reload took away goes on with what he has, by his hash as by his name. */
static bool is_owner_hash(struct turn_request *rq, const uint8_t *hash)
{
  const struct turn_allocation *a = subject(rq);
  uint8_t of_owner[SHA256_SIZE];
  if (!a || !a->username)
    return false;
  const struct bytes name = {a->username, a->username_len};
  stun_userhash(name, rq->realm->name, of_owner);
  if (!bytes_equal_ct(of_owner, hash, sizeof(of_owner)))
    return false;
  rq->username = name;
  return true;
}

/* Into rq->username. A USERHASH that the nonce did not offer is nobody's. */
static bool read_username(struct turn_request *rq)
{
  rq->username = stun_get_bytes(rq->view, STUN_ATTR_USERNAME);
  if (stun_has(rq->view, STUN_ATTR_USERNAME))
    return true;
  const struct bytes hash = stun_get_bytes(rq->view, STUN_ATTR_USERHASH);
  return hash.len == SHA256_SIZE && turn__userhash_is_offered(rq->t->config, rq->realm->name) &&
         (find_userhash(rq, hash.at) || is_owner_hash(rq, hash.at));
}

/* The checks of RFC 8489 9.2.4 in its order. */
int turn__auth(struct turn_request *rq)
{
  const struct stun_view *v = rq->view;
  struct turn *t = rq->t;
  if (!t->config->auth_required)
    return 0;
  rq->realm = turn__realm_of_request(t->config, v);
  if (!stun_has(v, STUN_ATTR_MESSAGE_INTEGRITY) &&
      !stun_has(v, STUN_ATTR_MESSAGE_INTEGRITY_SHA256)) {
    t->counters.unauthorized++;
    return 401;
  }
  /* "but is missing either the USERNAME or USERHASH, REALM, or NONCE attribute, the server MUST
   * generate an error response with an error code of 400" */
  if ((!stun_has(v, STUN_ATTR_USERNAME) && !stun_has(v, STUN_ATTR_USERHASH)) ||
      !stun_has(v, STUN_ATTR_REALM) || !stun_has(v, STUN_ATTR_NONCE))
    return 400;
  int code = read_algorithm(rq);
  if (code)
    return code;
  /* "If the value of the USERNAME or USERHASH attribute is not valid ... 401". A REALM that is none
   * of ours has no user. */
  const bool ours = bytes_equal(rq->realm->name, stun_get_bytes(v, STUN_ATTR_REALM));
  code = ours && read_username(rq) ? check_credential(rq) : 401;
  if (code) {
    t->counters.unauthorized += code == 401;
    t->counters.stale_nonce += code == 438;
    return code;
  }
  /* Only now, "If the NONCE is no longer valid, the server MUST generate an error response with an
   * error code of 438": whoever cannot sign learns nothing about nonces. */
  if (!turn__nonce_is_fresh(t, rq->flow, rq->realm->name, stun_get_bytes(v, STUN_ATTR_NONCE),
                            rq->wall_s)) {
    t->counters.stale_nonce++;
    return 438;
  }
  /* A token's key is for either MAC; RFC 7635 knew no second one. */
  if (rq->key.algorithm == TURN__TOKEN)
    rq->sign = stun_has(v, STUN_ATTR_MESSAGE_INTEGRITY_SHA256) ? STUN_INTEGRITY_SHA256
                                                               : STUN_INTEGRITY_SHA1;
  rq->authentic = true;
  return 0;
}
