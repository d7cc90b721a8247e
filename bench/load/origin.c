/* See origin.h. */
#include "bench/load/origin.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/sockaddr.h"

enum { SEND_BUFFER = 4 * 1024 * 1024 };

static uint32_t ipv4(const struct sockaddr *s)
{
  struct sockaddr_in in;
  memcpy(&in, s, sizeof(in));
  return ntohl(in.sin_addr.s_addr);
}

static bool is_veth(const char *interface)
{
  struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
  struct ifreq request = {.ifr_data = (char *)&info};
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return false;
  memccpy(request.ifr_name, interface, 0, sizeof(request.ifr_name) - 1);
  const bool told = ioctl(fd, SIOCETHTOOL, &request) == 0;
  close(fd);
  return told && strcmp(info.driver, "veth") == 0;
}

/* The interface of this local address, if the server is in the subnet there. */
static bool find_interface(const struct load_way *w, char out[IF_NAMESIZE])
{
  const uint32_t client = load_be32(w->client.ip), server = load_be32(w->server.ip);
  struct ifaddrs *all;
  bool found = false;
  if (getifaddrs(&all) != 0)
    return false;
  for (const struct ifaddrs *i = all; i != NULL && !found; i = i->ifa_next) {
    if (i->ifa_addr == NULL || i->ifa_netmask == NULL || i->ifa_addr->sa_family != AF_INET)
      continue;
    found = ipv4(i->ifa_addr) == client && ((client ^ server) & ipv4(i->ifa_netmask)) == 0;
    if (found)
      memccpy(out, i->ifa_name, 0, IF_NAMESIZE);
  }
  freeifaddrs(all);
  return found;
}

static int open_raw(const char *interface, struct net_error *e)
{
  const int size = SEND_BUFFER;
  const int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
  if (fd >= 0 &&
      setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) == 0) {
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)); /* a wish */
    return fd;
  }
  net_error_set(e,
                "spoofed source addresses need a raw socket: %s; run it as root or with "
                "CAP_NET_RAW",
                strerror(errno));
  if (fd >= 0)
    close(fd);
  return -1;
}

int load_origin_open(struct load_origin *o, const struct load_way *way, int sink,
                     struct net_error *e)
{
  char interface[IF_NAMESIZE] = "lo";
  const bool v4 = way->server.family == ADDR_V4;
  const bool home = v4 && addr_is_loopback(&way->server);
  if (!home && !(v4 && find_interface(way, interface) && is_veth(interface))) {
    net_error_set(e, "spoofed source addresses go only to an IPv4 server on loopback, or in the "
                     "subnet of a veth of this machine: never into a network");
    return -1;
  }
  o->fd = open_raw(interface, e);
  o->first = home ? addr_v4(127, 128, 0, 0, 0) : addr_v4(198, 19, 0, 0, 0);
  o->first.port = net_sockaddr_local(sink).port;
  o->mask = home ? 0x7fffff : 0xffff;
  return o->fd < 0 ? -1 : 0;
}

struct addr load_origin_pick(const struct load_origin *o, uint32_t random)
{
  struct addr a = o->first;
  store_be32(a.ip, load_be32(a.ip) | (random & o->mask));
  return a;
}
