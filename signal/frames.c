/* The WebSocket under every protocol; see frames.h. http.c brings the upgrade, gateway.c the
 * frames. Pings are libwebsockets' own, at the pace of ping-interval. */
#include "signal/frames.h"

#include <string.h>

#include "base/err.h"

enum {
  FINAL_TEXT = 0x81,
  SHORT_MOST = 125,
  LEN_16 = 126,
  LEN_64 = 127,
  HEAD_MOST = 10,
  DRAIN_RETRY_S = 5,     /* as the core tells new sessions */
  WRITE_SIZE = 16 * 1024 /* what more than this waits is left for the next write */
};

static void drop_input(struct conn *c, struct frames *f)
{
  mem_free(&c->s->mem, f->in, f->in_cap);
  f->in = NULL;
  f->in_len = f->in_cap = 0;
}

static void tell_gone(struct conn *c, struct frames *f)
{
  if (f->is_gone)
    return;
  f->is_gone = true;
  f->protocol->gone(c);
  signald_settle(c->s);
}

void frames_wake(struct conn *c)
{
  conn_wake(c);
}

void frames_close(struct conn *c, uint16_t code, const char *reason)
{
  struct frames *f = c->state;
  if (f->close_code != 0)
    return;
  f->close_code = code;
  f->close_reason = reason;
  conn_deadline(c, SIGNALD_CLOSE_MS);
  conn_wake_writable(c);
}

/* The head of a server's frame (RFC 6455 section 5.2): text, final, without a mask. */
static size_t put_head(uint8_t *out, size_t len)
{
  out[0] = FINAL_TEXT;
  if (len <= SHORT_MOST) {
    out[1] = (uint8_t)len;
    return 2;
  }
  if (len <= UINT16_MAX) {
    out[1] = LEN_16;
    store_be16(out + 2, (uint16_t)len);
    return 4;
  }
  out[1] = LEN_64;
  store_be64(out + 2, len);
  return HEAD_MOST;
}

/* Behind `*used` bytes of other frames. */
static int put_frame(struct conn *c, const struct frames_out *out, size_t *used)
{
  size_t len = out->head.len + out->body.len;
  uint8_t *frame = signald_frame(c->s, *used + HEAD_MOST + len);
  if (!frame)
    return -1;
  uint8_t *at = frame + LWS_PRE + *used;
  at += put_head(at, len);
  if (out->head.len)
    memcpy(at, out->head.at, out->head.len);
  memcpy(at + out->head.len, out->body.at, out->body.len);
  *used = (size_t)(at - frame) - LWS_PRE + len;
  return 0;
}

/* Several frames leave in one write. What the socket does not take of it libwebsockets keeps; all
 * else stays where it waits. */
static int write_waiting(struct conn *c)
{
  struct frames *f = c->state;
  struct frames_out out;
  bool more = true;
  while (more) {
    size_t used = 0;
    while (used < WRITE_SIZE && (more = !f->is_gone && f->protocol->next(c, &out)))
      if (put_frame(c, &out, &used) != 0)
        return -1;
    if (used && lws_write(c->wsi, c->s->frame + LWS_PRE, used, LWS_WRITE_RAW) < 0)
      return -1;
    if (lws_partial_buffered(c->wsi)) {
      conn_wake_writable(c);
      return 0;
    }
  }
  return 0;
}

/* Returning -1 from a callback would do, were it not that Debian's libwebsockets (built with its
 * debugging checks) closes twice then, and the second time before the Close frame is out. The
 * deadline of frames_close cuts a client that does not answer. */
static int send_close(struct conn *c, struct frames *f)
{
  if (f->is_gone) /* sent already */
    return 0;
  lws_close_reason(c->wsi, (enum lws_close_status)f->close_code,
                   (unsigned char *)(uintptr_t)f->close_reason, strlen(f->close_reason));
  tell_gone(c, f);
  lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_SYNC);
  return 0;
}

static int on_writable(struct conn *c)
{
  struct frames *f = c->state;
  if (write_waiting(c) != 0)
    return -1;
  return f->close_code == 0 || lws_partial_buffered(c->wsi) ? 0 : send_close(c, f);
}

static int on_flush(struct conn *c)
{
  struct frames *f = c->state;
  if (f->close_code == 0)
    return write_waiting(c);
  conn_wake_writable(c); /* closing is for a callback of libwebsockets */
  return 0;
}

/* A message that we do not even read: its error, then the end of the connection. */
static void refuse(struct conn *c, enum frames_fault fault)
{
  static const struct {
    uint16_t code;
    const char *reason;
  } close[] = {
      [FRAMES_BINARY] = {SIG_CLOSE_POLICY, "messages are text frames"},
      [FRAMES_NOT_UTF8] = {SIG_CLOSE_POLICY, "text frames are UTF-8"},
      [FRAMES_TOO_LARGE] = {SIG_CLOSE_TOO_LARGE, "this message is too large"},
      [FRAMES_NO_MEMORY] = {SIG_CLOSE_TRY_LATER, "no memory"},
  };
  struct frames *f = c->state;
  drop_input(c, f);
  f->skipping = true;
  if (f->protocol->refuse)
    f->protocol->refuse(c, fault);
  frames_close(c, close[fault].code, close[fault].reason);
}

