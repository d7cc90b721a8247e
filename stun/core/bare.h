/* Binding requests without an attribute (RFC 8489 6.3.1), which is what asks for an address and
 * keeps a NAT's door open, in numbers: their answer is the header again and the sender's address,
 * written without the decoder and the encoder. It is byte for byte what stun_respond answers where
 * nothing else is told: no SOFTWARE, no FINGERPRINT, none of RFC 5780's addresses. */
#ifndef VIADUCT_STUN_CORE_BARE_H
#define VIADUCT_STUN_CORE_BARE_H

#include "stun/core/types.h"

enum { STUN_BARE_MAX = STUN_HEADER_LEN + 24 };

static inline bool stun_bare_is(const uint8_t *p, size_t len)
{
  return len == STUN_HEADER_LEN && load_be32(p) == (uint32_t)STUN_BINDING << 16 &&
         load_be32(p + 4) == STUN_COOKIE;
}

/* The answer's length; 0 where `source` is no address. `out` is not the request's own buffer. */
size_t stun_bare_answer(const uint8_t request[STUN_HEADER_LEN], const struct addr *source,
                        uint8_t out[STUN_BARE_MAX]);

#endif
