/* Names to addresses. Blocks for as long as the system's resolver does. */
#ifndef VIADUCT_PEER_DEMO_NATIVE_RESOLVE_H
#define VIADUCT_PEER_DEMO_NATIVE_RESOLVE_H

#include "net/error.h"
#include "peer-demo/core/uri.h"

struct addr;

/* The first address of the URI's host of that family (ADDR_NONE: of any), with the URI's port.
 * -ERR_MISSING: it has none. */
int resolve_uri(const struct uri *uri, int family, struct addr *out, struct net_error *e);

#endif
