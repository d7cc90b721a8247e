/* The rows of PeerJS in /metrics. */
#include "net/metrics.h"
#include "signal/peerjs/edge.h"

static void put_numbers(const struct peerjs_counters *n, struct buf *out)
{
  const struct {
    uint64_t value;
    const char *name, *labels, *type, *help;
  } rows[] = {
      {n->links, "viaduct_peerjs_sockets", "", "gauge", "WebSockets of PeerJS clients now."},
      {n->clients, "viaduct_peerjs_clients", "", "gauge", "PeerJS clients that have an id now."},
      {n->waiting_messages, "viaduct_peerjs_waiting_messages", "", "gauge",
       "Messages that wait for a peer that is not there."},
      {n->waiting_bytes, "viaduct_peerjs_waiting_bytes", "", "gauge", "Memory of those, in bytes."},
      {n->outbox_messages, "viaduct_peerjs_outbox_messages", "", "gauge",
       "Messages that wait for a socket to take them, of all clients."},
      {n->outbox_bytes, "viaduct_peerjs_outbox_bytes", "", "gauge", "Bytes of those."},
      {n->opened, "viaduct_peerjs_clients_started_total", "how=\"opened\"", "counter",
       "Clients that got an id, by how."},
      {n->taken_over, "viaduct_peerjs_clients_started_total", "how=\"taken-over\"", NULL, NULL},
      {n->timed_out, "viaduct_peerjs_timeouts_total", "", "counter",
       "Clients cut for want of a heartbeat."},
      {n->messages_in, "viaduct_peerjs_messages_total", "direction=\"in\"", "counter",
       "Messages from and to PeerJS clients."},
      {n->messages_out, "viaduct_peerjs_messages_total", "direction=\"out\"", NULL, NULL},
      {n->bytes_in, "viaduct_peerjs_bytes_total", "direction=\"in\"", "counter",
       "Bytes of messages from and to PeerJS clients."},
      {n->bytes_out, "viaduct_peerjs_bytes_total", "direction=\"out\"", NULL, NULL},
      {n->relayed, "viaduct_peerjs_relayed_total", "", "counter",
       "Messages that were handed to their receiver's socket."},
      {n->queued, "viaduct_peerjs_queued_total", "", "counter",
       "Messages that had to wait for their receiver."},
      {n->expired, "viaduct_peerjs_expired_total", "", "counter",
       "EXPIRE: pairs of a sender and a receiver that did not come."},
      {n->ignored, "viaduct_peerjs_ignored_total", "", "counter",
       "Messages that were no JSON, of no type for the server, without a receiver, or of a socket "
       "that has no id any more."},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].type)
      net_metrics_put_head(out, rows[i].name, rows[i].type, rows[i].help);
    net_metrics_put_labelled(out, rows[i].name, rows[i].labels, rows[i].value);
  }
}

static void put_refusals(const struct peerjs_counters *n, struct buf *out)
{
  static const char *const labels[PEERJS_REFUSAL_COUNT] = {
      [PEERJS_INCOMPLETE] = "reason=\"incomplete\"",
      [PEERJS_TOO_LONG] = "reason=\"too-long\"",
      [PEERJS_WRONG_KEY] = "reason=\"wrong-key\"",
      [PEERJS_ID_TAKEN] = "reason=\"id-taken\"",
      [PEERJS_FULL] = "reason=\"full\"",
      [PEERJS_RATE] = "reason=\"rate\"",
      [PEERJS_SLOW_READER] = "reason=\"slow-reader\"",
      [PEERJS_NO_MEMORY] = "reason=\"no-memory\"",
  };
  net_metrics_put_head(out, "viaduct_peerjs_refused_total", "counter",
                       "Sockets of PeerJS clients refused or closed, by reason.");
  for (int i = 0; i < PEERJS_REFUSAL_COUNT; i++)
    net_metrics_put_labelled(out, "viaduct_peerjs_refused_total", labels[i], n->refused[i]);
}

void peerjs_put_metrics(const struct signald *s, struct buf *out)
{
  put_numbers(peerjs_counters(s->peerjs), out);
  put_refusals(peerjs_counters(s->peerjs), out);
}
