/* Addresses for the kernel, and sockets bound to them. */
#include "net/sockaddr.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/holder.h"

socklen_t net_sockaddr_put(struct sockaddr_storage *out, const struct addr *a)
{
  if (a->family == ADDR_V4) {
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    memset(in, 0, sizeof(*in));
    in->sin_family = AF_INET;
    in->sin_port = htons(a->port);
    memcpy(&in->sin_addr, a->ip, 4);
    return sizeof(*in);
  }
  if (a->family == ADDR_V6) {
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    memset(in6, 0, sizeof(*in6));
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(a->port);
    in6->sin6_scope_id = a->scope;
    memcpy(&in6->sin6_addr, a->ip, 16);
    return sizeof(*in6);
  }
  return 0;
}

struct addr net_sockaddr_get(const struct sockaddr_storage *s)
{
  if (s->ss_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)s;
    return addr_from_ip((const uint8_t *)&in->sin_addr, 4, ntohs(in->sin_port));
  }
  if (s->ss_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)s;
    struct addr a = addr_from_ip((const uint8_t *)&in6->sin6_addr, 16, ntohs(in6->sin6_port));
    if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
      a.scope = in6->sin6_scope_id;
    return addr_unmap(a);
  }
  return (struct addr){0};
}

struct addr net_sockaddr_local(int fd)
{
  struct sockaddr_storage s = {0};
  socklen_t len = sizeof(s);
  if (getsockname(fd, (struct sockaddr *)&s, &len) != 0)
    return (struct addr){0};
  return net_sockaddr_get(&s);
}

struct addr net_sockaddr_toward(const struct addr *to)
{
  struct sockaddr_storage s;
  socklen_t len = net_sockaddr_put(&s, to);
  struct addr local = {.family = ADDR_NONE};
  int fd = socket(to->family == ADDR_V6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return local;
  if (len != 0 && connect(fd, (const struct sockaddr *)&s, len) == 0)
    local = net_sockaddr_local(fd);
  close(fd);
  local.port = 0;
  return local;
}

void net_bind_explain(const struct net_bind *b, int error_number, struct net_error *e)
{
  if (e == NULL)
    return;
  char at[ADDR_TEXT_SIZE], holder[NET_HOLDER_SIZE] = "";
  addr_format(b->at, at);
  const char *transport = b->type == SOCK_DGRAM ? "udp" : "tcp";
  const char *program = b->program != NULL ? b->program : "this program";
  const char *mend = b->mend != NULL ? b->mend : "its port option";
  if (error_number == EADDRINUSE) {
    net_holder_find(b->type, b->at, holder);
    net_error_set(e,
                  "%s cannot listen on %s %s: the port is in use%s%s; stop that program or "
                  "choose another port with %s",
                  program, transport, at, holder[0] != 0 ? " by " : "", holder, mend);
  } else if (error_number == EACCES || error_number == EPERM) {
    net_error_set(e,
                  "%s cannot listen on %s %s: not allowed; ports below 1024 need root or "
                  "CAP_NET_BIND_SERVICE, or choose another port with %s",
                  program, transport, at, mend);
  } else if (error_number == EADDRNOTAVAIL) {
    net_error_set(e, "%s cannot listen on %s %s: this machine has no such address", program,
                  transport, at);
  } else {
    net_error_set(e, "%s cannot listen on %s %s: %s", program, transport, at,
                  strerror(error_number));
  }
}

static int set_options(int fd, const struct net_bind *b)
{
  const int on = 1;
  if (b->at->family == ADDR_V6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
    return -1;
  /* Only for TCP: a listener comes back at once after a restart, while old connections still stand
   * in TIME_WAIT. For UDP it would let two servers share a port in silence. */
  const bool shared = b->type == SOCK_STREAM || b->beside;
  if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
    return -1;
  if (b->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
    return -1;
  return 0;
}

/* The kernel gives the lowest number that is free. */
bool net_descriptors_are_short(int like, int below)
{
  int fd = below > 0 ? fcntl(like, F_DUPFD_CLOEXEC, 0) : -1;
  if (fd >= 0)
    close(fd);
  return fd >= below;
}

int net_bind(const struct net_bind *b, struct net_error *e)
{
  struct sockaddr_storage s;
  socklen_t len = net_sockaddr_put(&s, b->at);
  int family = b->at->family == ADDR_V6 ? AF_INET6 : AF_INET;
  int fd = socket(family, b->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int error_number = errno;
  if (fd >= 0 && b->below > 0 && fd >= b->below) {
    close(fd);
    fd = -1;
    error_number = EMFILE;
  }
  if (fd >= 0) {
    if (len != 0 && set_options(fd, b) == 0 && bind(fd, (const struct sockaddr *)&s, len) == 0)
      return fd;
    error_number = len == 0 ? EAFNOSUPPORT : errno;
    close(fd);
  }
  net_bind_explain(b, error_number, e);
  return net_error_from_errno(error_number);
}
