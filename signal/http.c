/* From libwebsockets' parsed head to a handler, and from an answer to bytes. Whatever is not in the
 * table of paths is a file of the page. Called by gateway.c. */
#include "signal/http.h"

#include <string.h>
#include <time.h>

#include "base/json.h"
#include "net/clock.h"
#include "signal/ayame/edge.h"
#include "signal/backend/backend.h"
#include "signal/peerjs/edge.h"

enum { HEAD_SIZE = 4096, ERROR_SIZE = 512 };

struct route {
  const char *path;
  unsigned methods;
  unsigned faces; /* bits of enum face */
  int (*handle)(struct conn *c, const struct http_request *r);
  int (*upgrade)(struct conn *c, const struct http_request *r); /* NULL: to nothing */
  http_take_fn take;                                            /* of POST */
};

enum {
  PUBLIC = 1 << FACE_HTTP | 1 << FACE_HTTPS,
  ADMIN = 1 << FACE_ADMIN,
  BACKEND = 1 << FACE_API | 1 << FACE_API_TLS
};

static const struct route routes[] = {
    {"/v1/ws", HTTP_GET, PUBLIC, websocket_handle, websocket_upgrade, NULL},
    {"/v1/events", HTTP_GET, PUBLIC, sse_handle, NULL, NULL},
    {"/v1/messages", HTTP_GET | HTTP_POST, PUBLIC, poll_handle, NULL, post_messages},
    {"/v1/session", HTTP_POST, PUBLIC, NULL, NULL, post_session},
    {"/v1/ice-servers", HTTP_GET | HTTP_HEAD, PUBLIC, api_ice_servers, NULL, NULL},
    {"/healthz", HTTP_GET | HTTP_HEAD, PUBLIC | ADMIN, api_healthz, NULL, NULL},
    {"/readyz", HTTP_GET | HTTP_HEAD, PUBLIC | ADMIN, api_readyz, NULL, NULL},
    {"/metrics", HTTP_GET | HTTP_HEAD, ADMIN, api_metrics, NULL, NULL},
    {"/api/v1/rooms", HTTP_GET | HTTP_HEAD | HTTP_DELETE, BACKEND, backend_rooms, NULL, NULL},
    {"/api/v1/members", HTTP_GET | HTTP_HEAD | HTTP_DELETE, BACKEND, backend_members, NULL, NULL},
    {"/api/v1/messages", HTTP_POST, BACKEND, NULL, NULL, backend_post_message},
    {"/api/v1/turn-credentials", HTTP_POST, BACKEND, NULL, NULL, backend_post_turn},
    {"/api/v1/tokens", HTTP_POST, BACKEND, NULL, NULL, backend_post_token},
};

static const struct route page_route = {NULL, HTTP_GET | HTTP_HEAD, PUBLIC, web_handle, NULL, NULL};

/* PeerJS: what is at each place under peerjs-path. */
static const struct route peerjs_routes[PEERJS_PLACES] = {
    [PEERJS_ABOUT] = {NULL, HTTP_GET | HTTP_HEAD, PUBLIC, peerjs_about, NULL, NULL},
    [PEERJS_ID] = {NULL, HTTP_GET | HTTP_HEAD, PUBLIC, peerjs_id, NULL, NULL},
    [PEERJS_PEERS] = {NULL, HTTP_GET | HTTP_HEAD, PUBLIC, peerjs_peers, NULL, NULL},
    [PEERJS_SOCKET] = {NULL, HTTP_GET, PUBLIC, peerjs_socket, peerjs_upgrade, NULL},
};

static const struct route ayame_route = {NULL, HTTP_GET, PUBLIC, ayame_handle, ayame_upgrade, NULL};

static bool is_api_path(const char *path)
{
  return strcmp(path, "/v1") == 0 || strncmp(path, "/v1/", 4) == 0 ||
         strncmp(path, "/apps/", 6) == 0; /* of an application that there is not */
}

/* Clients of PeerJS and Ayame are the default application's. */
static bool is_default(const struct conn *c)
{
  return c->app == &c->s->app[0];
}

