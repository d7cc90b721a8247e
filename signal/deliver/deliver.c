/* What the transports share; see deliver.h. */
#include "signal/deliver/deliver.h"

#include <string.h>

#include "base/err.h"

enum { TEXT_MIN = 1024, NUMBER_SIZE = 64 };

int deliver_open_link(struct conn *c, const struct http_request *r, enum sig_transport transport,
                      struct bytes token, struct sig_link **out)
{
  const struct sig_link_setup setup = {
      .client = c->client,
      .transport = transport,
      .origin = bytes_of(r->origin),
      .host = bytes_of(r->host),
      .token = token,
      .edge = c,
  };
  return sig_link_open(c->app->core, &setup, signald_now_ms(c->s), out);
}

void deliver_close_link(struct conn *c, struct sig_link **link)
{
  struct sig_link *gone = *link;
  *link = NULL;
  if (gone) {
    sig_link_gone(c->app->core, gone, signald_now_ms(c->s));
    signald_settle(c->s);
  }
}

struct deliver_refusal deliver_refusal(int err)
{
  if (err == -ERR_DENIED)
    return (struct deliver_refusal){SIG_ERROR_FORBIDDEN,
                                    "pages of this origin may not connect here", 0};
  if (err == -ERR_FULL)
    return (struct deliver_refusal){SIG_ERROR_RATE_LIMITED, "too many connections of this address",
                                    5};
  return (struct deliver_refusal){SIG_ERROR_SERVER_FULL, "no room for another connection", 5};
}

/* libwebsockets has cut the query at "&" and decoded it; what is too long for its own look-up it
 * would call absent. */
bool deliver_query(struct lws *wsi, const char *name, char *out, int size, struct bytes *value)
{
  size_t name_len = strlen(name);
  *value = (struct bytes){0};
  for (int i = 0; lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, i) > 0; i++) {
    int len = lws_hdr_copy_fragment(wsi, out, size, WSI_TOKEN_HTTP_URI_ARGS, i);
    if (len < 0)
      return false;
    if ((size_t)len >= name_len && memcmp(out, name, name_len) == 0) {
      *value = (struct bytes){(uint8_t *)out + name_len, (size_t)len - name_len};
      return true;
    }
  }
  return true;
}

bool deliver_query_uint(struct lws *wsi, const char *name, uint64_t *out)
{
  char text[HTTP_FIELD_SIZE];
  struct bytes value;
  *out = 0;
  return deliver_query(wsi, name, text, sizeof text, &value) &&
         (!value.at || parse_uint(value, UINT64_MAX, out) == 0);
}

void deliver_text_fini(struct deliver_text *t)
{
  mem_free(t->mem, t->at, t->cap);
  t->at = NULL;
  t->len = t->cap = 0;
}

void deliver_put(struct deliver_text *t, struct bytes piece)
{
  if (t->failed || piece.len == 0)
    return;
  if (t->len + piece.len > t->cap) {
    size_t cap = (t->len + piece.len) * 2;
    cap = cap < TEXT_MIN ? TEXT_MIN : cap;
    uint8_t *at = mem_resize(t->mem, t->at, t->cap, cap);
    if (!at) {
      t->failed = true;
      return;
    }
    t->at = at;
    t->cap = cap;
  }
  memcpy(t->at + t->len, piece.at, piece.len);
  t->len += piece.len;
}

void deliver_put_uint(struct deliver_text *t, uint64_t v)
{
  char digits[NUMBER_SIZE];
  struct buf b;
  buf_init(&b, digits, sizeof digits);
  buf_put_uint(&b, v);
  deliver_put(t, (struct bytes){b.at, b.len});
}

void deliver_put_message(struct deliver_text *t, const struct sig_out *out)
{
  deliver_put(t, out->head);
  deliver_put(t, out->body);
}

int deliver_send(struct conn *c, const struct http_request *r, unsigned status,
                 struct deliver_text *t, unsigned retry_s)
{
  char retry[NUMBER_SIZE];
  struct buf b;
  buf_init(&b, retry, sizeof retry - 1);
  buf_put_uint(&b, retry_s);
  retry[b.len] = 0;
  const struct http_answer a = {.status = status,
                                .type = "application/json",
                                .name = "retry-after:",
                                .value = retry_s ? retry : NULL,
                                .body = {t->at, t->len}};
  int err = http_send(c, r, &a);
  deliver_text_fini(t);
  return err;
}

int deliver_answer(struct conn *c, const struct http_request *r, unsigned status,
                   struct deliver_text *t, unsigned retry_s)
{
  if (t->failed) {
    deliver_text_fini(t);
    return http_send_error(c, r, SIG_ERROR_SERVER_FULL, "the server is out of memory", 1);
  }
  return deliver_send(c, r, status, t, retry_s) ? -1 : http_done(c);
}

int deliver_answer_error(struct conn *c, const struct http_request *r, struct sig_link **link)
{
  struct deliver_text t = {.mem = &c->s->mem};
  struct sig_out out;
  unsigned status = 0, retry_s = 0;
  if (sig_next(c->app->core, *link, &out) && out.error != SIG_ERROR_COUNT) {
    deliver_put_message(&t, &out);
    status = (unsigned)sig_error_http_status(out.error);
    retry_s = out.retry_s;
  }
  deliver_close_link(c, link);
  if (!status)
    return http_send_error(c, r, SIG_ERROR_SERVER_FULL, "the server is out of memory", 1);
  return deliver_answer(c, r, status, &t, retry_s);
}

enum sig_error deliver_error_of_close(uint16_t code, const char **message)
{
  switch (code) {
  case SIG_CLOSE_TAKEN_OVER:
    *message = "another connection or request reads this session now";
    return SIG_ERROR_TAKEN_OVER;
  case SIG_CLOSE_GOING_AWAY:
    *message = "this server stops; come back soon";
    return SIG_ERROR_DRAINING;
  case SIG_CLOSE_TRY_LATER:
    *message = "the server is full; try later";
    return SIG_ERROR_SERVER_FULL;
  default:
    *message = "the session has ended";
    return SIG_ERROR_SESSION_GONE;
  }
}
