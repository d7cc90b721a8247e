/* The STUN server of RFC 8489 section 6.3 as one function: a datagram in, at most one out. stund
 * calls it for every datagram, turnd for Binding requests. */
#ifndef VIADUCT_STUN_CORE_RESPOND_H
#define VIADUCT_STUN_CORE_RESPOND_H

#include "stun/core/types.h"

struct stun_respond_config {
  const char *software; /* SOFTWARE in responses; NULL: none (borrowed) */
  bool fingerprint;     /* FINGERPRINT in every response, not only where the request had one */
  bool classic;         /* answer RFC 3489 clients too */
};

/* Where the datagram came from and reached us; later issues add the other address and port of RFC
 * 5780. */
struct stun_path {
  struct addr source, local;
};

/* Answers a decoded Binding request. The response's length, or -ERR_DROP when silence is the answer
 * (indications, responses, a wrong fingerprint, another method than Binding: `decoded` is what
 * stun_decode returned for the view). */
int stun_respond(const struct stun_respond_config *c, const struct stun_path *path, int decoded,
                 const struct stun_view *request, void *out, size_t cap);

/* The same from bytes. */
int stun_respond_bytes(const struct stun_respond_config *c, const struct stun_path *path,
                       const uint8_t *p, size_t len, void *out, size_t cap);

#endif