static bool is_ayame(const struct conn *c, const struct http_request *r)
{
  return is_default(c) && ayame_is_at(c->s->config, r->path);
}

static enum peerjs_place peerjs_of(const struct conn *c, const struct http_request *r)
{
  return is_default(c) ? peerjs_place(c->s->config, r->path) : PEERJS_NOWHERE;
}

static const struct route *find_route(const struct conn *c, const struct http_request *r)
{
  for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
    if (routes[i].faces & 1U << c->face && strcmp(routes[i].path, r->path) == 0)
      return &routes[i];
  }
  if (!(PUBLIC & 1U << c->face))
    return NULL;
  enum peerjs_place place = peerjs_of(c, r);
  if (place != PEERJS_NOWHERE)
    return &peerjs_routes[place];
  if (is_ayame(c, r))
    return &ayame_route;
  return is_api_path(r->path) ? NULL : &page_route;
}

static unsigned method_bit(int method)
{
  switch (method) {
  case LWSHUMETH_GET:
    return HTTP_GET;
  case LWSHUMETH_HEAD:
    return HTTP_HEAD;
  case LWSHUMETH_POST:
    return HTTP_POST;
  case LWSHUMETH_OPTIONS:
    return HTTP_OPTIONS;
  case LWSHUMETH_DELETE:
    return HTTP_DELETE;
  default:
    return HTTP_OTHER;
  }
}

/* One field's value; false: too long, there several times, or with a NUL in it, which is where
 * others would see its end. RFC 9112 section 5: field-line = field-name ":" OWS field-value OWS. */
static bool copy_field(struct lws *wsi, enum lws_token_indexes token, char out[HTTP_FIELD_SIZE])
{
  int total = lws_hdr_total_length(wsi, token);
  out[0] = 0;
  if (total == 0)
    return true;
  if (lws_hdr_fragment_length(wsi, token, 1) != 0 ||
      lws_hdr_copy(wsi, out, HTTP_FIELD_SIZE, token) < 0 || strlen(out) != (size_t)total)
    return false;
  while (total > 0 && (out[total - 1] == ' ' || out[total - 1] == '\t'))
    out[--total] = 0;
  return true;
}

static bool read_path(struct lws *wsi, struct http_request *r)
{
  char *path = NULL;
  int len = 0, method = lws_http_get_uri_and_method(wsi, &path, &len);
  if (method < 0 || !path || len <= 0 || len >= HTTP_PATH_SIZE)
    return false;
  r->method = method_bit(method);
  char version[16];
  if (lws_hdr_copy(wsi, version, sizeof version, WSI_TOKEN_HTTP) <= 0)
    return false; /* HTTP/0.9, or a version with more behind it */
  r->is_http11 = strcmp(version, "HTTP/1.1") == 0;
  if (!r->is_http11 && strcmp(version, "HTTP/1.0") != 0)
    return false;
  memcpy(r->path, path, (size_t)len);
  r->path[len] = 0;
  /* A NUL inside is not counted by libwebsockets: then the text is shorter than it says. '&' and
   * ';' cut it into fragments, of which only the first is here: no path of ours has any. */
  return strlen(r->path) == (size_t)len && r->path[0] == '/';
}

/* RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
 * request message that lacks a Host header field and to any request message that contains more than
 * one Host header field line or a Host header field with an invalid field value." */
static bool has_right_host(const struct http_request *r)
{
  return (r->host[0] != 0 || !r->is_http11) && !strpbrk(r->host, "/\\@ \t");
}

/* What frames the body. Only a Content-Length that is one number lets the connection go on: with
 * anything else, where the next request starts is a matter of opinion (RFC 9112 section 11.2). */
static bool read_body_length(struct lws *wsi, struct http_request *r, bool *skippable,
                             uint64_t *out)
{
  char text[HTTP_FIELD_SIZE];
  uint64_t length = 0;
  if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
    return false;
  if (!copy_field(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, text))
    return false;
  if (text[0] != 0 && parse_uint(bytes_of(text), UINT64_MAX, &length) != 0)
    return false;
  r->has_body = length > 0;
  /* libwebsockets takes a POST or PUT without a length for one of 100 MB. */
  bool is_known = text[0] != 0 || r->method & (HTTP_GET | HTTP_HEAD | HTTP_OPTIONS | HTTP_DELETE);
  *skippable = is_known && length <= HTTP_SMALL_BODY;
  *out = is_known ? length : UINT64_MAX;
  return true;
}

