/* Who holds a port: read from /proc, for the one line about a port in use. */
#ifndef VIADUCT_NET_HOLDER_H
#define VIADUCT_NET_HOLDER_H

#include <stdint.h>

#include "base/addr.h"

enum { NET_HOLDER_SIZE = 64 };

/* "coturn (pid 1234)" into `out`, or an empty string when it cannot be told (no permission to look,
 * gone already). `type` is SOCK_DGRAM or SOCK_STREAM. Slow (walks /proc): only for error messages.
 */
void net_holder_find(int type, const struct addr *at, char out[NET_HOLDER_SIZE]);

#endif
