/* Who may come in and do what: what a token says, and who judges a hello otherwise. types.h
 * includes it. */
#ifndef VIADUCT_SIGNAL_CORE_CLAIMS_H
#define VIADUCT_SIGNAL_CORE_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bytes.h"

/* What a link runs over. Each is a cursor over the same outbox. */
enum sig_transport { SIG_WEBSOCKET, SIG_SSE, SIG_LONGPOLL, SIG_POLL, SIG_TRANSPORT_COUNT };

/* What a client's token allows it to do: bits of sig_claims.can. */
enum sig_can {
  SIG_CAN_JOIN = 1,
  SIG_CAN_SIGNAL = 2,
  SIG_CAN_BROADCAST = 4,
  SIG_CAN_KICK = 8,
  SIG_CAN_ALL = 15,
  SIG_CAN_BY_DEFAULT = 7 /* where nobody has a token: nobody is above another */
};

enum { SIG_CLAIM_ROOMS = 32, SIG_TOKEN_SIZE = 8192 };

/* What a token says. The views belong to whoever checked the token and need to live only until the
 * core has copied them, which is before the next call of the check. */
struct sig_claims {
  struct bytes sub;                   /* who; empty: nobody in particular */
  uint64_t exp_s;                     /* seconds since 1970; 0: does not expire */
  uint64_t nbf_s;                     /* not before; 0: it is good already */
  uint32_t can;                       /* enum sig_can */
  bool any_room;                      /* no `rooms` claim: every room */
  struct bytes room[SIG_CLAIM_ROOMS]; /* exact names, or "prefix*" */
  size_t room_count;
};

/* Turns a token into claims: the seam for JWT. Fills `out`, which came in as zeros, and returns 0;
 * -ERR_DENIED: no good, and `why` may point at a static sentence for the client. `token` may be
 * empty: then the client brought none. The core itself compares exp_s and nbf_s with the
 * clock. */
typedef int (*sig_auth_fn)(void *arg, struct bytes token, struct sig_claims *out, const char **why);

/* A hello that somebody else judges, and later. Views until `ask` returns. */
struct sig_question {
  uint64_t number;    /* never used twice by a worker: sig_answer wants it again */
  struct bytes token; /* may be empty */
  struct addr client; /* without a port; of IPv6 the network */
  enum sig_transport transport;
  void *edge; /* the link's */
};

enum { SIG_AS_CONFIGURED = UINT32_MAX };

/* The answer. Views need to live only for the call. */
struct sig_verdict {
  int err;         /* 0: let in. -ERR_DENIED: not. Anything else: nobody could say */
  const char *why; /* a static sentence for the client, where err is not 0 */
  struct sig_claims claims;
  struct bytes ice;   /* the value of iceServers, JSON; empty: as configured */
  uint32_t ice_ttl_s; /* where `ice` is not empty */
  uint32_t message_rate, byte_rate, rooms_per_session; /* of this session; or SIG_AS_CONFIGURED */
};

#endif
