/* Packets at a rate, flow after flow, and what comes of them. One loop that never sleeps: the
 * generator has a core of its own, and a sleep would be in every latency. */
#include <string.h>
#include <sys/epoll.h>

#include "bench/load/engine_priv.h"
#include "bench/load/flood.h"
#include "bench/load/payload.h"
#include "bench/load/proc.h"

enum {
  HEADER_MAX = 48, /* of a Send indication */
  QUIET_NS = 200 * 1000 * 1000,
  DRAIN_NS = 3ull * 1000 * 1000 * 1000,
  POLL_NS = 20 * 1000,         /* between two looks at the sockets */
  FLOW_BITS = 16,              /* of a payload's flow; above it stands the trial */
  FLOOD = (1 << FLOW_BITS) - 1 /* the flow of what must not come through */
};
_Static_assert((int)LOAD_FLOWS_MAX < (int)FLOOD, "a flow's number fits");

struct pace {
  const struct load_trial *t;
  uint64_t began_ns, end_ns, polled_ns;
  uint64_t due; /* packets that should be out by now */
  uint32_t flow;
  uint32_t aimed; /* the flood: at whose relayed address */
  uint8_t bytes[LOAD_BURST_MAX][LOAD_PAYLOAD_MOST + HEADER_MAX];
};

/* ---- in ---- */

/* A connection that has gone stays in the result. */
static void settle(struct load_engine *g, struct load_flow *f)
{
  g->result->closed += f->link.state == LOAD_LINK_CLOSED && f->link.fd >= 0;
  (void)load__settle(g, f); /* a descriptor that is watched stays so */
}

static struct bytes payload_of(struct bytes datagram)
{
  struct stun_view v;
  if (datagram.len >= 4 && datagram.at[0] >= 0x40 && datagram.at[0] <= 0x4f) {
    const size_t len = load_be16(datagram.at + 2);
    if (len + 4 <= datagram.len)
      return (struct bytes){datagram.at + 4, len};
  } else if (stun_decode(datagram.at, datagram.len, &v) == 0 && v.method == STUN_DATA) {
    return stun_get_bytes(&v, STUN_ATTR_DATA);
  }
  return (struct bytes){NULL, 0};
}

/* Which flow's packets this socket may get. */
static bool is_meant(const struct load_engine *g, uint32_t flow)
{
  if (g->setup.direction == LOAD_UP)
    return g->reading == g->flow_count && flow < g->flow_count;
  return g->reading == (g->setup.direction == LOAD_CALL ? flow ^ 1 : flow);
}

static void take(void *arg, struct bytes datagram, uint64_t now_ns)
{
  struct load_engine *g = arg;
  struct load_result *r = g->result;
  struct load_payload p;
  const bool wrapped = g->reading < g->flow_count;
  if (load_payload_get(wrapped ? payload_of(datagram) : datagram, &p) != 0) {
    r->damaged++;
    return;
  }
  if (p.flow >> FLOW_BITS != g->trial)
    return; /* stood in a queue of the server's since an earlier one */
  p.flow &= (1u << FLOW_BITS) - 1;
  g->last_ns = now_ns;
  if (!is_meant(g, p.flow))
    r->misrouted++;
  else if (load_account_take(&g->flow[p.flow].account, p.sequence))
    load_histogram_add(&r->latency, now_ns - p.made_ns);
}

static void receive_from_server(struct load_engine *g)
{
  struct epoll_event event[LOAD_EVENTS];
  const int n = epoll_wait(g->epoll, event, LOAD_EVENTS, 0);
  for (int i = 0; i < n; i++) {
    struct load_flow *f = &g->flow[event[i].data.u32];
    g->reading = event[i].data.u32;
    if (f->link.blocked)
      load_link_flush(&f->link);
    (void)load_link_receive(&f->link, 1, take, g);
    settle(g, f);
  }
}

static void receive(struct load_engine *g)
{
  if (g->setup.direction == LOAD_UP) {
    g->reading = g->flow_count;
    (void)load_receive(g->peer_fd, 4, take, g);
  }
  /* Connections have an end, and may wait for room in their sockets. */
  if (g->setup.direction != LOAD_UP || load_transport_is_stream(g->setup.way.transport))
    receive_from_server(g);
}

/* ---- out ---- */

/* What the client puts before the payload; its length. */
static size_t put_header(const struct load_engine *g, const struct load_flow *f, uint8_t *out,
                         size_t len)
{
  if (g->setup.direction == LOAD_DOWN)
    return 0;
  if (!g->setup.indications) {
    store_be16(out, LOAD_CHANNEL);
    store_be16(out + 2, (uint16_t)len);
    return 4;
  }
  struct stun_encoder e;
  stun_begin(&e, out, HEADER_MAX, STUN_INDICATION, STUN_SEND, f->client.txid);
  stun_put_addr(&e, STUN_ATTR_XOR_PEER_ADDRESS, &f->client.peer);
  const size_t header = (size_t)stun_end(&e);
  store_be16(out + 2, (uint16_t)(header - STUN_HEADER_LEN + 4 + (len + 3) / 4 * 4));
  store_be16(out + header, stun_attr_row(STUN_ATTR_DATA)->code);
  store_be16(out + header + 2, (uint16_t)len);
  return header + 4;
}

/* Streams are written when nothing more is due, or when it is time to look at the sockets: what is
 * due at the same time leaves in one piece. */
static void gathered(struct load_engine *g, uint32_t flow)
{
  struct load_flow *f = &g->flow[flow];
  if (f->link.stream == NULL || f->dirty)
    return;
  f->dirty = true;
  g->dirty[g->dirty_count++] = flow;
}

