/* Connections whose bytes are no messages any more: held back for a moment, or taken over by
 * somebody who carries them as they are. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/tcp_private.h"

void net_conn_hold(struct net_conn *c)
{
  c->held = true;
  if (!c->busy)
    net__conn_settle(c, c->tcp->setup.loop->now_ms);
}

void net_conn_resume(struct net_conn *c, uint64_t now_ms)
{
  c->held = false;
  net__conn_recut(c, now_ms);
}

void net_conn_take(struct net_conn *c, net_conn_taken_fn ready, void *arg)
{
  c->held = false;
  c->taken = ready;
  c->taken_by = arg;
  wheel_cancel(c->tcp->setup.wheel, &c->deadline);
}

int net_conn_read(struct net_conn *c, void *out, size_t cap)
{
  if (c->in_len > 0) { /* what came right behind the last message */
    size_t n = c->in_len < cap ? c->in_len : cap;
    memcpy(out, c->in, n);
    memmove(c->in, c->in + n, c->in_len - n);
    c->in_len -= n;
    if (c->in_len == 0) {
      free(c->in);
      c->in = NULL;
      c->in_cap = 0;
    }
    return (int)n;
  }
  int n = c->stream->read(c, out, cap);
  if (n > 0)
    c->tcp->counters.received_bytes += (uint64_t)n;
  return n;
}

int net_conn_write(struct net_conn *c, const void *p, size_t len)
{
  if (net__conn_waiting(c) > 0) {
    net__conn_write(c, c->tcp->setup.loop->now_ms);
    if (c->dead)
      return -ERR_IO;
    if (net__conn_waiting(c) > 0)
      return -ERR_MORE;
  }
  if (len == 0)
    return 0;
  int n = c->stream->write(c, p, len);
  if (n > 0)
    c->tcp->counters.sent_bytes += (uint64_t)n;
  return n;
}

int net_conn_finish(struct net_conn *c)
{
  int r = net_conn_write(c, NULL, 0);
  return r != 0 ? r : c->stream->finish(c);
}

int net_conn_watch(struct net_conn *c, uint32_t events)
{
  struct net_loop *loop = c->tcp->setup.loop;
  bool reads = (events & EPOLLIN) != 0;
  /* What the stream itself holds back makes no socket readable; a writable one is at once. */
  if (c->out_len > 0 || c->want_write ||
      (reads && c->stream->pending != NULL && c->stream->pending(c)))
    events |= EPOLLOUT;
  if (events == 0) {
    if (!c->unwatched)
      net_loop_detach(loop, &c->watch);
    c->unwatched = true;
    return 0;
  }
  if (!c->unwatched)
    return net_loop_change(loop, &c->watch, events);
  c->watch.events = events;
  int r = net_loop_attach(loop, &c->watch);
  c->unwatched = r != 0;
  return r;
}

void net_conn_close(struct net_conn *c, uint64_t now_ms)
{
  c->dead = true;
  if (!c->busy)
    net__conn_free(c, now_ms);
}