static int keep_piece(struct conn *c, struct frames *f, struct bytes piece)
{
  size_t need = f->in_len + piece.len;
  if (need > f->in_cap) {
    size_t cap = need * 2, limit = c->app->config->limits.message_size;
    if (cap > limit)
      cap = limit;
    uint8_t *in = mem_resize(&c->s->mem, f->in, f->in_cap, cap);
    if (!in)
      return -ERR_NOMEM;
    f->in = in;
    f->in_cap = (uint32_t)cap;
  }
  memcpy(f->in + f->in_len, piece.at, piece.len);
  f->in_len = (uint32_t)need;
  return 0;
}

/* RFC 6455 section 8.1: "When an endpoint is to interpret a byte stream as UTF-8 but finds that the
 * byte stream is not, in fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket
 * Connection_." */
static void take_message(struct conn *c, struct frames *f, struct bytes message)
{
  if (utf8_is_valid(message))
    f->protocol->take(c, message);
  else
    refuse(c, FRAMES_NOT_UTF8);
}

/* One piece of a message, as much as libwebsockets has read of it: a message is passed on when it
 * is whole, and never kept beyond the limit. */
static void take_piece(struct conn *c, struct frames *f, struct bytes piece)
{
  bool is_whole = lws_is_final_fragment(c->wsi);
  if (!f->protocol->takes_binary && lws_frame_is_binary(c->wsi)) {
    refuse(c, FRAMES_BINARY);
  } else if (f->in_len + piece.len + lws_remaining_packet_payload(c->wsi) >
             c->app->config->limits.message_size) {
    refuse(c, FRAMES_TOO_LARGE);
  } else if (is_whole && f->in_len == 0) {
    take_message(c, f, piece);
  } else if (piece.len > 0 && keep_piece(c, f, piece) != 0) {
    refuse(c, FRAMES_NO_MEMORY);
  } else if (is_whole) {
    take_message(c, f, (struct bytes){f->in, f->in_len});
    drop_input(c, f);
  }
}

static int on_receive(struct conn *c, struct bytes piece)
{
  struct frames *f = c->state;
  if (f->is_gone || f->close_code != 0 || f->skipping)
    return 0;
  take_piece(c, f, piece);
  signald_settle(c->s);
  return 0;
}

static void on_end(struct conn *c)
{
  struct frames *f = c->state;
  tell_gone(c, f);
  drop_input(c, f);
  f->protocol->free(c);
}

static const struct conn_task task = {.writable = on_writable,
                                      .flush = on_flush,
                                      .receive = on_receive,
                                      .end = on_end,
                                      .close = frames_close};

void frames_begin(struct conn *c, struct frames *state, const struct frames_protocol *protocol)
{
  state->protocol = protocol;
  c->state = state;
  c->task = &task;
  conn_deadline(c, 0); /* from here on its protocol has deadlines, and pings go out */
  signald_settle(c->s);
}

int frames_handle(struct conn *c, const struct http_request *r, const char *text)
{
  const struct http_answer a = {.status = 426,
                                .type = "text/plain; charset=utf-8",
                                .name = "upgrade:",
                                .value = "websocket",
                                .body = bytes_of(text)};
  return http_send(c, r, &a) ? -1 : http_done(c);
}

int frames_refuse_upgrade(struct conn *c, const struct http_request *r, enum sig_error error,
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

int frames_check_upgrade(struct conn *c, const struct http_request *r)
{
  char version[8];
  if (lws_hdr_copy(c->wsi, version, sizeof version, WSI_TOKEN_VERSION) <= 0 ||
      strcmp(version, "13") != 0)
    return refuse_version(c, r);
  /* RFC 6455 section 4.2.1: a key that "when decoded, is 16 bytes in length". */
  if (lws_hdr_total_length(c->wsi, WSI_TOKEN_KEY) != 24)
    return frames_refuse_upgrade(c, r, SIG_ERROR_BAD_MESSAGE,
                                 "Sec-WebSocket-Key is missing or wrong", 0);
  if (c->s->stopping)
    return frames_refuse_upgrade(c, r, SIG_ERROR_DRAINING, "this server stops; come back soon", 1);
  return 0;
}

int frames_check_new(struct conn *c, const struct http_request *r)
{
  if (signald_takes_new(c->s))
    return 0;
  return frames_refuse_upgrade(c, r, SIG_ERROR_DRAINING,
                               "this server goes away; connect to another one, or here a little "
                               "later",
                               DRAIN_RETRY_S);
}
