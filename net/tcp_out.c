/* A connection's output: gathered while a batch lasts, written once behind it.
 *
 * What is relayed stays where it was read until then, as pieces, and leaves from there in one
 * write; over TLS that makes one record of them. Only what the socket does not take is copied, into
 * the connection's own buffer, and so is all that comes behind it. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/tcp_private.h"

enum { PIECES_AT_ONCE = 64 };

size_t net__conn_waiting(const struct net_conn *c)
{
  return c->out_len + c->piece_len;
}

/* ---- its own buffer ---- */

/* Room for `len` more bytes behind what waits. */
static int reserve(struct net_conn *c, size_t len)
{
  if (c->out_at + c->out_len + len <= c->out_cap)
    return 0;
  if (c->out_at > 0) {
    memmove(c->out, c->out + c->out_at, c->out_len);
    c->out_at = 0;
  }
  size_t cap = c->out_cap == 0 ? 2048 : c->out_cap;
  while (cap < c->out_len + len)
    cap *= 2;
  if (cap == c->out_cap)
    return 0;
  uint8_t *larger = realloc(c->out, cap);
  if (larger == NULL)
    return -ERR_NOMEM;
  c->out = larger;
  c->out_cap = cap;
  return 0;
}

static void append(struct net_conn *c, const void *p, size_t len)
{
  memcpy(c->out + c->out_at + c->out_len, p, len);
  c->out_len += len;
}

/* Whether a write of the stream has moved something; else there is no room, or it is over. */
static bool moved(struct net_conn *c, int n, uint64_t now_ms)
{
  if (n > 0) {
    c->tcp->counters.sent_bytes += (uint64_t)n;
    c->output_ms = now_ms;
    return true;
  }
  if (n != -ERR_MORE)
    c->dead = true;
  return false;
}

static void write_own(struct net_conn *c, uint64_t now_ms)
{
  while (c->out_len > 0 && !c->dead) {
    int n = c->stream->write(c, c->out + c->out_at, c->out_len);
    if (!moved(c, n, now_ms))
      return;
    c->out_at += (size_t)n;
    c->out_len -= (size_t)n;
  }
  if (c->out_len == 0) {
    free(c->out);
    c->out = NULL;
    c->out_at = c->out_cap = 0;
  }
}

/* ---- pieces ---- */

static void forget_pieces(struct net_conn *c)
{
  c->piece_head = c->piece_tail = 0;
  c->piece_len = 0;
}

/* What is not written now is copied: the bytes are somebody else's again behind the flush. A stream
 * that has lost its middle is of no use to anyone. */
static void keep_pieces(struct net_conn *c)
{
  struct net_tcp *t = c->tcp;
  if (c->piece_head == 0)
    return;
  if (reserve(c, c->piece_len) == 0) {
    for (uint16_t i = c->piece_head; i != 0; i = t->piece[i - 1].next)
      append(c, t->piece[i - 1].iov.iov_base, t->piece[i - 1].iov.iov_len);
  } else {
    t->counters.closed_slow++;
    c->dead = true;
  }
  forget_pieces(c);
}

static void drop_written(struct net_conn *c, size_t len)
{
  c->piece_len -= len;
  while (len > 0) {
    struct net_tcp_piece *p = &c->tcp->piece[c->piece_head - 1];
    const size_t n = len < p->iov.iov_len ? len : p->iov.iov_len;
    p->iov.iov_base = (uint8_t *)p->iov.iov_base + n;
    p->iov.iov_len -= n;
    len -= n;
    if (p->iov.iov_len == 0)
      c->piece_head = p->next;
  }
}

/* The next of them, as many as one write takes. */
static size_t next_pieces(const struct net_conn *c, struct iovec out[PIECES_AT_ONCE])
{
  const struct net_tcp *t = c->tcp;
  const bool gathers = c->stream->write_all == NULL;
  size_t count = 0, len = 0;
  for (uint16_t i = c->piece_head; i != 0 && count < PIECES_AT_ONCE; i = t->piece[i - 1].next) {
    len += t->piece[i - 1].iov.iov_len;
    if (gathers && count > 0 && len > NET_TCP_GATHER)
      break;
    out[count++] = t->piece[i - 1].iov;
  }
  return count;
}

