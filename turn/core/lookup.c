/* Users that the edge has to look up, in a database say: auth.c asks here when nobody whom the
 * configuration knows could have signed the request. */
#include "base/err.h"
#include "turn/core/internal.h"

/* The edge is asked only on behalf of addresses that a nonce has reached: a flood of names from
 * forged ones must not keep it busy. For the others the answer is 438 whoever the user may be,
 * where RFC 8489 9.2.4 has 401 for those who cannot sign: nobody knows here who can. They come back
 * with a nonce that is theirs, and learn the rest. A nonce that was ours and has run out does: its
 * answers are in the order of 9.2.4. */
int turn__lookup(struct turn_request *rq)
{
  const struct turn *t = rq->t;
  const struct bytes nonce = stun_get_bytes(rq->view, STUN_ATTR_NONCE);
  struct turn_user user = {0};
  if (!turn__nonce_is_ours(t, rq->flow, rq->realm->name, nonce, rq->wall_s))
    return 438;
  const int found =
      t->effects->find_user(t->effects->arg, rq->flow, rq->realm->name, rq->username, &user);
  if (found == -ERR_AGAIN)
    return found;
  if (found == -ERR_MISSING)
    return 401;
  /* "The server has suffered a temporary error. The client should try again."
   * (RFC 8489 14.8): a 401 would send a good user away because a database is. */
  if (found)
    return 500;
  const bool fits = turn__user_fits(rq, &user);
  bytes_wipe(&user, sizeof(user));
  return fits ? 0 : 401;
}
