/* See world.h. */
#include "tests/process/net/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/clock.h"

const struct net_tcp_limits world_limits = {
    .connections = 8,
    .first_max = 2000,
    .message_max = 65536,
    .output_max = 64 * 1024,
    .handshake_ms = 300,
    .idle_ms = 600,
    .stall_ms = 300,
};

/* "\x05abcd": 5 bytes. "L" and 2 bytes of a big-endian length: a long one. */
static int frame(void *arg, struct bytes stream, size_t *len, size_t *padded)
{
  (void)arg;
  size_t size = stream.at[0];
  if (stream.at[0] == '!')
    return -ERR_BAD;
  if (stream.at[0] == 'L') {
    if (stream.len < 3)
      return -ERR_MORE;
    size = load_be16(stream.at + 1);
  }
  if (stream.len < size)
    return -ERR_MORE;
  *len = *padded = size;
  return 0;
}

static void message(void *arg, struct net_conn *c, struct dgram *d, uint64_t now_ms)
{
  (void)now_ms;
  struct world *w = arg;
  w->messages++;
  w->bytes += d->len;
  w->last_conn = c->id;
  c->keep = w->keep;
  if (w->hold)
    net_conn_hold(c);
  if (w->echo)
    (void)net_conn_send(c, (struct bytes){d->at, d->len}, false);
}

static void batch_end(void *arg)
{
  struct world *w = arg;
  w->batches++;
  net_tcp_flush(w->tcp, w->loop.now_ms);
}

static void closed(void *arg, struct net_conn *c, uint64_t now_ms)
{
  (void)now_ms;
  struct world *w = arg;
  assert_ptr_equal(net_tcp_find(w->tcp, c->id), c);
  w->closed++;
}

void world_open(struct world *w, const struct net_tcp_limits *limits)
{
  *w = (struct world){.echo = true};
  assert_int_equal(net_loop_open(&w->loop), 0);
  wheel_init(&w->wheel, w->loop.now_ms);
  assert_int_equal(net_udp_batch_new(&w->batch), 0);
  const struct net_tcp_setup setup = {
      .loop = &w->loop,
      .wheel = &w->wheel,
      .limits = *limits,
      .events =
          {.arg = w, .frame = frame, .message = message, .batch_end = batch_end, .closed = closed},
  };
  assert_int_equal(net_tcp_new(&setup, &w->tcp), 0);
  const struct net_listen listen = {.at = addr_v4(127, 0, 0, 1, 0)};
  assert_int_equal(net_tcp_listen(w->tcp, &listen, &w->listener, NULL), 0);
}

void world_close(struct world *w)
{
  net_listener_close(&w->listener);
  net_tcp_free(w->tcp);
  net_udp_batch_free(w->batch);
  net_loop_close(&w->loop);
}

static uint64_t next_ms(void *arg)
{
  struct world *w = arg;
  if (w->done == NULL || w->done(w))
    return 0;
  uint64_t wheel_ms = wheel_next_ms(&w->wheel);
  return wheel_ms < w->until_ms ? wheel_ms : w->until_ms;
}

static void tick(void *arg, uint64_t now_ms)
{
  struct world *w = arg;
  wheel_run(&w->wheel, now_ms);
  net_tcp_flush(w->tcp, now_ms);
  if (w->done == NULL || w->done(w) || now_ms >= w->until_ms)
    net_loop_stop(&w->loop);
}

void world_run(struct world *w, bool (*done)(struct world *w))
{
  const struct net_loop_hooks hooks = {.arg = w, .next_ms = next_ms, .tick = tick};
  w->done = done;
  w->until_ms = net_clock_ms() + 5000;
  assert_int_equal(net_loop_run(&w->loop, &hooks), 0);
  assert_true(done == NULL || done(w));
}

int world_connect(const struct world *w)
{
  struct sockaddr_storage s;
  socklen_t len = net_sockaddr_put(&s, &w->listener.local);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)&s, len), 0);
  return fd;
}
