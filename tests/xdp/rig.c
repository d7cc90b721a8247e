/* Sets both sides up: the namespace with the program, and the world with the core. */
#include "tests/xdp/rig.h"

#include <bpf/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "stun/core/types.h"
#include "tests/xdp/net.h"
#include "turn/core/internal.h"
#include "turn/xdp/map.h"
#include "xdp_relay.skel.h"

enum { HOUR_MS = 3600000, NS_PER_MS = 1000000 };

/* Ends the test: nothing of this may fail where the program could be loaded at all. */
static void must(bool good, const char *what)
{
  if (good)
    return;
  fprintf(stderr, "rig: %s\n", what);
  exit(1);
}

static struct addr place(const struct rig *r, const char *name)
{
  struct addr a;
  must(rig_find(r, name, &a), name);
  return a;
}

static size_t allocation_index(const char *name, size_t len)
{
  size_t i = 0;
  while (rig_allocations[i].name && !(strlen(rig_allocations[i].name) == len &&
                                      memcmp(rig_allocations[i].name, name, len) == 0))
    i++;
  return i;
}

bool rig_find(const struct rig *r, const char *name, struct addr *out)
{
  const char *dot = strchr(name, '.');
  if (dot) {
    const size_t i = allocation_index(name, (size_t)(dot - name));
    if (!rig_allocations[i].name)
      return false;
    *out = strcmp(dot, ".told") == 0 ? r->told[i] : r->relay[i];
    return true;
  }
  for (const struct rig_place *p = rig_places; p->name; p++)
    if (strcmp(p->name, name) == 0)
      return addr_parse(bytes_of(p->at), out) == 0;
  return false;
}

bool rig_is_listener(const struct addr *a)
{
  static const char *const listeners[] = {"s4", "s6", "q4", "n4"};
  struct addr listener;
  for (size_t i = 0; i < sizeof(listeners) / sizeof(listeners[0]); i++)
    if (rig_find(NULL, listeners[i], &listener) && addr_equal(&listener, a))
      return true;
  return false;
}

/* ---- the core ---- */

static void add_allocation(struct rig *r, size_t i)
{
  const struct rig_allocation *plan = &rig_allocations[i];
  uint8_t message[STUN_HEADER_LEN] = {0};
  struct stun_view view = {.at = message, .len = sizeof(message)};
  const struct turn_flow flow = {.client = place(r, plan->name), .server = place(r, plan->server)};
  struct turn_request rq = {.t = r->world.turn, .flow = &flow, .view = &view};
  struct turn_socket s;
  struct turn_allocation *a = turn__allocation_new(&rq);
  must(a &&
           !turn__socket_open(r->world.turn, &r->world.snapshot[0].relay[plan->row], TURN__ANY_PORT,
                              &s, NULL) &&
           !turn__leg_attach(a, &s, r->world.now_ms + (plan->over ? 0 : HOUR_MS)) &&
           !turn__allocation_attach(a),
       "no allocation");
  a->share.bps = plan->bps;
  a->brake = plan->bps ? TURN__LIMITED : 0;
  r->allocation[i] = a;
  r->told[i] = s.relayed;
  r->relay[i] = r->world.relay[s.relay].at;
}

static void bind_channel(struct rig *r, const struct rig_channel *plan)
{
  struct turn_allocation *a =
      r->allocation[allocation_index(plan->allocation, strlen(plan->allocation))];
  const struct addr peer = place(r, plan->peer);
  must(!turn__permission_reserve(a, 1, 64) && !turn__channel_reserve(a, 64), "no room");
  turn__permission_put(a, &peer,
                       r->world.now_ms + (plan->until == RIG_PERMISSION_OVER ? 0 : HOUR_MS));
  turn__channel_put(a, plan->number, &peer,
                    r->world.now_ms + (plan->until == RIG_CHANNEL_OVER ? 0 : HOUR_MS));
}

static void set_relay_address(struct turn_relay_address *a, const char *local, const char *told)
{
  must(!addr_parse(bytes_of(local), &a->local), local);
  if (told)
    must(!addr_parse(bytes_of(told), &a->external), told);
}

