/* net/tcp's output on loopback: pieces in place, what the socket does not take, and the order. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/clock.h"
#include "tests/process/net/world.h"

enum { ROUND = 32, EACH = 1000, RECORD = 16 * 1024 };

static bool has_message(struct world *w)
{
  return w->messages >= 1;
}

static bool has_closed(struct world *w)
{
  return w->closed >= 1;
}

/* A connection that has spoken once. */
static int connect_one(struct world *w, struct net_conn **c)
{
  const int fd = world_connect(w);
  assert_int_equal(send(fd, "\x01", 1, MSG_NOSIGNAL), 1);
  world_run(w, has_message);
  *c = net_tcp_find(w->tcp, w->last_conn);
  assert_non_null(*c);
  char echo;
  assert_int_equal(recv(fd, &echo, 1, 0), 1);
  w->echo = false;
  return fd;
}

static void flush(struct world *w)
{
  net_tcp_flush(w->tcp, net_clock_ms());
}

static struct bytes text(const char *s)
{
  return (struct bytes){(const uint8_t *)s, strlen(s)};
}

static void assert_gets(int fd, const char *expected)
{
  char got[64];
  const ssize_t len = (ssize_t)strlen(expected);
  assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), len);
  assert_memory_equal(got, expected, (size_t)len);
}

/* What is copied and what stays in place leave in the order in which they were sent. */
static void test_order(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  struct net_conn *c;
  const int fd = connect_one(&w, &c);
  assert_int_equal(net_conn_send_in_place(c, text("one ")), 0);
  assert_int_equal(net_conn_send_in_place(c, text("two ")), 0);
  flush(&w);
  assert_gets(fd, "one two ");
  assert_int_equal(net_conn_send(c, text("copied "), false), 0);
  assert_int_equal(net_conn_send_in_place(c, text("one ")), 0);
  flush(&w);
  assert_gets(fd, "copied one ");
  assert_int_equal(net_conn_send_in_place(c, text("one ")), 0);
  assert_int_equal(net_conn_send_in_place(c, text("")), 0);
  assert_int_equal(net_conn_send(c, text("copied "), false), 0);
  assert_int_equal(net_conn_send_in_place(c, text("two ")), 0);
  flush(&w);
  assert_gets(fd, "one copied two ");
  close(fd);
  world_run(&w, has_closed);
  world_close(&w);
}

/* More pieces than there is a place for, of two connections in turn. */
static void test_many_pieces(void **state)
{
  (void)state;
  enum { COUNT = 1000 };
  struct world w;
  world_open(&w, &world_limits);
  struct net_conn *c[2];
  int fd[2];
  for (size_t i = 0; i < 2; i++) {
    w.messages = 0;
    w.echo = true;
    fd[i] = connect_one(&w, &c[i]);
  }
  uint8_t own[2][COUNT];
  for (size_t k = 0; k < COUNT; k++)
    for (size_t i = 0; i < 2; i++) {
      own[i][k] = (uint8_t)(k * 2 + i * 7);
      assert_int_equal(net_conn_send_in_place(c[i], (struct bytes){&own[i][k], 1}), 0);
    }
  flush(&w);
  for (size_t i = 0; i < 2; i++) {
    uint8_t got[COUNT + 1];
    assert_int_equal(recv(fd[i], got, sizeof(got), MSG_DONTWAIT), COUNT);
    assert_memory_equal(got, own[i], COUNT);
    assert_int_equal(net_conn_send_in_place(c[i], text("again")), 0);
    assert_int_equal(c[i]->out_len, 0); /* there is a place again */
    close(fd[i]);
  }
  world_close(&w);
}

/* ---- a socket that is full ---- */

/* Message `number` into `at`: its number, over and over. */
static void fill(uint8_t *at, uint32_t number)
{
  for (size_t i = 0; i < EACH; i += 4)
    store_be32(at + i, number);
}

/* Sends rounds in place until something is dropped; the bytes are somebody else's behind each
 * flush. How many were taken. */
