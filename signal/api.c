/* The small answers: is it alive, is it ready, TURN credentials. Called by http.c. */
#include "signal/http.h"

enum { ICE_SIZE = 64 * 1024 };

static int send_text(struct conn *c, const struct http_request *r, unsigned status,
                     const char *text)
{
  const struct http_answer a = {
      .status = status, .type = "text/plain; charset=utf-8", .body = bytes_of(text)};
  return http_send(c, r, &a) ? -1 : http_done(c);
}

int api_healthz(struct conn *c, const struct http_request *r)
{
  return send_text(c, r, HTTP_STATUS_OK, "ok\n");
}

int api_readyz(struct conn *c, const struct http_request *r)
{
  bool ready = signald_takes_new(c->s);
  return send_text(c, r, ready ? HTTP_STATUS_OK : HTTP_STATUS_SERVICE_UNAVAILABLE,
                   ready            ? "ready\n"
                   : c->s->stopping ? "stopping\n"
                                    : "draining\n");
}

int api_send_made(struct conn *c, const struct http_request *r, const char *type, size_t size,
                  void (*put)(struct conn *c, struct buf *out))
{
  uint8_t *bytes = mem_new(&c->s->mem, size);
  struct buf b;
  if (!bytes)
    return -1;
  buf_init(&b, bytes, size);
  put(c, &b);
  struct http_answer a = {.status = HTTP_STATUS_OK, .type = type, .body = {b.at, b.len}};
  if (b.overflow) {
    a.status = HTTP_STATUS_INTERNAL_SERVER_ERROR;
    a.type = "text/plain; charset=utf-8";
    a.body = bytes_of("the answer is too large\n");
  }
  int err = http_send(c, r, &a);
  mem_free(&c->s->mem, bytes, size);
  return err ? -1 : http_done(c);
}

static void put_ice(struct conn *c, struct buf *out)
{
  buf_put_text(out, "{\"iceServers\":");
  sig_ice_put(c->app->core, bytes_of("http"), signald_now_ms(c->s), out);
  buf_put_text(out, ",\"iceTtl\":");
  buf_put_uint(out, c->app->config->turn_ttl_s);
  buf_put_text(out, "}");
}

/* Who may say hello may ask here too. */
int api_ice_servers(struct conn *c, const struct http_request *r)
{
  const struct sig_config *config = c->app->config;
  char text[SIG_TOKEN_SIZE];
  const char *why;
  if (!sig_origin_is_allowed(config->origin, config->origin_count, bytes_of(r->origin),
                             bytes_of(r->host)))
    return http_send_error(c, r, SIG_ERROR_FORBIDDEN, "pages of this origin may not ask here", 0);
  struct bytes token = http_bearer(c->wsi, text, sizeof text);
  int err = sig_check_token(c->app->core, token, signald_now_ms(c->s), &why);
  bytes_wipe(text, sizeof text);
  return err ? http_send_error(c, r, SIG_ERROR_UNAUTHORIZED, why, 0)
             : api_send_made(c, r, "application/json", ICE_SIZE, put_ice);
}
