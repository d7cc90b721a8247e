/* The client's side of WebSocket frames (RFC 6455 section 5.2), as much as a load generator needs:
 * whole messages, no extensions. Pure. */
#ifndef VIADUCT_BENCH_LOAD_SIGNAL_WS_H
#define VIADUCT_BENCH_LOAD_SIGNAL_WS_H

#include "base/bytes.h"

enum { LOAD_WS_TEXT = 1, LOAD_WS_CLOSE = 8, LOAD_WS_PING = 9, LOAD_WS_PONG = 10 };
enum { LOAD_WS_HEAD_MOST = 14, LOAD_WS_PAYLOAD_MOST = 1024 * 1024 };

struct load_ws_frame {
  uint8_t opcode;
  struct bytes payload; /* view into what was decoded */
};

/* A server's frame: the bytes that it takes; -ERR_MORE: it is not whole yet; -ERR_BAD: masked, with
 * an extension, in fragments, of an unknown kind or larger than LOAD_WS_PAYLOAD_MOST. */
int load_ws_decode(struct bytes in, struct load_ws_frame *out);
/* The head of a client's frame, at most LOAD_WS_HEAD_MOST bytes; returns its length. */
size_t load_ws_head(uint8_t *out, uint8_t opcode, size_t len, uint32_t mask);
void load_ws_mask(uint8_t *at, size_t len, uint32_t mask);

#endif