static void begin_world(struct rig *r)
{
  static struct stun_quad quad = {.port = {3478, 3479}};
  struct world *w = &r->world;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  r->now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
  world_init(w);
  w->now_ms = r->now_ns / NS_PER_MS;
  w->config.auth_required = true; /* no request changes what the maps know nothing of */
  set_relay_address(&w->relay_address[RIG_V4], "192.0.2.1", NULL);
  set_relay_address(&w->relay_address[RIG_V6], "2001:db8::1", NULL);
  set_relay_address(&w->relay_address[RIG_BEHIND_NAT], "192.0.2.4", "203.0.113.200");
  w->config.relay_count = 3;
  must(!addr_parse(bytes_of("192.0.2.2"), &quad.ip[0]) &&
           !addr_parse(bytes_of("192.0.2.3"), &quad.ip[1]),
       "quad");
  w->config.quad = &quad;
  w->config.quad_count = 1;
  must(world_start(w) == 0, "no world");
  for (size_t i = 0; rig_allocations[i].name; i++)
    add_allocation(r, i);
  for (const struct rig_channel *c = rig_channels; c->allocation; c++)
    bind_channel(r, c);
}

/* ---- the program ---- */

static void put_endpoint(struct xdp_endpoint *e, const struct addr *a)
{
  memcpy(e->ip, a->ip, 16);
  store_be16((uint8_t *)&e->port_be, a->port);
}

static bool is_relayed_ip(const struct rig *r, const struct addr *peer)
{
  for (size_t i = 0; i < r->world.config.relay_count; i++) {
    const struct turn_relay_address *a = &r->world.relay_address[i];
    if (addr_equal_ip(peer, a->external.family ? &a->external : &a->local))
      return true;
  }
  return false;
}

static void put_slot(const struct bpf_map *map, const void *key, uint32_t slot)
{
  must(bpf_map_update_elem(bpf_map__fd(map), key, &slot, BPF_ANY) == 0, "no room in a map");
}

static void add_channel(struct rig *r, const struct rig_channel *plan)
{
  const size_t i = allocation_index(plan->allocation, strlen(plan->allocation));
  const struct turn_allocation *a = r->allocation[i];
  const struct addr peer = place(r, plan->peer);
  if (r->relay[i].family != a->flow.client.family)
    return; /* map.h: of one family throughout */
  const uint32_t slot = (uint32_t)r->channel_count++;
  const bool over = plan->until != RIG_LIVES || rig_allocations[i].over;
  struct xdp_channel *c = &r->channel[slot];
  *c = (struct xdp_channel){.allocation = rig_allocations[i].bps ? (uint32_t)i : XDP_UNLIMITED,
                            .family = a->flow.client.family,
                            .flags = is_relayed_ip(r, &peer) ? XDP_CHANNEL_INSIDE : 0};
  store_be32((uint8_t *)&c->flow_label_be, 0x12345);
  store_be16((uint8_t *)&c->number_be, plan->number);
  put_endpoint(&c->client, &a->flow.client);
  put_endpoint(&c->server, &a->flow.server);
  put_endpoint(&c->peer, &peer);
  put_endpoint(&c->relay, &r->relay[i]);
  put_endpoint(&c->told, &r->told[i]);
  xdp_channel_seal(c);
  c->until_ns = (r->world.now_ms + (over ? 0 : HOUR_MS)) * NS_PER_MS;
  struct xdp_up_key up;
  struct xdp_down_key down;
  xdp_up_key_put(&up, c);
  put_slot(r->program->maps.xdp_up, &up, slot);
  xdp_down_key_put(&down, c, &c->relay);
  put_slot(r->program->maps.xdp_down, &down, slot);
  xdp_down_key_put(&down, c, &c->told);
  put_slot(r->program->maps.xdp_down, &down, slot);
}

/* As map.h asks: what the core itself answers, from behind XOR-MAPPED-ADDRESS on. */
static void add_binding(struct rig *r, const char *server, const char *client)
{
  static const uint8_t request[STUN_HEADER_LEN] = {0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42};
  const struct turn_flow flow = {.client = place(r, client), .server = place(r, server)};
  const size_t fixed = STUN_HEADER_LEN + 8 + addr_ip_len(&flow.client);
  world_client_input(&r->world, &flow, request, sizeof(request));
  const struct world_output *o = world_next(&r->world);
  must(o && o->len >= fixed && o->len - fixed <= XDP_BINDING_TAIL_MAX, "no Binding response");
  struct xdp_binding b = {.tail_len = (uint16_t)(o->len - fixed)};
  memcpy(b.tail, o->at + fixed, b.tail_len);
  struct xdp_binding_key key = {.family = flow.server.family};
  memcpy(key.server, flow.server.ip, 16);
  store_be16((uint8_t *)&key.server_port_be, flow.server.port);
  must(bpf_map_update_elem(bpf_map__fd(r->program->maps.xdp_binding), &key, &b, BPF_ANY) == 0,
       "no room for a Binding");
  world_clear(&r->world);
}

