/* One delivery at a time, so that order holds; what comes meanwhile goes with the next one. The
 * signature is that of the Standard Webhooks specification, for which receivers have libraries. */
#include "signal/backend/webhook.h"

#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/err.h"
#include "net/clock.h"
#include "net/metrics.h"
#include "signal/backend/events.h"
#include "signal/webclient.h"

enum {
  BATCH_COUNT = 100,
  BATCH_BYTES = 256 * 1024,
  QUEUE_BYTES = 64 * 1024 * 1024,
  ANSWER_MAX = 64 * 1024, /* which nobody reads */
  BACKOFF_MS = 100,
  BACKOFF_DOUBLINGS = 9, /* up to 51 seconds */
  STOP_BACKOFF_MS = 100,
  BOOT_SIZE = 8,
  HEADER_SIZE = 160
};

struct webhook {
  struct signald *s;
  struct webclient *client;
  struct webclient_call *call; /* under way; NULL: none */
  struct events events;
  struct timer timer; /* the next try */
  char boot[2 * BOOT_SIZE + 1];
  size_t batch;      /* events of the delivery that is being tried; 0: none is */
  uint64_t batch_id; /* the seq of its first */
  uint64_t batch_since_ms;
  unsigned failures; /* in a row */
  uint64_t delivered, attempts[WEBCLIENT_ERROR_COUNT], refused;
};

static void arm(struct webhook *w, uint64_t in_ms)
{
  wheel_arm(&w->s->wheel, &w->timer, signald_now_ms(w->s) + in_ms);
}

static uint64_t backoff_ms(struct webhook *w)
{
  unsigned before = w->failures - 1; /* this one is counted already */
  unsigned doublings = before < BACKOFF_DOUBLINGS ? before : BACKOFF_DOUBLINGS;
  uint64_t whole = (uint64_t)BACKOFF_MS << doublings;
  if (w->s->stopping)
    return STOP_BACKOFF_MS;
  /* Half of it, and up to half more by chance: several servers do not come back at once. */
  return whole / 2 + random_u64(&w->s->random.random) % (whole / 2);
}

static void take_batch(struct webhook *w, bool is_lost)
{
  events_take(&w->events, w->batch, net_clock_wall_ms(), is_lost);
  w->batch = 0;
}

static void on_success(struct webhook *w)
{
  if (w->failures > 0)
    log_event(w->s->log, LOG_LEVEL_INFO, "webhook-taken-again", LOG_UINT("failures", w->failures),
              LOG_UINT("waiting", w->events.count - w->batch));
  w->failures = 0;
  w->delivered += w->batch;
  take_batch(w, false);
  if (w->events.count > 0)
    arm(w, 0);
}

static void on_failure(struct webhook *w, unsigned status, const char *why)
{
  uint32_t give_up_s = w->s->config->webhook.give_up_s;
  if (w->failures++ == 0)
    log_event(w->s->log, LOG_LEVEL_WARN, "webhook-not-taken", LOG_UINT("status", status),
              LOG_TEXT("why", why),
              LOG_TEXT("now", "it is tried again, later each time, and nothing overtakes it"));
  if (give_up_s != 0 && signald_now_ms(w->s) - w->batch_since_ms >= give_up_s * UINT64_C(1000)) {
    log_event(w->s->log, LOG_LEVEL_ERROR, "webhook-given-up", LOG_UINT("events", w->batch));
    take_batch(w, true);
  }
  arm(w, backoff_ms(w));
}

static void on_done(void *arg, const struct webclient_answer *answer)
{
  struct webhook *w = arg;
  w->call = NULL;
  w->attempts[answer->error]++;
  if (answer->error != WEBCLIENT_OK) {
    on_failure(w, 0, answer->text);
  } else if (answer->status / 100 != 2) {
    w->refused++;
    on_failure(w, answer->status, "an answer that is not 2xx");
  } else {
    on_success(w);
  }
  signald_settle(w->s);
}

/* Standard Webhooks: the signed content is "msg_id.timestamp.payload", the signature
 * "v1," and the base64 of its HMAC-SHA256. */
