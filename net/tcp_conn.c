/* One connection: bytes in, cut into messages; messages out, gathered; deadlines. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/tcp_private.h"

/* ---- the plain stream ---- */

static int plain_read(struct net_conn *c, void *out, size_t cap)
{
  ssize_t n;
  do
    n = recv(c->watch.fd, out, cap, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n >= 0)
    return (int)n;
  return errno == EAGAIN || errno == EWOULDBLOCK ? -ERR_MORE : -ERR_IO;
}

static int plain_write(struct net_conn *c, const void *p, size_t len)
{
  ssize_t n;
  do
    n = send(c->watch.fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n >= 0)
    return (int)n;
  return errno == EAGAIN || errno == EWOULDBLOCK ? -ERR_MORE : -ERR_IO;
}

static int plain_write_all(struct net_conn *c, const struct iovec *piece, size_t count)
{
  const struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)piece, .msg_iovlen = count};
  ssize_t n;
  do
    n = sendmsg(c->watch.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n >= 0)
    return (int)n;
  return errno == EAGAIN || errno == EWOULDBLOCK ? -ERR_MORE : -ERR_IO;
}

static void plain_shutdown(struct net_conn *c)
{
  (void)shutdown(c->watch.fd, SHUT_WR);
}

static int plain_finish(struct net_conn *c)
{
  return shutdown(c->watch.fd, SHUT_WR) == 0 ? 0 : -ERR_IO;
}

const struct net_stream net_stream_plain = {
    .read = plain_read,
    .write = plain_write,
    .write_all = plain_write_all,
    .shutdown = plain_shutdown,
    .finish = plain_finish,
};

/* ---- its end ---- */

void net__conn_free(struct net_conn *c, uint64_t now_ms)
{
  struct net_tcp *t = c->tcp;
  c->dead = true; /* takes no more output */
  if (t->setup.events.closed != NULL)
    t->setup.events.closed(t->setup.events.arg, c, now_ms);
  c->stream->shutdown(c);
  net_loop_detach(t->setup.loop, &c->watch);
  close(c->watch.fd);
  wheel_cancel(t->setup.wheel, &c->deadline);
  hash_table_remove(&t->by_id, &c->by_id);
  list_remove(&c->all);
  list_remove(&c->dirty);
  free(c->in);
  free(c->out);
  free(c);
  t->counters.connections--;
}

/* Frees it if its time has come; else asks the loop for what it needs next. Whether it lives on. */
bool net__conn_settle(struct net_conn *c, uint64_t now_ms)
{
  if (c->busy)
    return true;
  if (c->taken != NULL && !c->dead) {
    c->taken(c->taken_by, c, now_ms);
    return true; /* or not: nobody may touch it any more */
  }
  if (c->dead || (c->ending && net__conn_waiting(c) == 0)) {
    net__conn_free(c, now_ms);
    return false;
  }
  uint32_t events = c->ending || c->held ? 0 : EPOLLIN;
  if (c->out_len > 0 || c->want_write)
    events |= EPOLLOUT;
  if (net_loop_change(c->tcp->setup.loop, &c->watch, events) != 0) {
    net__conn_free(c, now_ms);
    return false;
  }
  net__conn_arm(c);
  return true;
}

/* ---- deadlines ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
  return a < b ? a : b;
}

/* When this connection is given up unless something happens. */
static uint64_t due_ms(const struct net_conn *c)
{
  const struct net_tcp_limits *limits = &c->tcp->setup.limits;
  uint64_t due = c->input_ms + (c->spoke ? limits->idle_ms : limits->handshake_ms);
  if (limits->unused_ms > 0 && c->keep == 0)
    due = earlier(due, c->unused_ms + limits->unused_ms);
  if (c->in_len > 0)
    due = earlier(due, c->partial_ms + limits->handshake_ms);
  if (c->out_len > 0)
    due = earlier(due, c->output_ms + limits->stall_ms);
  return due;
}

void net__conn_arm(struct net_conn *c)
{
  uint64_t due = due_ms(c);
  if (!timer_is_armed(&c->deadline) || due < c->deadline.due_ms)
    wheel_arm(c->tcp->setup.wheel, &c->deadline, due);
}

