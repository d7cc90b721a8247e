/* Polling: GET /v1/messages answers with what waits for the session, at once, and longpoll.c takes
 * over where the client would rather wait. Called by http.c. */
#include <string.h>

#include "signal/deliver/deliver.h"

enum { WAIT_MAX_S = 55, ANSWER_SIZE = 256 * 1024 };

/* An answer that the socket does not take at once keeps its link until it is written: so a session
 * has one such answer at most, since its next reader ends this one, however many requests its
 * client makes and never reads. */
static int on_writable(struct conn *c)
{
  if (lws_partial_buffered(c->wsi)) {
    lws_callback_on_writable(c->wsi);
    return 0;
  }
  conn_end_task(c);
  return http_done(c);
}

static void on_end(struct conn *c)
{
  struct sig_link *link = c->state;
  deliver_close_link(c, &link);
}

static void on_close(struct conn *c, uint16_t code, const char *reason)
{
  (void)code;
  (void)reason;
  conn_cut(c);
}

static const struct conn_task writing = {.writable = on_writable, .end = on_end, .close = on_close};

static int send_all(struct conn *c, const struct http_request *r, struct sig_link **link,
                    struct deliver_text *t)
{
  if (t->failed) {
    deliver_close_link(c, link);
    return deliver_answer(c, r, HTTP_STATUS_OK, t, 0);
  }
  int err = deliver_send(c, r, HTTP_STATUS_OK, t, 0);
  if (err || !lws_partial_buffered(c->wsi)) {
    deliver_close_link(c, link);
    return err ? -1 : http_done(c);
  }
  c->state = *link;
  c->task = &writing;
  conn_deadline_at_pace(c, SIGNALD_IDLE_MS);
  signald_settle(c->s);
  lws_callback_on_writable(c->wsi);
  return 0;
}

/* What is behind this stays in the outbox for the next request. */
int poll_answer(struct conn *c, const struct http_request *r, struct sig_link **link)
{
  struct deliver_text t = {.mem = &c->s->mem};
  struct sig_out out;
  bool any = false;
  deliver_put(&t, bytes_of("{\"messages\":["));
  while (t.len < ANSWER_SIZE && sig_next(c->app->core, *link, &out)) {
    if (out.error != SIG_ERROR_COUNT) { /* the session has ended: nothing was said before this */
      t.len = 0;
      deliver_put_message(&t, &out);
      unsigned status = (unsigned)sig_error_http_status(out.error);
      deliver_close_link(c, link);
      return deliver_answer(c, r, status, &t, 0);
    }
    deliver_put(&t, bytes_of(any ? "," : ""));
    deliver_put_message(&t, &out);
    any = true;
  }
  deliver_put(&t, bytes_of("],\"last\":"));
  deliver_put_uint(&t, sig_link_last(*link));
  deliver_put(&t, bytes_of("}"));
  return send_all(c, r, link, &t);
}

int poll_handle(struct conn *c, const struct http_request *r)
{
  uint64_t after, wait_s;
  char key[SIG_TOKEN_SIZE];
  struct sig_link *link;
  struct bytes bearer = http_bearer(c->wsi, key, sizeof key);
  if (bearer.len == 0)
    return http_send_error(c, r, SIG_ERROR_UNAUTHORIZED,
                           "bring the key of your session: Authorization: Bearer KEY, as in "
                           "welcome.key",
                           0);
  if (!deliver_query_uint(c->wsi, "after=", &after) ||
      !deliver_query_uint(c->wsi, "wait=", &wait_s))
    return http_send_error(c, r, SIG_ERROR_BAD_MESSAGE,
                           "'after' and 'wait' are whole numbers: a seq, and seconds", 0);
  if (c->s->stopping)
    return http_send_error(c, r, SIG_ERROR_DRAINING, "this server stops; come back soon", 1);
  int err = deliver_open_link(c, r, wait_s ? SIG_LONGPOLL : SIG_POLL, (struct bytes){0}, &link);
  if (err) {
    struct deliver_refusal why = deliver_refusal(err);
    return http_send_error(c, r, why.error, why.message, why.retry_s);
  }
  bool reads = sig_link_read(c->app->core, link, bearer, after, signald_now_ms(c->s));
  bytes_wipe(key, sizeof key);
  if (!reads)
    return deliver_answer_error(c, r, &link);
  if (wait_s == 0 || sig_has_next(link))
    return poll_answer(c, r, &link);
  return longpoll_wait(c, r, link, wait_s < WAIT_MAX_S ? wait_s : WAIT_MAX_S);
}