static void flush(struct load_engine *g)
{
  for (uint32_t i = 0; i < g->dirty_count; i++) {
    struct load_flow *f = &g->flow[g->dirty[i]];
    f->dirty = false;
    if (!f->link.blocked)
      load_link_flush(&f->link);
    settle(g, f);
  }
  g->dirty_count = 0;
}

static void send_burst(struct load_engine *g, struct pace *p, uint64_t now_ns)
{
  struct load_flow *f = &g->flow[p->flow];
  const size_t size = p->t->size;
  uint8_t *at = p->bytes[0];
  size_t whole = 0;
  for (uint32_t i = 0; i < p->t->burst; i++, at += whole) {
    const size_t header = put_header(g, f, at, size);
    const struct load_payload payload = {
        .flow = p->flow | g->trial << FLOW_BITS,
        .sequence = f->account.sent + i,
        .made_ns = now_ns,
    };
    load_payload_put(at + header, size, &payload);
    whole = header + size;
    for (; header > 4 && whole % 4; whole++) /* a Send indication */
      at[whole] = 0;
  }
  const struct load_burst b = {
      .fd = g->peer_fd,
      .to = &f->client.relayed,
      .at = p->bytes[0],
      .len = whole,
      .count = p->t->burst,
      .segment = p->t->segment,
  };
  const bool down = g->setup.direction == LOAD_DOWN;
  g->message_len = (whole + 3) / 4 * 4;
  const size_t sent = down ? load_send(&b) : load_link_send(&f->link, &b);
  if (!down)
    gathered(g, p->flow);
  f->account.sent += sent;
  g->result->sent += sent;
  /* Without a rate, a stream gets as much as it takes. */
  if (p->t->rate != 0 || f->link.stream == NULL)
    g->result->refused += p->t->burst - sent;
  p->flow = (p->flow + 1) % g->flow_count;
}

/* ---- a trial ---- */

static bool is_due(const struct load_engine *g, struct pace *p, uint64_t now_ns)
{
  if (p->t->rate == 0)
    return true;
  p->due = (uint64_t)((double)(now_ns - p->began_ns) * (double)p->t->rate / 1e9);
  return g->result->sent + g->result->refused + p->t->burst <= p->due;
}

static void send_all(struct load_engine *g, struct pace *p)
{
  uint64_t now_ns;
  while ((now_ns = load_now_ns()) < p->end_ns) {
    const bool due = is_due(g, p, now_ns);
    if (due)
      send_burst(g, p, now_ns);
    if (p->t->flooded)
      load_flood_go_on(g->flood, &g->flow[p->aimed++ % g->flow_count].client.relayed, now_ns);
    if (!due || now_ns - p->polled_ns >= POLL_NS) {
      flush(g);
      receive(g);
      p->polled_ns = now_ns;
    }
  }
}

/* What has not left its connection yet is not sent, though it may still arrive. */
static void count_queued(struct load_engine *g)
{
  struct load_result *r = g->result;
  flush(g);
  for (uint32_t i = 0; i < g->flow_count; i++) {
    const struct load_flow *f = &g->flow[i];
    const size_t bytes = load_link_queued(&f->link);
    uint64_t packets = (bytes + g->message_len - 1) / g->message_len;
    if (packets > f->account.sent)
      packets = f->account.sent;
    r->queued += packets;
    r->sent -= packets;
  }
}

static void drain(struct load_engine *g)
{
  const uint64_t began_ns = load_now_ns();
  uint64_t now_ns = began_ns;
  if (g->last_ns < began_ns)
    g->last_ns = began_ns;
  while (now_ns - began_ns < DRAIN_NS && now_ns - g->last_ns < QUIET_NS) {
    receive(g);
    now_ns = load_now_ns();
    if (now_ns < g->last_ns)
      now_ns = g->last_ns;
  }
  g->result->drain_ns = g->last_ns - began_ns;
}

void load_engine_run(struct load_engine *g, const struct load_trial *t, struct load_result *r)
{
  static struct pace p; /* large; one thread */
  *r = (struct load_result){.transport = g->setup.way.transport};
  g->result = r;
  g->trial = (g->trial + 1) % (1u << (32 - FLOW_BITS));
  for (uint32_t i = 0; i < g->flow_count; i++)
    g->flow[i].account = (struct load_account){0};
  const uint64_t cpu_ns = load_proc_cpu_ns(g->setup.pid);
  const uint64_t now_ns = load_now_ns();
  g->last_ns = now_ns;
  p = (struct pace){.t = t, .began_ns = now_ns, .end_ns = now_ns + (uint64_t)t->ms * 1000000};
  if (t->flooded)
    load_flood_begin(g->flood, FLOOD | g->trial << FLOW_BITS, t->size, now_ns);
  send_all(g, &p);
  if (t->flooded)
    load_flood_stop(g->flood, load_now_ns());
  r->elapsed_ns = load_now_ns() - now_ns;
  const uint64_t sent =
      r->sent + (load_transport_is_stream(g->setup.way.transport) ? r->refused : 0);
  if (g->setup.direction != LOAD_DOWN)
    count_queued(g);
  drain(g);
  if (t->flooded)
    load_flood_count(g->flood, r);
  r->server_ns = load_proc_cpu_ns(g->setup.pid) - cpu_ns;
  r->generator_was_the_limit = t->rate != 0 && (double)sent < 0.98 * (double)p.due;
  for (uint32_t i = 0; i < g->flow_count; i++) {
    r->received += g->flow[i].account.received;
    r->duplicates += g->flow[i].account.duplicates;
    r->reordered += g->flow[i].account.reordered;
  }
}
