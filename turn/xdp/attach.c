/* The program onto interfaces: which ones, natively or in the kernel's generic way, and what the
 * kernel's route look-ups need. Each attachment is a link, a descriptor that takes it off when it
 * is closed, by the end of the process at the latest. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/err.h"
#include "net/interfaces.h"
#include "turn/xdp/private.h"
#include "xdp_relay.skel.h"

enum { LO_IFINDEX = 1, DRIVER_MAX = 32 };

/* RTF_DEFAULT and RTF_ADDRCONF, of linux/ipv6_route.h: routes out of router advertisements. */
enum { ADVERTISED = 0x00010000 | 0x00040000 };

struct port {
  char name[IF_NAMESIZE];
  unsigned ifindex;
  bool generic;
};

struct ports {
  struct port row[XDP_PORTS_MAX];
  size_t count;
};

/* ---- which ---- */

static bool ask_device(const char *name, unsigned long question, struct ifreq *request)
{
  memcpy(request->ifr_name, name, strnlen(name, sizeof(request->ifr_name) - 1));
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool known = fd >= 0 && ioctl(fd, question, request) == 0;
  if (fd >= 0)
    close(fd);
  return known;
}

/* The program reads and writes Ethernet headers: a tunnel's packets (tun, WireGuard) have none. */
static bool is_ethernet(const char *name)
{
  struct ifreq request = {.ifr_flags = 0};
  return ask_device(name, SIOCGIFHWADDR, &request) && request.ifr_hwaddr.sa_family == ARPHRD_ETHER;
}

static int add(struct ports *p, const char *name, size_t len, struct net_error *e)
{
  struct port port = {.generic = false};
  if (len == 0 || len >= sizeof(port.name) || p->count == XDP_PORTS_MAX) {
    net_error_set(e, "xdp takes %d interfaces at most, by names like eth0", XDP_PORTS_MAX);
    return -ERR_BAD;
  }
  memcpy(port.name, name, len);
  for (size_t i = 0; i < p->count; i++)
    if (strcmp(p->row[i].name, port.name) == 0)
      return 0;
  port.ifindex = if_nametoindex(port.name);
  if (port.ifindex == 0 || port.ifindex == LO_IFINDEX) {
    net_error_set(e,
                  port.ifindex == 0 ? "there is no interface %s; 'ip link' lists them"
                                    : "%s carries no packets of others; name the interface that "
                                      "clients and peers come in at",
                  port.name);
    return -ERR_MISSING;
  }
  if (!is_ethernet(port.name)) {
    net_error_set(e, "%s is no Ethernet interface, whose frames the program knows; leave it out",
                  port.name);
    return -ERR_UNSUPPORTED;
  }
  p->row[p->count++] = port;
  return 0;
}

static int add_named(struct ports *p, const char *names, struct net_error *e)
{
  int r = 0;
  for (const char *at = names; r == 0 && *at != 0;) {
    const size_t len = strcspn(at, ", ");
    if (len > 0)
      r = add(p, at, len, e);
    at += len + (at[len] != 0 ? 1 : 0);
  }
  return r;
}

/* A virtual cable drops what comes this way unless its other end takes such frames, which nobody
 * can see from here. */
static bool is_veth(const char *name)
{
  struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
  struct ifreq request = {.ifr_data = (char *)&info};
  return ask_device(name, SIOCETHTOOL, &request) && strncmp(info.driver, "veth", DRIVER_MAX) == 0;
}

