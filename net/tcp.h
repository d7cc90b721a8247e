/* TCP connections that carry framed messages: listeners, bounded buffers, deadlines.
 *
 * One struct net_tcp serves all listeners and connections of a thread. What a message is, a frame
 * callback says; a whole message is handed on where it stands in the input buffer, and `batch_end`
 * comes before that buffer is reused. Output is gathered for each connection and written once, by
 * net_tcp_flush. A connection without traffic owns no buffer at all.
 *
 * TLS plugs in as a struct net_stream: the connection calls it to read and write. */
#ifndef VIADUCT_NET_TCP_H
#define VIADUCT_NET_TCP_H

#include <sys/uio.h>

#include "base/dgram.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/wheel.h"
#include "net/loop.h"
#include "net/sockaddr.h"

struct net_conn;
struct net_tcp;

/* How bytes move. Each returns the number of bytes (read: 0 at the end of the stream), -ERR_MORE
 * (would block), or -ERR_IO. */
struct net_stream {
  /* NULL: nothing to do. 0 when done, -ERR_MORE, -ERR_IO. */
  int (*handshake)(struct net_conn *c);
  int (*read)(struct net_conn *c, void *out, size_t cap);
  int (*write)(struct net_conn *c, const void *p, size_t len);
  /* As write, of several pieces in a row. NULL: they are gathered for `write`. */
  int (*write_all)(struct net_conn *c, const struct iovec *piece, size_t count);
  /* NULL: never. Whether read could give more without the socket being readable. */
  bool (*pending)(struct net_conn *c);
  /* Says goodbye where the protocol has one, and frees c->stream_state. */
  void (*shutdown)(struct net_conn *c);
  /* Ends what goes out, while the other side may go on (half-close). 0, -ERR_MORE, -ERR_IO. */
  int (*finish)(struct net_conn *c);
};

/* A taken connection is readable, writable, or at its end; see net_conn_take. */
typedef void (*net_conn_taken_fn)(void *arg, struct net_conn *c, uint64_t now_ms);

extern const struct net_stream net_stream_plain;

struct net_listener {
  struct net_watch watch;
  struct net_tcp *tcp;
  struct addr local;
  const struct net_stream *stream;
  void *stream_config; /* the stream's: certificates and the like; borrowed */
  unsigned tag;        /* the owner's: which transport, which realm */
  struct list all;     /* private */
  bool paused;         /* no descriptors left: accepting goes on after a moment */
};

struct net_conn {
  struct net_watch watch;
  struct net_tcp *tcp;
  uint64_t id; /* never 0, never used twice by one struct net_tcp */
  struct addr peer, local;
  unsigned tag; /* the listener's */
  const struct net_stream *stream;
  void *stream_state;  /* the stream's own */
  void *stream_config; /* the listener's */
  bool want_write;     /* set by the stream when a read or its handshake needs the socket to be
                          writable (TLS) */
  unsigned keep;       /* the owner's: while it is not 0 the connection is not idle */
  uint64_t unused_ms;  /* since when `keep` is 0: the owner's too, from the start set here */
  void *taken_by;      /* the `arg` of net_conn_take; NULL: not taken */

  /* private to net/tcp */
  struct hash_node by_id;
  struct list all, dirty;
  struct timer deadline;
  uint64_t input_ms;   /* the last whole message, or when it was accepted */
  uint64_t partial_ms; /* since when a message waits for its rest */
  uint64_t output_ms;  /* since when the output waits, or its last progress */
  uint8_t *in;
  size_t in_len, in_cap; /* a message that is not whole yet */
  uint8_t *out;
  size_t out_at, out_len, out_cap;
  uint16_t piece_head, piece_tail; /* indices + 1 into net_tcp's; 0: none */
  size_t piece_len;
  bool handshaken, spoke;
  bool ending; /* reads no more; goes once its output is written */
  bool dead;   /* goes now */
  bool busy;   /* in its own callback: goes when that returns */
  bool held;   /* reads nothing for now */
  bool at_end; /* the stream had said so when it was held */
  bool unwatched;
  net_conn_taken_fn taken;
};

struct net_tcp_limits {
  uint32_t connections; /* more are accepted and closed at once */
  int below; /* accepting rests while descriptors from this number on alone are free; 0: any will do
              */
  uint32_t
      handshake_ms; /* until the first whole message, and from a message's first byte to its last */
  uint32_t idle_ms; /* without a message from the other side; not while `keep` */
  uint32_t unused_ms;   /* without `keep`, whatever comes; 0: no limit */
  uint32_t stall_ms;    /* with output that the other side does not take */
  uint32_t first_max;   /* bytes of the first message of a connection: nothing is proven yet */
  uint32_t unused_max;  /* the same of each later one without `keep`; 0: message_max */
  uint32_t message_max; /* bytes of each later one, padding included */
  uint32_t output_max;  /* bytes of output waiting; more is dropped, see net_conn_send */
};

