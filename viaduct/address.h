/* The address by which other machines reach this one, as well as it can be told from here. Choosing
 * is pure; address_find asks the system. Called by up.c. */
#ifndef VIADUCT_VIADUCT_ADDRESS_H
#define VIADUCT_VIADUCT_ADDRESS_H

#include "base/addr.h"

enum { INTERFACE_NAME_SIZE = 16, ADDRESS_MAX = 256 };

struct address_candidate {
  char interface[INTERFACE_NAME_SIZE];
  struct addr addr; /* without a port */
  bool is_up, is_loopback;
};

/* The interface of the IPv4 default route with the lowest metric, from the text of /proc/net/route;
 * "" when there is none. */
void address_default_interface(struct bytes route_table, char out[INTERFACE_NAME_SIZE]);

/* In this order: the IPv4 address of the default route's interface, another interface's (bridges of
 * containers and virtual machines come last), a global IPv6 address, 127.0.0.1. */
struct addr address_choose(const struct address_candidate *list, size_t count,
                           const char *default_interface);

/* What address_choose says of this machine. */
struct addr address_find(void);
/* Whether an interface of this machine has the address. */
bool address_is_local(const struct addr *a);
/* Whether IPv6 sockets can be made here at all. */
bool address_has_ipv6(void);

#endif
