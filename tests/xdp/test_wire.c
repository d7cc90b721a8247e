/* The kernel program on real veth pairs: ordinary sockets of a client and a peer in namespaces of
 * their own, the program between them, and no turnd at all. What the sockets send has no checksum
 * yet (the device is to make it, and a veth makes none), so what arrives at the other end, whose
 * kernel does check, shows that the program made it. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/sockaddr.h"
#include "tests/xdp/net.h"
#include "turn/xdp/map.h"
#include "xdp_relay.skel.h"

enum { WAIT_MS = 10000, BUFFER = 2000, SLOTS = 4, SEGMENTS = 10, SEGMENT = 104 };

static struct xdp_relay *program;
static struct bpf_link *links[2];
static struct xdp_channel *channel;
static int server_ns, client_ns, peer_ns;
static unsigned faults, carried;

static void must(bool good, const char *what)
{
  if (good)
    return;
  fprintf(stderr, "wire: %s (%s)\n", what, strerror(errno));
  exit(1);
}

static void enter(int ns)
{
  must(setns(ns, CLONE_NEWNET) == 0, "a namespace cannot be entered");
}

/* A new namespace, in which this process is then. */
static int new_namespace(void)
{
  must(unshare(CLONE_NEWNET) == 0 && net_ip("link set lo up"), "no further namespace");
  const int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  must(fd >= 0, "a namespace cannot be kept");
  return fd;
}

