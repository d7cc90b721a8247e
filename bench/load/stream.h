/* One end of a TCP or TLS connection as viaduct-load needs it: messages stand behind one another
 * until they are written, and are cut out of what is read. Pure. */
#ifndef VIADUCT_BENCH_LOAD_STREAM_H
#define VIADUCT_BENCH_LOAD_STREAM_H

#include "base/bytes.h"

enum {
  LOAD_OUT_MAX = 64 * 1024, /* bytes that wait to be written; more are refused */
  LOAD_REST_MAX = 4096      /* of a message whose end has not come; no server needs longer ones */
};

struct load_stream {
  uint8_t *out;           /* LOAD_OUT_MAX bytes; borrowed */
  size_t out_at, out_len; /* from where on, and to where, they wait */
  size_t rest_len;        /* of a message that has begun */
  uint8_t rest[LOAD_REST_MAX];
};

/* Behind what waits, padded as RFC 8656 12.5 wants ChannelData on a stream. False: no room. */
bool load_stream_put(struct load_stream *s, struct bytes message);
/* What waits: a view until the next put. */
struct bytes load_stream_waiting(const struct load_stream *s);
/* So many bytes of it are written. */
void load_stream_wrote(struct load_stream *s, size_t len);

/* The caller reads behind a copy of `rest`, and hands both in: whole messages go to `each` (views
 * into `bytes`), what is left becomes `rest`. How many there were; -ERR_BAD: what comes is neither
 * STUN nor ChannelData, or too long. */
int load_stream_cut(struct load_stream *s, struct bytes bytes,
                    void (*each)(void *arg, struct bytes message, uint64_t now_ns), void *arg,
                    uint64_t now_ns);

#endif