static void read_cors(const struct conn *c, struct http_request *r)
{
  const struct sig_config *config = c->app->config;
  if (!(PUBLIC & 1U << c->face))
    return;
  if (is_api_path(r->path)) {
    r->is_api = true;
    r->cors = r->origin[0] != 0 && sig_origin_is_allowed(config->origin, config->origin_count,
                                                         bytes_of(r->origin), bytes_of(r->host));
  } else if (peerjs_of(c, r) != PEERJS_NOWHERE) {
    r->is_api = true;
    r->cors = r->origin[0] != 0 && peerjs_origin_is_allowed(c->s->config, r->origin, r->host);
  }
}

/* Whose request it is; its path is then what that application has to look at. */
static struct app *app_of_request(const struct conn *c, struct http_request *r)
{
  const char *rest;
  struct app *app = app_of_path(c->s, r->path, &rest);
  if (app)
    memmove(r->path, rest, strlen(rest) + 1);
  return app;
}

/* false: the request is no good; then it gets a 400, or 411 where only the framing is. */
static bool read_request(struct conn *c, struct http_request *r, unsigned *status,
                         uint64_t *body_len)
{
  bool skippable = false;
  *status = HTTP_STATUS_BAD_REQUEST;
  c->close_after = true;
  if (!read_path(c->wsi, r) || !copy_field(c->wsi, WSI_TOKEN_ORIGIN, r->origin) ||
      !copy_field(c->wsi, WSI_TOKEN_HOST, r->host) || !has_right_host(r))
    return false;
  if (!(c->app = app_of_request(c, r)))
    c->app = &c->s->app[0]; /* a path below /apps/ that find_route has no handler for */
  read_cors(c, r);
  if (!read_body_length(c->wsi, r, &skippable, body_len)) {
    *status = HTTP_STATUS_LENGTH_REQUIRED;
    return false;
  }
  c->close_after = !skippable;
  return true;
}

static int send_plain(struct conn *c, const struct http_request *r, struct http_answer a)
{
  static const char type[] = "text/plain; charset=utf-8";
  a.type = type;
  return http_send(c, r, &a) ? -1 : http_done(c);
}

static int send_wrong_method(struct conn *c, const struct http_request *r, unsigned methods)
{
  static const struct {
    unsigned bit;
    const char *name;
  } names[] = {{HTTP_GET, "GET"},
               {HTTP_HEAD, "HEAD"},
               {HTTP_POST, "POST"},
               {HTTP_OPTIONS, "OPTIONS"},
               {HTTP_DELETE, "DELETE"}};
  char allow[64];
  struct buf b;
  buf_init(&b, allow, sizeof allow - 1);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (methods & names[i].bit) {
      buf_put_text(&b, b.len ? ", " : "");
      buf_put_text(&b, names[i].name);
    }
  }
  allow[b.len] = 0;
  return send_plain(c, r,
                    (struct http_answer){.status = HTTP_STATUS_METHOD_NOT_ALLOWED,
                                         .name = "allow:",
                                         .value = allow,
                                         .body = bytes_of("this method is not for this path\n")});
}

/* Fetch, "CORS-preflight request": what a page of another origin asks before it sends JSON or a key
 * of its own. A browser that may not goes no further. */
static int send_preflight(struct conn *c, const struct http_request *r, unsigned methods)
{
  if (r->origin[0] != 0 && !r->cors)
    return http_send_error(c, r, SIG_ERROR_FORBIDDEN, "pages of this origin may not connect here",
                           0);
  const struct http_answer a = {
      .status = HTTP_STATUS_NO_CONTENT,
      .name = "access-control-allow-methods:",
      .value = methods & HTTP_GET ? methods & HTTP_POST ? "GET, POST" : "GET" : "POST",
      .preflight = true};
  return http_send(c, r, &a) ? -1 : http_done(c);
}