static void ip(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void ip(const char *format, ...)
{
  char arguments[256];
  va_list args;
  va_start(args, format);
  vsnprintf(arguments, sizeof(arguments), format, args);
  va_end(args);
  must(net_ip(arguments), arguments);
}

/* One veth pair: "c0" here, "c0p" in the other namespace, with addresses ending in .1 and .9. */
static void make_link(const char *name, int ns, const char *net4, const char *net6, int mac)
{
  enter(server_ns);
  ip("link add %s address 02:00:00:00:%02d:01 type veth peer name %sp address 02:00:00:00:%02d:09",
     name, mac, name, mac);
  ip("link set %sp netns /proc/%d/fd/%d", name, (int)getpid(), ns);
  ip("addr add %s.1/24 dev %s", net4, name);
  ip("addr add %s::1/64 dev %s nodad", net6, name);
  ip("link set %s up", name);
  ip("neigh add %s.9 lladdr 02:00:00:00:%02d:09 dev %s nud permanent", net4, mac, name);
  ip("neigh add %s::9 lladdr 02:00:00:00:%02d:09 dev %s nud permanent", net6, mac, name);
  enter(ns);
  ip("addr add %s.9/24 dev %sp", net4, name);
  ip("addr add %s::9/64 dev %sp nodad", net6, name);
  ip("link set %sp up", name);
  ip("neigh add %s.1 lladdr 02:00:00:00:%02d:01 dev %sp nud permanent", net4, mac, name);
  ip("neigh add %s::1 lladdr 02:00:00:00:%02d:01 dev %sp nud permanent", net6, mac, name);
}

/* "On veth the receiving end needs an XDP program of its own", whatever it does, for frames that
 * another one sends. */
static void attach_pass(int ns, const char *name)
{
  const struct bpf_insn pass[] = {{.code = 0xB7, .imm = XDP_PASS}, {.code = 0x95}};
  enter(ns);
  const int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", pass, 2, NULL);
  must(fd >= 0 && bpf_link_create(fd, (int)if_nametoindex(name), BPF_XDP, NULL) >= 0,
       "the far end cannot be made ready");
}

static struct sockaddr_storage address(const char *text, socklen_t *len)
{
  struct sockaddr_storage out;
  struct addr a;
  must(addr_parse(bytes_of(text), &a) == 0, text);
  *len = net_sockaddr_put(&out, &a);
  return out;
}

static int open_socket(int ns, const char *at)
{
  socklen_t len;
  const struct sockaddr_storage local = address(at, &len);
  enter(ns);
  const int fd = socket(local.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  must(fd >= 0 && bind(fd, (const struct sockaddr *)&local, len) == 0, at);
  return fd;
}

static void put_endpoint(struct xdp_endpoint *e, const char *text)
{
  struct addr a;
  must(addr_parse(bytes_of(text), &a) == 0, text);
  memcpy(e->ip, a.ip, 16);
  e->port_be = htons(a.port);
}

struct ends {
  const char *client, *server, *relay, *peer;
};

static void put_channel(uint32_t slot, uint16_t number, uint8_t family, const struct ends *ends)
{
  struct xdp_channel *c = &channel[slot];
  *c = (struct xdp_channel){.until_ns = UINT64_MAX,
                            .allocation = XDP_UNLIMITED,
                            .family = family,
                            .number_be = htons(number)};
  put_endpoint(&c->client, ends->client);
  put_endpoint(&c->server, ends->server);
  put_endpoint(&c->relay, ends->relay);
  put_endpoint(&c->told, ends->relay);
  put_endpoint(&c->peer, ends->peer);
  xdp_channel_seal(c);
  struct xdp_up_key up;
  struct xdp_down_key down;
  xdp_up_key_put(&up, c);
  xdp_down_key_put(&down, c, &c->relay);
  must(!bpf_map_update_elem(bpf_map__fd(program->maps.xdp_up), &up, &slot, BPF_ANY) &&
           !bpf_map_update_elem(bpf_map__fd(program->maps.xdp_down), &down, &slot, BPF_ANY),
       "a channel cannot be told");
}

static void fault(const char *what, const char *where, size_t len)
{
  fprintf(stderr, "wire: %s: %s, %zu bytes\n", where, what, len);
  faults++;
}

/* Waits for exactly these bytes from there. */
static void expect(int fd, const char *from, const uint8_t *p, size_t len)
{
  uint8_t got[BUFFER];
  struct sockaddr_storage name;
  socklen_t name_len = sizeof(name), wanted_len;
  const struct sockaddr_storage wanted = address(from, &wanted_len);
  struct pollfd ready = {.fd = fd, .events = POLLIN};
  if (poll(&ready, 1, WAIT_MS) != 1) {
    fault("does not arrive", from, len);
    return;
  }
  memset(&name, 0, sizeof(name));
  const ssize_t n = recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&name, &name_len);
  if (n != (ssize_t)len || (len && memcmp(got, p, len) != 0))
    fault("arrives with other bytes", from, len);
  const struct addr a = net_sockaddr_get(&name), b = net_sockaddr_get(&wanted);
  if (!addr_equal(&a, &b))
    fault("arrives from another address", from, len);
  carried++;
}

static void send_to(int fd, const char *to, const uint8_t *p, size_t len)
{
  socklen_t name_len;
  const struct sockaddr_storage name = address(to, &name_len);
  must(sendto(fd, p, len, 0, (const struct sockaddr *)&name, name_len) == (ssize_t)len, to);
}

static size_t make_channel_data(uint16_t number, size_t len, size_t padding, uint8_t *out)
{
  store_be16(out, number);
  store_be16(out + 2, (uint16_t)len);
  for (size_t i = 0; i < len + padding; i++)
    out[4 + i] = (uint8_t)(i * 7 + len);
  return 4 + len + padding;
}

static void there_and_back(int client, int peer, uint16_t number, const struct ends *ends,
                           size_t len)
{
  uint8_t message[BUFFER];
  const size_t padded = make_channel_data(number, len, len % 4 ? 4 - len % 4 : 0, message);
  send_to(client, ends->server, message, padded);
  expect(peer, ends->relay, message + 4, len);
  send_to(peer, ends->relay, message + 4, len);
  expect(client, ends->server, message, 4 + len);
}

/* Several datagrams in one, which the sender's kernel has to cut before the program sees them. */
static void burst(int client, int peer, uint16_t number, const struct ends *ends)
{
  uint8_t all[SEGMENTS * SEGMENT];
  const int size = SEGMENT, none = 0;
  for (size_t i = 0; i < SEGMENTS; i++)
    make_channel_data(number, SEGMENT - 4, 0, all + i * SEGMENT);
  must(setsockopt(client, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)) == 0, "UDP_SEGMENT");
  send_to(client, ends->server, all, sizeof(all));
  must(setsockopt(client, SOL_UDP, UDP_SEGMENT, &none, sizeof(none)) == 0, "UDP_SEGMENT");
  for (size_t i = 0; i < SEGMENTS; i++)
    expect(peer, ends->relay, all + 4, SEGMENT - 4);
}