void net__conn_deadline(struct timer *timer, uint64_t now_ms)
{
  struct net_conn *c = CONTAINER_OF(timer, struct net_conn, deadline);
  const struct net_tcp_limits *limits = &c->tcp->setup.limits;
  bool stalled = c->out_len > 0 && c->output_ms + limits->stall_ms <= now_ms;
  bool partial = c->in_len > 0 && c->partial_ms + limits->handshake_ms <= now_ms;
  bool silent = !c->spoke && c->input_ms + limits->handshake_ms <= now_ms;
  bool idle = c->input_ms + limits->idle_ms <= now_ms;
  bool unused = limits->unused_ms > 0 && c->unused_ms + limits->unused_ms <= now_ms;
  if (stalled || partial || silent || ((idle || unused) && c->keep == 0)) {
    if (stalled)
      c->tcp->counters.closed_slow++;
    else
      c->tcp->counters.closed_timeout++;
    net__conn_free(c, now_ms);
    return;
  }
  if (idle) /* kept by its owner: look again later */
    wheel_arm(c->tcp->setup.wheel, &c->deadline, now_ms + limits->idle_ms);
  else
    net__conn_arm(c);
}

/* ---- input ---- */

/* As events->frame, which for the first message stands behind two others. */
static int next_frame(struct net_conn *c, struct bytes stream, size_t *len, size_t *padded)
{
  const struct net_tcp_events *events = &c->tcp->setup.events;
  int r = c->spoke || events->first == NULL ? 0 : events->first(events->arg, c, stream);
  if (r != 0 || c->ending)
    return r;
  bool first = !c->spoke && events->frame_first != NULL;
  return (first ? events->frame_first : events->frame)(events->arg, stream, len, padded);
}

/* Of the next message. Who has proven nothing holds little of our memory with one that never ends.
 */
static size_t message_max(const struct net_conn *c)
{
  const struct net_tcp_limits *limits = &c->tcp->setup.limits;
  if (!c->spoke)
    return limits->first_max;
  return c->keep == 0 && limits->unused_max > 0 ? limits->unused_max : limits->message_max;
}

/* Hands the whole messages at the start of `at` on; returns how many bytes they took. */
static size_t cut(struct net_conn *c, uint8_t *at, size_t len, uint64_t now_ms)
{
  struct net_tcp *t = c->tcp;
  const struct net_tcp_events *events = &t->setup.events;
  size_t used = 0;
  while (used < len && !c->ending && !c->dead && !c->held && c->taken == NULL) {
    size_t message_len = 0, padded = 0;
    size_t left = len - used;
    size_t most = message_max(c);
    int r = next_frame(c, (struct bytes){at + used, left}, &message_len, &padded);
    if (c->ending || (r == -ERR_MORE && left < most && padded <= most))
      break;
    if (r != 0 || padded == 0 || padded > left || padded > most || message_len > padded) {
      t->counters.closed_bad++;
      c->dead = true;
      break;
    }
    struct dgram d = {.storage = at + used, .cap = padded, .at = at + used, .len = message_len};
    c->spoke = true;
    c->input_ms = now_ms;
    events->message(events->arg, c, &d, now_ms);
    used += padded;
  }
  return used;
}

/* Makes the connection's own buffer hold at least `cap` bytes. */
static int reserve_input(struct net_conn *c, size_t cap)
{
  if (cap <= c->in_cap)
    return 0;
  uint8_t *larger = realloc(c->in, cap);
  if (larger == NULL)
    return -ERR_NOMEM;
  c->in = larger;
  c->in_cap = cap;
  return 0;
}

/* Keeps the `len` bytes of a started message until more comes. */
static void keep_rest(struct net_conn *c, const uint8_t *rest, size_t len, uint64_t now_ms)
{
  bool started = c->in_len > 0; /* still the same message */
  if (len == 0 || c->dead || c->ending) {
    free(c->in);
    c->in = NULL;
    c->in_len = c->in_cap = 0;
    return;
  }
  if (!started)
    c->partial_ms = now_ms;
  bool own = c->in != NULL && rest >= c->in && rest < c->in + c->in_cap;
  if (!own && reserve_input(c, len < 256 ? 256 : len) != 0) {
    c->dead = true;
    return;
  }
  memmove(c->in, rest, len);
  c->in_len = len;
}

/* Reads behind the *len bytes at `at`: of a stream that gives a record at a time, all that it holds
 * already. As the last of its reads: what there was before is in *len. */
static int read_records(struct net_conn *c, uint8_t *at, size_t cap, size_t *len)
{
  int n;
  do {
    n = c->stream->read(c, at + *len, cap - *len);
    if (n > 0)
      *len += (size_t)n;
  } while (n > 0 && *len < cap && c->stream->pending != NULL && c->stream->pending(c));
  return n;
}

