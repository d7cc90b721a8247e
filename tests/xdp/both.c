/* One frame through the kernel program and through the core, and the comparison. */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

#include "tests/xdp/rig.h"
#include "turn/core/internal.h"
#include "xdp_relay.skel.h"

static char fault[RIG_FAULT];

bool rig_run(struct rig *r, const uint8_t *p, size_t len, struct rig_run *out)
{
  struct xdp_md context = {.data_end = (uint32_t)len, .ingress_ifindex = r->ifindex};
  LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p, .data_size_in = (uint32_t)len,
              .data_out = out->out.at, .data_size_out = sizeof(out->out.at), .ctx_in = &context,
              .ctx_size_in = sizeof(context), .repeat = 1);
  if (bpf_prog_test_run_opts(bpf_program__fd(r->program->progs.viaduct_relay), &opts))
    return false;
  out->verdict = opts.retval;
  out->out.len = opts.data_size_out;
  return true;
}

uint64_t rig_stat(const struct rig *r, enum xdp_stat which)
{
  uint64_t rows[1024] = {0}, sum = 0;
  const uint32_t key = which;
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0 || cpus > 1024 ||
      bpf_map_lookup_elem(bpf_map__fd(r->program->maps.xdp_stat), &key, rows))
    return 0;
  for (int i = 0; i < cpus; i++)
    sum += rows[i];
  return sum;
}

static struct rig_counts kernel_counts(const struct rig *r)
{
  struct rig_counts n = {0};
  for (size_t i = 0; i < r->channel_count; i++) {
    n.from_client_packets += r->channel[i].from_client.packets;
    n.from_client_bytes += r->channel[i].from_client.bytes;
    n.from_peer_packets += r->channel[i].from_peer.packets;
    n.from_peer_bytes += r->channel[i].from_peer.bytes;
  }
  return n;
}

static struct rig_counts core_counts(const struct rig *r)
{
  const struct turn_counters *c = turn_counters(r->world.turn);
  return (struct rig_counts){c->from_client_packets, c->from_client_bytes, c->from_peer_packets,
                             c->from_peer_bytes};
}

static bool grew_alike(const struct rig_counts *a0, const struct rig_counts *a1,
                       const struct rig_counts *b0, const struct rig_counts *b1)
{
  return a1->from_client_packets - a0->from_client_packets ==
             b1->from_client_packets - b0->from_client_packets &&
         a1->from_client_bytes - a0->from_client_bytes ==
             b1->from_client_bytes - b0->from_client_bytes &&
         a1->from_peer_packets - a0->from_peer_packets ==
             b1->from_peer_packets - b0->from_peer_packets &&
         a1->from_peer_bytes - a0->from_peer_bytes == b1->from_peer_bytes - b0->from_peer_bytes;
}

/* What the datagram of a frame makes the core do: one output, or NULL. */
static const struct world_output *ask_core(struct rig *r, const struct frame_view *v)
{
  struct world *w = &r->world;
  world_clear(w);
  if (rig_is_listener(&v->to)) {
    const struct turn_flow flow = {.client = v->from, .server = v->to};
    world_client_input(w, &flow, v->payload, v->len);
  } else {
    world_peer_input(w, &v->to, &v->from, v->payload, v->len);
  }
  return world_next(w);
}

static void ends_of(const struct world_output *o, struct addr *from, struct addr *to)
{
  *from = o->kind == WORLD_TO_PEER ? o->relay : o->flow.server;
  *to = o->kind == WORLD_TO_PEER ? o->peer : o->flow.client;
}

static const char *say(const char *what)
{
  snprintf(fault, sizeof(fault), "%s", what);
  return fault;
}

