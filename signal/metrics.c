/* GET /metrics: the counters of the core and of the edge, in Prometheus' text. Called by http.c. */
#include "net/metrics.h"

#include "signal/ayame/edge.h"
#include "signal/backend/webhook.h"
#include "signal/http.h"
#include "signal/peerjs/edge.h"

enum { METRICS_SIZE = 128 * 1024 };

static void put_core(const struct sig_counters *n, struct buf *out)
{
  const struct {
    uint64_t value;
    const char *name, *labels, *type, *help;
  } rows[] = {
      {n->links, "viaduct_signal_links", "", "gauge", "Connections of the protocol now."},
      {n->sessions, "viaduct_signal_sessions", "", "gauge", "Sessions now."},
      {n->sessions_linked, "viaduct_signal_sessions_linked", "", "gauge",
       "Sessions with a connection now."},
      {n->rooms, "viaduct_signal_rooms", "", "gauge", "Rooms now."},
      {n->members, "viaduct_signal_members", "", "gauge", "Members of all rooms now."},
      {n->outbox_messages, "viaduct_signal_outbox_messages", "", "gauge",
       "Messages that wait for an acknowledgement, of all sessions."},
      {n->outbox_bytes, "viaduct_signal_outbox_bytes", "", "gauge",
       "Bytes that wait for an acknowledgement, of all sessions."},
      {n->links_opened, "viaduct_signal_links_opened_total", "", "counter",
       "Connections of the protocol that were accepted."},
      {n->sessions_opened, "viaduct_signal_sessions_started_total", "how=\"opened\"", "counter",
       "Hellos that succeeded, by what they did."},
      {n->sessions_resumed, "viaduct_signal_sessions_started_total", "how=\"resumed\"", NULL, NULL},
      {n->sessions_taken_over, "viaduct_signal_sessions_started_total", "how=\"taken-over\"", NULL,
       NULL},
      {n->messages_in, "viaduct_signal_messages_total", "direction=\"in\"", "counter",
       "Messages from and to clients."},
      {n->messages_out, "viaduct_signal_messages_total", "direction=\"out\"", NULL, NULL},
      {n->bytes_in, "viaduct_signal_bytes_total", "direction=\"in\"", "counter",
       "Bytes of messages from and to clients."},
      {n->bytes_out, "viaduct_signal_bytes_total", "direction=\"out\"", NULL, NULL},
      {n->deliveries, "viaduct_signal_deliveries_total", "", "counter",
       "Signals and broadcasts that were put into an outbox."},
      {n->duplicates, "viaduct_signal_duplicates_total", "", "counter",
       "Messages whose id had been seen before."},
      {n->no_memory, "viaduct_signal_no_memory_total", "", "counter",
       "Messages refused and sessions ended for want of memory."},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].type)
      net_metrics_put_head(out, rows[i].name, rows[i].type, rows[i].help);
    net_metrics_put_labelled(out, rows[i].name, rows[i].labels, rows[i].value);
  }
}

static void put_label(char out[64], const char *key, const char *value)
{
  struct buf b;
  buf_init(&b, out, 63);
  buf_put_text(&b, key);
  buf_put_text(&b, "=\"");
  buf_put_text(&b, value);
  buf_put_text(&b, "\"");
  out[b.len] = 0;
}

static const char *const transports[SIG_TRANSPORT_COUNT] = {
    [SIG_WEBSOCKET] = "websocket",
    [SIG_SSE] = "sse",
    [SIG_LONGPOLL] = "longpoll",
    [SIG_POLL] = "poll",
};

static void put_transports(const struct sig_counters *n, const struct sig_survey *survey,
                           struct buf *out)
{
  char labels[64];
  net_metrics_put_head(out, "viaduct_signal_links_by_transport", "gauge",
                       "Connections and requests of the protocol now, by transport.");
  for (int i = 0; i < SIG_TRANSPORT_COUNT; i++) {
    put_label(labels, "transport", transports[i]);
    net_metrics_put_labelled(out, "viaduct_signal_links_by_transport", labels,
                             n->links_by_transport[i]);
  }
  net_metrics_put_head(out, "viaduct_signal_sessions_by_transport", "gauge",
                       "Sessions now, by what reads them; none: nothing at the moment.");
  for (int i = 0; i < SIG_TRANSPORT_COUNT; i++) {
    put_label(labels, "transport", transports[i]);
    net_metrics_put_labelled(out, "viaduct_signal_sessions_by_transport", labels,
                             survey->by_transport[i]);
  }
  net_metrics_put_labelled(out, "viaduct_signal_sessions_by_transport", "transport=\"none\"",
                           survey->away);
}

