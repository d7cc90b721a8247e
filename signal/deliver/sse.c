/* Server-Sent Events (HTML, section 9.2): GET /v1/events is an answer without an end, in which each
 * message is an event: its seq is the id, its type the event's, and it itself the data. A browser
 * that comes back says the last id that it has seen. Called by http.c. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "signal/deliver/deliver.h"

enum { GONE_MS = 10 * 1000 };

struct sse {
  struct conn *c;
  struct sig_link *link;
  struct timer beat;   /* when to say something, so that proxies keep the connection */
  bool beating;        /* it is time */
  bool opened;         /* the first bytes of the stream are written */
  uint16_t close_code; /* 0: nobody wants to close */
};

static void arm_beat(struct sse *e)
{
  struct signald *s = e->c->s;
  wheel_arm(&s->wheel, &e->beat, signald_now_ms(s) + (uint64_t)s->config->ping_s * 1000);
}

static void on_beat(struct timer *t, uint64_t now_ms)
{
  struct sse *e = CONTAINER_OF(t, struct sse, beat);
  (void)now_ms;
  e->beating = true;
  if (e->c->wsi)
    lws_callback_on_writable(e->c->wsi);
}

static void on_end(struct conn *c)
{
  struct sse *e = c->state;
  hangup_forget(c);
  wheel_cancel(&c->s->wheel, &e->beat);
  deliver_close_link(c, &e->link);
  mem_free(&c->s->mem, e, sizeof *e);
}

/* Each line of the data needs its "data:". A message has line breaks only as white space between
 * its values, and gets a LF where it had a CR: JSON does not mind. */
static void put_data(struct deliver_text *t, struct bytes text)
{
  size_t from = 0;
  for (size_t i = 0; i < text.len; i++) {
    if (text.at[i] != '\n' && text.at[i] != '\r')
      continue;
    deliver_put(t, (struct bytes){text.at + from, i - from});
    deliver_put(t, bytes_of("\ndata: "));
    from = i + 1;
  }
  deliver_put(t, (struct bytes){text.at + from, text.len - from});
}

static void put_event(struct deliver_text *t, const struct sig_out *out)
{
  if (out->seq != 0) {
    deliver_put(t, bytes_of("id: "));
    deliver_put_uint(t, out->seq);
    deliver_put(t, bytes_of("\n"));
  }
  deliver_put(t, bytes_of("event: "));
  deliver_put(t, sig_out_type(out));
  deliver_put(t, bytes_of("\ndata: "));
  put_data(t, out->head);
  put_data(t, out->body);
  deliver_put(t, bytes_of("\n\n"));
}

static int write_text(struct conn *c, struct deliver_text *t)
{
  uint8_t *frame = t->failed ? NULL : signald_frame(c->s, t->len);
  int result = -1;
  if (frame) {
    memcpy(frame + LWS_PRE, t->at, t->len);
    result = lws_write(c->wsi, frame + LWS_PRE, t->len, LWS_WRITE_HTTP) < 0 ? -1 : 0;
  }
  deliver_text_fini(t);
  return result;
}

/* The last event: why the stream ends. An EventSource would come back by itself, and must not where
 * the session has gone or is another's. */
static int write_end(struct conn *c, struct sse *e)
{
  struct deliver_text t = {.mem = &c->s->mem};
  const char *message;
  enum sig_error error = deliver_error_of_close(e->close_code, &message);
  if (!e->link)
    return -1;
  deliver_close_link(c, &e->link);
  deliver_put(&t, bytes_of("event: error\ndata: {\"type\":\"error\",\"code\":\""));
  deliver_put(&t, bytes_of(sig_error_code(error)));
  deliver_put(&t, bytes_of("\",\"message\":\""));
  deliver_put(&t, bytes_of(message));
  deliver_put(&t, bytes_of("\"}\n\n"));
  if (write_text(c, &t) != 0)
    return -1;
  /* What does not fit is written first: then there is no link, and it ends. */
  if (!lws_partial_buffered(c->wsi))
    return -1;
  lws_callback_on_writable(c->wsi);
  return 0;
}

static int write_beat(struct conn *c, struct sse *e)
{
  struct deliver_text t = {.mem = &c->s->mem};
  deliver_put(&t, bytes_of(e->opened ? ":\n\n" : "retry: 1000\n\n"));
  e->opened = true;
  e->beating = false;
  arm_beat(e);
  return write_text(c, &t);
}

