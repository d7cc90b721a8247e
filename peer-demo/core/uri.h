/* STUN and TURN URIs (RFC 7064, RFC 7065): what an RTCConfiguration's `urls` have. Pure. */
#ifndef VIADUCT_PEER_DEMO_CORE_URI_H
#define VIADUCT_PEER_DEMO_CORE_URI_H

#include "base/bytes.h"

enum { URI_HOST_SIZE = 256, URI_TEXT_SIZE = 320, URI_PORT = 3478, URI_TLS_PORT = 5349 };

enum uri_transport { URI_UDP, URI_TCP, URI_TLS, URI_DTLS, URI_TRANSPORT_COUNT };

struct uri {
  bool is_turn; /* else STUN alone */
  enum uri_transport transport;
  uint16_t port;
  char host[URI_HOST_SIZE]; /* a name or an address, an IPv6 one without its brackets */
};

/* "stun:host", "stuns:host:port", "turn:[2001:db8::1]:3478?transport=tcp", "turns:host". A secure
 * scheme is TLS, with transport=udp DTLS. -ERR_BAD, and *why is a static sentence with the mend. */
int uri_parse(struct bytes text, struct uri *out, const char **why);
/* The whole form, with port and, for TURN, transport. Returns `out`. */
const char *uri_format(const struct uri *uri, char out[URI_TEXT_SIZE]);
/* "UDP", "TCP", "TLS", "DTLS". */
const char *uri_transport_name(enum uri_transport transport);

#endif