static void put_seconds(struct buf *out, uint64_t us)
{
  char digits[8] = {'.'};
  uint64_t rest = us % 1000000;
  for (int i = 6; i > 0; i--, rest /= 10)
    digits[i] = (char)('0' + rest % 10);
  buf_put_uint(out, us / 1000000);
  buf_put_text(out, digits);
}

static void put_bucket(struct buf *out, const char *transport, size_t i, uint64_t count)
{
  buf_put_text(out, "viaduct_signal_latency_seconds_bucket{transport=\"");
  buf_put_text(out, transport);
  buf_put_text(out, "\",le=\"");
  if (i < SIG_LATENCY_BOUNDS)
    put_seconds(out, sig_latency_bound_us[i]);
  else
    buf_put_text(out, "+Inf");
  buf_put_text(out, "\"} ");
  buf_put_uint(out, count);
  buf_put_byte(out, '\n');
}

static void put_latency(const struct sig_counters *n, struct buf *out)
{
  char labels[64];
  net_metrics_put_head(out, "viaduct_signal_latency_seconds", "histogram",
                       "From the arrival of what made a message to its being handed to a "
                       "connection or an answer; again where it is handed out again.");
  for (int t = 0; t < SIG_TRANSPORT_COUNT; t++) {
    uint64_t count = 0;
    put_label(labels, "transport", transports[t]);
    for (size_t i = 0; i <= SIG_LATENCY_BOUNDS; i++) {
      count += n->latency[t][i];
      put_bucket(out, transports[t], i, count);
    }
    buf_put_text(out, "viaduct_signal_latency_seconds_sum{");
    buf_put_text(out, labels);
    buf_put_text(out, "} ");
    put_seconds(out, n->latency_ticks[t] * SIG_TICK_US);
    buf_put_byte(out, '\n');
    net_metrics_put_labelled(out, "viaduct_signal_latency_seconds_count", labels, count);
  }
}

static void put_depths(const struct sig_survey *survey, struct buf *out)
{
  char labels[64], number[24];
  uint64_t count = 0;
  net_metrics_put_head(out, "viaduct_signal_outbox_depth_sessions", "gauge",
                       "Sessions now with at most so many messages in their outbox.");
  for (size_t i = 0; i < SIG_DEPTHS; i++) {
    struct buf b;
    buf_init(&b, number, sizeof number - 1);
    buf_put_uint(&b, sig_depth[i]);
    number[b.len] = 0;
    count += survey->by_depth[i];
    put_label(labels, "messages", number);
    net_metrics_put_labelled(out, "viaduct_signal_outbox_depth_sessions", labels, count);
  }
  net_metrics_put_labelled(out, "viaduct_signal_outbox_depth_sessions", "messages=\"+Inf\"",
                           count + survey->by_depth[SIG_DEPTHS]);
  net_metrics_put(out, "viaduct_signal_outbox_deepest_messages", "gauge",
                  "Messages in the outbox that has the most of them now.",
                  survey->deepest_messages);
  net_metrics_put(out, "viaduct_signal_outbox_deepest_bytes", "gauge",
                  "Bytes in the outbox that has the most of them now.", survey->deepest_bytes);
}

static void put_refused(const struct sig_counters *n, struct buf *out)
{
  static const char *const reasons[SIG_REFUSED_COUNT] = {
      [SIG_REFUSED_ORIGIN] = "origin",
      [SIG_REFUSED_ADDRESS_LINKS] = "max-connections-per-address",
      [SIG_REFUSED_LINKS] = "connections-for-max-sessions",
      [SIG_REFUSED_UNAUTHORIZED] = "unauthorized",
      [SIG_REFUSED_SESSIONS] = "max-sessions",
      [SIG_REFUSED_ADDRESS_SESSIONS] = "max-sessions-per-address",
      [SIG_REFUSED_ASKING] = "auth-webhook",
      [SIG_REFUSED_DRAINING] = "draining",
      [SIG_REFUSED_MEMORY] = "memory",
  };
  char labels[64];
  net_metrics_put_head(out, "viaduct_signal_refused_total", "counter",
                       "Connections, requests and hellos that were refused, by reason.");
  for (int i = 0; i < SIG_REFUSED_COUNT; i++) {
    put_label(labels, "reason", reasons[i]);
    net_metrics_put_labelled(out, "viaduct_signal_refused_total", labels, n->refused[i]);
  }
}