/* A page's form can send other types without asking, JSON it cannot. */
static bool is_json(struct lws *wsi)
{
  static const char json[] = "application/json";
  char type[HTTP_FIELD_SIZE];
  if (!copy_field(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, type))
    return false;
  size_t len = strcspn(type, "; \t");
  return len == 0 || (len == sizeof json - 1 && strncasecmp(type, json, len) == 0);
}

/* RFC 9110 section 10.1.1: a server answers "Expect: 100-continue" by "either: an immediate
 * response with a final status code [...] or an immediate 100 (Continue) response". */
static int ask_for_body(struct conn *c, const struct http_request *r, uint64_t length)
{
  static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
  uint8_t storage[LWS_PRE + sizeof text];
  char expect[HTTP_FIELD_SIZE];
  if (!r->is_http11 || length == 0 || !copy_field(c->wsi, WSI_TOKEN_HTTP_EXPECT, expect) ||
      strcasecmp(expect, "100-continue") != 0)
    return 0;
  memcpy(storage + LWS_PRE, text, sizeof text);
  return lws_write(c->wsi, storage + LWS_PRE, sizeof text - 1, LWS_WRITE_HTTP_HEADERS) < 0 ? -1 : 0;
}

static int take_body(struct conn *c, const struct http_request *r, const struct route *route,
                     uint64_t length)
{
  uint32_t message = c->app->config->limits.message_size;
  uint32_t limit = c->s->config->max_body > message ? c->s->config->max_body : message;
  if (length == UINT64_MAX)
    return http_send_error_status(c, r, HTTP_STATUS_LENGTH_REQUIRED, SIG_ERROR_BAD_MESSAGE,
                                  "say how long the body is: Content-Length");
  if (length > limit)
    return http_send_error(c, r, SIG_ERROR_TOO_LARGE,
                           "this body is longer than the server takes (max-body-size)", 0);
  if (!is_json(c->wsi))
    return http_send_error_status(c, r, HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE, SIG_ERROR_BAD_MESSAGE,
                                  "the body is JSON: send Content-Type: application/json");
  int result = body_begin(c, r, length, route->take);
  return result == 0 && c->task ? ask_for_body(c, r, length) : result;
}

int http_on_request(struct conn *c)
{
  struct http_request r = {0};
  unsigned status;
  uint64_t body_len = 0;
  c->s->counters.requests++;
  lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0); /* our deadline counts */
  if (!read_request(c, &r, &status, &body_len))
    return send_plain(
        c, &r,
        (struct http_answer){.status = status, .body = bytes_of("this request is malformed\n")});
  if (BACKEND & 1U << c->face && !backend_is_allowed(c))
    return backend_challenge(c, &r);
  const struct route *route = find_route(c, &r);
  if (!route && c->face == FACE_ADMIN)
    return send_plain(
        c, &r,
        (struct http_answer){.status = HTTP_STATUS_NOT_FOUND,
                             .body = bytes_of("here are /metrics, /healthz and /readyz\n")});
  if (!route)
    return http_send_error(c, &r, SIG_ERROR_NO_SUCH_ROOM, NULL, 0);
  if (r.method == HTTP_OPTIONS && r.is_api)
    return send_preflight(c, &r, route->methods);
  if (!(r.method & route->methods))
    return send_wrong_method(c, &r, route->methods);
  return r.method == HTTP_POST ? take_body(c, &r, route, body_len) : route->handle(c, &r);
}

int http_on_upgrade(struct conn *c)
{
  struct http_request r = {0};
  unsigned status;
  uint64_t body_len;
  char protocol[HTTP_FIELD_SIZE];
  c->s->counters.requests++;
  /* libwebsockets has answered and let go of the head already when it knows no such protocol. */
  if (!copy_field(c->wsi, WSI_TOKEN_UPGRADE, protocol) || protocol[0] == 0)
    return -1;
  bool is_websocket = strcasecmp(protocol, "websocket") == 0;
  const struct route *route =
      read_request(c, &r, &status, &body_len) && is_websocket ? find_route(c, &r) : NULL;
  if (route && route->upgrade && r.method == HTTP_GET && !r.has_body)
    return route->upgrade(c, &r);
  c->s->counters.upgrades_refused++;
  c->close_after = true;
  (void)http_send_error(
      c, &r, SIG_ERROR_BAD_MESSAGE,
      "the upgrades there are: GET /v1/ws, and the sockets of PeerJS and Ayame clients", 0);
  return -1;
}

