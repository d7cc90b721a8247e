/* See carry.h. The core's note of a channel is the number of a row here, which has the note that
 * turn/xdp gave. */
#include "turn/carry.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "net/interfaces.h"
#include "stun/core/respond.h"
#include "turn/worker_private.h"

enum { COLLECT_MS = 1000, LOCAL_MAX = 64, FLOW_LABEL_MASK = 0xFFFFF };

/* ---- a channel as the kernel wants it ---- */

static struct xdp_endpoint endpoint(const struct addr *a)
{
  struct xdp_endpoint e = {.port_be = htons(a->port)};
  memcpy(e.ip, a->ip, sizeof(e.ip));
  return e;
}

static bool is_link_local(const struct addr *a)
{
  return a->scope != 0 || (a->family == ADDR_V6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80);
}

/* False: it is nothing for the kernel. Between families the packet would be another one. Our own
 * address behind a NAT is a peer's in user space alone, where it is not the one that clients know.
 */
static bool compose(const struct turnd_worker *w, const struct turn_fast *f,
                    struct xdp_channel *out)
{
  const struct turn_flow *flow = f->flow;
  struct addr relay;
  if (!turnd__relay_socket(w, f->relay, &relay) || flow->client.family != f->peer->family ||
      flow->server.family != f->peer->family || addr_is_unspecified(&flow->server) ||
      is_link_local(&flow->client) || is_link_local(f->peer))
    return false;
  const struct addr known = turnd__to_external(&w->settings->core, f->peer);
  if (!addr_equal(&known, f->peer))
    return false;
  *out = (struct xdp_channel){
      .number_be = htons(f->number),
      .family = f->peer->family,
      .client = endpoint(&flow->client),
      .server = endpoint(&flow->server),
      .peer = endpoint(f->peer),
      .relay = endpoint(&relay),
      .told = endpoint(f->relayed),
      .flags = f->inside ? XDP_CHANNEL_INSIDE : 0,
  };
  return true;
}

static bool is_same(const struct xdp_channel *a, const struct xdp_channel *b)
{
  return a->number_be == b->number_be && a->family == b->family && a->flags == b->flags &&
         memcmp(&a->client, &b->client, 5 * sizeof(a->client)) == 0;
}
_Static_assert(offsetof(struct xdp_channel, told) - offsetof(struct xdp_channel, client) ==
                   4 * sizeof(struct xdp_endpoint),
               "five ends in a row");

/* ---- rows ---- */

static bool grow(struct turnd_carry *k)
{
  const uint32_t cap = k->cap == 0 ? 64 : k->cap * 2;
  struct turnd_carried *row = realloc(k->row, cap * sizeof(*row));
  if (row == NULL)
    return false;
  k->row = row;
  for (uint32_t i = cap; i > k->cap; i--) {
    row[i - 1] = (struct turnd_carried){.next = k->free};
    k->free = i;
  }
  k->cap = cap;
  return true;
}

/* The number of a row in the list of those that are carried; 0 without memory. */
static uint32_t join(struct turnd_worker *w)
{
  struct turnd_carry *k = &w->carry;
  if (k->free == 0 && !grow(k))
    return 0;
  const uint32_t number = k->free;
  struct turnd_carried *r = &k->row[number - 1];
  k->free = r->next;
  *r = (struct turnd_carried){.next = k->first};
  if (k->first != 0)
    k->row[k->first - 1].previous = number;
  k->first = number;
  k->counters.channels++;
  if (r->next == 0)
    wheel_arm(&w->wheel, &k->due, w->loop.now_ms + COLLECT_MS);
  return number;
}

static void leave(struct turnd_worker *w, uint32_t number)
{
  struct turnd_carry *k = &w->carry;
  struct turnd_carried *r = &k->row[number - 1];
  if (r->next != 0)
    k->row[r->next - 1].previous = r->previous;
  if (r->previous != 0)
    k->row[r->previous - 1].next = r->next;
  else
    k->first = r->next;
  r->next = k->free;
  k->free = number;
  k->counters.channels--;
  if (k->first == 0)
    wheel_cancel(&w->wheel, &k->due); /* nobody has to wake up */
}

/* ---- figures ---- */

static uint64_t since(uint64_t *last, const __u64 *now)
{
  const uint64_t value = __atomic_load_n(now, __ATOMIC_RELAXED);
  const uint64_t more = value - *last;
  *last = value;
  return more;
}

static void collect_limit(const struct turnd_worker *w, uint32_t note, struct turn_carried *c)
{
  const struct xdp_allocation *a = turnd_xdp_limit(w->carry.xdp, note);
  uint64_t *last = w->carry.limit[note - 1].over;
  c->limited_packets = since(&last[0], &a->over_packets[0]) + since(&last[1], &a->over_packets[1]);
  c->limited_from_client_bytes = since(&last[2], &a->over_bytes[0]);
  c->limited_from_peer_bytes = since(&last[3], &a->over_bytes[1]);
}

