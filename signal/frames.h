/* A WebSocket (RFC 6455) under any of the protocols that run over one: messages put together within
 * the limit, text frames out when the socket takes them, closing with a code. What a protocol adds
 * is a struct frames_protocol and a row in http.c's table of paths. Only frames.c and gateway.c
 * know that libwebsockets does the rest. */
#ifndef VIADUCT_SIGNAL_FRAMES_H
#define VIADUCT_SIGNAL_FRAMES_H

#include "signal/http.h"

/* Why a message was refused before its protocol could see it. The connection is closed then. */
enum frames_fault { FRAMES_BINARY, FRAMES_NOT_UTF8, FRAMES_TOO_LARGE, FRAMES_NO_MEMORY };

/* One message to write, as two pieces that stand in one row; `head` may be empty. Views that have
 * to live until the next call into the protocol. */
struct frames_out {
  struct bytes head, body;
};

/* None of these may close or free anything itself: frames_close and frames_wake note what is to be
 * done. */
struct frames_protocol {
  /* One whole message, UTF-8, of at most max-message-size bytes; borrowed until return. */
  void (*take)(struct conn *c, struct bytes text);
  /* A last chance to say what was wrong, in the protocol's own words; may be NULL. */
  void (*refuse)(struct conn *c, enum frames_fault fault);
  /* The next message to write; false: none for now, until the next frames_wake. */
  bool (*next)(struct conn *c, struct frames_out *out);
  /* The client cannot be reached any more: once for each connection, and no other call but `free`
   * comes behind it. */
  void (*gone)(struct conn *c);
  /* Frees c->state. */
  void (*free)(struct conn *c);
  /* Messages in binary frames are taken like those in text frames. */
  bool takes_binary;
};

/* The state of a connection that is a WebSocket: the first member of the protocol's own, which is
 * what c->state points at. Zeroed before frames_begin. */
struct frames {
  const struct frames_protocol *protocol;
  uint8_t *in; /* a message that is not whole yet */
  uint32_t in_len, in_cap;
  const char *close_reason;
  uint16_t close_code; /* 0: nobody wants to close */
  bool skipping;       /* the rest of a message that was refused */
  bool is_gone;        /* and the protocol knows */
};

/* In an upgrade handler: 0, or -1 when the request is no upgrade that RFC 6455 allows, or the
 * server stops; it was answered then, and the handler returns -1. */
int frames_check_upgrade(struct conn *c, const struct http_request *r);
/* The same, for a protocol whose clients resume nothing: each connection is one that drain would
 * wait for. 0, or -1 while the server drains. */
int frames_check_new(struct conn *c, const struct http_request *r);
/* Answers an upgrade with an error of ours and closes; returns -1 for the handler to return. */
int frames_refuse_upgrade(struct conn *c, const struct http_request *r, enum sig_error error,
                          const char *message, unsigned retry_s);
/* The upgrade is accepted: `state` (mem_new, beginning with a struct frames) belongs to the
 * connection from here on, up to the protocol's `free`. The handler returns 0. */
void frames_begin(struct conn *c, struct frames *state, const struct frames_protocol *protocol);
/* A handler for the same path without an upgrade: 426, saying `text`. */
int frames_handle(struct conn *c, const struct http_request *r, const char *text);

/* There is something for `next`. Safe anywhere, also without need. */
void frames_wake(struct conn *c);
/* Writes what `next` still gives, then closes with this code and reason (static, at most 123
 * bytes). The first one counts; what the client still sends is ignored. Safe anywhere. */
void frames_close(struct conn *c, uint16_t code, const char *reason);

#endif
