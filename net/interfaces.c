/* getifaddrs as a row of struct addr. */
#include "net/interfaces.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "net/sockaddr.h"

static struct addr address_of(const struct ifaddrs *at)
{
  struct sockaddr_storage s = {0};
  if (at->ifa_addr->sa_family == AF_INET)
    memcpy(&s, at->ifa_addr, sizeof(struct sockaddr_in));
  else if (at->ifa_addr->sa_family == AF_INET6)
    memcpy(&s, at->ifa_addr, sizeof(struct sockaddr_in6));
  return net_sockaddr_get(&s);
}

size_t net_interfaces(const char *name, struct addr *out, size_t cap)
{
  struct ifaddrs *all;
  size_t count = 0;
  if (getifaddrs(&all) != 0)
    return 0;
  for (const struct ifaddrs *at = all; at != NULL && count < cap; at = at->ifa_next) {
    if (at->ifa_addr == NULL || (at->ifa_flags & IFF_UP) == 0 ||
        (name != NULL && strcmp(name, at->ifa_name) != 0))
      continue;
    struct addr a = address_of(at);
    if (a.family != ADDR_NONE)
      out[count++] = a;
  }
  freeifaddrs(all);
  return count;
}
