/* Which protocol speaks, told by the first bytes: of a datagram, or of a connection. So one port
 * serves plain STUN and TURN, TLS, DTLS, and an HTTP client that came to the wrong door (RFC 7983
 * and RFC 9443). Called for each datagram and once for each connection. */
#ifndef VIADUCT_BASE_FIRST_H
#define VIADUCT_BASE_FIRST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* A ClientHello's record type (RFC 8446 section 5.1): no STUN message and no ChannelData begins
 * with it. */
enum { FIRST_TLS_HANDSHAKE = 22 };

/* RFC 7983 section 7: "If the value is in between 20 and 63 (inclusive), then the packet is
 * forwarded to DTLS" */
static inline bool first_is_dtls(uint8_t byte)
{
  return (uint8_t)(byte - 20) < 44;
}

/* Whether a connection begins like an HTTP request ("GET ", "PRI " of HTTP/2, ...): 1 yes, 0 no,
 * -ERR_MORE while its bytes begin a method that is not whole yet. Only for the first bytes of a
 * connection: "GE" is a channel's number too, once channels can be there. */
int first_is_http(struct bytes stream);

#endif