struct net_tcp_events {
  void *arg;
  /* May be NULL. What a connection begins with, before anything is taken for a message: 0 go on,
   * -ERR_MORE look again when there is more, -ERR_BAD close; a callback that has answered calls
   * net_conn_end. */
  int (*first)(void *arg, struct net_conn *c, struct bytes stream);
  /* 0 with the message's length, and in *padded what it takes in the stream; -ERR_MORE, with
   * *padded where that is known (0 before), so that what will be too long is closed at once;
   * -ERR_BAD closes the connection. */
  int (*frame)(void *arg, struct bytes stream, size_t *len, size_t *padded);
  /* The same for the first message of a connection, of which less is possible; NULL: as `frame`. */
  int (*frame_first)(void *arg, struct bytes stream, size_t *len, size_t *padded);
  /* One whole message; its bytes may be rewritten in place, and stay until batch_end. No headroom.
   */
  void (*message)(void *arg, struct net_conn *c, struct dgram *d, uint64_t now_ms);
  void (*batch_end)(void *arg);                                   /* may be NULL */
  void (*closed)(void *arg, struct net_conn *c, uint64_t now_ms); /* may be NULL; c dies with it */
  void (*paused)(void *arg, int error); /* may be NULL; accepting rests for want of that */
};

struct net_tcp_counters {
  uint64_t connections;       /* now */
  uint64_t accepted, refused; /* refused: over the limit */
  uint64_t closed_bad, closed_timeout, closed_slow;
  uint64_t
      closed_handshake; /* the stream's handshake failed: no common version, wrong bytes, ... */
  uint64_t received_bytes, sent_bytes;
  uint64_t dropped_messages; /* droppable output that found no room */
  uint64_t accept_paused;    /* no descriptor or memory for another connection */
};

struct net_tcp_setup {
  struct net_loop *loop;
  struct wheel *wheel;
  struct net_tcp_limits limits;
  struct net_tcp_events events;
  struct hash_key hash_key;
};

struct net_listen {
  struct addr at;
  bool reuse_port;
  const struct net_stream *stream; /* NULL: plain */
  void *stream_config;
  unsigned tag;
  const char *program, *mend; /* as in struct net_bind */
};

/* Returns owned. -ERR_NOMEM. */
int net_tcp_new(const struct net_tcp_setup *s, struct net_tcp **out);
/* Closes all connections (each `closed` event comes). Listeners are closed before. */
void net_tcp_free(struct net_tcp *t);
int net_tcp_listen(struct net_tcp *t, const struct net_listen *s, struct net_listener *out,
                   struct net_error *e);
/* The same with a socket that is bound already, of whatever family (s->at is not looked at). Takes
 * `fd`. -ERR_*. */
int net_tcp_listen_at(struct net_tcp *t, const struct net_listen *s, int fd,
                      struct net_listener *out);
void net_listener_close(struct net_listener *l);

/* NULL when that connection is gone. */
struct net_conn *net_tcp_find(struct net_tcp *t, uint64_t id);
/* Queues a message (copied). `droppable`: relayed data, which is dropped and counted when the
 * queue is full; anything else that finds no room either closes the connection. -ERR_FULL,
 * -ERR_NOMEM. */
int net_conn_send(struct net_conn *c, struct bytes message, bool droppable);
/* The same for relayed data whose bytes stay, unchanged, until net_tcp_flush: no copy is made
 * unless the socket does not take them. */
int net_conn_send_in_place(struct net_conn *c, struct bytes message);
/* Ends the connection once its output is written (`closed` comes later, or in the next flush). */
void net_conn_end(struct net_conn *c);

/* Reads no more, and hands no message on, until net_conn_resume or net_conn_take; inside `message`
 * too. Its deadlines go on. */
void net_conn_hold(struct net_conn *c);
/* Never inside its own callbacks. May end the connection. */
void net_conn_resume(struct net_conn *c, uint64_t now_ms);
/* The connection is handed over: what comes behind the messages so far are bytes, which `ready`
 * reads and writes with the functions below; nothing is cut, and there are no deadlines. `ready`
 * comes whenever the descriptor has what net_conn_watch asked for, and once when the callback
 * is over in which it was taken. `closed` comes as always. */
void net_conn_take(struct net_conn *c, net_conn_taken_fn ready, void *arg);
/* As a stream's read and write; in their order with what was read before, and what net_conn_send
 * has queued. A write of no bytes: 0 when nothing is queued any more. */
int net_conn_read(struct net_conn *c, void *out, size_t cap);
int net_conn_write(struct net_conn *c, const void *p, size_t len);
/* Half-close, behind what is queued. 0, -ERR_MORE, -ERR_IO. */
int net_conn_finish(struct net_conn *c);
/* What `ready` waits for, beside what the stream itself needs: EPOLLIN, EPOLLOUT; with 0 it is
 * left alone, not even its end is told. -ERR_IO. */
int net_conn_watch(struct net_conn *c, uint32_t events);
/* At once, whatever is queued (`closed` comes). */
void net_conn_close(struct net_conn *c, uint64_t now_ms);

/* Writes what is queued, one write for each connection that has output. Call it at the end of each
 * batch. */
void net_tcp_flush(struct net_tcp *t, uint64_t now_ms);
const struct net_tcp_counters *net_tcp_counters(const struct net_tcp *t);

#endif
