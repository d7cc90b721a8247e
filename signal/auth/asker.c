/* Questions to the application's backend, over webclient.c; see asker.h. Each is signed as Standard
 * Webhooks has it, like those of backend/webhook.c. */
#include "signal/auth/asker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "net/clock.h"
#include "signal/auth/auth.h"
#include "signal/webclient.h"

enum {
  IN_FLIGHT = 32,
  QUEUE = 4096, /* the core has a bound of its own for each application */
  ANSWER_MAX = 64 * 1024,
  BODY_SIZE = 6 * SIG_TOKEN_SIZE + 1024,
  HEADER_SIZE = 160
};

struct asker {
  struct webclient *client;
  struct list questions;
  char boot[17];
};

struct question {
  struct list node;
  struct signald *s;
  struct app *app;
  struct webclient_call *call;
  uint64_t number;
};

static void question_free(struct question *q)
{
  list_remove(&q->node);
  mem_free(&q->s->mem, q, sizeof *q);
}

static const char unknown[] = "the application's backend does not say whether you may come in";

/* 401 and 403 are a no; anything else that is not 200 is none. */
static void judge(const struct question *q, const struct webclient_answer *a)
{
  struct signald *s = q->s;
  struct sig_verdict v = {.err = -ERR_UNREACHABLE, .why = unknown};
  json_t *json = NULL;
  char *ice = NULL;
  const char *wrong = NULL;
  if (a->error != WEBCLIENT_OK) {
    wrong = a->text;
  } else if (a->status == 200) {
    wrong = auth_verdict_read(a->body, &v, &json, &ice);
    if (wrong)
      v = (struct sig_verdict){.err = -ERR_BAD, .why = unknown};
  } else if (a->status == 401 || a->status == 403) {
    v = (struct sig_verdict){.err = -ERR_DENIED, .why = "the application does not let you in"};
  } else {
    wrong = "an answer that is not 200, 401 or 403";
  }
  if (wrong)
    log_event(s->log, LOG_LEVEL_WARN, "auth-webhook-failed",
              LOG_TEXT("app", *q->app->name ? q->app->name : NULL), LOG_TEXT("why", wrong),
              LOG_UINT("status", a->status));
  sig_answer(q->app->core, q->number, &v, signald_now_ms(s));
  json_decref(json);
  free(ice);
}

static void on_done(void *arg, const struct webclient_answer *a)
{
  struct question *q = arg;
  struct signald *s = q->s;
  judge(q, a);
  question_free(q);
  signald_settle(s);
}

static void put_question(const struct app *app, const struct sig_question *q, struct buf *b)
{
  static const char *const transports[SIG_TRANSPORT_COUNT] = {
      [SIG_WEBSOCKET] = "websocket",
      [SIG_SSE] = "http",
      [SIG_LONGPOLL] = "http",
      [SIG_POLL] = "http",
  };
  char client[ADDR_TEXT_SIZE];
  buf_put_text(b, "{\"type\":\"hello\",\"application\":");
  json_put_string(b, bytes_of(app->name));
  buf_put_text(b, ",\"token\":");
  json_put_string(b, q->token);
  buf_put_text(b, ",\"client\":");
  json_put_string(b, bytes_of(addr_format_ip(&q->client, client)));
  buf_put_text(b, ",\"transport\":");
  json_put_string(b, bytes_of(transports[q->transport]));
  buf_put_text(b, "}");
}

struct headers {
  char id[HEADER_SIZE], timestamp[HEADER_SIZE], signature[HEADER_SIZE];
};

/* Standard Webhooks: HMAC-SHA256 over "id.timestamp.body". */
static void sign(const struct signald_webhook *to, const char *boot, uint64_t number,
                 struct bytes body, struct headers *out)
{
  char id[64], timestamp[32];
  uint8_t mac[SHA256_SIZE];
  struct buf b;
  (void)snprintf(id, sizeof id, "%s-hello-%llu", boot, (unsigned long long)number);
  (void)snprintf(timestamp, sizeof timestamp, "%llu",
                 (unsigned long long)(net_clock_wall_ms() / 1000));
  const struct bytes piece[] = {bytes_of(id), bytes_of("."), bytes_of(timestamp), bytes_of("."),
                                body};
  hmac_sha256((struct bytes){to->secret, to->secret_len}, piece, 5, mac);
  (void)snprintf(out->id, sizeof out->id, "webhook-id: %s", id);
  (void)snprintf(out->timestamp, sizeof out->timestamp, "webhook-timestamp: %s", timestamp);
  buf_init(&b, out->signature, sizeof out->signature - 1);
  buf_put_text(&b, "webhook-signature: v1,");
  buf_put_base64(&b, mac, sizeof mac);
  out->signature[b.len] = 0;
}

