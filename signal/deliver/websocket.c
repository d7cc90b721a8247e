/* The protocol over WebSocket, subprotocol viaduct.v1: text frames in, text frames out. frames.c
 * brings whole messages; what is to be written waits in the session's outbox, which is bounded,
 * until the socket takes it. */
#include <string.h>

#include "base/err.h"
#include "signal/deliver/deliver.h"
#include "signal/frames.h"

static const char subprotocol[] = "viaduct.v1";

struct websocket {
  struct frames frames;
  struct sig_link *link;
};

static void on_take(struct conn *c, struct bytes text)
{
  struct websocket *w = c->state;
  sig_input(c->app->core, w->link, text, signald_now_ms(c->s));
}

static void on_refuse(struct conn *c, enum frames_fault fault)
{
  static const enum sig_error errors[] = {
      [FRAMES_BINARY] = SIG_ERROR_BAD_MESSAGE,
      [FRAMES_NOT_UTF8] = SIG_ERROR_BAD_JSON,
      [FRAMES_TOO_LARGE] = SIG_ERROR_TOO_LARGE,
      [FRAMES_NO_MEMORY] = SIG_ERROR_SERVER_FULL,
  };
  struct websocket *w = c->state;
  sig_input_bad(c->app->core, w->link, errors[fault], signald_now_ms(c->s));
}

static bool on_next(struct conn *c, struct frames_out *out)
{
  struct websocket *w = c->state;
  struct sig_out next;
  if (!sig_next(c->app->core, w->link, &next))
    return false;
  *out = (struct frames_out){next.head, next.body};
  return true;
}

static void on_gone(struct conn *c)
{
  struct websocket *w = c->state;
  sig_link_gone(c->app->core, w->link, signald_now_ms(c->s));
}

static void on_free(struct conn *c)
{
  mem_free(&c->s->mem, c->state, sizeof(struct websocket));
}

static const struct frames_protocol protocol = {
    .take = on_take, .refuse = on_refuse, .next = on_next, .gone = on_gone, .free = on_free};

/* Without an upgrade. */
int websocket_handle(struct conn *c, const struct http_request *r)
{
  return frames_handle(c, r, "this is a WebSocket (RFC 6455), subprotocol viaduct.v1\n");
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
  if (frames_check_upgrade(c, r) != 0)
    return -1;
  if (!offers_subprotocol(c->wsi))
    return frames_refuse_upgrade(c, r, SIG_ERROR_BAD_MESSAGE,
                                 "ask for the subprotocol viaduct.v1 (Sec-WebSocket-Protocol)", 0);
  struct websocket *w = mem_new(&c->s->mem, sizeof *w);
  int err = w ? open_link(c, r, &w->link) : -ERR_NOMEM;
  if (err) {
    mem_free(&c->s->mem, w, sizeof *w);
    struct deliver_refusal why = deliver_refusal(err);
    return frames_refuse_upgrade(c, r, why.error, why.message, why.retry_s);
  }
  frames_begin(c, &w->frames, &protocol);
  return 0;
}