/* The router's, or that of a neighbour on the other interface. */
static const char *check_link(const struct rig *r, const struct frame_view *v, uint32_t verdict)
{
  static const uint8_t router[FRAME_MAC] = {2, 0, 0, 0, 0, 0xFE};
  static const uint8_t far[FRAME_MAC] = {2, 0, 0, 0, 0, 0xE9};
  const bool out = verdict == XDP_REDIRECT;
  if (memcmp(v->from_mac, out ? r->far_mac : r->mac, FRAME_MAC) != 0)
    return say("the frame leaves from another link address");
  if (memcmp(v->to_mac, out ? far : router, FRAME_MAC) != 0)
    return say("the frame goes to another link address");
  return NULL;
}

static const char *check_ip(const struct frame_view *v)
{
  const uint32_t label = v->flow_label;
  if (v->rest != 0)
    return say("bytes behind the packet");
  if (v->ttl != 64 || v->tos != 0 || v->dont_fragment)
    return say("other header fields than a socket's");
  if (v->to.family == ADDR_V6 && label != 0x12345 && label != 0)
    return say("another flow label");
  return NULL;
}

static const char *check_sum(const struct frame_view *in, const struct frame_view *out, bool reply)
{
  if (in->sum_is_none && !reply)
    return out->sum_is_none ? NULL : say("a checksum where there was none");
  if (!frame_is_intact(in))
    return out->sum_is_right || out->sum_is_none ? say("damage is hidden by the checksum") : NULL;
  return out->sum_is_right ? NULL : say("a wrong UDP checksum");
}

static const char *check_sent(const struct rig *r, const struct frame_view *in,
                              const struct world_output *o, const struct rig_run *run)
{
  struct frame_view out;
  struct addr from, to;
  if (!o)
    return say("the program sends what the core does not");
  if (!frame_read(run->out.at, run->out.len, &out))
    return say("the program sends no whole datagram");
  ends_of(o, &from, &to);
  if (!addr_equal(&out.from, &from) || !addr_equal(&out.to, &to))
    return say("other addresses than the core's");
  if (out.len != o->len || memcmp(out.payload, o->at, o->len) != 0)
    return say("another payload than the core's");
  const char *bad = check_link(r, &out, run->verdict);
  if (!bad)
    bad = check_ip(&out);
  return bad ? bad : check_sum(in, &out, o->kind == WORLD_REPLY);
}

/* The kernel's own stack takes a frame to this host only with this host's link address. */
static bool is_for_us(const struct rig *r, const struct frame_view *v)
{
  return memcmp(v->to_mac, r->mac, FRAME_MAC) == 0;
}

const char *rig_both(struct rig *r, const uint8_t *p, size_t len, struct rig_run *run)
{
  const struct rig_counts kernel = kernel_counts(r), core = core_counts(r);
  const uint64_t over = turn_counters(r->world.turn)->dropped_over_limit;
  struct frame_view in;
  if (!rig_run(r, p, len, run))
    return say("the kernel does not run the program");
  const struct world_output *o =
      frame_read(p, len, &in) && is_for_us(r, &in) ? ask_core(r, &in) : NULL;
  const struct rig_counts kernel_now = kernel_counts(r), core_now = core_counts(r);
  const uint64_t over_now = turn_counters(r->world.turn)->dropped_over_limit;
  switch (run->verdict) {
  case XDP_PASS:
    if (run->out.len != len || memcmp(run->out.at, p, len) != 0)
      return say("what goes up is not as it came");
    return memcmp(&kernel, &kernel_now, sizeof(kernel)) == 0 ? NULL : say("counted, and goes up");
  case XDP_DROP:
    if (o || over_now != over + 1)
      return say("the program drops what the core does not");
    break;
  case XDP_TX:
  case XDP_REDIRECT: {
    const char *bad = check_sent(r, &in, o, run);
    if (bad)
      return bad;
    break;
  }
  default:
    return say("another verdict than PASS, DROP, TX or REDIRECT");
  }
  return grew_alike(&kernel, &kernel_now, &core, &core_now) ? NULL : say("other counts");
}
