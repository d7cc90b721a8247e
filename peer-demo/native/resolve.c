/* See resolve.h. */
#include "peer-demo/native/resolve.h"

#include <netdb.h>
#include <string.h>

#include "base/addr.h"
#include "base/err.h"
#include "net/sockaddr.h"

int resolve_uri(const struct uri *uri, int family, struct addr *out, struct net_error *e)
{
  struct addrinfo *found = NULL;
  const struct addrinfo wanted = {.ai_family = family == ADDR_V4   ? AF_INET
                                               : family == ADDR_V6 ? AF_INET6
                                                                   : AF_UNSPEC,
                                  .ai_socktype = SOCK_DGRAM};
  const int status = getaddrinfo(uri->host, NULL, &wanted, &found);
  if (status != 0) {
    net_error_set(e, "no %saddress of %s is known: %s",
                  family == ADDR_V4   ? "IPv4 "
                  : family == ADDR_V6 ? "IPv6 "
                                      : "",
                  uri->host, gai_strerror(status));
    return -ERR_MISSING;
  }
  struct sockaddr_storage name = {0};
  memcpy(&name, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  *out = net_sockaddr_get(&name);
  out->port = uri->port;
  return 0;
}