static uint32_t send_until_full(struct world *w, struct net_conn *c)
{
  static uint8_t bytes[ROUND][EACH];
  uint32_t taken = 0;
  bool full = false;
  while (!full && taken < 100000) {
    for (size_t i = 0; i < ROUND; i++) {
      fill(bytes[i], taken);
      if (net_conn_send_in_place(c, (struct bytes){bytes[i], EACH}) == 0)
        taken++;
      else
        full = true;
    }
    flush(w);
    memset(bytes, 0xEE, sizeof(bytes));
  }
  assert_true(full);
  return taken;
}

static void assert_all_arrive(struct world *w, int fd, uint32_t count)
{
  uint8_t got[EACH], expected[EACH];
  for (uint32_t i = 0; i < count; i++) {
    size_t have = 0;
    while (have < EACH) {
      const ssize_t n = recv(fd, got + have, EACH - have, MSG_DONTWAIT);
      if (n > 0)
        have += (size_t)n;
      else
        world_run(w, NULL); /* it has room again */
    }
    fill(expected, i);
    assert_memory_equal(got, expected, EACH);
  }
  assert_int_equal(recv(fd, got, 1, MSG_DONTWAIT), -1);
}

/* Written in part, the rest is kept, and what came first leaves first: no message loses a byte. */
static void slow_reader(const struct net_stream *stream)
{
  struct world w;
  struct net_tcp_limits limits = world_limits;
  limits.stall_ms = limits.idle_ms = 60000;
  world_open(&w, &limits);
  struct net_conn *c;
  const int fd = connect_one(&w, &c);
  if (stream != NULL)
    c->stream = stream;
  const uint32_t taken = send_until_full(&w, c);
  assert_true(net_tcp_counters(w.tcp)->dropped_messages > 0);
  assert_true(c->out_len > 0 && c->out_len <= limits.output_max); /* its bound holds */
  assert_all_arrive(&w, fd, taken);
  assert_null(c->out); /* and a connection without traffic owns nothing */
  const uint64_t dropped = net_tcp_counters(w.tcp)->dropped_messages;
  assert_int_equal(net_conn_send_in_place(c, text("on we go")), 0);
  flush(&w);
  assert_gets(fd, "on we go");
  assert_int_equal(net_tcp_counters(w.tcp)->dropped_messages, dropped);
  close(fd);
  world_run(&w, has_closed);
  world_close(&w);
}

static void test_slow_reader(void **state)
{
  (void)state;
  slow_reader(NULL);
}

/* What waits for the flush counts against the bound as well. */
static void test_bound_of_pieces(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  struct net_conn *c;
  const int fd = connect_one(&w, &c);
  static const uint8_t data[EACH];
  size_t taken = 0;
  while (taken < 200 && net_conn_send_in_place(c, (struct bytes){data, EACH}) == 0)
    taken++;
  assert_int_equal(taken, world_limits.output_max / EACH);
  assert_int_equal(net_tcp_counters(w.tcp)->dropped_messages, 1);
  close(fd);
  world_run(&w, has_closed);
  world_close(&w);
}

static void test_never_reads(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  struct net_conn *c;
  const int fd = connect_one(&w, &c);
  (void)send_until_full(&w, c);
  world_run(&w, has_closed);
  assert_int_equal(net_tcp_counters(w.tcp)->closed_slow, 1);
  close(fd);
  world_close(&w);
}

/* An end behind pieces that were not written yet. */
static void test_end(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  struct net_conn *c;
  const int fd = connect_one(&w, &c);
  assert_int_equal(net_conn_send_in_place(c, text("the last")), 0);
  net_conn_end(c);
  assert_int_equal(net_conn_send_in_place(c, text("too late")), -ERR_FULL);
  assert_int_equal(w.closed, 0);
  flush(&w);
  assert_int_equal(w.closed, 1);
  assert_gets(fd, "the last");
  char end;
  assert_int_equal(recv(fd, &end, 1, MSG_DONTWAIT), 0);
  close(fd);
  world_close(&w);
}

/* The other side's end comes in the round in which pieces wait: they still leave. */
static void test_half_close_before_the_flush(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  struct net_conn *c;
  const int fd = connect_one(&w, &c);
  assert_int_equal(shutdown(fd, SHUT_WR), 0);
  assert_int_equal(net_conn_send_in_place(c, text("the last")), 0);
  world_run(&w, has_closed);
  assert_gets(fd, "the last");
  close(fd);
  world_close(&w);
}

