/* One HTTP request and its answer. gateway.c brings the request, http.c finds whose it is, the
 * handlers (web.c, api.c, deliver/) answer through http_send. */
#ifndef VIADUCT_SIGNAL_HTTP_H
#define VIADUCT_SIGNAL_HTTP_H

#include "signal/server.h"

enum {
  HTTP_GET = 1,
  HTTP_HEAD = 2,
  HTTP_POST = 4,
  HTTP_OPTIONS = 8,
  HTTP_DELETE = 16,
  HTTP_OTHER = 32,
};

/* What libwebsockets has no names for. */
enum { HTTP_CREATED = 201, HTTP_ACCEPTED = 202 };

enum { HTTP_PATH_SIZE = 1024, HTTP_FIELD_SIZE = 512, HTTP_SMALL_BODY = 64 * 1024 };

/* Views live until the handler returns. */
struct http_request {
  unsigned method;              /* one bit */
  char path[HTTP_PATH_SIZE];    /* decoded by libwebsockets, "." and ".." resolved */
  char origin[HTTP_FIELD_SIZE]; /* empty: none */
  char host[HTTP_FIELD_SIZE];   /* empty: none (HTTP/1.0) */
  bool has_body;                /* which nobody reads */
  bool is_http11;
  bool is_api; /* a path of the protocol: its answers depend on the Origin */
  bool cors;   /* and that one may read them */
};

/* What an answer that comes later needs of its request. */
struct http_kept;

struct http_answer {
  unsigned status;
  const char *type; /* Content-Type; NULL: no body */
  struct bytes body;
  uint64_t length;          /* of a body that the handler sends itself; else 0 */
  const char *etag;         /* may be NULL */
  const char *name, *value; /* one more field, name in lower case with ":"; may be NULL */
  bool cacheable;           /* keep, but ask each time; else: do not keep */
  bool page;                /* a file of the page: with the policy for browsers */
  bool preflight;           /* the answer to OPTIONS */
  bool stream;              /* a body without a known end, up to the end of the connection */
};

/* What a route does with a whole body. `bearer` is what Authorization brought, or empty. 0 or -1,
 * as http_done. */
typedef int (*http_take_fn)(struct conn *c, const struct http_request *r, struct bytes bearer,
                            struct bytes body);

/* LWS_CALLBACK_HTTP: 0, or -1 to close. */
int http_on_request(struct conn *c);
/* LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: 0 go on, 1 answered, -1 close. */
int http_on_upgrade(struct conn *c);

/* Writes the head and the body, if it is in `body`. 0 or -1. Then http_done, unless a task goes on.
 */
int http_send(struct conn *c, const struct http_request *r, const struct http_answer *a);
/* The answer is whole: back to waiting, or -1 to close. */
int http_done(struct conn *c);
/* Both: an error of the protocol as JSON, with its HTTP status; retry_s 0: no Retry-After. */
int http_send_error(struct conn *c, const struct http_request *r, enum sig_error error,
                    const char *message, unsigned retry_s);

/* Both, with a status that the table of errors does not have for it. */
int http_send_error_status(struct conn *c, const struct http_request *r, unsigned status,
                           enum sig_error error, const char *message);
/* The token of "Authorization: Bearer …": a view into `out`, or empty. */
struct bytes http_bearer(struct lws *wsi, char *out, size_t size);
/* Returns owned; NULL: no memory. http_kept_get fills all that http_send looks at. */
struct http_kept *http_keep(struct conn *c, const struct http_request *r);
void http_kept_get(const struct http_kept *kept, struct http_request *out);
void http_kept_free(struct conn *c, struct http_kept *kept); /* NULL is fine */

/* body.c: a request with a body of `length` bytes, which `take` gets when it is whole. 0 or -1. */
int body_begin(struct conn *c, const struct http_request *r, uint64_t length, http_take_fn take);
/* LWS_CALLBACK_HTTP_BODY and _COMPLETION: 0, or -1 to close. */
int body_piece(struct conn *c, struct bytes piece);
int body_end(struct conn *c);

/* budget.c: a body of so many bytes is on its way; -ERR_FULL: this address has too much of them,
 * -ERR_NOMEM. What was taken has to be given back. */
int budget_take(struct conn *c, uint64_t len);
void budget_give(struct conn *c, uint64_t len);

/* Handlers: 0 or -1, as http_done. */
int web_handle(struct conn *c, const struct http_request *r);
int api_healthz(struct conn *c, const struct http_request *r);
int api_readyz(struct conn *c, const struct http_request *r);
int api_ice_servers(struct conn *c, const struct http_request *r);
/* Answers with what `put` writes into `size` bytes of the heap. */
int api_send_made(struct conn *c, const struct http_request *r, const char *type, size_t size,
                  void (*put)(struct conn *c, struct buf *out));
int api_metrics(struct conn *c, const struct http_request *r);
int poll_handle(struct conn *c, const struct http_request *r);
int sse_handle(struct conn *c, const struct http_request *r);
int post_session(struct conn *c, const struct http_request *r, struct bytes token,
                 struct bytes body);
int post_messages(struct conn *c, const struct http_request *r, struct bytes key,
                  struct bytes body);
int websocket_handle(struct conn *c, const struct http_request *r);
/* 0: the connection becomes a WebSocket; 1: answered, no. */
int websocket_upgrade(struct conn *c, const struct http_request *r);

#endif
