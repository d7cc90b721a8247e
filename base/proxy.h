/* The header that a load balancer puts before a connection's bytes, so that the server behind it
 * learns who the client is: HAProxy's PROXY protocol, version 1 (a line of text) and 2 (binary).
 * Called by net/proxy for each connection at a port that requires it. */
#ifndef VIADUCT_BASE_PROXY_H
#define VIADUCT_BASE_PROXY_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/bytes.h"

enum {
  PROXY_V1_MAX = 107,     /* section 2.1: the longest line, its end included */
  PROXY_HEADER_MAX = 2048 /* ours for version 2, whose length field could say 65551 */
};

struct proxy_header {
  size_t len; /* bytes that it takes in the stream */
  /* false: LOCAL, UNKNOWN or UNSPEC, such as a health check of the balancer's own: the connection's
   * real addresses count. */
  bool has_addresses;
  struct addr client, server; /* where the client came from, and where it went to */
};

/* Reads the header at the start of `stream`. 0; -ERR_MORE: so far it is one, and never when there
 * are PROXY_HEADER_MAX bytes; -ERR_BAD: it is none, or one for another transport than TCP. */
int proxy_parse(struct bytes stream, struct proxy_header *out);

#endif