static void sign(const struct webhook *w, const char *id, const char *timestamp, struct bytes body,
                 char out[HEADER_SIZE])
{
  const struct signald_webhook *config = &w->s->config->webhook;
  const struct bytes piece[] = {bytes_of(id), bytes_of("."), bytes_of(timestamp), bytes_of("."),
                                body};
  uint8_t mac[SHA256_SIZE];
  struct buf b;
  hmac_sha256((struct bytes){config->secret, config->secret_len}, piece, 5, mac);
  buf_init(&b, out, HEADER_SIZE - 1);
  buf_put_text(&b, "webhook-signature: v1,");
  buf_put_base64(&b, mac, sizeof mac);
  out[b.len] = 0;
}

static uint32_t deadline_ms(const struct webhook *w)
{
  uint64_t whole = w->s->config->webhook.timeout_s * UINT64_C(1000);
  if (w->s->stopping) {
    uint64_t now = signald_now_ms(w->s), left = w->s->stop_by_ms > now ? w->s->stop_by_ms - now : 1;
    whole = left < whole ? left : whole;
  }
  return (uint32_t)whole;
}

static int post(struct webhook *w, struct bytes body)
{
  char id[64], timestamp[32], id_line[HEADER_SIZE], timestamp_line[HEADER_SIZE],
      signature[HEADER_SIZE];
  const char *const header[] = {id_line, timestamp_line, signature};
  (void)snprintf(id, sizeof id, "%s-%llu", w->boot, (unsigned long long)w->batch_id);
  (void)snprintf(timestamp, sizeof timestamp, "%llu",
                 (unsigned long long)(net_clock_wall_ms() / 1000));
  (void)snprintf(id_line, sizeof id_line, "webhook-id: %s", id);
  (void)snprintf(timestamp_line, sizeof timestamp_line, "webhook-timestamp: %s", timestamp);
  sign(w, id, timestamp, body, signature);
  const struct webclient_request r = {.url = w->s->config->webhook.url,
                                      .ca_path = w->s->config->webhook.ca_path,
                                      .body = body,
                                      .header = header,
                                      .header_count = 3,
                                      .deadline_ms = deadline_ms(w),
                                      .answer_max = ANSWER_MAX,
                                      .done = on_done,
                                      .arg = w};
  return webclient_post(w->client, &r, &w->call);
}

static void try_batch(struct webhook *w)
{
  size_t size, len;
  if (w->call || w->events.count == 0 || !w->s->config->webhook.url)
    return;
  if (w->batch == 0) {
    w->batch = events_batch(&w->events, BATCH_COUNT, BATCH_BYTES, &w->batch_id);
    w->batch_since_ms = signald_now_ms(w->s);
  }
  uint8_t *body = events_body(&w->events, w->batch, &size, &len);
  int err = body ? post(w, (struct bytes){body, len}) : -ERR_NOMEM;
  mem_free(&w->s->mem, body, size);
  if (err)
    on_failure(w, 0, "no memory");
}

static void on_timer(struct timer *t, uint64_t now_ms)
{
  (void)now_ms;
  try_batch(CONTAINER_OF(t, struct webhook, timer));
}

/* Of the application that this core is; empty: the default one. */
static struct bytes app_name(const struct signald *s, const struct sig *sig)
{
  for (size_t i = 0; i < s->app_count; i++) {
    if (s->app[i].core == sig)
      return bytes_of(s->app[i].name);
  }
  return (struct bytes){0};
}

/* At once, with what else happens in this round of the loop. */
static void wake(struct webhook *w)
{
  if (!w->call && !timer_is_armed(&w->timer))
    arm(w, 0);
}

static void on_event(void *arg, const struct sig *sig, const struct sig_event *e)
{
  struct signald *s = arg;
  events_add(&s->webhook->events, net_clock_wall_ms(), app_name(s, sig), e);
  wake(s->webhook);
}

