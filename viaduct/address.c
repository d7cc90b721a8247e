/* See address.h. */
#include "viaduct/address.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/file.h"
#include "net/mem.h"
#include "net/sockaddr.h"

/* The next field of a line, cut by white space; empty at the line's end. */
static struct bytes next_field(struct bytes *text)
{
  while (text->len > 0 && (text->at[0] == ' ' || text->at[0] == '\t'))
    *text = (struct bytes){text->at + 1, text->len - 1};
  struct bytes field = {text->at, 0};
  while (field.len < text->len && field.at[field.len] > ' ')
    field.len++;
  *text = (struct bytes){text->at + field.len, text->len - field.len};
  return field;
}

struct route {
  struct bytes interface;
  uint64_t metric;
  bool is_default;
};

/* Whether a hexadecimal number is odd. */
static bool is_odd(struct bytes hex)
{
  if (hex.len == 0)
    return false;
  uint8_t last = hex.at[hex.len - 1];
  return last <= '9' ? last % 2 == 1 : last % 2 == 0; /* 'A' is 10 and 65 */
}

/* Iface Destination Gateway Flags RefCnt Use Metric Mask ...: addresses and flags are hexadecimal.
 */
static struct route read_route(struct bytes line)
{
  struct bytes field[8];
  for (size_t i = 0; i < 8; i++)
    field[i] = next_field(&line);
  struct route r = {.interface = field[0]};
  struct bytes zero = bytes_of("00000000");
  bool is_up = is_odd(field[3]); /* RTF_UP is 1 */
  r.is_default = is_up && bytes_equal(field[1], zero) && bytes_equal(field[7], zero) &&
                 parse_uint(field[6], UINT32_MAX, &r.metric) == 0;
  return r;
}

void address_default_interface(struct bytes route_table, char out[INTERFACE_NAME_SIZE])
{
  uint64_t best = UINT64_MAX;
  out[0] = '\0';
  while (route_table.len > 0) {
    struct bytes line = {route_table.at, 0};
    while (line.len < route_table.len && line.at[line.len] != '\n')
      line.len++;
    struct route r = read_route(line);
    if (r.is_default && r.metric < best && r.interface.len < INTERFACE_NAME_SIZE) {
      best = r.metric;
      memcpy(out, r.interface.at, r.interface.len);
      out[r.interface.len] = '\0';
    }
    size_t used = line.len < route_table.len ? line.len + 1 : line.len;
    route_table = (struct bytes){route_table.at + used, route_table.len - used};
  }
}

/* RFC 3927 and RFC 4291 section 2.5.6: good on one link only. */
static bool is_link_local(const struct addr *a)
{
  if (a->family == ADDR_V4)
    return a->ip[0] == 169 && a->ip[1] == 254;
  return a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

/* Interfaces that lead to containers and virtual machines on this host, by the names that their
 * makers give them. */
static bool is_inner(const char *interface)
{
  static const char *const prefix[] = {"docker",  "br-",  "veth",   "virbr", "vnet", "cni",
                                       "flannel", "cali", "podman", "lxc",   "lxd",  "vboxnet"};
  for (size_t i = 0; i < sizeof(prefix) / sizeof(prefix[0]); i++)
    if (strncmp(interface, prefix[i], strlen(prefix[i])) == 0)
      return true;
  return false;
}

/* The higher, the better; 0: not at all. */
static int score(const struct address_candidate *c, const char *default_interface)
{
  if (!c->is_up || c->is_loopback || addr_is_loopback(&c->addr) || addr_is_unspecified(&c->addr) ||
      addr_is_multicast(&c->addr))
    return 0;
  bool is_v4 = c->addr.family == ADDR_V4;
  if (is_link_local(&c->addr))
    return is_v4 ? 1 : 0; /* a scope would have to go with it */
  if (is_v4 && default_interface[0] != '\0' && strcmp(c->interface, default_interface) == 0)
    return 6;
  if (is_inner(c->interface))
    return is_v4 ? 3 : 2;
  return is_v4 ? 5 : 4;
}

struct addr address_choose(const struct address_candidate *list, size_t count,
                           const char *default_interface)
{
  struct addr best = addr_v4(127, 0, 0, 1, 0);
  int best_score = 0;
  for (size_t i = 0; i < count; i++) {
    int s = score(&list[i], default_interface);
    if (s > best_score) {
      best_score = s;
      best = list[i].addr;
    }
  }
  return best;
}

static size_t list_addresses(struct address_candidate list[ADDRESS_MAX])
{
  struct ifaddrs *all;
  size_t count = 0;
  if (getifaddrs(&all) != 0)
    return 0;
  for (const struct ifaddrs *i = all; i != NULL && count < ADDRESS_MAX; i = i->ifa_next) {
    if (i->ifa_addr == NULL ||
        (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
      continue;
    struct address_candidate *c = &list[count++];
    *c = (struct address_candidate){.is_up = (i->ifa_flags & IFF_UP) != 0,
                                    .is_loopback = (i->ifa_flags & IFF_LOOPBACK) != 0};
    size_t len = strnlen(i->ifa_name, INTERFACE_NAME_SIZE - 1);
    memcpy(c->interface, i->ifa_name, len);
    struct sockaddr_storage storage = {0};
    memcpy(&storage, i->ifa_addr,
           i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                             : sizeof(struct sockaddr_in6));
    c->addr = net_sockaddr_get(&storage);
  }
  freeifaddrs(all);
  return count;
}

struct addr address_find(void)
{
  struct address_candidate list[ADDRESS_MAX];
  char default_interface[INTERFACE_NAME_SIZE] = "";
  struct mem mem = net_mem();
  struct net_file routes;
  if (net_file_read("/proc/net/route", 1 << 20, &mem, &routes, NULL) == 0) {
    address_default_interface(routes.bytes, default_interface);
    net_file_free(&routes, &mem);
  }
  return address_choose(list, list_addresses(list), default_interface);
}

bool address_is_local(const struct addr *a)
{
  struct address_candidate list[ADDRESS_MAX];
  size_t count = list_addresses(list);
  for (size_t i = 0; i < count; i++)
    if (addr_equal_ip(&list[i].addr, a))
      return true;
  return addr_is_loopback(a) && a->family == ADDR_V4; /* all of 127/8 */
}

bool address_has_ipv6(void)
{
  int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return false;
  /* A kernel with IPv6 switched off makes the socket and refuses the address. */
  struct sockaddr_in6 any = {.sin6_family = AF_INET6};
  bool can_bind = bind(fd, (const struct sockaddr *)&any, sizeof(any)) == 0;
  close(fd);
  return can_bind;
}
