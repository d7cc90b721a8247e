/* The protocol over WebSocket (RFC 6455), subprotocol viaduct.v1: text frames in, text frames out.
 * http.c brings the upgrade, gateway.c the frames; a frame is written when the socket takes it, and
 * until then it waits in the session's outbox, which is bounded. */
#include <string.h>

#include "base/err.h"
#include "signal/deliver/deliver.h"

static const char subprotocol[] = "viaduct.v1";

struct websocket {
  struct sig_link *link; /* NULL once the core was told that it is gone */
  uint8_t *in;           /* a message that is not whole yet */
  size_t in_len, in_cap;
  bool skipping;       /* the rest of a message that was refused */
  uint16_t close_code; /* 0: nobody wants to close */
  const char *close_reason;
};

static void drop_input(struct conn *c, struct websocket *w)
{
  mem_free(&c->s->mem, w->in, w->in_cap);
  w->in = NULL;
  w->in_len = w->in_cap = 0;
}

static void leave_core(struct conn *c, struct websocket *w)
{
  struct sig_link *link = w->link;
  w->link = NULL;
  if (link) {
    sig_link_gone(c->s->core, link, signald_now_ms(c->s));
    signald_settle(c->s);
  }
}

/* The core's close, ours, or the server's that stops: the first one counts. */
static void on_close(struct conn *c, uint16_t code, const char *reason)
{
  struct websocket *w = c->state;
  if (w->close_code != 0)
    return;
  w->close_code = code;
  w->close_reason = reason;
  conn_deadline(c, SIGNALD_CLOSE_MS);
  if (c->wsi)
    lws_callback_on_writable(c->wsi);
}

static int write_frame(struct conn *c, const struct sig_out *out)
{
  size_t len = out->head.len + out->body.len;
  uint8_t *frame = signald_frame(c->s, len);
  if (!frame)
    return -1;
  if (out->head.len)
    memcpy(frame + LWS_PRE, out->head.at, out->head.len);
  memcpy(frame + LWS_PRE + out->head.len, out->body.at, out->body.len);
  return lws_write(c->wsi, frame + LWS_PRE, len, LWS_WRITE_TEXT) < 0 ? -1 : 0;
}

/* Returning -1 from a callback would do, were it not that Debian's libwebsockets (built with its
 * debugging checks) closes twice then, and the second time before the Close frame is out. The
 * deadline of on_close cuts a client that does not answer. */
static int send_close(struct conn *c, struct websocket *w)
{
  if (!w->link) /* sent already */
    return 0;
  lws_close_reason(c->wsi, (enum lws_close_status)w->close_code,
                   (unsigned char *)(uintptr_t)w->close_reason, strlen(w->close_reason));
  leave_core(c, w);
  lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_SYNC);
  return 0;
}

static int on_writable(struct conn *c)
{
  struct websocket *w = c->state;
  struct sig_out out;
  while (w->link && sig_next(c->s->core, w->link, &out)) {
    if (write_frame(c, &out) != 0)
      return -1;
    /* What does not fit into the socket stays in the outbox. */
    if (lws_send_pipe_choked(c->wsi)) {
      lws_callback_on_writable(c->wsi);
      return 0;
    }
  }
  return w->close_code == 0 || lws_partial_buffered(c->wsi) ? 0 : send_close(c, w);
}

/* A message that we do not even read: its error, then the end of the connection. */
static void refuse(struct conn *c, enum sig_error error, uint16_t code, const char *reason)
{
  struct websocket *w = c->state;
  drop_input(c, w);
  w->skipping = true;
  sig_input_bad(c->s->core, w->link, error, signald_now_ms(c->s));
  on_close(c, code, reason);
}

static int keep_piece(struct conn *c, struct websocket *w, struct bytes piece)
{
  size_t need = w->in_len + piece.len;
  if (need > w->in_cap) {
    size_t cap = need * 2, limit = c->s->config->core.limits.message_size;
    if (cap > limit)
      cap = limit;
    uint8_t *in = mem_resize(&c->s->mem, w->in, w->in_cap, cap);
    if (!in)
      return -ERR_NOMEM;
    w->in = in;
    w->in_cap = cap;
  }
  memcpy(w->in + w->in_len, piece.at, piece.len);
  w->in_len = need;
  return 0;
}

/* RFC 6455 section 8.1: "When an endpoint is to interpret a byte stream as UTF-8 but finds that the
 * byte stream is not, in fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket
 * Connection_." */
static void take_message(struct conn *c, struct websocket *w, struct bytes message)
{
  if (utf8_is_valid(message))
    sig_input(c->s->core, w->link, message, signald_now_ms(c->s));
  else
    refuse(c, SIG_ERROR_BAD_JSON, SIG_CLOSE_POLICY, "text frames are UTF-8");
}

/* One piece of a message, as much as libwebsockets has read of it: a message is passed on when it
 * is whole, and never kept beyond the limit. */
