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
  HTTP_OTHER = 16,
};

enum { HTTP_PATH_SIZE = 1024, HTTP_FIELD_SIZE = 512, HTTP_SMALL_BODY = 64 * 1024 };

/* Views live until the handler returns. */
struct http_request {
  unsigned method;              /* one bit */
  char path[HTTP_PATH_SIZE];    /* decoded by libwebsockets, "." and ".." resolved */
  char origin[HTTP_FIELD_SIZE]; /* empty: none */
  char host[HTTP_FIELD_SIZE];   /* empty: none (HTTP/1.0) */
  bool has_body;                /* which nobody reads */
  bool is_http11;
};

struct http_answer {
  unsigned status;
  const char *type; /* Content-Type; NULL: no body */
  struct bytes body;
  uint64_t length;          /* of a body that the handler sends itself; else 0 */
  const char *etag;         /* may be NULL */
  const char *name, *value; /* one more field, name in lower case with ":"; may be NULL */
  bool cacheable;           /* keep, but ask each time; else: do not keep */
  bool page;                /* a file of the page: with the policy for browsers */
};

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

/* Handlers: 0 or -1, as http_done. */
int web_handle(struct conn *c, const struct http_request *r);
int api_healthz(struct conn *c, const struct http_request *r);
int api_readyz(struct conn *c, const struct http_request *r);
int api_ice_servers(struct conn *c, const struct http_request *r);
int api_metrics(struct conn *c, const struct http_request *r);
int websocket_handle(struct conn *c, const struct http_request *r);
/* 0: the connection becomes a WebSocket; 1: answered, no. */
int websocket_upgrade(struct conn *c, const struct http_request *r);

#endif
