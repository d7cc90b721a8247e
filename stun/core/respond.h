/* The STUN server of RFC 8489 section 6.3, with the NAT behaviour discovery of RFC 5780 and what
 * is left of RFC 3489, as one function: a datagram in, at most one out. stund calls it for every
 * datagram, turnd for Binding requests.
 *
 * Anybody may ask and may forge the source, so no answer has more than STUN_GAIN_MAX times the
 * bytes of its request: what a request is too short for is left out, the least useful first. */
#ifndef VIADUCT_STUN_CORE_RESPOND_H
#define VIADUCT_STUN_CORE_RESPOND_H

#include "stun/core/types.h"

enum {
  STUN_GAIN_MAX = 3,
  /* "It SHOULD be equal in length to the MTU of the outgoing interface" (RFC 5780 7.6): Ethernet's,
   * whatever the interface says of itself. */
  STUN_PADDING_MAX = 1500,
  STUN_RESPOND_MAX = 1792 /* bytes: no answer is longer, its PADDING included */
};

struct stun_respond_config {
  const char *software; /* SOFTWARE in responses; NULL: none (borrowed) */
  bool fingerprint;     /* FINGERPRINT in every response, not only where the request had one */
  bool classic;         /* answer RFC 3489 clients too */
};

/* RFC 5780's four transport addresses: either IP address with either port. */
struct stun_quad {
  struct addr ip[2];   /* of one family; their ports do not count */
  struct addr told[2]; /* what clients are told instead, where a NAT stands before this machine;
                          ADDR_NONE: the same */
  uint16_t port[2];
};

/* The index of the first `ip` and `port` that `local` has; false when it is none of the four. */
bool stun_quad_has(const struct stun_quad *q, const struct addr *local);

/* Where the datagram came from and reached us. */
struct stun_path {
  struct addr source, local;
  bool stream;                  /* a connection: its answer cannot leave from elsewhere */
  const struct stun_quad *quad; /* borrowed; NULL: one address alone, no RFC 5780 */
};

struct stun_answer {
  uint8_t *at; /* the caller's */
  size_t cap;
  /* With an answer: */
  struct addr from, to; /* `from` is the path's `local` or another one of its quad; `to` is the
                           source, but for RESPONSE-PORT its port */
  int code;             /* 0: success; 400, 420 */
};

/* Answers a decoded Binding request. The response's length, or -ERR_DROP when silence is the answer
 * (indications, responses, a wrong fingerprint, another method than Binding: `decoded` is what
 * stun_decode returned for the view), or -ERR_FULL when not even the shortest answer fits. */
int stun_respond(const struct stun_respond_config *c, const struct stun_path *path, int decoded,
                 const struct stun_view *request, struct stun_answer *out);

/* The same from bytes. */
int stun_respond_bytes(const struct stun_respond_config *c, const struct stun_path *path,
                       const uint8_t *p, size_t len, struct stun_answer *out);

#endif