static void read_mac(const char *name, uint8_t out[FRAME_MAC])
{
  struct ifreq q = {0};
  snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", name);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  must(fd >= 0 && ioctl(fd, SIOCGIFHWADDR, &q) == 0, "no link address");
  close(fd);
  memcpy(out, q.ifr_hwaddr.sa_data, FRAME_MAC);
}

static void *map_rows(const struct bpf_map *map, size_t len)
{
  void *rows = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
  must(rows != MAP_FAILED, "a map cannot be mapped");
  return rows;
}

static void begin_program(struct rig *r)
{
  r->program = xdp_relay__open();
  must(r->program, "the object cannot be opened");
  struct xdp_relay *x = r->program;
  x->rodata->xdp_settings.route_ifindex = 1;
  x->rodata->xdp_settings.route6_ifindex = 1;
  must(!bpf_map__set_max_entries(x->maps.xdp_channel, RIG_SLOTS) &&
           !bpf_map__set_max_entries(x->maps.xdp_allocation, RIG_ALLOCATIONS) &&
           !xdp_relay__load(x),
       "the program cannot be loaded");
  r->channel = map_rows(x->maps.xdp_channel, RIG_SLOTS * sizeof(struct xdp_channel));
  r->limit = map_rows(x->maps.xdp_allocation, RIG_ALLOCATIONS * sizeof(struct xdp_allocation));
  r->ifindex = if_nametoindex("w0");
  read_mac("w0", r->mac);
  read_mac("e1", r->far_mac);
  /* A test run borrows a queue of the interface, which has one for XDP while a program is there. */
  x->links.viaduct_relay = bpf_program__attach_xdp(x->progs.viaduct_relay, (int)r->ifindex);
  must(x->links.viaduct_relay, "the program cannot be attached");
  struct xdp_station station = {.zero = {0}};
  memcpy(station.mac, r->mac, FRAME_MAC);
  must(!bpf_map_update_elem(bpf_map__fd(x->maps.xdp_station), &r->ifindex, &station, BPF_ANY),
       "a link address cannot be told");
  const unsigned ports[] = {r->ifindex, if_nametoindex("e1")};
  for (size_t i = 0; i < 2; i++)
    must(!bpf_map_update_elem(bpf_map__fd(x->maps.xdp_port), &ports[i], &ports[i], BPF_ANY),
         "an interface cannot be a way out");
}

bool rig_open(struct rig *r)
{
  memset(r, 0, sizeof(*r));
  if (!net_begin())
    return false;
  for (const char *const *command = rig_commands; *command; command++)
    must(net_ip(*command), *command);
  must(net_set("ipv4/conf/lo/forwarding", "1") && net_set("ipv6/conf/lo/forwarding", "1"),
       "forwarding cannot be set");
  begin_program(r);
  begin_world(r);
  for (const struct rig_channel *c = rig_channels; c->allocation; c++)
    add_channel(r, c);
  for (size_t i = 0; rig_allocations[i].name; i++)
    r->limit[i].bps = rig_allocations[i].bps;
  add_binding(r, "s4", "nobody4");
  add_binding(r, "s6", "nobody6");
  add_binding(r, "q4", "nobody4");
  return true;
}

void rig_close(struct rig *r)
{
  for (size_t i = 0; rig_allocations[i].name; i++)
    if (!rig_allocations[i].over)
      r->allocation[i]->share.bps = 0; /* which no book knows of */
  must(world_stop(&r->world), "the core leaks");
  munmap(r->channel, RIG_SLOTS * sizeof(struct xdp_channel));
  munmap(r->limit, RIG_ALLOCATIONS * sizeof(struct xdp_allocation));
  xdp_relay__destroy(r->program);
}
