/* The small answers: is it alive, is it ready, TURN credentials, metrics. Called by http.c. */
#include "net/metrics.h"
#include "signal/ayame/edge.h"
#include "signal/backend/webhook.h"
#include "signal/http.h"
#include "signal/peerjs/edge.h"

enum { METRICS_SIZE = 64 * 1024, ICE_SIZE = 64 * 1024 };

static int send_text(struct conn *c, const struct http_request *r, unsigned status,
                     const char *text)
{
  const struct http_answer a = {
      .status = status, .type = "text/plain; charset=utf-8", .body = bytes_of(text)};
  return http_send(c, r, &a) ? -1 : http_done(c);
}

int api_healthz(struct conn *c, const struct http_request *r)
{
  return send_text(c, r, HTTP_STATUS_OK, "ok\n");
}

int api_readyz(struct conn *c, const struct http_request *r)
{
  bool ready = !c->s->stopping;
  return send_text(c, r, ready ? HTTP_STATUS_OK : HTTP_STATUS_SERVICE_UNAVAILABLE,
                   ready ? "ready\n" : "stopping\n");
}

/* Answers with what `put` writes into `size` bytes of the heap. */
static int send_made(struct conn *c, const struct http_request *r, const char *type, size_t size,
                     void (*put)(struct conn *c, struct buf *out))
{
  uint8_t *bytes = mem_new(&c->s->mem, size);
  struct buf b;
  if (!bytes)
    return -1;
  buf_init(&b, bytes, size);
  put(c, &b);
  struct http_answer a = {.status = HTTP_STATUS_OK, .type = type, .body = {b.at, b.len}};
  if (b.overflow) {
    a.status = HTTP_STATUS_INTERNAL_SERVER_ERROR;
    a.type = "text/plain; charset=utf-8";
    a.body = bytes_of("the answer is too large\n");
  }
  int err = http_send(c, r, &a);
  mem_free(&c->s->mem, bytes, size);
  return err ? -1 : http_done(c);
}

static void put_ice(struct conn *c, struct buf *out)
{
  buf_put_text(out, "{\"iceServers\":");
  sig_ice_put(c->app->core, bytes_of("http"), signald_now_ms(c->s), out);
  buf_put_text(out, ",\"iceTtl\":");
  buf_put_uint(out, c->app->config->turn_ttl_s);
  buf_put_text(out, "}");
}

/* Who may say hello may ask here too. */
int api_ice_servers(struct conn *c, const struct http_request *r)
{
  const struct sig_config *config = c->app->config;
  char text[SIG_TOKEN_SIZE];
  const char *why;
  if (!sig_origin_is_allowed(config->origin, config->origin_count, bytes_of(r->origin),
                             bytes_of(r->host)))
    return http_send_error(c, r, SIG_ERROR_FORBIDDEN, "pages of this origin may not ask here", 0);
  struct bytes token = http_bearer(c->wsi, text, sizeof text);
  int err = sig_check_token(c->app->core, token, signald_now_ms(c->s), &why);
  bytes_wipe(text, sizeof text);
  return err ? http_send_error(c, r, SIG_ERROR_UNAUTHORIZED, why, 0)
             : send_made(c, r, "application/json", ICE_SIZE, put_ice);
}

/* Metrics. */

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
      {n->links_refused, "viaduct_signal_links_refused_total", "", "counter",
       "Connections refused for their origin or a limit."},
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

static void put_transports(const struct sig_counters *n, struct buf *out)
{
  static const char *const labels[SIG_TRANSPORT_COUNT] = {
      [SIG_WEBSOCKET] = "transport=\"websocket\"",
      [SIG_SSE] = "transport=\"sse\"",
      [SIG_LONGPOLL] = "transport=\"longpoll\"",
      [SIG_POLL] = "transport=\"poll\"",
  };
  net_metrics_put_head(out, "viaduct_signal_links_by_transport", "gauge",
                       "Connections and requests of the protocol now, by transport.");
  for (int i = 0; i < SIG_TRANSPORT_COUNT; i++)
    net_metrics_put_labelled(out, "viaduct_signal_links_by_transport", labels[i],
                             n->links_by_transport[i]);
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

static void put_refusals(const struct sig_counters *n, struct buf *out)
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
  net_metrics_put(out, "viaduct_signal_upgrades_refused_total", "counter",
                  "Requests for a WebSocket that were refused.", n->upgrades_refused);
}

static void put_metrics(struct conn *c, struct buf *out)
{
  struct sig_counters all;
  apps_count(c->s, &all);
  put_core(&all, out);
  put_transports(&all, out);
  put_refusals(&all, out);
  put_http(c->s, out);
  webhook_put_metrics(c->s, out);
  peerjs_put_metrics(c->s, out);
  ayame_put_metrics(c->s, out);
}

int api_metrics(struct conn *c, const struct http_request *r)
{
  return send_made(c, r, "text/plain; version=0.0.4; charset=utf-8", METRICS_SIZE, put_metrics);
}