/* RFC 9110 section 6.6.1: "An origin server with a clock [...] MUST generate a Date header field in
 * all 2xx (Successful), 3xx (Redirection), and 4xx (Client Error) responses". */
static const char *put_date(char out[40])
{
  time_t now = (time_t)(net_clock_wall_ms() / 1000);
  struct tm tm;
  out[0] = 0;
  if (gmtime_r(&now, &tm))
    strftime(out, 40, "%a, %d %b %Y %H:%M:%S GMT", &tm);
  return out;
}

struct head {
  struct lws *wsi;
  uint8_t *at, *end;
  bool failed;
};

static void put_field(struct head *h, const char *name, const char *value)
{
  if (value && lws_add_http_header_by_name(h->wsi, (const uint8_t *)name, (const uint8_t *)value,
                                           (int)strlen(value), &h->at, h->end) != 0)
    h->failed = true;
}

/* Fetch, "CORS protocol". No cookie is ever looked at, so credentials are not allowed. */
static void put_cors(struct head *h, const struct http_request *r, bool preflight)
{
  if (!r->is_api)
    return;
  put_field(h, "vary:", "Origin");
  if (!r->cors)
    return;
  put_field(h, "access-control-allow-origin:", r->origin);
  put_field(h, preflight ? "access-control-allow-headers:" : "access-control-expose-headers:",
            preflight ? "Authorization, Content-Type, Last-Event-ID" : "Retry-After");
  if (preflight)
    put_field(h, "access-control-max-age:", "7200");
}

static void put_policy(struct head *h, bool page)
{
  put_field(h, "x-content-type-options:", "nosniff");
  put_field(h, "referrer-policy:", "no-referrer");
  put_field(h, "content-security-policy:",
            page ? "default-src 'self'; connect-src 'self' ws: wss:; object-src 'none'; "
                   "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
                 : "default-src 'none'; frame-ancestors 'none'");
  if (page)
    put_field(h, "permissions-policy:",
              "camera=(self), microphone=(self), display-capture=(self), geolocation=()");
}

int http_send(struct conn *c, const struct http_request *r, const struct http_answer *a)
{
  uint8_t storage[LWS_PRE + HEAD_SIZE], *start = storage + LWS_PRE;
  struct head h = {.wsi = c->wsi, .at = start, .end = storage + sizeof storage};
  uint64_t length = a->body.len ? a->body.len : a->length;
  char date[40];
  c->s->counters.answers[a->status / 100 % 6]++;
  h.failed = lws_add_http_header_status(c->wsi, a->status, &h.at, h.end) != 0;
  /* Before an upgrade is decided libwebsockets does not know the client's version yet. */
  if (r->is_http11)
    start[7] = '1';
  put_field(&h, "date:", put_date(date));
  put_field(&h, "content-type:", a->type);
  put_field(&h, "etag:", a->etag);
  put_field(&h, "cache-control:", a->cacheable ? "no-cache" : "no-store");
  put_field(&h, a->name, a->name ? a->value : NULL);
  put_field(&h, "connection:", c->close_after || r->has_body ? "close" : NULL);
  put_cors(&h, r, a->preflight);
  put_policy(&h, a->page);
  /* RFC 9110 section 8.6: a 304 says nothing about its own length, and "A server MUST NOT send a
   * Content-Length header field in any response with a status code of 1xx (Informational) or 204
   * (No Content)." */
  if (a->status != HTTP_STATUS_NOT_MODIFIED && a->status != HTTP_STATUS_NO_CONTENT && !a->stream &&
      lws_add_http_header_content_length(c->wsi, length, &h.at, h.end) != 0)
    h.failed = true;
  if (h.failed || lws_finalize_write_http_header(c->wsi, start, &h.at, h.end) != 0)
    return -1;
  if (r->method == HTTP_HEAD || a->body.len == 0)
    return 0;
  uint8_t *frame = signald_frame(c->s, a->body.len);
  if (!frame)
    return -1;
  memcpy(frame + LWS_PRE, a->body.at, a->body.len);
  return lws_write(c->wsi, frame + LWS_PRE, a->body.len, LWS_WRITE_HTTP) < 0 ? -1 : 0;
}

