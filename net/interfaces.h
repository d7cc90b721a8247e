/* The addresses of this machine. */
#ifndef VIADUCT_NET_INTERFACES_H
#define VIADUCT_NET_INTERFACES_H

#include "base/addr.h"

/* Those of one interface, or with NULL of all that are up; port 0. The number of addresses in
 * `out`, at most `cap`. */
size_t net_interfaces(const char *name, struct addr *out, size_t cap);

#endif
