/* Connections that come through a load balancer: a struct net_stream that takes the PROXY
 * protocol's header off (base/proxy.h), puts the addresses in it into the connection, and then lets
 * net_stream_tls_or_plain choose. */
#ifndef VIADUCT_NET_PROXY_H
#define VIADUCT_NET_PROXY_H

#include "net/tls.h"

/* Its stream_config is a struct net_tls, with or without a certificate. A connection that does not
 * begin with the header is closed: anybody else could name any address. Only the balancer may reach
 * such a port, which is for a firewall to see to. */
extern const struct net_stream net_stream_proxied;

#endif
