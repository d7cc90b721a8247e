/* Two connections that carry each other's bytes as they are (RFC 6062 5.4): a client's, plain or
 * TLS, and a peer's. Each direction holds the rest of one read at most; while there is one, its
 * source is not read, so that TCP itself slows the sender down and nothing is lost. The end of one
 * direction is passed on and the other one goes on (half-close); when both are over, so is it all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/tcp.h"
#include "turn/peers.h"
#include "turn/worker_private.h"

enum { ROUNDS = 8 }; /* reads of each side before the other connections have their turn */

void turnd__pipe_fini(struct turnd_pipe *pipe)
{
  free(pipe->bytes);
  *pipe = (struct turnd_pipe){.ended = true, .finished = true};
}

/* ---- the two ends: as struct net_stream's functions ---- */

struct end {
  int (*read)(struct turnd_peer *p, void *out, size_t cap);
  int (*write)(struct turnd_peer *p, const void *bytes, size_t len);
  int (*finish)(struct turnd_peer *p);
};

static int result(ssize_t n)
{
  if (n >= 0)
    return (int)n;
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? -ERR_MORE : -ERR_IO;
}

static int peer_read(struct turnd_peer *p, void *out, size_t cap)
{
  return result(recv(p->watch.fd, out, cap, MSG_DONTWAIT));
}