/* The other side sends no more; what it asked for before is still answered (half-close). Or the
 * stream is broken. While the connection is held neither counts: resuming reads again. */
static void end_of_input(struct net_conn *c, int n)
{
  if (c->held || c->taken != NULL)
    c->at_end = true;
  else if (n == 0)
    c->ending = true;
  else
    c->dead = true;
}

/* One read and what comes of it. Whether there may be more at once. */
static bool read_once(struct net_conn *c, uint64_t now_ms)
{
  struct net_tcp *t = c->tcp;
  const struct net_tcp_events *events = &t->setup.events;
  bool own = c->in_len > NET_TCP_REJOIN;
  if (own && reserve_input(c, c->in_len * 2) != 0) {
    c->dead = true;
    return false;
  }
  uint8_t *at = own ? c->in : t->input;
  size_t cap = own ? c->in_cap : t->input_cap;
  const size_t had = c->in_len;
  size_t len = had;
  const int n = read_records(c, at, cap, &len);
  if (len > had) {
    if (!own && had > 0)
      memcpy(at, c->in, had);
    t->counters.received_bytes += len - had;
    const size_t used = cut(c, at, len, now_ms);
    /* Output may point into the buffer until here. */
    if (used > 0 && events->batch_end != NULL)
      events->batch_end(events->arg);
    if (used > 0)
      c->in_len = 0; /* a new message starts, and with it the time that it may take */
    keep_rest(c, at + used, len - used, now_ms);
  }
  if (n <= 0 && n != -ERR_MORE)
    end_of_input(c, n);
  return n > 0 && (len == cap || (c->stream->pending != NULL && c->stream->pending(c)));
}

/* Whether it is done, and just now: then the stream may hold what came right behind it. */
static bool handshake(struct net_conn *c)
{
  if (c->handshaken)
    return false;
  int r = c->stream->handshake(c);
  c->handshaken = r == 0;
  if (r != 0 && r != -ERR_MORE) {
    c->dead = true;
    c->tcp->counters.closed_handshake++;
  }
  return c->handshaken;
}

static void read_some(struct net_conn *c, uint64_t now_ms)
{
  for (int i = 0; i < NET_TCP_READS; i++)
    if (!read_once(c, now_ms) || c->dead || c->ending || c->held || c->taken != NULL)
      return;
  /* The others have their turn. What the stream itself holds back makes no socket readable, but
   * this one is writable at once, unless its other side takes nothing: then it may wait. */
  if (c->stream->pending != NULL && c->stream->pending(c))
    c->want_write = true;
}

void net__conn_recut(struct net_conn *c, uint64_t now_ms)
{
  const struct net_tcp_events *events = &c->tcp->setup.events;
  size_t len = c->in_len;
  c->busy = true;
  size_t used = len > 0 ? cut(c, c->in, len, now_ms) : 0;
  if (used > 0 && events->batch_end != NULL)
    events->batch_end(events->arg);
  if (used > 0)
    c->in_len = 0;
  if (len > 0)
    keep_rest(c, c->in + used, len - used, now_ms);
  c->busy = false;
  c->want_write = c->at_end || (c->stream->pending != NULL && c->stream->pending(c));
  c->at_end = false;
  (void)net__conn_settle(c, now_ms);
}

void net__conn_ready(struct net_watch *w, uint32_t ready, uint64_t now_ms)
{
  struct net_conn *c = CONTAINER_OF(w, struct net_conn, watch);
  bool wanted = c->want_write && (ready & EPOLLOUT) != 0;
  if (c->taken != NULL) {
    c->want_write = false;
    c->taken(c->taken_by, c, now_ms);
    return;
  }
  c->busy = true;
  c->want_write = false;
  wanted = handshake(c) || wanted;
  if (c->handshaken && (ready & EPOLLOUT) != 0)
    net__conn_write(c, now_ms);
  if ((ready & EPOLLERR) != 0 || ((c->ending || c->held) && (ready & EPOLLHUP) != 0))
    c->dead = true;
  wanted = wanted || (ready & (EPOLLIN | EPOLLHUP)) != 0;
  if (c->handshaken && wanted && !c->dead && !c->ending && !c->held)
    read_some(c, now_ms);
  c->busy = false;
  if (c->taken != NULL && !c->dead) {
    c->taken(c->taken_by, c, now_ms); /* which may end it */
    return;
  }
  if (net__conn_settle(c, now_ms) && !list_is_empty(&c->dirty)) {
    list_remove(&c->dirty);
    net__conn_flush(c, now_ms);
  }
}