static int write_gathered(struct net_conn *c, const struct iovec *piece, size_t count)
{
  uint8_t *end = c->tcp->gather;
  for (size_t i = 0; i < count; i++) {
    memcpy(end, piece[i].iov_base, piece[i].iov_len);
    end += piece[i].iov_len;
  }
  return c->stream->write(c, c->tcp->gather, (size_t)(end - c->tcp->gather));
}

static void write_pieces(struct net_conn *c, uint64_t now_ms)
{
  struct iovec piece[PIECES_AT_ONCE];
  while (c->piece_head != 0 && !c->dead) {
    const size_t count = next_pieces(c, piece);
    int n;
    if (count == 1)
      n = c->stream->write(c, piece->iov_base, piece->iov_len);
    else if (c->stream->write_all != NULL)
      n = c->stream->write_all(c, piece, count);
    else
      n = write_gathered(c, piece, count);
    if (!moved(c, n, now_ms))
      return;
    drop_written(c, (size_t)n);
  }
}

/* ---- all of it ---- */

void net__conn_write(struct net_conn *c, uint64_t now_ms)
{
  write_own(c, now_ms);
  if (c->out_len == 0)
    write_pieces(c, now_ms);
}

void net__conn_flush(struct net_conn *c, uint64_t now_ms)
{
  /* What waits for the socket already goes on when the loop says so. */
  if (c->handshaken && (c->watch.events & EPOLLOUT) == 0)
    net__conn_write(c, now_ms);
  keep_pieces(c);
  net__conn_settle(c, now_ms);
}

static void mark_dirty(struct net_conn *c)
{
  if (list_is_empty(&c->dirty))
    list_push_back(&c->tcp->dirty, &c->dirty);
}

static bool has_room(const struct net_conn *c, size_t len, size_t most)
{
  return len <= most && net__conn_waiting(c) <= most - len;
}

int net_conn_send(struct net_conn *c, struct bytes message, bool droppable)
{
  struct net_tcp *t = c->tcp;
  if (c->dead || c->ending)
    return -ERR_FULL;
  keep_pieces(c); /* they come first */
  const size_t most = t->setup.limits.output_max + (droppable ? 0 : NET_TCP_RESERVE);
  int r = has_room(c, message.len, most) ? reserve(c, message.len) : -ERR_FULL;
  if (r != 0 && droppable) {
    t->counters.dropped_messages++;
    return r;
  }
  if (r != 0) {
    t->counters.closed_slow++;
    c->dead = true;
  } else if (message.len > 0) {
    if (c->out_len == 0)
      c->output_ms = t->setup.loop->now_ms;
    append(c, message.at, message.len);
  }
  mark_dirty(c);
  return r;
}

int net_conn_send_in_place(struct net_conn *c, struct bytes message)
{
  struct net_tcp *t = c->tcp;
  if (c->out_len > 0 || t->piece_count == NET_TCP_PIECES)
    return net_conn_send(c, message, true);
  if (c->dead || c->ending || !has_room(c, message.len, t->setup.limits.output_max)) {
    t->counters.dropped_messages += !c->dead && !c->ending;
    return -ERR_FULL;
  }
  if (message.len == 0)
    return 0;
  if (c->piece_head == 0)
    c->output_ms = t->setup.loop->now_ms;
  t->piece[t->piece_count++] = (struct net_tcp_piece){
      .iov = {.iov_base = (void *)(uintptr_t)message.at, .iov_len = message.len}};
  if (c->piece_head != 0)
    t->piece[c->piece_tail - 1].next = t->piece_count;
  else
    c->piece_head = t->piece_count;
  c->piece_tail = t->piece_count;
  c->piece_len += message.len;
  mark_dirty(c);
  return 0;
}

void net_conn_end(struct net_conn *c)
{
  c->ending = true;
  mark_dirty(c);
}

void net_tcp_flush(struct net_tcp *t, uint64_t now_ms)
{
  while (!list_is_empty(&t->dirty)) {
    struct net_conn *c = CONTAINER_OF(t->dirty.next, struct net_conn, dirty);
    list_remove(&c->dirty);
    net__conn_flush(c, now_ms);
  }
  t->piece_count = 0; /* who has pieces is in that list */
}
