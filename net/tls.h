/* TLS on TCP connections: struct net_stream over OpenSSL. A listener that is given
 * net_stream_tls_or_plain as its stream, and a struct net_tls as its stream_config, tells TLS from
 * plain by the first byte of each connection. */
#ifndef VIADUCT_NET_TLS_H
#define VIADUCT_NET_TLS_H

#include "net/tcp.h"
#include "net/tls_context.h"

/* One for each thread; stays where it is while its connections live. */
struct net_tls {
  struct net_tls_context *context; /* one reference, for connections to come; NULL: no TLS */
  bool no_plain;                   /* connections without TLS are closed */
  BIO_METHOD *bio;
};

/* Takes a reference of its own; `context` may be NULL. -ERR_NOMEM. */
int net_tls_init(struct net_tls *t, struct net_tls_context *context);
/* Behind the connections. Harmless when zeroed. */
void net_tls_fini(struct net_tls *t);
/* Another certificate for connections to come. */
void net_tls_change(struct net_tls *t, struct net_tls_context *context);

extern const struct net_stream net_stream_tls, net_stream_tls_or_plain;

/* Whether TLS was chosen for it; settled before its first message. */
bool net_tls_is(const struct net_conn *c);

#endif