static int peer_write(struct turnd_peer *p, const void *bytes, size_t len)
{
  return result(send(p->watch.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static int peer_finish(struct turnd_peer *p)
{
  return shutdown(p->watch.fd, SHUT_WR) == 0 ? 0 : -ERR_IO;
}

static int client_read(struct turnd_peer *p, void *out, size_t cap)
{
  return net_conn_read(p->client, out, cap);
}

static int client_write(struct turnd_peer *p, const void *bytes, size_t len)
{
  return net_conn_write(p->client, bytes, len);
}

static int client_finish(struct turnd_peer *p)
{
  return net_conn_finish(p->client);
}

static const struct end peer_end = {peer_read, peer_write, peer_finish};
static const struct end client_end = {client_read, client_write, client_finish};

/* ---- one direction ---- */

/* Its sink is broken: what is for it is lost, as it would be without us. */
static void drop(struct turnd_pipe *pipe)
{
  turnd__pipe_fini(pipe);
}

/* Writes what waits. Whether the pipe is empty now. */
static bool drain(struct turnd_peer *p, struct turnd_pipe *pipe, const struct end *to)
{
  while (pipe->len > 0) {
    int n = to->write(p, pipe->bytes + pipe->at, pipe->len);
    if (n == -ERR_MORE)
      return false;
    if (n <= 0) {
      drop(pipe);
      return true;
    }
    pipe->at += (size_t)n;
    pipe->len -= (size_t)n;
  }
  free(pipe->bytes);
  pipe->bytes = NULL;
  pipe->at = 0;
  return true;
}

/* Keeps what the sink has not taken. */
static void keep(struct turnd_pipe *pipe, const uint8_t *rest, size_t len)
{
  pipe->bytes = malloc(len);
  if (pipe->bytes == NULL) {
    drop(pipe);
    return;
  }
  memcpy(pipe->bytes, rest, len);
  pipe->len = len;
}

static void put(struct turnd_peer *p, struct turnd_pipe *pipe, const struct end *to, size_t len)
{
  const uint8_t *bytes = p->worker->peers.scratch;
  size_t done = 0;
  while (done < len) {
    int n = to->write(p, bytes + done, len - done);
    if (n == -ERR_MORE) {
      keep(pipe, bytes + done, len - done);
      return;
    }
    if (n <= 0) {
      drop(pipe);
      return;
    }
    done += (size_t)n;
  }
}

/* The bytes that went on, 0 when nothing is to be done for now. `back` is the other direction. */
static size_t carry(struct turnd_peer *p, struct turnd_pipe *pipe, struct turnd_pipe *back,
                    const struct end *from, const struct end *to)
{
  if (pipe->finished || !drain(p, pipe, to) || pipe->finished)
    return 0;
  uint64_t now_ms = p->worker->loop.now_ms;
  if (!pipe->ended && pipe->due_ms > now_ms)
    return 0;
  int n = pipe->ended ? 0 : from->read(p, p->worker->peers.scratch, TURND_SCRATCH);
  if (n == -ERR_MORE)
    return 0;
  if (n > 0) {
    put(p, pipe, to, (size_t)n);
    if (p->bps > 0)
      pipe->due_ms = now_ms + turn_pace(&pipe->paid_ns, p->bps, (size_t)n, now_ms);
    return (size_t)n;
  }
  pipe->ended = true;
  if (n < 0) /* broken, and takes nothing more either; what came before has been passed on */
    drop(back);
  if (to->finish(p) != -ERR_MORE)
    pipe->finished = true;
  return 0;
}

/* ---- both ---- */

static uint32_t wanted(const struct turnd_pipe *out, const struct turnd_pipe *in, uint64_t now_ms)
{
  return (!in->ended && in->len == 0 && in->due_ms <= now_ms ? (uint32_t)EPOLLIN : 0) |
         (out->len > 0 ? (uint32_t)EPOLLOUT : 0);
}

/* Whoever sends more than max-bps is not read for a while, so that TCP slows him down. */
static void rest(struct turnd_peer *p, uint64_t now_ms)
{
  uint64_t due_ms = WHEEL_NEVER;
  const struct turnd_pipe *pipe[] = {&p->to_peer, &p->to_client};
  for (size_t i = 0; i < 2; i++)
    if (!pipe[i]->ended && pipe[i]->due_ms > now_ms && pipe[i]->due_ms < due_ms)
      due_ms = pipe[i]->due_ms;
  if (due_ms != WHEEL_NEVER)
    wheel_arm(&p->worker->wheel, &p->pause, due_ms);
}

/* A descriptor that is asked for nothing leaves the loop: its hang-up would be told without end. */
static int watch(struct turnd_peer *p)
{
  uint64_t now_ms = p->worker->loop.now_ms;
  uint32_t events = wanted(&p->to_peer, &p->to_client, now_ms);
  rest(p, now_ms);
  if (events == 0 && p->watched) {
    net_loop_detach(&p->worker->loop, &p->watch);
    p->watched = false;
  }
  int r = events != 0 ? turnd__peer_watch(p, events) : 0;
  return r != 0 ? r : net_conn_watch(p->client, wanted(&p->to_client, &p->to_peer, now_ms));
}

/* The allocation of a borrowed connection is at home. */
static void count(struct turnd_peer *p, uint64_t up, uint64_t down, uint64_t now_ms)
{
  struct turnd_worker *w = p->worker;
  if (!p->borrowed) {
    turn_peer_carried(w->turn, p->id, up, down);
    return;
  }
  p->from_client_bytes += up;
  p->from_peer_bytes += down;
  if (!timer_is_armed(&p->report))
    wheel_arm(&w->wheel, &p->report, now_ms + TURND_REPORT_MS);
}

static void pump(struct turnd_peer *p, uint64_t now_ms)
{
  size_t up = 0, down = 0;
  /* The response to the ConnectionBind may wait still. */
  if (net_conn_write(p->client, NULL, 0) == -ERR_IO)
    drop(&p->to_client);
  for (int i = 0; i < ROUNDS; i++) {
    size_t a = carry(p, &p->to_peer, &p->to_client, &client_end, &peer_end);
    size_t b = carry(p, &p->to_client, &p->to_peer, &peer_end, &client_end);
    up += a;
    down += b;
    if (a + b == 0)
      break;
  }
  if (up + down > 0)
    count(p, up, down, now_ms);
  bool over = p->to_peer.finished && p->to_client.finished;
  if (over || watch(p) != 0)
    turnd__peer_over(p, now_ms);
}

void turnd__peer_rested(struct timer *t, uint64_t now_ms)
{
  struct turnd_peer *p = CONTAINER_OF(t, struct turnd_peer, pause);
  if (p->client != NULL)
    pump(p, now_ms);
}

static void client_ready(void *arg, struct net_conn *c, uint64_t now_ms)
{
  (void)c;
  struct turnd_peer *p = arg;
  if (p != NULL)
    pump(p, now_ms);
}

void turnd__peer_ready_joined(struct turnd_peer *p, uint64_t now_ms)
{
  pump(p, now_ms);
}

void turnd__splice(struct turnd_peer *p, struct net_conn *client)
{
  p->state = TURND_PEER_JOINED;
  p->client = client;
  net_conn_take(client, client_ready, p);
}

void turnd__splice_lost(struct turnd_peer *p, uint64_t now_ms)
{
  p->client = NULL;
  turnd__peer_over(p, now_ms);
}