static int post(struct question *q, struct bytes body)
{
  const struct signald_webhook *to = q->app->asks;
  struct headers h;
  sign(to, q->s->asker->boot, q->number, body, &h);
  const char *const header[] = {h.id, h.timestamp, h.signature};
  const struct webclient_request r = {.url = to->url,
                                      .ca_path = to->ca_path,
                                      .body = body,
                                      .header = header,
                                      .header_count = 3,
                                      .deadline_ms = to->timeout_s * 1000,
                                      .answer_max = ANSWER_MAX,
                                      .done = on_done,
                                      .arg = q};
  return webclient_post(q->s->asker->client, &r, &q->call);
}

int asker_ask(void *arg, const struct sig_question *about)
{
  struct signald *s = arg;
  const struct conn *c = about->edge;
  if (!s->asker || !c->app->asks)
    return -ERR_UNSUPPORTED;
  struct question *q = mem_new(&s->mem, sizeof *q);
  uint8_t *body = mem_new(&s->mem, BODY_SIZE);
  int err = q && body ? 0 : -ERR_NOMEM;
  if (!err) {
    struct buf b;
    buf_init(&b, body, BODY_SIZE);
    *q = (struct question){.s = s, .app = c->app, .number = about->number};
    put_question(q->app, about, &b);
    err = b.overflow ? -ERR_FULL : post(q, (struct bytes){b.at, b.len});
    bytes_wipe(body, b.len);
  }
  mem_free(&s->mem, body, BODY_SIZE);
  if (err) {
    mem_free(&s->mem, q, sizeof *q);
    return err;
  }
  list_push_back(&s->asker->questions, &q->node);
  return 0;
}

void asker_forget(void *arg, uint64_t number)
{
  const struct signald *s = arg;
  if (!s->asker) /* the server ends */
    return;
  for (struct list *l = s->asker->questions.next; l != &s->asker->questions; l = l->next) {
    struct question *q = CONTAINER_OF(l, struct question, node);
    if (q->number == number) {
      webclient_cancel(q->call);
      question_free(q);
      return;
    }
  }
}

static int asker_open(struct signald *s)
{
  uint8_t boot[8];
  struct asker *a = mem_new(&s->mem, sizeof *a);
  const struct webclient_setup setup = {.loop = &s->loop,
                                        .mem = &s->mem,
                                        .in_flight = IN_FLIGHT,
                                        .queue = QUEUE,
                                        .product = "viaduct-signald/" VIADUCT_VERSION};
  int err = a ? webclient_open(&setup, &a->client) : -ERR_NOMEM;
  if (err) {
    mem_free(&s->mem, a, sizeof *a);
    return err;
  }
  list_init(&a->questions);
  s->random.random.fill(s->random.random.arg, boot, sizeof boot);
  struct buf b;
  buf_init(&b, a->boot, sizeof a->boot - 1);
  buf_put_hex(&b, boot, sizeof boot);
  s->asker = a;
  return 0;
}

int asker_configure(struct signald *s)
{
  bool wanted = false;
  for (size_t i = 0; i < s->app_count; i++) {
    const struct signald_webhook *to = s->app[i].asks;
    wanted = wanted || to;
    if (to && !webclient_is_private(to->url))
      log_event(s->log, LOG_LEVEL_WARN, "configuration",
                LOG_TEXT("note", "auth-webhook is http and leaves this machine: others on the way "
                                 "can read the tokens; use https"));
  }
  return wanted && !s->asker ? asker_open(s) : 0;
}

void asker_close(struct signald *s)
{
  struct asker *a = s->asker;
  if (!a)
    return;
  s->asker = NULL;
  webclient_close(a->client);
  while (!list_is_empty(&a->questions))
    question_free(CONTAINER_OF(a->questions.next, struct question, node));
  mem_free(&s->mem, a, sizeof *a);
}