/* ---- a stream that writes one piece at a time, as TLS does ---- */

static size_t writes, longest;

static int counted_write(struct net_conn *c, const void *p, size_t len)
{
  writes++;
  longest = len > longest ? len : longest;
  return net_stream_plain.write(c, p, len);
}

static struct net_stream counting(void)
{
  struct net_stream s = net_stream_plain;
  s.write = counted_write;
  s.write_all = NULL;
  return s;
}

/* As many whole pieces as one record holds; a longer one goes alone. */
static void test_gathered(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  struct net_conn *c;
  const int fd = connect_one(&w, &c);
  const struct net_stream stream = counting();
  c->stream = &stream;
  static const uint8_t data[20000];
  static const size_t size[] = {RECORD - 100, 100, 1, 20000, 8000, 8000};
  size_t sum = 0;
  writes = longest = 0;
  for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
    assert_int_equal(net_conn_send_in_place(c, (struct bytes){data, size[i]}), 0);
    sum += size[i];
  }
  flush(&w);
  assert_int_equal(writes, 4); /* the first two, one byte, the long one, the last two */
  assert_int_equal(longest, 20000);
  static uint8_t got[sizeof(data) * 3];
  assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), sum);
  close(fd);
  world_run(&w, has_closed);
  world_close(&w);
}

enum { STINGY = 777 };

static int stingy_write(struct net_conn *c, const void *p, size_t len)
{
  if (++writes % 3 == 0)
    return -ERR_MORE;
  return net_stream_plain.write(c, p, len < STINGY ? len : STINGY);
}

static int stingy_write_all(struct net_conn *c, const struct iovec *piece, size_t count)
{
  struct iovec some[2] = {piece[0], piece[1]};
  assert_true(count > 1);
  if (++writes % 3 == 0)
    return -ERR_MORE;
  some[1].iov_len = some[1].iov_len < STINGY ? some[1].iov_len : STINGY;
  return net_stream_plain.write_all(c, some, 2);
}

/* Pieces that are cut anywhere. */
static void test_partial_writes(void **state)
{
  (void)state;
  struct world w;
  struct net_tcp_limits limits = world_limits;
  limits.output_max = 1024 * 1024;
  for (size_t i = 0; i < 2; i++) {
    world_open(&w, &limits);
    struct net_conn *c;
    const int fd = connect_one(&w, &c);
    struct net_stream stream = net_stream_plain;
    stream.write = stingy_write;
    stream.write_all = i == 0 ? stingy_write_all : NULL;
    c->stream = &stream;
    static uint8_t bytes[ROUND][EACH];
    uint32_t sent = 0;
    while (sent < 10 * ROUND) {
      const size_t count = 1 + sent % ROUND;
      for (size_t k = 0; k < count; k++) {
        fill(bytes[k], sent++);
        assert_int_equal(net_conn_send_in_place(c, (struct bytes){bytes[k], EACH}), 0);
      }
      flush(&w);
      memset(bytes, 0xEE, sizeof(bytes));
      for (size_t k = 0; c->out_len > 0 && k < sent; k++)
        world_run(&w, NULL);
    }
    assert_all_arrive(&w, fd, sent);
    c->stream = &net_stream_plain;
    close(fd);
    world_run(&w, has_closed);
    world_close(&w);
  }
}

static void test_slow_reader_of_records(void **state)
{
  (void)state;
  const struct net_stream stream = counting();
  slow_reader(&stream);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order),
      cmocka_unit_test(test_many_pieces),
      cmocka_unit_test(test_slow_reader),
      cmocka_unit_test(test_never_reads),
      cmocka_unit_test(test_bound_of_pieces),
      cmocka_unit_test(test_partial_writes),
      cmocka_unit_test(test_end),
      cmocka_unit_test(test_half_close_before_the_flush),
      cmocka_unit_test(test_gathered),
      cmocka_unit_test(test_slow_reader_of_records),
  };
  return cmocka_run_group_tests_name("net-tcp-out", tests, NULL, NULL);
}
