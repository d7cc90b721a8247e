/* The rows of Ayame in /metrics. */
#include "net/metrics.h"
#include "signal/ayame/edge.h"

static void put_numbers(const struct ayame_counters *n, struct buf *out)
{
  const struct {
    uint64_t value;
    const char *name, *labels, *type, *help;
  } rows[] = {
      {n->links, "viaduct_ayame_sockets", "", "gauge", "WebSockets of Ayame clients now."},
      {n->clients, "viaduct_ayame_clients", "", "gauge",
       "Ayame clients that are registered in a room now."},
      {n->rooms, "viaduct_ayame_rooms", "", "gauge", "Rooms of Ayame clients now."},
      {n->outbox_messages, "viaduct_ayame_outbox_messages", "", "gauge",
       "Messages that wait for a socket to take them, of all clients."},
      {n->outbox_bytes, "viaduct_ayame_outbox_bytes", "", "gauge", "Bytes of those."},
      {n->accepted, "viaduct_ayame_accepted_total", "", "counter", "Registers that were accepted."},
      {n->messages_in, "viaduct_ayame_messages_total", "direction=\"in\"", "counter",
       "Messages from and to Ayame clients."},
      {n->messages_out, "viaduct_ayame_messages_total", "direction=\"out\"", NULL, NULL},
      {n->bytes_in, "viaduct_ayame_bytes_total", "direction=\"in\"", "counter",
       "Bytes of messages from and to Ayame clients."},
      {n->bytes_out, "viaduct_ayame_bytes_total", "direction=\"out\"", NULL, NULL},
      {n->relayed, "viaduct_ayame_relayed_total", "", "counter",
       "Offers, answers and candidates that were handed to the other one's socket."},
      {n->alone, "viaduct_ayame_unheard_total", "", "counter",
       "Offers, answers and candidates of a client that was alone in its room."},
      {n->byes, "viaduct_ayame_byes_total", "", "counter",
       "Clients that were told that the other one has left."},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].type)
      net_metrics_put_head(out, rows[i].name, rows[i].type, rows[i].help);
    net_metrics_put_labelled(out, rows[i].name, rows[i].labels, rows[i].value);
  }
}

static void put_refusals(const struct ayame_counters *n, struct buf *out)
{
  static const char *const labels[AYAME_REFUSAL_COUNT] = {
      [AYAME_FULL] = "reason=\"full\"",
      [AYAME_WRONG_KEY] = "reason=\"wrong-key\"",
      [AYAME_BAD_REGISTER] = "reason=\"bad-register\"",
      [AYAME_SERVER_FULL] = "reason=\"server-full\"",
      [AYAME_BAD_JSON] = "reason=\"bad-json\"",
      [AYAME_UNKNOWN_TYPE] = "reason=\"unknown-type\"",
      [AYAME_NOT_REGISTERED] = "reason=\"not-registered\"",
      [AYAME_REGISTERED_TWICE] = "reason=\"registered-twice\"",
      [AYAME_RATE] = "reason=\"rate\"",
      [AYAME_SLOW_READER] = "reason=\"slow-reader\"",
      [AYAME_NO_REGISTER] = "reason=\"no-register\"",
      [AYAME_NO_PONG] = "reason=\"no-pong\"",
      [AYAME_NO_MEMORY] = "reason=\"no-memory\"",
  };
  net_metrics_put_head(out, "viaduct_ayame_refused_total", "counter",
                       "Sockets of Ayame clients rejected or closed, by reason.");
  for (int i = 0; i < AYAME_REFUSAL_COUNT; i++)
    net_metrics_put_labelled(out, "viaduct_ayame_refused_total", labels[i], n->refused[i]);
}

void ayame_put_metrics(const struct signald *s, struct buf *out)
{
  put_numbers(ayame_counters(s->ayame), out);
  put_refusals(ayame_counters(s->ayame), out);
}
