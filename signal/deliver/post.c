/* The way in for transports that are only a way out: POST /v1/session opens a session or continues
 * one, POST /v1/messages brings messages. Called by http.c, with the whole body. */
#include "base/err.h"
#include "signal/deliver/deliver.h"

static int refuse_link(struct conn *c, const struct http_request *r, int err)
{
  struct deliver_refusal why = deliver_refusal(err);
  return http_send_error(c, r, why.error, why.message, why.retry_s);
}

int post_welcome(struct conn *c, const struct http_request *r, struct sig_link **link)
{
  struct deliver_text t = {.mem = &c->s->mem};
  struct sig_out out;
  if (sig_link_peer(*link).len == 0 || !sig_next(c->app->core, *link, &out))
    return deliver_answer_error(c, r, link);
  deliver_put_message(&t, &out);
  deliver_close_link(c, link);
  return deliver_answer(c, r, HTTP_CREATED, &t, 0);
}

int post_session(struct conn *c, const struct http_request *r, struct bytes token,
                 struct bytes body)
{
  struct sig_link *link;
  if (c->s->stopping)
    return http_send_error(c, r, SIG_ERROR_DRAINING, "this server stops; come back soon", 1);
  int err = deliver_open_link(c, r, SIG_POLL, token, &link);
  if (err)
    return refuse_link(c, r, err);
  sig_input(c->app->core, link, body, signald_now_ms(c->s));
  return sig_link_asks(link) ? asking_wait(c, r, link) : post_welcome(c, r, &link);
}

/* What is to be said about the messages of one request. */
struct report {
  struct deliver_text errors, messages; /* elements of two arrays */
  size_t accepted, refused;
  enum sig_error first; /* of those that were refused */
  unsigned retry_s;
  bool is_array;
  bool exhausted; /* what is behind this one is refused alike, or it would overtake */
};

static void report_error(struct report *p, size_t index, const struct sig_out *out)
{
  if (p->refused++ == 0)
    p->first = out->error;
  p->exhausted =
      p->exhausted || out->error == SIG_ERROR_RATE_LIMITED || out->error == SIG_ERROR_SERVER_FULL;
  if (p->refused == 1 || p->exhausted)
    p->retry_s = out->retry_s;
  if (p->is_array) {
    deliver_put(&p->errors, bytes_of(p->errors.len ? ",{\"index\":" : "{\"index\":"));
    deliver_put_uint(&p->errors, index);
    deliver_put(&p->errors, bytes_of(","));
    deliver_put(&p->errors, out->body);
  } else {
    deliver_put_message(&p->errors, out);
  }
}

static void bring(struct conn *c, struct sig_link *link, struct bytes message, size_t index,
                  struct report *p)
{
  struct sig_out out;
  size_t refused = p->refused;
  sig_input(c->app->core, link, message, signald_now_ms(c->s));
  while (sig_next(c->app->core, link, &out)) {
    if (out.error != SIG_ERROR_COUNT) {
      report_error(p, index, &out);
      continue;
    }
    deliver_put(&p->messages, bytes_of(p->messages.len ? "," : ""));
    deliver_put_message(&p->messages, &out);
  }
  p->accepted += p->refused == refused;
}

static void put_array(struct deliver_text *t, const char *name, struct deliver_text *elements)
{
  if (elements->len) {
    deliver_put(t, bytes_of(name));
    deliver_put(t, (struct bytes){elements->at, elements->len});
    deliver_put(t, bytes_of("]"));
  }
  t->failed = t->failed || elements->failed;
  deliver_text_fini(elements);
}

/* {"accepted":N}, with the pongs in "messages" and what was refused in "errors". */
static int answer(struct conn *c, const struct http_request *r, struct report *p)
{
  struct deliver_text t = {.mem = &c->s->mem};
  bool any = p->accepted > 0 || p->refused == 0;
  deliver_put(&t, bytes_of("{\"accepted\":"));
  deliver_put_uint(&t, p->accepted);
  put_array(&t, ",\"messages\":[", &p->messages);
  put_array(&t, ",\"errors\":[", &p->errors);
  deliver_put(&t, bytes_of("}"));
  return deliver_answer(c, r, any ? HTTP_ACCEPTED : (unsigned)sig_error_http_status(p->first), &t,
                        p->retry_s);
}

/* The one message was refused: its error is the answer. */
static int answer_alone(struct conn *c, const struct http_request *r, struct report *p)
{
  deliver_text_fini(&p->messages);
  return deliver_answer(c, r, (unsigned)sig_error_http_status(p->first), &p->errors, p->retry_s);
}

static int refuse_batch(struct conn *c, const struct http_request *r, int err)
{
  if (err == -ERR_FULL)
    return http_send_error(c, r, SIG_ERROR_TOO_LARGE,
                           "more than 128 messages in one request; send them in several", 0);
  return http_send_error(
      c, r, SIG_ERROR_BAD_JSON,
      err == -ERR_RANGE ? "nested deeper than 64 levels" : "this array is not JSON in UTF-8", 0);
}

int post_messages(struct conn *c, const struct http_request *r, struct bytes key, struct bytes body)
{
  struct sig_batch batch;
  struct report p = {.errors = {.mem = &c->s->mem}, .messages = {.mem = &c->s->mem}};
  struct sig_link *link;
  if (key.len == 0)
    return http_send_error(c, r, SIG_ERROR_UNAUTHORIZED,
                           "bring the key of your session: Authorization: Bearer KEY, as in "
                           "welcome.key",
                           0);
  int err = sig_batch_cut(body, &batch);
  if (err)
    return refuse_batch(c, r, err);
  p.is_array = batch.is_array;
  err = deliver_open_link(c, r, SIG_POLL, (struct bytes){0}, &link);
  if (err)
    return refuse_link(c, r, err);
  if (!sig_link_send(c->app->core, link, key, signald_now_ms(c->s)))
    return deliver_answer_error(c, r, &link);
  for (size_t i = 0; i < batch.count && !p.exhausted; i++)
    bring(c, link, batch.message[i], i, &p);
  deliver_close_link(c, &link);
  return batch.is_array || p.refused == 0 ? answer(c, r, &p) : answer_alone(c, r, &p);
}
