/* A POST /v1/session whose hello the application's backend judges: it waits for the core's word,
 * which comes within limits.asking_ms. Called by post.c. */
#include "signal/deliver/deliver.h"

struct asking {
  struct sig_link *link;
  struct http_kept *kept; /* owned */
  bool closing;           /* the core, or the server, has no more to say */
};

static void on_end(struct conn *c)
{
  struct asking *a = c->state;
  hangup_forget(c);
  deliver_close_link(c, &a->link);
  http_kept_free(c, a->kept);
  mem_free(&c->s->mem, a, sizeof *a);
}

static int on_writable(struct conn *c)
{
  struct asking *a = c->state;
  struct http_request r;
  if (!a->closing && !sig_has_next(a->link))
    return 0;
  http_kept_get(a->kept, &r);
  struct sig_link *link = a->link;
  bool stopped = !sig_has_next(link);
  a->link = NULL;
  conn_end_task(c);
  if (!stopped)
    return post_welcome(c, &r, &link);
  deliver_close_link(c, &link);
  return http_send_error(c, &r, SIG_ERROR_DRAINING, "this server stops; come back soon", 1);
}

static void on_close(struct conn *c, uint16_t code, const char *reason)
{
  struct asking *a = c->state;
  (void)code;
  (void)reason;
  a->closing = true;
  conn_deadline(c, SIGNALD_CLOSE_MS);
  conn_wake(c);
}

static const struct conn_task task = {.writable = on_writable, .end = on_end, .close = on_close};

int asking_wait(struct conn *c, const struct http_request *r, struct sig_link *link)
{
  struct asking *a = mem_new(&c->s->mem, sizeof *a);
  struct http_kept *kept = http_keep(c, r);
  if (!a || !kept) {
    http_kept_free(c, kept);
    mem_free(&c->s->mem, a, sizeof *a);
    deliver_close_link(c, &link);
    return http_send_error(c, r, SIG_ERROR_SERVER_FULL, "the server is out of memory", 1);
  }
  *a = (struct asking){.link = link, .kept = kept};
  c->state = a;
  c->task = &task;
  hangup_watch(c);
  conn_deadline(c, 0); /* the core's patience is the deadline */
  signald_settle(c->s);
  return 0;
}
