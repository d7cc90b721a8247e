/* net/tcp on loopback: cutting, bounds, deadlines. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/clock.h"
#include "tests/process/net/world.h"

static size_t wanted;

static bool has_messages(struct world *w)
{
  return w->messages >= wanted;
}

static bool has_closed(struct world *w)
{
  return w->closed >= wanted;
}

static bool has_accepted(struct world *w)
{
  const struct net_tcp_counters *c = net_tcp_counters(w->tcp);
  return c->accepted + c->refused >= wanted;
}

static bool has_sent(struct world *w)
{
  return net_tcp_counters(w->tcp)->sent_bytes >= wanted;
}

static void run_until(struct world *w, bool (*done)(struct world *w), size_t count)
{
  wanted = count;
  world_run(w, done);
}

static void put(int fd, const void *p, size_t len)
{
  assert_int_equal(send(fd, p, len, MSG_NOSIGNAL), len);
}

/* Whether the other end has closed, without waiting; what still comes is thrown away. */
static bool is_closed(int fd)
{
  char data[4096];
  ssize_t n;
  while ((n = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
    continue;
  return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* ---- cutting ---- */

static void test_cut(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  int fd = world_connect(&w);
  put(fd,
      "\x03"
      "ab\x02"
      "c\x05",
      6);
  run_until(&w, has_messages, 2);
  put(fd, "xyz", 3);
  world_run(&w, NULL);
  assert_int_equal(w.messages, 2);
  put(fd, "!", 1); /* the message's last byte, not garbage: the cut remembers where it is */
  run_until(&w, has_messages, 3);
  run_until(&w, has_sent, 10);
  char echo[32];
  assert_int_equal(recv(fd, echo, sizeof(echo), MSG_DONTWAIT), 10);
  assert_memory_equal(echo,
                      "\x03"
                      "ab\x02"
                      "c\x05xyz!",
                      10);
  close(fd);
  run_until(&w, has_closed, 1);
  world_close(&w);
}

/* Messages of every size around the limits of the buffers, cut into pieces of every kind. */
static void test_sizes(void **state)
{
  (void)state;
  static const uint16_t sizes[] = {3, 255, 256, 4095, 4096, 4097, 8192, 40000, 65535};
  static const size_t pieces[] = {1000, 4096, 4097, 65536};
  struct world w;
  world_open(&w, &world_limits);
  w.echo = false;
  int fd = world_connect(&w);
  uint8_t *data = calloc(1, 65536);
  size_t bytes = 1, messages = 1;
  put(fd, "\x01", 1); /* from now on messages may be large */
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
    for (size_t k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++) {
      data[0] = 'L';
      store_be16(data + 1, sizes[i]);
      for (size_t at = 0; at < sizes[i]; at += pieces[k]) {
        size_t left = sizes[i] - at;
        put(fd, data + at, left < pieces[k] ? left : pieces[k]);
        world_run(&w, NULL);
      }
      bytes += sizes[i];
      run_until(&w, has_messages, ++messages);
      assert_int_equal(w.bytes, bytes);
    }
  free(data);
  close(fd);
  world_close(&w);
  assert_int_equal(w.closed, 1);
}

/* ---- a stream of records, as TLS is one ---- */

enum { RECORD = 3 };
static bool has_ended;

/* A record that begins with "E" is the stream's end, whatever the socket says. */
static int read_record(struct net_conn *c, void *out, size_t cap)
{
  if (has_ended)
    return 0;
  const int n = net_stream_plain.read(c, out, cap < RECORD ? cap : RECORD);
  has_ended = n > 0 && *(const uint8_t *)out == 'E';
  return has_ended ? 0 : n;
}

static bool has_record(struct net_conn *c)
{
  char byte;
  return !has_ended && recv(c->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static int connect_to_records(struct world *w, struct net_stream *stream)
{
  const int fd = world_connect(w);
  put(fd, "\x01", 1);
  run_until(w, has_messages, 1);
  *stream = net_stream_plain;
  stream->read = read_record;
  stream->pending = has_record;
  net_tcp_find(w->tcp, w->last_conn)->stream = stream;
  has_ended = false;
  return fd;
}

/* What is there already is one batch, and what it asks for is answered before the end. */
static void test_records(void **state)
{
  (void)state;
  struct world w;
  struct net_stream stream;
  world_open(&w, &world_limits);
  const int fd = connect_to_records(&w, &stream);
  put(fd,
      "\x03"
      "ab\x05"
      "cdef\x02"
      "gE",
      11);
  run_until(&w, has_messages, 4);
  assert_int_equal(w.batches, 2);
  run_until(&w, has_closed, 1);
  char echo[32];
  assert_int_equal(recv(fd, echo, sizeof(echo), MSG_DONTWAIT), 11);
  assert_memory_equal(echo,
                      "\x01\x03"
                      "ab\x05"
                      "cdef\x02g",
                      11);
  close(fd);
  world_close(&w);
}

/* Its end comes with the message that makes it wait: nobody tells of it again. */
static void test_records_end_while_held(void **state)
{
  (void)state;
  struct world w;
  struct net_stream stream;
  world_open(&w, &world_limits);
  const int fd = connect_to_records(&w, &stream);
  w.hold = true;
  put(fd,
      "\x03"
      "abE",
      4);
  run_until(&w, has_messages, 2);
  world_run(&w, NULL);
  assert_int_equal(w.closed, 0);
  net_conn_resume(net_tcp_find(w.tcp, w.last_conn), net_clock_ms());
  const uint64_t timeouts = net_tcp_counters(w.tcp)->closed_timeout;
  run_until(&w, has_closed, 1);
  assert_int_equal(net_tcp_counters(w.tcp)->closed_timeout, timeouts);
  close(fd);
  world_close(&w);
}

static void test_garbage(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  int fd = world_connect(&w);
  put(fd,
      "\x02"
      "a!\x02"
      "b",
      5);
  run_until(&w, has_closed, 1);
  assert_int_equal(w.messages, 1);
  assert_int_equal(net_tcp_counters(w.tcp)->closed_bad, 1);
  assert_true(is_closed(fd));
  close(fd);
  world_close(&w);
}

/* Whether it comes whole at once or not. */
static void test_first_message_is_bounded(void **state)
{
  (void)state;
  static const uint8_t data[2500] = {'L', 0x09, 0xc4};
  for (size_t missing = 0; missing < 2; missing++) {
    struct world w;
    world_open(&w, &world_limits);
    int fd = world_connect(&w);
    put(fd, data, sizeof(data) - missing);
    run_until(&w, has_closed, 1);
    assert_int_equal(w.messages, 0);
    assert_int_equal(net_tcp_counters(w.tcp)->closed_bad, 1);
    close(fd);
    world_close(&w);
  }
}

static void test_half_close(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  int fd = world_connect(&w);
  put(fd,
      "\x02"
      "a\x03",
      3);
  shutdown(fd, SHUT_WR);
  run_until(&w, has_closed, 1);
  char echo[8];
  assert_int_equal(recv(fd, echo, sizeof(echo), MSG_DONTWAIT), 2);
  assert_true(is_closed(fd));
  close(fd);
  world_close(&w);
}

/* The rest of a half-closed connection's output, which the socket did not take at once. */
static void test_half_close_with_output(void **state)
{
  (void)state;
  enum { COUNT = 100, SIZE = 60000 };
  static uint8_t data[SIZE] = {'L', SIZE >> 8, SIZE & 0xff};
  struct world w;
  struct net_tcp_limits limits = world_limits;
  limits.output_max = COUNT * SIZE;
  limits.stall_ms = 5000;
  world_open(&w, &limits);
  int fd = world_connect(&w);
  put(fd, "\x01", 1);
  for (size_t i = 1; i <= COUNT; i++) {
    put(fd, data, SIZE);
    run_until(&w, has_messages, 1 + i);
  }
  shutdown(fd, SHUT_WR);
  world_run(&w, NULL);
  world_run(&w, NULL);
  assert_int_equal(w.closed, 0);
  size_t got = 0;
  for (ssize_t n = 1; n != 0;) {
    n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
    assert_true(n >= 0 || errno == EAGAIN);
    got += n > 0 ? (size_t)n : 0;
    world_run(&w, NULL);
  }
  assert_int_equal(got, 1 + COUNT * SIZE);
  assert_int_equal(w.closed, 1);
  close(fd);
  world_close(&w);
}

/* ---- bounds ---- */

static void test_too_many_connections(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  int fd[10];
  for (size_t i = 0; i < 10; i++)
    fd[i] = world_connect(&w);
  run_until(&w, has_accepted, 10);
  assert_int_equal(net_tcp_counters(w.tcp)->connections, 8);
  assert_int_equal(net_tcp_counters(w.tcp)->refused, 2);
  assert_true(is_closed(fd[9]));
  assert_false(is_closed(fd[0]));
  for (size_t i = 0; i < 10; i++)
    close(fd[i]);
  run_until(&w, has_closed, 8);
  world_close(&w);
}

/* A connection that has spoken once and from now on does not read. */
static int slow_reader(struct world *w, struct net_conn **c)
{
  int fd = world_connect(w);
  put(fd, "\x01", 1);
  run_until(w, has_messages, 1);
  *c = net_tcp_find(w->tcp, w->last_conn);
  assert_non_null(*c);
  return fd;
}

static void test_relayed_data_is_dropped(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  struct net_conn *c;
  int fd = slow_reader(&w, &c);
  static const uint8_t data[1000];
  int r = 0, sent = 0;
  while (r == 0 && ++sent < 100000) {
    r = net_conn_send(c, (struct bytes){data, sizeof(data)}, true);
    if (sent % 16 == 0)
      net_tcp_flush(w.tcp, net_clock_ms());
  }
  assert_int_not_equal(r, 0);
  assert_int_equal(net_tcp_counters(w.tcp)->dropped_messages, 1);
  /* A response still finds room. */
  assert_int_equal(net_conn_send(c, (struct bytes){data, sizeof(data)}, false), 0);
  run_until(&w, has_closed, 1); /* stalled */
  assert_int_equal(net_tcp_counters(w.tcp)->closed_slow, 1);
  close(fd);
  world_close(&w);
}

static void test_responses_without_room_end_it(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  struct net_conn *c;
  int fd = slow_reader(&w, &c);
  static const uint8_t data[1000];
  int r = 0, queued = 0;
  while (r == 0 && ++queued < 1000)
    r = net_conn_send(c, (struct bytes){data, sizeof(data)}, false);
  assert_in_range(queued, 64, 82); /* output_max and the reserve */
  net_tcp_flush(w.tcp, net_clock_ms());
  assert_int_equal(w.closed, 1);
  assert_int_equal(net_tcp_counters(w.tcp)->closed_slow, 1);
  assert_null(net_tcp_find(w.tcp, w.last_conn));
  close(fd);
  world_close(&w);
}

/* ---- deadlines ---- */

static void test_silent(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  int fd = world_connect(&w);
  uint64_t begin = net_clock_ms();
  run_until(&w, has_closed, 1);
  assert_in_range(net_clock_ms() - begin, 290, 3000);
  assert_int_equal(net_tcp_counters(w.tcp)->closed_timeout, 1);
  close(fd);
  world_close(&w);
}

static int dripping;
static uint64_t dripped_ms;

/* A byte each millisecond: a fast machine would finish the message otherwise. */
static bool drips_until_closed(struct world *w)
{
  const uint64_t now_ms = net_clock_ms();
  if (now_ms != dripped_ms)
    (void)send(dripping, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  dripped_ms = now_ms;
  return w->closed > 0;
}

/* A message that is never finished, however busy its sender is. */
static void test_dripping(void **state)
{
  (void)state;
  struct world w;
  struct net_tcp_limits limits = world_limits;
  limits.idle_ms = 60000; /* it is not idleness that ends it */
  world_open(&w, &limits);
  dripping = world_connect(&w);
  put(dripping, "\x01L\xff\xff", 4);
  run_until(&w, has_messages, 1);
  uint64_t begin = net_clock_ms();
  world_run(&w, drips_until_closed);
  assert_in_range(net_clock_ms() - begin, 250, 3000);
  close(dripping);
  world_close(&w);
}

static void test_idle_unless_kept(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  w.keep = true;
  int kept = world_connect(&w);
  put(kept, "\x01", 1);
  run_until(&w, has_messages, 1);
  uint64_t kept_id = w.last_conn;
  w.keep = false;
  int idle = world_connect(&w);
  put(idle, "\x01", 1);
  run_until(&w, has_messages, 2);
  run_until(&w, has_closed, 1);
  struct net_conn *c = net_tcp_find(w.tcp, kept_id);
  assert_non_null(c);
  c->keep = 0;
  run_until(&w, has_closed, 2);
  assert_int_equal(net_tcp_counters(w.tcp)->closed_timeout, 2);
  close(kept);
  close(idle);
  world_close(&w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_cut),
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_records),
      cmocka_unit_test(test_records_end_while_held),
      cmocka_unit_test(test_garbage),
      cmocka_unit_test(test_first_message_is_bounded),
      cmocka_unit_test(test_half_close),
      cmocka_unit_test(test_half_close_with_output),
      cmocka_unit_test(test_too_many_connections),
      cmocka_unit_test(test_relayed_data_is_dropped),
      cmocka_unit_test(test_responses_without_room_end_it),
      cmocka_unit_test(test_silent),
      cmocka_unit_test(test_dripping),
      cmocka_unit_test(test_idle_unless_kept),
  };
  return cmocka_run_group_tests_name("net-tcp", tests, NULL, NULL);
}