int http_done(struct conn *c)
{
  if (c->close_after)
    return -1;
  conn_deadline(c, SIGNALD_IDLE_MS);
  signald_settle(c->s);
  return lws_http_transaction_completed(c->wsi) ? -1 : 0;
}

static int send_error(struct conn *c, const struct http_request *r, unsigned status,
                      enum sig_error error, const char *message, unsigned retry_s)
{
  char text[ERROR_SIZE], retry[16];
  bool is_path = !message; /* no error of the protocol, but a path that is none */
  struct buf b, digits;
  buf_init(&b, text, sizeof text);
  buf_init(&digits, retry, sizeof retry - 1);
  buf_put_uint(&digits, retry_s);
  retry[digits.len] = 0;
  buf_put_text(&b, "{\"type\":\"error\",\"code\":");
  json_put_string(&b, bytes_of(is_path ? "not-found" : sig_error_code(error)));
  buf_put_text(&b, ",\"message\":");
  json_put_string(&b, bytes_of(is_path ? "there is nothing at this path" : message));
  if (retry_s) {
    buf_put_text(&b, ",\"retryAfter\":");
    buf_put_uint(&b, retry_s);
  }
  buf_put_text(&b, "}");
  const struct http_answer a = {.status = status,
                                .type = "application/json",
                                .name = "retry-after:",
                                .value = retry_s ? retry : NULL,
                                .body = {b.at, b.len}};
  return http_send(c, r, &a) ? -1 : http_done(c);
}

int http_send_error(struct conn *c, const struct http_request *r, enum sig_error error,
                    const char *message, unsigned retry_s)
{
  unsigned status = message ? (unsigned)sig_error_http_status(error) : HTTP_STATUS_NOT_FOUND;
  return send_error(c, r, status, error, message, retry_s);
}

int http_send_error_status(struct conn *c, const struct http_request *r, unsigned status,
                           enum sig_error error, const char *message)
{
  return send_error(c, r, status, error, message, 0);
}

struct bytes http_bearer(struct lws *wsi, char *out, size_t size)
{
  static const char scheme[] = "Bearer ";
  if (lws_hdr_copy(wsi, out, (int)size, WSI_TOKEN_HTTP_AUTHORIZATION) <= 0 ||
      strncasecmp(out, scheme, sizeof scheme - 1) != 0)
    return (struct bytes){0};
  return bytes_of(out + sizeof scheme - 1);
}

struct http_kept {
  unsigned method;
  bool has_body, is_http11, is_api, cors;
  size_t size;
  char origin[]; /* empty where it is not told */
};

struct http_kept *http_keep(struct conn *c, const struct http_request *r)
{
  size_t origin = r->cors ? strlen(r->origin) : 0, size = sizeof(struct http_kept) + origin + 1;
  struct http_kept *kept = mem_new(&c->s->mem, size);
  if (!kept)
    return NULL;
  *kept = (struct http_kept){.method = r->method,
                             .has_body = r->has_body,
                             .is_http11 = r->is_http11,
                             .is_api = r->is_api,
                             .cors = r->cors,
                             .size = size};
  memcpy(kept->origin, r->origin, origin);
  kept->origin[origin] = 0;
  return kept;
}

void http_kept_get(const struct http_kept *kept, struct http_request *out)
{
  *out = (struct http_request){.method = kept->method,
                               .has_body = kept->has_body,
                               .is_http11 = kept->is_http11,
                               .is_api = kept->is_api,
                               .cors = kept->cors};
  memcpy(out->origin, kept->origin, strlen(kept->origin) + 1);
}

void http_kept_free(struct conn *c, struct http_kept *kept)
{
  if (kept)
    mem_free(&c->s->mem, kept, kept->size);
}