static void collect(struct turnd_worker *w, struct turnd_carried *r)
{
  const struct xdp_channel *row = turnd_xdp_row(w->carry.xdp, r->note);
  struct turn_carried c = {
      .from_client_packets = since(&r->from_client[0], &row->from_client.packets),
      .from_client_bytes = since(&r->from_client[1], &row->from_client.bytes),
      .from_peer_packets = since(&r->from_peer[0], &row->from_peer.packets),
      .from_peer_bytes = since(&r->from_peer[1], &row->from_peer.bytes),
  };
  /* What comes to an address of this server's own from outside is forged, and none of it carried.
   */
  if (row->flags & XDP_CHANNEL_INSIDE)
    c.inside_packets = c.from_peer_packets;
  if (row->allocation != XDP_UNLIMITED)
    collect_limit(w, row->allocation + 1, &c);
  w->carry.counters.from_client_packets += c.from_client_packets;
  w->carry.counters.from_peer_packets += c.from_peer_packets;
  if ((c.from_client_packets | c.from_peer_packets | c.limited_packets) != 0)
    turn_fast_carried(w->turn, r->relay, &c);
}

void turnd__carry_collect(struct turnd_worker *w)
{
  for (uint32_t i = w->carry.first; i != 0; i = w->carry.row[i - 1].next)
    collect(w, &w->carry.row[i - 1]);
}

static void collect_due(struct timer *t, uint64_t now_ms)
{
  struct turnd_worker *w = CONTAINER_OF(t, struct turnd_worker, carry.due);
  turnd__carry_collect(w);
  wheel_arm(&w->wheel, t, now_ms + COLLECT_MS);
}

/* ---- what the core says ---- */

/* Whether the allocation's limit, if it has one, has a row. */
static bool join_limit(struct turnd_worker *w, const struct turn_fast *f)
{
  if (f->bps == 0)
    return true;
  if (*f->group == 0)
    *f->group = turnd_xdp_limit_begin(w->carry.xdp, f->bps, f->paid_ns);
  if (*f->group == 0)
    return false;
  struct turnd_carry_limit *l = &w->carry.limit[*f->group - 1];
  if (l->users++ == 0) {
    struct turn_carried before; /* of whose row it was before */
    collect_limit(w, *f->group, &before);
  }
  return true;
}

static void leave_limit(struct turnd_worker *w, const struct turn_fast *f)
{
  if (*f->group == 0 || --w->carry.limit[*f->group - 1].users > 0)
    return;
  turnd_xdp_limit_end(w->carry.xdp, *f->group, f->paid_ns);
  *f->group = 0;
}

static void begin(struct turnd_worker *w, const struct turn_fast *f, struct xdp_channel *row)
{
  struct turnd_carry *k = &w->carry;
  const uint32_t number = join(w);
  if (number == 0)
    return;
  if (!join_limit(w, f)) {
    leave(w, number);
    return;
  }
  row->allocation = *f->group != 0 ? *f->group - 1 : XDP_UNLIMITED;
  row->flow_label_be = htonl((uint32_t)random_u64(&w->random.random) & FLOW_LABEL_MASK);
  const uint32_t note = turnd_xdp_begin(k->xdp, row, f->until_ms * 1000000);
  if (note == 0) {
    leave_limit(w, f);
    leave(w, number);
    return;
  }
  struct turnd_carried *r = &k->row[number - 1];
  r->note = note;
  r->relay = f->relay;
  (void)since(&r->from_client[0], &row->from_client.packets);
  (void)since(&r->from_client[1], &row->from_client.bytes);
  (void)since(&r->from_peer[0], &row->from_peer.packets);
  (void)since(&r->from_peer[1], &row->from_peer.bytes);
  *f->slot = number;
}

static void end(struct turnd_worker *w, const struct turn_fast *f)
{
  struct turnd_carried *r = &w->carry.row[*f->slot - 1];
  turnd_xdp_end(w->carry.xdp, r->note);
  collect(w, r);
  turnd_xdp_leave(w->carry.xdp, r->note);
  leave_limit(w, f);
  leave(w, *f->slot);
  *f->slot = 0;
}

static void fast(void *arg, const struct turn_fast *f)
{
  struct turnd_worker *w = arg;
  struct xdp_channel row;
  const bool carries = f->until_ms != 0 && compose(w, f, &row);
  const struct turnd_carried *r = *f->slot != 0 ? &w->carry.row[*f->slot - 1] : NULL;
  if (r != NULL && carries && is_same(turnd_xdp_row(w->carry.xdp, r->note), &row)) {
    turnd_xdp_prolong(w->carry.xdp, r->note, f->until_ms * 1000000);
    return;
  }
  if (r != NULL)
    end(w, f);
  if (carries)
    begin(w, f, &row);
}

static bool fast_takes(void *arg, uint32_t group, unsigned way, size_t len, uint64_t now_ms)
{
  const struct turnd_worker *w = arg;
  return turnd_xdp_limit_takes(w->carry.xdp, group, way, len, now_ms);
}

/* ---- Binding requests ---- */

/* What stands behind XOR-MAPPED-ADDRESS in our answer to a bare request with this transaction id
 * from this port: its length, or negative when it is no answer that the program can give. */