static int on_writable(struct conn *c)
{
  struct sse *e = c->state;
  struct sig_out out;
  if ((!e->opened || e->beating) && e->link && write_beat(c, e) != 0)
    return -1;
  while (e->link && !lws_send_pipe_choked(c->wsi) && sig_next(c->app->core, e->link, &out)) {
    struct deliver_text t = {.mem = &c->s->mem};
    put_event(&t, &out);
    if (write_text(c, &t) != 0)
      return -1;
    arm_beat(e);
  }
  /* Until sig_next has said false the core wakes nobody: a socket that is full behind the last
   * message is waited for as well. */
  bool more = lws_send_pipe_choked(c->wsi) || (e->link && sig_has_next(e->link));
  /* From here to the next bytes that the client takes, if there are any for it; that of on_close
   * stays. */
  if (e->close_code == 0)
    conn_deadline(c, more ? SIGNALD_STALL_MS : 0);
  signald_settle(c->s);
  if (more) {
    lws_callback_on_writable(c->wsi);
    return 0;
  }
  return e->close_code || !e->link ? write_end(c, e) : 0;
}

static void on_close(struct conn *c, uint16_t code, const char *reason)
{
  struct sse *e = c->state;
  (void)reason;
  if (e->close_code != 0)
    return;
  e->close_code = code;
  conn_deadline(c, SIGNALD_CLOSE_MS);
  if (c->wsi)
    lws_callback_on_writable(c->wsi);
}

static const struct conn_task task = {.writable = on_writable, .end = on_end, .close = on_close};

/* Last-Event-ID is the newer one: a browser that comes back asks for the same address again. */
static bool read_cursor(struct lws *wsi, uint64_t *after)
{
  static const char name[] = "last-event-id:";
  char text[64];
  int len = lws_hdr_custom_length(wsi, name, sizeof name - 1);
  if (len < 0)
    return deliver_query_uint(wsi, "after=", after);
  return lws_hdr_custom_copy(wsi, text, sizeof text, name, sizeof name - 1) > 0 &&
         parse_uint(bytes_of(text), UINT64_MAX, after) == 0;
}

/* Of the header; or of the query, since browsers call this without headers of ours. */
static struct bytes read_key(struct lws *wsi, char *out, size_t size)
{
  struct bytes key = http_bearer(wsi, out, size);
  if (key.len != 0)
    return key;
  return deliver_query(wsi, "key=", out, (int)size, &key) ? key : (struct bytes){0};
}

static int begin(struct conn *c, const struct http_request *r, struct sig_link *link)
{
  struct sse *e = mem_new(&c->s->mem, sizeof *e);
  if (!e) {
    deliver_close_link(c, &link);
    return http_send_error(c, r, SIG_ERROR_SERVER_FULL, "the server is out of memory", 1);
  }
  *e = (struct sse){.c = c, .link = link};
  timer_init(&e->beat, on_beat);
  c->state = e;
  c->task = &task;
  c->close_after = true;
  const struct http_answer a = {.status = HTTP_STATUS_OK,
                                .type = "text/event-stream",
                                .name = "x-accel-buffering:",
                                .value = "no",
                                .stream = true};
  if (http_send(c, r, &a) != 0)
    return -1;
  /* A client that is gone does not say so: nothing that we write would be acknowledged. */
  unsigned gone_ms = c->s->config->ping_s * 1000 + GONE_MS;
  (void)setsockopt(lws_get_socket_fd(lws_get_network_wsi(c->wsi)), IPPROTO_TCP, TCP_USER_TIMEOUT,
                   &gone_ms, sizeof gone_ms);
  hangup_watch(c);
  conn_deadline(c, SIGNALD_STALL_MS);
  signald_settle(c->s);
  lws_callback_on_writable(c->wsi);
  return 0;
}

int sse_handle(struct conn *c, const struct http_request *r)
{
  uint64_t after;
  char text[SIG_TOKEN_SIZE];
  struct sig_link *link;
  struct bytes key = read_key(c->wsi, text, sizeof text);
  if (key.len == 0)
    return http_send_error(c, r, SIG_ERROR_UNAUTHORIZED,
                           "bring the key of your session, welcome.key: Authorization: Bearer "
                           "KEY, or ?key=KEY",
                           0);
  if (!read_cursor(c->wsi, &after))
    return http_send_error(c, r, SIG_ERROR_BAD_MESSAGE,
                           "Last-Event-ID and 'after' are whole numbers: a seq", 0);
  if (c->s->stopping)
    return http_send_error(c, r, SIG_ERROR_DRAINING, "this server stops; come back soon", 1);
  int err = deliver_open_link(c, r, SIG_SSE, (struct bytes){0}, &link);
  if (err) {
    struct deliver_refusal why = deliver_refusal(err);
    return http_send_error(c, r, why.error, why.message, why.retry_s);
  }
  bool reads = sig_link_read(c->app->core, link, key, after, signald_now_ms(c->s));
  bytes_wipe(text, sizeof text);
  return reads ? begin(c, r, link) : deliver_answer_error(c, r, &link);
}
