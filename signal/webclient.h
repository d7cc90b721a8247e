/* POST to somebody else's HTTP server, without waiting: what asks the application's backend and
 * tells it things. Over libcurl and the loop's own sockets; nothing of libcurl is seen outside of
 * webclient.c and webclient_check.c. Names are looked up in libcurl's threads, so that a slow DNS
 * server holds up nobody.
 *
 * Certificates are always checked. There are no redirects, no cookies, no proxy, no compression,
 * and nothing but HTTP/1.1; connections are kept for the next call. */
#ifndef VIADUCT_SIGNAL_WEBCLIENT_H
#define VIADUCT_SIGNAL_WEBCLIENT_H

#include <uv.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "net/error.h"

struct webclient;      /* of one loop */
struct webclient_call; /* one request, from webclient_post until its `done` or its cancel */

enum { WEBCLIENT_URL_SIZE = 2048, WEBCLIENT_HEAD_MAX = 16 * 1024 /* bytes of an answer's head */ };

/* How a call ended. */
enum webclient_error {
  WEBCLIENT_OK,          /* an answer came whole, whatever its status */
  WEBCLIENT_UNREACHABLE, /* no address, no connection */
  WEBCLIENT_TLS,         /* no TLS, or a certificate that is not theirs */
  WEBCLIENT_DEADLINE,
  WEBCLIENT_TOO_LARGE, /* the answer, over answer_max or WEBCLIENT_HEAD_MAX */
  WEBCLIENT_BROKEN,    /* no HTTP, or an answer that broke off */
  WEBCLIENT_NO_MEMORY,
  WEBCLIENT_ERROR_COUNT
};

struct webclient_answer {
  enum webclient_error error;
  unsigned status;   /* of the answer; 0 where `error` is not WEBCLIENT_OK */
  struct bytes body; /* a view until `done` returns; empty where `error` is not WEBCLIENT_OK */
  const char *text;  /* the error as one sentence, for a log; until `done` returns */
};

struct webclient_request {
  const char *url;           /* that webclient_check_url found good */
  const char *ca_path;       /* trust these issuers (PEM) and no others; NULL: the system's */
  struct bytes body;         /* copied */
  const char *const *header; /* "name: value", copied; Content-Type is application/json already */
  size_t header_count;
  uint32_t deadline_ms; /* for everything, the wait for a turn included; not 0 */
  size_t answer_max;    /* bytes of the answer's body */
  /* Once, from the loop, never out of webclient_post; the call is gone then. It may post and cancel
   * others. */
  void (*done)(void *arg, const struct webclient_answer *answer);
  void *arg;
};

struct webclient_setup {
  uv_loop_t *loop;     /* borrowed until webclient_close is through */
  struct mem *mem;     /* borrowed likewise */
  uint32_t in_flight;  /* requests, and so connections, at a time; not 0 */
  uint32_t queue;      /* that wait for a turn besides */
  const char *product; /* the User-Agent; borrowed */
};

/* Returns owned. -ERR_NOMEM; -ERR_IO: libcurl cannot start. */
int webclient_open(const struct webclient_setup *setup, struct webclient **out);
/* Drops every call without a word. The memory goes with the next rounds of the loop, which has to
 * run until it has no handle left. NULL is fine. */
void webclient_close(struct webclient *w);

/* Starts a call, or queues it. -ERR_FULL: too many are under way and wait; -ERR_NOMEM. */
int webclient_post(struct webclient *w, const struct webclient_request *r,
                   struct webclient_call **out);
/* Ends it without its `done`. */
void webclient_cancel(struct webclient_call *call);
/* How many are under way or wait. */
size_t webclient_count(const struct webclient *w);

/* The name of an error for a metric or a log: "unreachable", ... */
const char *webclient_error_name(enum webclient_error error);

/* As the checks of options: NULL, or what is wrong. http or https, a host, no name and password, no
 * fragment. */
const char *webclient_check_url(struct bytes value);
/* Whether such a URL goes over TLS, or does not leave this machine. */
bool webclient_is_private(const char *url);
/* Whether the file has certificates to trust: -ERR_BAD, and `e` names `option` and the mend. */
int webclient_check_ca(const char *option, const char *path, struct net_error *e);

#endif