static int tail_of(const struct turn_config *c, const struct addr *server, uint8_t seed,
                   uint8_t out[XDP_BINDING_TAIL_MAX])
{
  const size_t mapped_len = server->family == ADDR_V6 ? 24 : 12;
  struct turn_flow flow = {.client = *server, .server = *server, .transport = TURN_UDP};
  uint8_t request[20] = {0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42};
  uint8_t bytes[STUN_RESPOND_MAX];
  struct stun_answer answer = {.at = bytes, .cap = sizeof(bytes)};
  memset(request + 8, seed, 12);
  flow.client.ip[3] ^= seed;
  flow.client.port = (uint16_t)(1024 + seed);
  const int len = turn_binding(c, &flow, (struct bytes){request, sizeof(request)}, &answer);
  const int tail_len = len - (int)(sizeof(request) + mapped_len);
  if (tail_len < 0 || tail_len > XDP_BINDING_TAIL_MAX || tail_len % 4 != 0 || answer.code != 0 ||
      !addr_equal(&answer.from, server) || !addr_equal(&answer.to, &flow.client) ||
      load_be16(bytes) != 0x0101 || load_be16(bytes + 20) != 0x0020 ||
      load_be16(bytes + 22) != mapped_len - 4 || memcmp(bytes + 4, request + 4, 16) != 0)
    return -1;
  memcpy(out, bytes + sizeof(request) + mapped_len, (size_t)tail_len);
  return tail_len;
}

/* The same tail for everybody, or none. */
static void put_binding(const struct turnd_worker *w, const struct addr *server, bool serves)
{
  struct xdp_binding b = {.tail_len = 0};
  uint8_t other[XDP_BINDING_TAIL_MAX];
  const struct turn_config *c = &w->settings->core;
  if (addr_is_loopback(server) || is_link_local(server))
    return;
  const int len = serves ? tail_of(c, server, 1, b.tail) : -1;
  const bool fits =
      len >= 0 && tail_of(c, server, 2, other) == len && memcmp(b.tail, other, (size_t)len) == 0;
  b.tail_len = fits ? (uint16_t)len : 0;
  turnd_xdp_binding(w->carry.xdp, server, fits ? &b : NULL);
}

void turnd__carry_bindings(struct turnd_worker *w)
{
  struct addr here[LOCAL_MAX];
  if (w->carry.xdp == NULL || w->index != 0)
    return;
  const size_t count = net_interfaces(NULL, here, LOCAL_MAX);
  for (size_t i = 0; i < w->udp_count; i++) {
    const struct addr *at = &w->udp[i].udp.local;
    const bool serves = !w->udp[i].no_plain;
    if (!addr_is_unspecified(at))
      put_binding(w, at, serves);
    for (size_t k = 0; addr_is_unspecified(at) && k < count; k++) {
      here[k].port = at->port;
      if (here[k].family == at->family)
        put_binding(w, &here[k], serves);
    }
  }
}

/* ---- its life ---- */

static void begin_worker(struct turnd_worker *w, struct turnd_xdp *x, struct log *log)
{
  struct turnd_carry *k = &w->carry;
  k->limit = calloc((size_t)w->settings->options.xdp_channels, sizeof(*k->limit));
  if (k->limit == NULL) {
    log_event(log, LOG_LEVEL_WARN, "xdp-worker-off", LOG_UINT("worker", w->index),
              LOG_TEXT("why", "there is no memory for its limits"),
              LOG_TEXT("mend", "lower xdp-channels"),
              LOG_TEXT("now", "what is this worker's is relayed in user space"));
    return;
  }
  k->xdp = x;
  timer_init(&k->due, collect_due);
  w->effects.fast = fast;
  w->effects.fast_takes = fast_takes;
  turnd__carry_bindings(w);
}

struct turnd_xdp *turnd_carry_open(const struct turnd_settings *settings,
                                   struct turnd_worker *const *worker, size_t count,
                                   struct log *log)
{
  const struct turn_config *c = &settings->core;
  struct addr at[TURND_LISTENERS_MAX + TURND_PLACES_MAX];
  struct turnd_xdp_setup setup = {
      .interfaces = settings->options.xdp,
      .address = at,
      .channels = (uint32_t)settings->options.xdp_channels,
      .log = log,
  };
  struct net_error e = {.text = "there is no memory for it"};
  struct turnd_xdp *x;
  if (strcmp(setup.interfaces, "off") == 0)
    return NULL;
  setup.address_count = turnd_worker_listeners(worker[0], at, TURND_LISTENERS_MAX);
  for (size_t i = 0; i < c->relay_count; i++)
    at[setup.address_count++] = c->relay[i].local;
  if (turnd_xdp_open(&setup, &x, &e) != 0) {
    log_event(log, LOG_LEVEL_WARN, "xdp-off", LOG_TEXT("why", e.text),
              LOG_TEXT("now", "everything is relayed in user space"));
    return NULL;
  }
  for (size_t i = 0; i < count; i++)
    begin_worker(worker[i], x, log);
  return x;
}

void turnd__carry_fini(struct turnd_worker *w)
{
  free(w->carry.row);
  free(w->carry.limit);
  w->carry = (struct turnd_carry){.xdp = NULL};
}