static int webhook_new(struct signald *s)
{
  uint8_t boot[BOOT_SIZE];
  struct webhook *w = mem_new(&s->mem, sizeof *w);
  const struct webclient_setup setup = {.loop = &s->loop,
                                        .mem = &s->mem,
                                        .in_flight = 1,
                                        .queue = 0,
                                        .product = "viaduct-signald/" VIADUCT_VERSION};
  int err = w ? webclient_open(&setup, &w->client) : -ERR_NOMEM;
  if (err) {
    mem_free(&s->mem, w, sizeof *w);
    return err;
  }
  w->s = s;
  timer_init(&w->timer, on_timer);
  s->random.random.fill(s->random.random.arg, boot, sizeof boot);
  struct buf b;
  buf_init(&b, w->boot, sizeof w->boot - 1);
  buf_put_hex(&b, boot, sizeof boot);
  events_init(&w->events, &s->mem, s->config->webhook.queue, QUEUE_BYTES);
  s->webhook = w;
  events_add_own(&w->events, net_clock_wall_ms(), "server-started", s->config->core.node);
  arm(w, 0);
  return 0;
}

int webhook_configure(struct signald *s)
{
  bool wanted = s->config->webhook.url != NULL;
  int err = wanted && !s->webhook ? webhook_new(s) : 0;
  if (!wanted && s->webhook)
    webhook_close(s);
  if (s->webhook)
    s->webhook->events.max_count = s->config->webhook.queue;
  s->effects.event = s->webhook ? on_event : NULL;
  if (wanted && !err && !webclient_is_private(s->config->webhook.url))
    log_event(s->log, LOG_LEVEL_WARN, "configuration",
              LOG_TEXT("note", "webhook-url is http and leaves this machine: others on the way can "
                               "read what it tells; use https"));
  return err;
}

void webhook_stop(struct signald *s)
{
  struct webhook *w = s->webhook;
  if (!w)
    return;
  events_add_own(&w->events, net_clock_wall_ms(), "server-stopping", s->config->core.node);
  if (!w->call)
    arm(w, 0);
}

bool webhook_is_busy(const struct signald *s)
{
  return s->webhook && s->webhook->events.count > 0;
}

void webhook_close(struct signald *s)
{
  struct webhook *w = s->webhook;
  if (!w)
    return;
  s->effects.event = NULL;
  s->webhook = NULL;
  if (w->events.count > 0)
    log_event(s->log, LOG_LEVEL_WARN, "webhook-lost", LOG_UINT("events", w->events.count));
  wheel_cancel(&s->wheel, &w->timer);
  webclient_close(w->client);
  events_fini(&w->events);
  mem_free(&s->mem, w, sizeof *w);
}

void webhook_put_metrics(const struct signald *s, struct buf *out)
{
  static const char events[] = "viaduct_signal_webhook_events_total";
  static const char attempts[] = "viaduct_signal_webhook_attempts_total";
  const struct webhook *w = s->webhook;
  char label[64];
  if (!w)
    return;
  net_metrics_put(out, "viaduct_signal_webhook_waiting", "gauge",
                  "Events that wait to be told to the application's backend.", w->events.count);
  net_metrics_put_head(out, events, "counter", "Events for the application's backend.");
  net_metrics_put_labelled(out, events, "result=\"delivered\"", w->delivered);
  net_metrics_put_labelled(out, events, "result=\"dropped\"", w->events.dropped);
  net_metrics_put_head(out, attempts, "counter",
                       "Requests to webhook-url by how they ended; refused: a status that is not "
                       "2xx.");
  net_metrics_put_labelled(out, attempts, "result=\"taken\"",
                           w->attempts[WEBCLIENT_OK] - w->refused);
  net_metrics_put_labelled(out, attempts, "result=\"refused\"", w->refused);
  for (int i = WEBCLIENT_OK + 1; i < WEBCLIENT_ERROR_COUNT; i++) {
    (void)snprintf(label, sizeof label, "result=\"%s\"",
                   webclient_error_name((enum webclient_error)i));
    net_metrics_put_labelled(out, attempts, label, w->attempts[i]);
  }
}
