/* How many nanoseconds the kernel program takes for a packet, without a network: BPF_PROG_TEST_RUN
 * runs it again on what it made of the packet the time before, so the channels here lead round in
 * circles. Not a test: build the target measure_xdp and run it as root, on a quiet machine.
 *
 *   measure_xdp            the program's figures
 */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/xdp/net.h"
#include "tests/xdp/rig.h"
#include "turn/core/internal.h"
#include "xdp_relay.skel.h"

enum { REPEAT = 2000000, ROUNDS = 9, SINGLE_RUNS = 200000 };

static struct rig rig;

struct loop_ends {
  const char *client, *server, *relay, *peer;
};

static void put(struct xdp_endpoint *e, const char *text)
{
  struct addr a;
  if (addr_parse(bytes_of(text), &a))
    exit(1);
  memcpy(e->ip, a.ip, 16);
  store_be16((uint8_t *)&e->port_be, a.port);
}

static void add(const struct loop_ends *ends, uint16_t number, uint8_t flags, uint32_t limit)
{
  const uint32_t slot = (uint32_t)rig.channel_count++;
  struct xdp_channel *c = &rig.channel[slot];
  struct xdp_up_key up;
  struct xdp_down_key down;
  *c = (struct xdp_channel){.until_ns = UINT64_MAX,
                            .allocation = limit,
                            .family = strchr(ends->client, '[') ? XDP_V6 : XDP_V4,
                            .flags = flags};
  store_be16((uint8_t *)&c->number_be, number);
  put(&c->client, ends->client);
  put(&c->server, ends->server);
  put(&c->relay, ends->relay);
  put(&c->told, ends->relay);
  put(&c->peer, ends->peer);
  xdp_channel_seal(c);
  xdp_up_key_put(&up, c);
  xdp_down_key_put(&down, c, &c->relay);
  if (bpf_map_update_elem(bpf_map__fd(rig.program->maps.xdp_up), &up, &slot, BPF_ANY) ||
      bpf_map_update_elem(bpf_map__fd(rig.program->maps.xdp_down), &down, &slot, BPF_ANY))
    exit(1);
}

/* What goes up at the one comes down at the other, as what went up at the first. */
static void add_circle(const struct loop_ends *e, uint16_t number, uint32_t limit)
{
  const struct loop_ends back = {e->server, e->client, e->peer, e->relay};
  add(e, number, 0, limit);
  add(&back, number, 0, limit);
}

static int compare(const void *a, const void *b)
{
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void measure(const char *name, const struct loop_ends *e, uint16_t number, size_t len,
                    enum frame_checksum checksum)
{
  uint8_t payload[2000] = {0};
  uint32_t ns[ROUNDS], verdict = 0;
  struct frame frame, out;
  struct frame_plan plan = {.payload = payload, .len = 4 + len, .checksum = checksum};
  memcpy(plan.to_mac, rig.mac, FRAME_MAC);
  if (addr_parse(bytes_of(e->client), &plan.from) || addr_parse(bytes_of(e->server), &plan.to))
    exit(1);
  store_be16(payload, number);
  store_be16(payload + 2, (uint16_t)len);
  frame_make(&plan, &frame);
  for (int i = 0; i < ROUNDS; i++) {
    struct xdp_md context = {.data_end = (uint32_t)frame.len, .ingress_ifindex = rig.ifindex};
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame.at, .data_size_in = (uint32_t)frame.len,
                .data_out = out.at, .data_size_out = sizeof(out.at), .ctx_in = &context,
                .ctx_size_in = sizeof(context), .repeat = REPEAT);
    if (bpf_prog_test_run_opts(bpf_program__fd(rig.program->progs.viaduct_relay), &opts))
      exit(1);
    ns[i] = opts.duration;
    verdict = opts.retval;
  }
  qsort(ns, ROUNDS, sizeof(ns[0]), compare);
  printf("%-40s %5zu bytes  %4u ns (%u to %u)%s\n", name, len, ns[ROUNDS / 2], ns[0],
         ns[ROUNDS - 1], verdict == XDP_TX ? "" : "  NOT CARRIED");
}

/* What leads to no circle is run once at a time, under the kernel's own clock (bpf_stats): dearer
 * by that clock than the figures above, so a program that does nothing stands beside it. */
static void measure_single(const char *name, const int program, const struct frame *frame)
{
  struct bpf_prog_info before = {0}, after = {0};
  uint32_t len = sizeof(before), verdict = 0;
  struct frame out;
  bpf_obj_get_info_by_fd(program, &before, &len);
  for (int i = 0; i < SINGLE_RUNS; i++) {
    struct xdp_md context = {.data_end = (uint32_t)frame->len, .ingress_ifindex = rig.ifindex};
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->at, .data_size_in = (uint32_t)frame->len,
                .data_out = out.at, .data_size_out = sizeof(out.at), .ctx_in = &context,
                .ctx_size_in = sizeof(context), .repeat = 1);
    if (bpf_prog_test_run_opts(program, &opts))
      exit(1);
    verdict = opts.retval;
  }
  len = sizeof(after);
  bpf_obj_get_info_by_fd(program, &after, &len);
  const uint64_t runs = after.run_cnt - before.run_cnt;
  printf("%-40s one by one    %4llu ns, verdict %u\n", name,
         (unsigned long long)((after.run_time_ns - before.run_time_ns) / (runs ? runs : 1)),
         verdict);
}

static enum frame_checksum checksum;