static void put_errors(const struct sig_counters *n, struct buf *out)
{
  static const char *const left[SIG_LEFT_COUNT] = {
      [SIG_LEFT_LEAVE] = "leave",
      [SIG_LEFT_BYE] = "bye",
      [SIG_LEFT_TIMEOUT] = "timeout",
      [SIG_LEFT_KICKED] = "kicked",
      [SIG_LEFT_OUTBOX_OVERFLOW] = "outbox-overflow",
  };
  char labels[64];
  net_metrics_put_head(out, "viaduct_signal_errors_total", "counter",
                       "Errors that clients were told, by code.");
  for (int i = 0; i < SIG_ERROR_COUNT; i++) {
    put_label(labels, "code", sig_error_code((enum sig_error)i));
    net_metrics_put_labelled(out, "viaduct_signal_errors_total", labels, n->errors[i]);
  }
  net_metrics_put_head(out, "viaduct_signal_sessions_ended_total", "counter",
                       "Sessions that ended, by reason.");
  for (int i = 0; i < SIG_LEFT_COUNT; i++) {
    put_label(labels, "reason", left[i]);
    net_metrics_put_labelled(out, "viaduct_signal_sessions_ended_total", labels,
                             n->sessions_left[i]);
  }
}

static void put_http(const struct signald *s, struct buf *out)
{
  static const char *const listeners[FACE_COUNT] = {"listener=\"http\"", "listener=\"https\"",
                                                    "listener=\"admin\"", "listener=\"api\"",
                                                    "listener=\"api-tls\""};
  static const char *const classes[] = {NULL,           NULL,           "code=\"2xx\"",
                                        "code=\"3xx\"", "code=\"4xx\"", "code=\"5xx\""};
  const struct signald_counters *n = &s->counters;
  net_metrics_put(out, "viaduct_signal_draining", "gauge",
                  "1 while it opens no sessions any more, since it is to stop.",
                  !signald_takes_new(s));
  net_metrics_put(out, "viaduct_signal_connections", "gauge", "TCP connections now.",
                  s->conn_count);
  net_metrics_put_head(out, "viaduct_signal_connections_accepted_total", "counter",
                       "TCP connections accepted.");
  for (int i = 0; i < FACE_COUNT; i++)
    net_metrics_put_labelled(out, "viaduct_signal_connections_accepted_total", listeners[i],
                             n->accepted[i]);
  net_metrics_put(out, "viaduct_signal_connections_refused_total", "counter",
                  "TCP connections closed at once, over max-connections.", n->refused_connections);
  net_metrics_put(out, "viaduct_signal_connections_cut_total", "counter",
                  "TCP connections cut by a deadline.", n->cut_by_deadline);
  net_metrics_put(out, "viaduct_signal_http_requests_total", "counter",
                  "HTTP requests, upgrades included.", n->requests);
  net_metrics_put_head(out, "viaduct_signal_http_answers_total", "counter",
                       "HTTP answers by class.");
  for (int i = 2; i < 6; i++)
    net_metrics_put_labelled(out, "viaduct_signal_http_answers_total", classes[i], n->answers[i]);
  net_metrics_put_head(out, "viaduct_signal_bodies_refused_total", "counter",
                       "Bodies of requests that there was no room for, by whose bound.");
  net_metrics_put_labelled(out, "viaduct_signal_bodies_refused_total", "bound=\"address\"",
                           n->bodies_refused_address);
  net_metrics_put_labelled(out, "viaduct_signal_bodies_refused_total", "bound=\"all\"",
                           n->bodies_refused);
  net_metrics_put(out, "viaduct_signal_upgrades_refused_total", "counter",
                  "Requests for a WebSocket that were refused.", n->upgrades_refused);
}

static void put_metrics(struct conn *c, struct buf *out)
{
  struct sig_survey survey = {0};
  struct sig_counters all;
  apps_count(c->s, &all);
  for (size_t i = 0; i < c->s->app_count; i++)
    sig_survey(c->s->app[i].core, &survey);
  put_core(&all, out);
  put_transports(&all, &survey, out);
  put_latency(&all, out);
  put_depths(&survey, out);
  put_refused(&all, out);
  put_errors(&all, out);
  put_http(c->s, out);
  webhook_put_metrics(c->s, out);
  peerjs_put_metrics(c->s, out);
  ayame_put_metrics(c->s, out);
}

int api_metrics(struct conn *c, const struct http_request *r)
{
  return api_send_made(c, r, "text/plain; version=0.0.4; charset=utf-8", METRICS_SIZE, put_metrics);
}
