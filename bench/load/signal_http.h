/* The head of an HTTP/1.1 response (RFC 9112), and one event of a stream (HTML, section 9.2): what
 * a load generator reads of them. Pure. */
#ifndef VIADUCT_BENCH_LOAD_SIGNAL_HTTP_H
#define VIADUCT_BENCH_LOAD_SIGNAL_HTTP_H

#include "base/bytes.h"

enum { LOAD_HTTP_HEAD_MOST = 16 * 1024, LOAD_HTTP_BODY_MOST = 1024 * 1024 };

struct load_http_head {
  unsigned status;
  bool has_length;
  size_t length;
  bool is_chunked;
  bool closes;         /* Connection: close */
  struct bytes accept; /* Sec-WebSocket-Accept; empty: none. View */
};

/* The bytes of the head, its empty line included; -ERR_MORE; -ERR_BAD. */
int load_http_decode(struct bytes in, struct load_http_head *out);

/* The bytes of the next event, its empty line included, and its data: a view, without the name of
 * the field. Only events of one data line are understood, as signald writes them. `data` is empty
 * where the event is a comment. -ERR_MORE; -ERR_BAD. */
int load_sse_decode(struct bytes in, struct bytes *data);

#endif
