/* Long polling: a request that waits for the first message, for the end of its patience, or for the
 * core to close it. One session has one of these at most, since each takes over from the one
 * before. Called by poll.c. */
#include "signal/deliver/deliver.h"

struct longpoll {
  struct conn *c;
  struct sig_link *link;
  struct http_kept *kept; /* owned */
  struct timer patience;
  bool impatient;
  uint16_t close_code; /* 0: nobody wants to close */
};

static void on_patience(struct timer *t, uint64_t now_ms)
{
  struct longpoll *p = CONTAINER_OF(t, struct longpoll, patience);
  (void)now_ms;
  p->impatient = true;
  conn_deadline(p->c, SIGNALD_STALL_MS); /* its socket may be full for ever */
  if (p->c->wsi)
    lws_callback_on_writable(p->c->wsi);
}

static void on_end(struct conn *c)
{
  struct longpoll *p = c->state;
  hangup_forget(c);
  wheel_cancel(&c->s->wheel, &p->patience);
  deliver_close_link(c, &p->link);
  http_kept_free(c, p->kept);
  mem_free(&c->s->mem, p, sizeof *p);
}

static int answer(struct conn *c, struct longpoll *p)
{
  struct http_request r;
  const char *message;
  http_kept_get(p->kept, &r);
  if (p->close_code == 0 || sig_has_next(p->link)) {
    struct sig_link *link = p->link;
    p->link = NULL;
    conn_end_task(c);
    return poll_answer(c, &r, &link);
  }
  enum sig_error error = deliver_error_of_close(p->close_code, &message);
  conn_end_task(c);
  return http_send_error(c, &r, error, message, error == SIG_ERROR_DRAINING ? 1 : 0);
}

static int on_writable(struct conn *c)
{
  struct longpoll *p = c->state;
  if (!p->impatient && p->close_code == 0 && !sig_has_next(p->link))
    return 0;
  return answer(c, p);
}

static void on_close(struct conn *c, uint16_t code, const char *reason)
{
  struct longpoll *p = c->state;
  (void)reason;
  if (p->close_code != 0)
    return;
  p->close_code = code;
  conn_deadline(c, SIGNALD_CLOSE_MS);
  if (c->wsi)
    lws_callback_on_writable(c->wsi);
}

static const struct conn_task task = {.writable = on_writable, .end = on_end, .close = on_close};

int longpoll_wait(struct conn *c, const struct http_request *r, struct sig_link *link,
                  uint64_t wait_s)
{
  struct longpoll *p = mem_new(&c->s->mem, sizeof *p);
  struct http_kept *kept = http_keep(c, r);
  if (!p || !kept) {
    http_kept_free(c, kept);
    mem_free(&c->s->mem, p, sizeof *p);
    deliver_close_link(c, &link);
    return http_send_error(c, r, SIG_ERROR_SERVER_FULL, "the server is out of memory", 1);
  }
  *p = (struct longpoll){.c = c, .link = link, .kept = kept};
  timer_init(&p->patience, on_patience);
  wheel_arm(&c->s->wheel, &p->patience, signald_now_ms(c->s) + wait_s * 1000);
  c->state = p;
  c->task = &task;
  hangup_watch(c);
  conn_deadline(c, 0); /* its patience is the deadline */
  signald_settle(c->s);
  return 0;
}