static void take_piece(struct conn *c, struct websocket *w, struct bytes piece)
{
  bool is_whole = lws_is_final_fragment(c->wsi);
  if (lws_frame_is_binary(c->wsi)) {
    refuse(c, SIG_ERROR_BAD_MESSAGE, SIG_CLOSE_POLICY, "messages are text frames");
  } else if (w->in_len + piece.len + lws_remaining_packet_payload(c->wsi) >
             c->s->config->core.limits.message_size) {
    refuse(c, SIG_ERROR_TOO_LARGE, SIG_CLOSE_TOO_LARGE, "this message is too large");
  } else if (is_whole && w->in_len == 0) {
    take_message(c, w, piece);
  } else if (piece.len > 0 && keep_piece(c, w, piece) != 0) {
    refuse(c, SIG_ERROR_SERVER_FULL, SIG_CLOSE_TRY_LATER, "no memory");
  } else if (is_whole) {
    take_message(c, w, (struct bytes){w->in, w->in_len});
    drop_input(c, w);
  }
}

static int on_receive(struct conn *c, struct bytes piece)
{
  struct websocket *w = c->state;
  if (!w->link || w->close_code != 0 || w->skipping)
    return 0;
  take_piece(c, w, piece);
  signald_settle(c->s);
  return 0;
}

static void on_end(struct conn *c)
{
  struct websocket *w = c->state;
  leave_core(c, w);
  drop_input(c, w);
  mem_free(&c->s->mem, w, sizeof *w);
}

static const struct conn_task task = {
    .writable = on_writable, .receive = on_receive, .end = on_end, .close = on_close};

/* Without an upgrade. */
int websocket_handle(struct conn *c, const struct http_request *r)
{
  const struct http_answer a = {
      .status = 426,
      .type = "text/plain; charset=utf-8",
      .name = "upgrade:",
      .value = "websocket",
      .body = bytes_of("this is a WebSocket (RFC 6455), subprotocol viaduct.v1\n")};
  return http_send(c, r, &a) ? -1 : http_done(c);
}

/* Whether the client offers our subprotocol: an exact name in a list with commas. */
static bool offers_subprotocol(struct lws *wsi)
{
  char list[HTTP_FIELD_SIZE];
  if (lws_hdr_copy(wsi, list, sizeof list, WSI_TOKEN_PROTOCOL) <= 0)
    return false;
  for (const char *at = list; *at;) {
    at += strspn(at, ", \t");
    size_t len = strcspn(at, ", \t");
    if (len == sizeof subprotocol - 1 && memcmp(at, subprotocol, len) == 0)
      return true;
    at += len;
  }
  return false;
}

static int refuse_upgrade(struct conn *c, const struct http_request *r, enum sig_error error,
                          const char *message, unsigned retry_s)
{
  c->s->counters.upgrades_refused++;
  c->close_after = true;
  (void)http_send_error(c, r, error, message, retry_s);
  return -1;
}

/* RFC 6455 section 4.4: a server that does not support the version answers with
 * Sec-WebSocket-Version and the versions that it does; section 4.2.2 names status 426. */
static int refuse_version(struct conn *c, const struct http_request *r)
{
  const struct http_answer a = {.status = 426,
                                .type = "text/plain; charset=utf-8",
                                .name = "sec-websocket-version:",
                                .value = "13",
                                .body = bytes_of("WebSocket version 13 is spoken here\n")};
  c->s->counters.upgrades_refused++;
  c->close_after = true;
  (void)http_send(c, r, &a);
  return -1;
}

static int open_link(struct conn *c, const struct http_request *r, struct sig_link **out)
{
  char text[SIG_TOKEN_SIZE];
  struct bytes token = http_bearer(c->wsi, text, sizeof text);
  int err = deliver_open_link(c, r, SIG_WEBSOCKET, token, out);
  bytes_wipe(text, sizeof text);
  return err;
}

int websocket_upgrade(struct conn *c, const struct http_request *r)
{
  char version[8];
  if (lws_hdr_copy(c->wsi, version, sizeof version, WSI_TOKEN_VERSION) <= 0 ||
      strcmp(version, "13") != 0)
    return refuse_version(c, r);
  /* RFC 6455 section 4.2.1: a key that "when decoded, is 16 bytes in length". */
  if (lws_hdr_total_length(c->wsi, WSI_TOKEN_KEY) != 24)
    return refuse_upgrade(c, r, SIG_ERROR_BAD_MESSAGE, "Sec-WebSocket-Key is missing or wrong", 0);
  if (!offers_subprotocol(c->wsi))
    return refuse_upgrade(c, r, SIG_ERROR_BAD_MESSAGE,
                          "ask for the subprotocol viaduct.v1 (Sec-WebSocket-Protocol)", 0);
  if (c->s->stopping)
    return refuse_upgrade(c, r, SIG_ERROR_DRAINING, "this server stops; come back soon", 1);
  struct websocket *w = mem_new(&c->s->mem, sizeof *w);
  int err = w ? open_link(c, r, &w->link) : -ERR_NOMEM;
  if (err) {
    mem_free(&c->s->mem, w, sizeof *w);
    struct deliver_refusal why = deliver_refusal(err);
    return refuse_upgrade(c, r, why.error, why.message, why.retry_s);
  }
  c->state = w;
  c->task = &task;
  conn_deadline(c, 0); /* from here the core has a deadline for the hello, and pings go out */
  signald_settle(c->s);
  return 0;
}