static void play(uint32_t slot, uint16_t number, int peer_in, const struct ends *ends)
{
  static const size_t lens[] = {0,  1,  2,   3,   4,   5,   17,  18,  19,   31,
                                32, 33, 159, 160, 511, 512, 513, 514, 1200, 1440};
  const size_t count = sizeof(lens) / sizeof(lens[0]);
  const int client = open_socket(client_ns, ends->client);
  const int peer = open_socket(peer_in, ends->peer);
  const int on = 1;
  for (size_t i = 0; i < count; i++)
    there_and_back(client, peer, number, ends, lens[i]);
  burst(client, peer, number, ends);
  uint64_t wanted = count + SEGMENTS;
  if (channel[slot].family == XDP_V4) {
    must(setsockopt(client, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)) == 0, "SO_NO_CHECK");
    there_and_back(client, peer, number, ends, 33);
    wanted++;
  }
  if (channel[slot].from_client.packets != wanted ||
      channel[slot].from_peer.packets != wanted - SEGMENTS)
    fault("something took another way than the program", ends->server, 0);
  close(client);
  close(peer);
}

static void begin(void)
{
  server_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  must(server_ns >= 0, "the namespace cannot be kept");
  client_ns = new_namespace();
  peer_ns = new_namespace();
  make_link("c0", client_ns, "192.0.2", "2001:db8:1", 1);
  make_link("p0", peer_ns, "198.51.100", "2001:db8:2", 2);
  attach_pass(client_ns, "c0p");
  attach_pass(peer_ns, "p0p");
  enter(server_ns);
  must(net_set("ipv4/conf/lo/forwarding", "1") && net_set("ipv6/conf/lo/forwarding", "1"),
       "forwarding cannot be set");
  program = xdp_relay__open();
  must(program, "the object cannot be opened");
  program->rodata->xdp_settings.route_ifindex = 1;
  program->rodata->xdp_settings.route6_ifindex = 1;
  must(!bpf_map__set_max_entries(program->maps.xdp_channel, SLOTS) && !xdp_relay__load(program),
       "the program cannot be loaded");
  channel = mmap(NULL, SLOTS * sizeof(*channel), PROT_READ | PROT_WRITE, MAP_SHARED,
                 bpf_map__fd(program->maps.xdp_channel), 0);
  must(channel != MAP_FAILED, "a map cannot be mapped");
  const unsigned ports[] = {if_nametoindex("c0"), if_nametoindex("p0")};
  for (size_t i = 0; i < 2; i++) {
    links[i] = bpf_program__attach_xdp(program->progs.viaduct_relay, (int)ports[i]);
    must(links[i] && !bpf_map_update_elem(bpf_map__fd(program->maps.xdp_port), &ports[i], &ports[i],
                                          BPF_ANY),
         "the program cannot be attached");
  }
}

static void end(void)
{
  bpf_link__destroy(links[0]);
  bpf_link__destroy(links[1]);
  munmap(channel, SLOTS * sizeof(*channel));
  xdp_relay__destroy(program);
}

int main(void)
{
  static const struct ends v4 = {"192.0.2.9:40000", "192.0.2.1:3478", "198.51.100.1:50000",
                                 "198.51.100.9:5000"};
  static const struct ends v6 = {"[2001:db8:1::9]:40000", "[2001:db8:1::1]:3478",
                                 "[2001:db8:2::1]:50000", "[2001:db8:2::9]:5000"};
  /* The peer is where the client is: out by the interface that it came in at. */
  static const struct ends near4 = {"192.0.2.9:40001", "192.0.2.1:3478", "192.0.2.1:50001",
                                    "192.0.2.9:5001"};
  static const struct ends near6 = {"[2001:db8:1::9]:40001", "[2001:db8:1::1]:3478",
                                    "[2001:db8:1::1]:50001", "[2001:db8:1::9]:5001"};
  if (!net_begin())
    return NET_SKIPPED;
  begin();
  put_channel(0, 0x4000, XDP_V4, &v4);
  put_channel(1, 0x4001, XDP_V6, &v6);
  put_channel(2, 0x4002, XDP_V4, &near4);
  put_channel(3, 0x4003, XDP_V6, &near6);
  play(0, 0x4000, peer_ns, &v4);
  play(1, 0x4001, peer_ns, &v6);
  play(2, 0x4002, client_ns, &near4);
  play(3, 0x4003, client_ns, &near6);
  end();
  printf("%u datagrams carried, %u faults\n", carried, faults);
  return faults || !carried;
}
