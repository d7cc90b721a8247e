/* The figures of all workers as one page for Prometheus, from metrics.def. */
#include "turn/metrics.h"

#include <string.h>

#include "net/metrics.h"

static void put(struct buf *out, const struct turnd_counters *c)
{
#define METRIC(name, type, help) net_metrics_put_head(out, name, type, help);
#define VALUE(name, labels, member) net_metrics_put_labelled(out, name, labels, c->member);
#include "turn/metrics.def"
#undef METRIC
#undef VALUE
}

/* ---- for each listener, transport and realm ---- */

enum { LABELS_MAX = 512 };

/* Prometheus wants these three escaped in a label's value. */
static void put_label(struct buf *out, const char *name, struct bytes value)
{
  if (out->len > 0)
    buf_put_byte(out, ',');
  buf_put_text(out, name);
  buf_put_text(out, "=\"");
  for (size_t i = 0; i < value.len; i++) {
    if (value.at[i] == '\\' || value.at[i] == '"')
      buf_put_byte(out, '\\');
    if (value.at[i] == '\n')
      buf_put_text(out, "\\n");
    else
      buf_put_byte(out, value.at[i]);
  }
  buf_put_byte(out, '"');
}

/* Whose row it is; those that share the last one are called "other". `direction` may be NULL. */
static void labels_of(const struct turnd_metrics_source *source, const struct turn_traffic *row,
                      const char *direction, char out[LABELS_MAX])
{
  static const char *const transport[TURN_TRANSPORT_COUNT] = {"udp", "tcp", "tls", "dtls"};
  const struct addr at = turnd_worker_listener(source->worker[0], row->listener);
  char text[ADDR_TEXT_SIZE];
  struct buf b;
  buf_init(&b, out, LABELS_MAX - 1);
  bool other = at.family == ADDR_NONE;
  put_label(&b, "listener", bytes_of(other ? "other" : addr_format(&at, text)));
  put_label(&b, "transport", bytes_of(other ? "other" : transport[row->transport]));
  put_label(&b, "realm", other ? bytes_of("other") : (struct bytes){row->realm, row->realm_len});
  if (direction != NULL)
    put_label(&b, "direction", bytes_of(direction));
  out[b.len] = 0;
}

struct family {
  const char *name, *type, *help;
  const char *direction[2]; /* NULL: none */
  size_t offset[2];         /* in struct turn_traffic, for each direction */
};

#define AT(field) offsetof(struct turn_traffic, field)
static const struct family families[] = {
    {.name = "viaduct_turn_sessions",
     .type = "gauge",
     .help = "Allocations that live, by listener, transport and realm.",
     .offset = {AT(sessions)}},
    {.name = "viaduct_turn_sessions_created_total",
     .type = "counter",
     .help = "Allocations made, by listener, transport and realm.",
     .offset = {AT(sessions_created)}},
    {.name = "viaduct_turn_relayed_packets_total",
     .type = "counter",
     .help = "Datagrams relayed, by listener, transport, realm and direction.",
     .direction = {"from-client", "from-peer"},
     .offset = {AT(from_client_packets), AT(from_peer_packets)}},
    {.name = "viaduct_turn_relayed_bytes_total",
     .type = "counter",
     .help = "Payload bytes relayed, by listener, transport, realm and direction.",
     .direction = {"from-client", "from-peer"},
     .offset = {AT(from_client_bytes), AT(from_peer_bytes)}},
};
#undef AT

static void put_family(struct buf *out, const struct turnd_metrics_source *source,
                       const struct family *f, const struct turn_traffic *row, size_t count)
{
  net_metrics_put_head(out, f->name, f->type, f->help);
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < 2; k++) {
      char labels[LABELS_MAX];
      uint64_t value;
      if (k == 1 && f->direction[k] == NULL)
        continue;
      memcpy(&value, (const char *)&row[i] + f->offset[k], sizeof(value));
      labels_of(source, &row[i], f->direction[k], labels);
      net_metrics_put_labelled(out, f->name, labels, value);
    }
}

static void put_traffic(struct buf *out, const struct turnd_metrics_source *source)
{
  struct turn_traffic sum[TURN_TRAFFIC_MAX];
  size_t count = 0;
  for (size_t i = 0; i < source->count; i++)
    turnd_worker_add_traffic(source->worker[i], sum, &count);
  for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
    put_family(out, source, &families[i], sum, count);
}

/* The program's own figures, where it runs: what it did, and why it left something to user space.
 */
static void put_xdp(struct buf *out, const struct turnd_metrics_source *source,
                    const uint64_t stat[XDP_STAT_COUNT])
{
  static const char *const label[] = {
#define ROW(name, help) "what=\"" #name "\"",
      XDP_STATS(ROW)
#undef ROW
  };
  if (source->xdp == NULL)
    return;
  net_metrics_put_head(out, "viaduct_turn_xdp_total", "counter",
                       "What the kernel program did with packets of ours (turn/xdp/map.h).");
  for (size_t i = 0; i < XDP_STAT_COUNT; i++)
    net_metrics_put_labelled(out, "viaduct_turn_xdp_total", label[i], stat[i]);
  net_metrics_put(out, "viaduct_turn_xdp_refused_total", "counter",
                  "Channels for which the kernel program had no room.",
                  turnd_xdp_refused(source->xdp));
}

bool turnd_metrics_healthy(void *arg)
{
  const struct turnd_metrics_source *source = arg;
  return !atomic_load(&source->draining);
}

void turnd_metrics_render(void *arg, struct buf *out)
{
  const struct turnd_metrics_source *source = arg;
  struct turnd_counters sum = {0};
  uint64_t stat[XDP_STAT_COUNT];
  for (size_t i = 0; i < source->count; i++)
    turnd_worker_add_counters(source->worker[i], &sum);
  turnd_xdp_stats(source->xdp, stat);
  sum.turn.bindings += stat[XDP_STAT_binding];
  sum.turn.relayed_inside += stat[XDP_STAT_inside];
  put(out, &sum);
  put_xdp(out, source, stat);
  put_traffic(out, source);
  net_metrics_put(out, "viaduct_turn_workers", "gauge", "Threads that relay.", source->count);
  net_metrics_put(out, "viaduct_turn_draining", "gauge",
                  "1 while no new session is taken and the last ones run out.",
                  atomic_load(&source->draining) ? 1 : 0);
}