/* Every interface has a link-local IPv6 address, and the program carries none of those. */
static bool is_link_local(const struct addr *a)
{
  return a->family == ADDR_V6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

static bool has_any(const struct turnd_xdp_setup *s, const struct addr *at, size_t count)
{
  for (size_t i = 0; i < s->address_count; i++)
    for (size_t k = 0; k < count; k++)
      if (!is_link_local(&at[k]) &&
          (addr_equal_ip(&s->address[i], &at[k]) ||
           (addr_is_unspecified(&s->address[i]) && s->address[i].family == at[k].family)))
        return true;
  return false;
}

static int add_auto(struct ports *p, const struct turnd_xdp_setup *s, struct net_error *e)
{
  struct addr at[64];
  struct if_nameindex *all = if_nameindex();
  int r = all != NULL ? 0 : -ERR_IO;
  for (size_t i = 0; r == 0 && all[i].if_index != 0; i++) {
    const char *name = all[i].if_name;
    if (all[i].if_index == LO_IFINDEX || !is_ethernet(name) ||
        !has_any(s, at, net_interfaces(name, at, sizeof(at) / sizeof(at[0]))))
      continue;
    if (p->count == XDP_PORTS_MAX) {
      log_event(s->log, LOG_LEVEL_WARN, "xdp-skipped", LOG_TEXT("interface", name),
                LOG_TEXT("mend", "name the interfaces that matter: there are too many for auto"));
      break;
    }
    r = add(p, name, strlen(name), e);
    if (r == 0)
      p->row[p->count - 1].generic = is_veth(name);
  }
  if (all != NULL)
    if_freenameindex(all);
  if (r == 0 && p->count == 0) {
    net_error_set(e, "no Ethernet interface holds a listening or relay address; name one");
    r = -ERR_MISSING;
  }
  return r;
}

/* ---- what the look-up of routes needs ---- */

static bool read_flag(const char *path)
{
  char c = 0;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const bool on = fd >= 0 && read(fd, &c, 1) == 1 && c != '0';
  if (fd >= 0)
    close(fd);
  return on;
}

/* conf.lo.forwarding of one family. */
enum flag {
  FLAG_UNUSED, /* no address of that family */
  FLAG_ON,
  FLAG_OFF,    /* and can be turned on */
  FLAG_DENIED, /* read-only */
  FLAG_COSTLY, /* turning it on would take routes away */
};

static const char *const lo_forwarding[] = {"/proc/sys/net/ipv4/conf/lo/forwarding",
                                            "/proc/sys/net/ipv6/conf/lo/forwarding"};

static bool has_family(const struct turnd_xdp_setup *s, enum addr_family family)
{
  for (size_t i = 0; i < s->address_count; i++)
    if (s->address[i].family == family)
      return true;
  return false;
}

/* When IPv6 forwarding goes on, at whatever interface, Linux throws away the routes that routers
 * have advertised, the default route among them. */
static bool has_advertised_routes(void)
{
  FILE *f = fopen("/proc/net/ipv6_route", "re");
  char line[256];
  unsigned flags = 0;
  bool found = false;
  while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
    found = sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %8x", &flags) == 1 &&
            (flags & ADVERTISED) != 0;
  if (f != NULL)
    (void)fclose(f);
  return found;
}

static enum flag look_at_flag(const struct turnd_xdp_setup *s, size_t i)
{
  if (!has_family(s, i == 0 ? ADDR_V4 : ADDR_V6) || access(lo_forwarding[i], F_OK) != 0)
    return FLAG_UNUSED;
  if (read_flag(lo_forwarding[i]))
    return FLAG_ON;
  if (i == 1 && has_advertised_routes())
    return FLAG_COSTLY;
  return access(lo_forwarding[i], W_OK) == 0 ? FLAG_OFF : FLAG_DENIED;
}

static uint32_t route_from(enum flag flag)
{
  return flag == FLAG_ON || flag == FLAG_OFF ? LO_IFINDEX : 0;
}

static void turn_on(struct log *log, const char *path)
{
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  const bool done = fd >= 0 && write(fd, "1", 1) == 1;
  if (fd >= 0)
    close(fd);
  if (done)
    log_event(log, LOG_LEVEL_INFO, "xdp-forwarding", LOG_TEXT("set", path),
              LOG_TEXT("why", "the kernel looks up the program's routes from there; it makes no "
                              "router of this machine"));
  else
    log_event(log, LOG_LEVEL_WARN, "xdp-forwarding", LOG_TEXT("cannot_set", path),
              LOG_TEXT("mend", "set it to 1 by sysctl, else all of that family goes up to user "
                               "space"));
}

static void settle_flag(struct log *log, const char *path, enum flag flag)
{
  if (flag == FLAG_OFF || flag == FLAG_DENIED)
    turn_on(log, path);
  if (flag == FLAG_COSTLY)
    log_event(log, LOG_LEVEL_WARN, "xdp-forwarding", LOG_TEXT("not_set", path),
              LOG_TEXT("why", "the kernel would forget the IPv6 routes that routers advertised"),
              LOG_TEXT("now", "IPv6 is relayed in user space"),
              LOG_TEXT("mend", "set net.ipv6.conf.lo.forwarding=1 by sysctl at boot, before the "
                               "interfaces come up"));
}

static uint8_t first_ttl(const char *path)
{
  char text[8] = {0};
  unsigned value = 0;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
    (void)sscanf(text, "%3u", &value);
  if (fd >= 0)
    close(fd);
  return value > 0 && value < 256 ? (uint8_t)value : 64;
}

/* ---- onto them ---- */

static int load(struct turnd_xdp *x, const struct xdp_settings *settings, struct net_error *e)
{
  x->program = xdp_relay__open();
  if (x->program == NULL) {
    net_error_set(e, "the kernel program cannot be read: %s", strerror(errno));
    return -ERR_IO;
  }
  struct xdp_relay *p = x->program;
  p->rodata->xdp_settings = *settings;
  int r = bpf_map__set_max_entries(p->maps.xdp_up, x->channels);
  if (r == 0)
    r = bpf_map__set_max_entries(p->maps.xdp_down, 2 * x->channels);
  if (r == 0)
    r = bpf_map__set_max_entries(p->maps.xdp_channel, x->channels);
  if (r == 0)
    r = bpf_map__set_max_entries(p->maps.xdp_allocation, x->channels);
  if (r == 0)
    r = xdp_relay__load(p);
  if (r == 0)
    return 0;
  const bool denied = r == -EPERM || r == -EACCES;
  net_error_set(e, "the kernel does not take its program: %s; %s", strerror(-r),
                denied ? "start it as root (proc-user may leave root later), or with CAP_BPF, "
                         "CAP_PERFMON and CAP_NET_ADMIN (systemd: AmbientCapabilities=)"
                       : "it needs Linux 5.18 or newer with CONFIG_BPF_SYSCALL");
  return denied ? -ERR_DENIED : -ERR_UNSUPPORTED;
}

static int link_one(const struct turnd_xdp *x, const struct port *port)
{
  LIBBPF_OPTS(bpf_link_create_opts, opts,
              .flags = port->generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
  const int fd = bpf_link_create(bpf_program__fd(x->program->progs.viaduct_relay),
                                 (int)port->ifindex, BPF_XDP, &opts);
  return fd < 0 ? -errno : fd;
}

/* So that what an interface sees without being meant is left alone. Without it the program knows
 * fewer of those frames (map.h). */
static void tell_station(const struct turnd_xdp *x, const struct port *port)
{
  struct xdp_station station = {.zero = {0}};
  struct ifreq request = {.ifr_flags = 0};
  if (!ask_device(port->name, SIOCGIFHWADDR, &request))
    return;
  memcpy(station.mac, request.ifr_hwaddr.sa_data, sizeof(station.mac));
  (void)bpf_map_update_elem(bpf_map__fd(x->program->maps.xdp_station), &port->ifindex, &station,
                            BPF_ANY);
}

/* 0; 1: an interface has no native way, so that it all begins anew with a program for that one. */
static int link_all(struct turnd_xdp *x, struct ports *p, struct net_error *e)
{
  for (size_t i = 0; i < p->count; i++) {
    struct port *port = &p->row[i];
    const int fd = link_one(x, port);
    if (fd < 0 && !port->generic && fd != -EBUSY && fd != -EPERM) {
      port->generic = true;
      return 1;
    }
    if (fd < 0) {
      net_error_set(e, "it cannot be put onto %s: %s; %s", port->name, strerror(-fd),
                    fd == -EBUSY ? "another program is there ('ip link' shows it)"
                                 : "it needs root, or CAP_NET_ADMIN");
      return fd == -EBUSY ? -ERR_BUSY : -ERR_DENIED;
    }
    x->link[x->link_count++] = fd;
    const uint32_t ifindex = port->ifindex;
    (void)bpf_map_update_elem(bpf_map__fd(x->program->maps.xdp_port), &ifindex, &ifindex, BPF_ANY);
    tell_station(x, port);
  }
  return 0;
}

static bool is_any_generic(const struct ports *p)
{
  for (size_t i = 0; i < p->count; i++)
    if (p->row[i].generic)
      return true;
  return false;
}

/* Once one is generic, all are: a native one hands its frames to the other's driver, which may
 * have no way to send them, and nobody hears of it. */
static bool agree(struct ports *p)
{
  const bool generic = is_any_generic(p);
  for (size_t i = 0; generic && i < p->count; i++)
    p->row[i].generic = true;
  return generic;
}

int turnd__xdp_attach(struct turnd_xdp *x, const struct turnd_xdp_setup *s, struct net_error *e)
{
  struct ports p = {.count = 0};
  struct xdp_settings settings = {
      .ttl = first_ttl("/proc/sys/net/ipv4/ip_default_ttl"),
      .hop_limit = first_ttl("/proc/sys/net/ipv6/conf/default/hop_limit"),
  };
  int r = strcmp(s->interfaces, "auto") == 0 ? add_auto(&p, s, e) : add_named(&p, s->interfaces, e);
  if (r != 0)
    return r;
  enum flag flag[] = {look_at_flag(s, 0), look_at_flag(s, 1)};
  settings.route_ifindex = route_from(flag[0]);
  settings.route6_ifindex = route_from(flag[1]);
  do {
    turnd__xdp_detach(x);
    settings.partial_goes_up = agree(&p);
    r = load(x, &settings, e);
    for (size_t i = 0; r == 0 && i < 2; i++) {
      settle_flag(s->log, lo_forwarding[i], flag[i]);
      flag[i] = FLAG_ON; /* once */
    }
    if (r == 0)
      r = link_all(x, &p, e);
  } while (r == 1);
  if (r != 0)
    return r;
  for (size_t i = 0; i < p.count; i++)
    log_event(s->log, LOG_LEVEL_INFO, "xdp", LOG_TEXT("interface", p.row[i].name),
              LOG_TEXT("mode", p.row[i].generic ? "generic" : "native"));
  return 0;
}

void turnd__xdp_detach(struct turnd_xdp *x)
{
  while (x->link_count > 0)
    close(x->link[--x->link_count]);
  if (x->program != NULL)
    xdp_relay__destroy(x->program);
  x->program = NULL;
}