static void single_frame(const char *from, const char *to, const uint8_t *payload, size_t len,
                         struct frame *out)
{
  struct frame_plan plan = {.payload = payload, .len = len, .checksum = checksum};
  memcpy(plan.to_mac, rig.mac, FRAME_MAC);
  if (!rig_find(&rig, from, &plan.from) || !rig_find(&rig, to, &plan.to))
    exit(1);
  frame_make(&plan, out);
}

static void measure_singles(void)
{
  static const uint8_t binding[20] = {0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42};
  static const uint8_t channel[164] = {0x40, 0, 0, 160};
  static const uint8_t zeros[1200];
  const int program = bpf_program__fd(rig.program->progs.viaduct_relay);
  const struct bpf_insn nothing[] = {{.code = 0xB7, .imm = XDP_PASS}, {.code = 0x95}};
  const int idle = bpf_prog_load(BPF_PROG_TYPE_XDP, "idle", "GPL", nothing, 2, NULL);
  const int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
  struct frame f;
  single_frame("nobody4", "s4", binding, sizeof(binding), &f);
  measure_single("a program that does nothing", idle, &f);
  measure_single("Binding, IPv4", program, &f);
  single_frame("nobody6", "s6", binding, sizeof(binding), &f);
  measure_single("Binding, IPv6", program, &f);
  single_frame("a4", "s4", channel, sizeof(channel), &f);
  measure_single("from a client, IPv4, 160 bytes", program, &f);
  single_frame("p4", "a4.relay", channel + 4, 160, &f);
  measure_single("from a peer, IPv4, 160 bytes", program, &f);
  checksum = CHECKSUM_PARTIAL;
  single_frame("p4", "a4.relay", channel + 4, 160, &f);
  measure_single("the same, its checksum yet to be made", program, &f);
  single_frame("p4", "a4.relay", zeros, sizeof(zeros), &f);
  measure_single("the same, 1200 bytes", program, &f);
  checksum = CHECKSUM_RIGHT;
  single_frame("a6", "s6", channel, sizeof(channel), &f);
  measure_single("from a client, IPv6, 160 bytes", program, &f);
  single_frame("p6", "a6.relay", channel + 4, 160, &f);
  measure_single("from a peer, IPv6, 160 bytes", program, &f);
  single_frame("nobody4", "own4", channel, sizeof(channel), &f);
  measure_single("not for the relay, IPv4", program, &f);
  close(stats);
  close(idle);
}

static void add_neighbours(void)
{
  char command[160];
  for (int i = 50; i < 56; i++) {
    snprintf(command, sizeof(command),
             "neigh add 192.0.2.%d lladdr %02x:%02x:%02x:%02x:%02x:%02x dev w0 nud permanent", i,
             rig.mac[0], rig.mac[1], rig.mac[2], rig.mac[3], rig.mac[4], rig.mac[5]);
    if (!net_ip(command))
      exit(1);
    snprintf(command, sizeof(command),
             "neigh add 2001:db8::%d lladdr %02x:%02x:%02x:%02x:%02x:%02x dev w0 nud permanent", i,
             rig.mac[0], rig.mac[1], rig.mac[2], rig.mac[3], rig.mac[4], rig.mac[5]);
    if (!net_ip(command))
      exit(1);
  }
}

int main(void)
{
  static const struct loop_ends v4 = {"192.0.2.50:1000", "192.0.2.51:2000", "192.0.2.52:3000",
                                      "192.0.2.53:4000"};
  static const struct loop_ends v6 = {"[2001:db8::50]:1000", "[2001:db8::51]:2000",
                                      "[2001:db8::52]:3000", "[2001:db8::53]:4000"};
  static const struct loop_ends limited = {"192.0.2.50:1001", "192.0.2.51:2001", "192.0.2.52:3001",
                                           "192.0.2.53:4001"};
  /* To a relayed address here, whose client is where the first's server is. */
  static const struct loop_ends in = {"192.0.2.50:1002", "192.0.2.51:2002", "192.0.2.54:3002",
                                      "192.0.2.55:3003"};
  static const struct loop_ends back = {"192.0.2.51:2002", "192.0.2.50:1002", "192.0.2.55:3003",
                                        "192.0.2.54:3002"};
  if (!rig_open(&rig))
    return NET_SKIPPED;
  add_neighbours();
  add_circle(&v4, 0x4000, XDP_UNLIMITED);
  add_circle(&v6, 0x4000, XDP_UNLIMITED);
  rig.limit[RIG_ALLOCATIONS - 1].bps = UINT64_MAX / 2;
  add_circle(&limited, 0x4000, RIG_ALLOCATIONS - 1);
  add(&in, 0x4000, XDP_CHANNEL_INSIDE, XDP_UNLIMITED);
  add(&back, 0x4000, XDP_CHANNEL_INSIDE, XDP_UNLIMITED);
  measure("IPv4, up and down in turn", &v4, 0x4000, 160, CHECKSUM_RIGHT);
  measure("IPv4, up and down in turn", &v4, 0x4000, 1200, CHECKSUM_RIGHT);
  measure("IPv4, no checksum", &v4, 0x4000, 160, CHECKSUM_NONE);
  measure("IPv4, with max-bps", &limited, 0x4000, 160, CHECKSUM_RIGHT);
  measure("IPv4, relayed to relayed", &in, 0x4000, 160, CHECKSUM_RIGHT);
  measure("IPv6, up and down in turn", &v6, 0x4000, 160, CHECKSUM_RIGHT);
  measure("IPv6, up and down in turn", &v6, 0x4000, 1200, CHECKSUM_RIGHT);
  measure_singles();
  rig_close(&rig);
  return 0;
}
