/* net/udp and net/loop on loopback: batches, addresses, refused sends, sockets that go. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/process/net/world.h"

static void open_at(struct net_udp *u, struct addr at, bool want_local)
{
  const struct net_udp_setup s = {.at = at, .want_local = want_local};
  assert_int_equal(net_udp_open(u, &s, NULL), 0);
}

static void open_any(struct net_udp *u)
{
  open_at(u, addr_v4(127, 0, 0, 1, 0), false);
}

static struct bytes text(const char *t)
{
  return (struct bytes){(const uint8_t *)t, strlen(t)};
}

/* Everything that is there, without waiting: loopback delivers before sendmmsg returns. */
static size_t receive_all(struct net_udp_batch *b, struct net_udp *u)
{
  size_t count = 0, n;
  while ((n = net_udp_receive(b, u)) > 0)
    count += n;
  return count;
}

static void test_in_place_and_copied(void **state)
{
  (void)state;
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp from, to;
  open_any(&from);
  open_any(&to);
  char copied[] = "copied", stays[] = "stays";
  net_udp_send(b, &from, NULL, &to.local, text(copied), 0);
  net_udp_send(b, &from, NULL, &to.local, text(stays), NET_UDP_IN_PLACE);
  memset(copied, 'x', sizeof(copied) - 1);
  memset(stays, 'y', sizeof(stays) - 1);
  net_udp_flush(b);
  assert_int_equal(net_udp_receive(b, &to), 2);
  struct net_udp_msg *m = net_udp_batch_messages(b);
  assert_memory_equal(m[0].d.at, "copied", 6);
  assert_memory_equal(m[1].d.at, "yyyyy", 5);
  assert_true(addr_equal(&m[0].from, &from.local));
  assert_true(addr_equal(&m[0].local, &to.local));
  assert_true(dgram_headroom(&m[0].d) >= DGRAM_HEADROOM);
  assert_true(dgram_tailroom(&m[0].d) >= DGRAM_TAILROOM);
  net_udp_close(&from, b);
  net_udp_close(&to, b);
  net_udp_batch_free(b);
}

static void test_order_and_more_than_a_batch(void **state)
{
  (void)state;
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp one, two, to;
  open_any(&one);
  open_any(&two);
  open_any(&to);
  for (uint8_t i = 0; i < 200; i++)
    net_udp_send(b, i % 2 ? &one : &two, NULL, &to.local, (struct bytes){&i, 1}, 0);
  net_udp_flush(b);
  size_t n, seen = 0;
  int last[2] = {-1, -1};
  while ((n = net_udp_receive(b, &to)) > 0)
    for (size_t i = 0; i < n; i++) {
      struct net_udp_msg *m = &net_udp_batch_messages(b)[i];
      int v = m->d.at[0], *before = &last[v % 2];
      assert_true(v > *before);
      *before = v;
      seen++;
    }
  assert_int_equal(seen, 200);
  net_udp_close(&one, b);
  net_udp_close(&two, b);
  net_udp_close(&to, b);
  net_udp_batch_free(b);
}

static void test_wildcard_answers_from_where_it_was_asked(void **state)
{
  (void)state;
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp server, client;
  open_at(&server, (struct addr){.family = ADDR_V4}, true);
  open_any(&client);
  struct addr asked = addr_v4(127, 0, 0, 9, server.local.port);
  net_udp_send(b, &client, NULL, &asked, text("?"), 0);
  assert_int_equal(net_udp_receive(b, &server), 1);
  struct net_udp_msg *m = net_udp_batch_messages(b);
  assert_true(addr_equal(&m->local, &asked));
  net_udp_send(b, &server, &m->local, &m->from, (struct bytes){m->d.at, m->d.len},
               NET_UDP_IN_PLACE);
  net_udp_flush(b);
  assert_int_equal(net_udp_receive(b, &client), 1);
  assert_true(addr_equal(&net_udp_batch_messages(b)->from, &asked));
  net_udp_close(&server, b);
  net_udp_close(&client, b);
  net_udp_batch_free(b);
}

static void test_refused_sends_harm_nothing(void **state)
{
  (void)state;
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp from, to;
  open_any(&from);
  open_any(&to);
  struct addr nowhere = addr_v4(240, 0, 0, 1, 9), other = {.family = ADDR_V6, .port = 9};
  struct addr port_0 = addr_v4(127, 0, 0, 1, 0);
  static uint8_t large[NET_UDP_PAYLOAD];
  for (int i = 0; i < 3; i++) {
    net_udp_send(b, &from, NULL, &nowhere, text("lost"), 0);
    net_udp_send(b, &from, NULL, &to.local, text("good"), i == 1 ? NET_UDP_DONT_FRAGMENT : 0);
    net_udp_send(b, &from, NULL, &other, text("lost"), 0);
    net_udp_send(b, &from, NULL, &port_0, text("lost"), 0);
    net_udp_send(b, &from, NULL, &to.local, (struct bytes){large, sizeof(large)}, NET_UDP_IN_PLACE);
  }
  net_udp_flush(b);
  assert_int_equal(net_udp_batch_counters(b)->send_failed, 12);
  assert_int_equal(net_udp_batch_counters(b)->sent_packets, 3);
  assert_int_equal(receive_all(b, &to), 3);
  net_udp_close(&from, b);
  net_udp_close(&to, b);
  net_udp_batch_free(b);
}

/* A peer that is gone: its ICMP is told once, with where the datagram went, and the datagrams to
 * another peer arrive all the same. */
static void check_errors(struct addr at, uint8_t type, uint8_t code)
{
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp from, gone, lives;
  const struct net_udp_setup s = {.at = at, .want_errors = true};
  assert_int_equal(net_udp_open(&from, &s, NULL), 0);
  open_at(&gone, at, false);
  open_at(&lives, at, false);
  const struct addr nobody = gone.local;
  net_udp_close(&gone, b);
  for (int i = 0; i < 3; i++) {
    net_udp_send(b, &from, NULL, &nobody, text("a"), 0);
    net_udp_flush(b);
    net_udp_send(b, &from, NULL, &lives.local, text("b"), 0);
    net_udp_send(b, &from, NULL, &lives.local, text("c"), 0);
    net_udp_flush(b);
  }
  assert_int_equal(net_udp_batch_counters(b)->send_failed, 0);
  assert_int_equal(receive_all(b, &lives), 6);
  assert_int_equal(net_udp_receive_errors(b, &from), 3);
  for (size_t i = 0; i < 3; i++) {
    struct net_udp_error *e = &net_udp_batch_errors(b)[i];
    assert_true(addr_equal(&e->to, &nobody));
    assert_int_equal(e->type, type);
    assert_int_equal(e->code, code);
    assert_int_equal(e->d.len, 0);
    assert_true(dgram_tailroom(&e->d) >= 64);
  }
  assert_int_equal(net_udp_receive_errors(b, &from), 0);
  net_udp_close(&from, b);
  net_udp_close(&lives, b);
  net_udp_batch_free(b);
}

static void test_errors_are_told(void **state)
{
  (void)state;
  struct addr v6;
  check_errors(addr_v4(127, 0, 0, 1, 0), 3, 3);
  assert_int_equal(addr_parse(bytes_of("::1"), &v6), 0);
  check_errors(v6, 1, 4);
}

static void test_close_sends_what_is_queued(void **state)
{
  (void)state;
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp gone, stays, to;
  open_any(&gone);
  open_any(&stays);
  open_any(&to);
  net_udp_send(b, &gone, NULL, &to.local, text("last words"), 0);
  net_udp_send(b, &stays, NULL, &to.local, text("later"), 0);
  net_udp_close(&gone, b);
  net_udp_close(&gone, b);
  assert_int_equal(gone.watch.fd, -1);
  net_udp_flush(b);
  assert_int_equal(receive_all(b, &to), 2);
  net_udp_close(&stays, b);
  net_udp_close(&to, b);
  net_udp_batch_free(b);
}

static void test_empty_and_large(void **state)
{
  (void)state;
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp from, to;
  open_any(&from);
  open_any(&to);
  static uint8_t large[65507];
  memset(large, 7, sizeof(large));
  net_udp_send(b, &from, NULL, &to.local, (struct bytes){large, 0}, NET_UDP_IN_PLACE);
  net_udp_send(b, &from, NULL, &to.local, (struct bytes){large, sizeof(large)}, 0);
  assert_int_equal(net_udp_receive(b, &to), 2); /* which flushes */
  struct net_udp_msg *m = net_udp_batch_messages(b);
  assert_int_equal(m[0].d.len, 0);
  assert_int_equal(m[1].d.len, sizeof(large));
  assert_memory_equal(m[1].d.at, large, sizeof(large));
  assert_int_equal(net_udp_receive(b, &to), 0);
  net_udp_close(&from, b);
  net_udp_close(&to, b);
  net_udp_batch_free(b);
}

static void test_port_in_use(void **state)
{
  (void)state;
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp first, second;
  open_any(&first);
  const struct net_udp_setup s = {.at = first.local, .program = "tester", .mend = "its-port"};
  struct net_error e;
  char expected[64];
  assert_int_equal(net_udp_open(&second, &s, &e), -ERR_BUSY);
  snprintf(expected, sizeof(expected), "tester cannot listen on udp 127.0.0.1:%u",
           (unsigned)first.local.port);
  assert_non_null(strstr(e.text, expected));
  snprintf(expected, sizeof(expected), "(pid %ld)", (long)getpid());
  assert_non_null(strstr(e.text, expected));
  assert_non_null(strstr(e.text, "its-port"));
  assert_int_equal(net_udp_open(&second, &s, NULL), -ERR_BUSY);
  net_udp_close(&first, b);
  net_udp_batch_free(b);
}

/* ---- the loop ---- */

struct pair {
  struct net_watch watch;
  struct net_loop *loop;
  struct pair *other;
  int calls;
};

static void takes_the_other_away(struct net_watch *w, uint32_t events, uint64_t now_ms)
{
  (void)events;
  (void)now_ms;
  struct pair *p = CONTAINER_OF(w, struct pair, watch);
  p->calls++;
  net_loop_detach(p->loop, &p->other->watch);
  net_loop_detach(p->loop, &p->watch);
}

/* Both are readable in one round; the first that is called takes both away, so the other one's
 * event must be forgotten. */
static void test_detach_inside_a_round(void **state)
{
  (void)state;
  struct world w;
  world_open(&w, &world_limits);
  int ends[2][2];
  struct pair p[2];
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(pipe(ends[i]), 0);
    assert_int_equal(write(ends[i][1], "x", 1), 1);
    p[i] =
        (struct pair){.watch = {.fd = ends[i][0], .events = EPOLLIN, .ready = takes_the_other_away},
                      .loop = &w.loop,
                      .other = &p[1 - i]};
    assert_int_equal(net_loop_attach(&w.loop, &p[i].watch), 0);
  }
  world_run(&w, NULL);
  world_run(&w, NULL);
  assert_int_equal(p[0].calls + p[1].calls, 1);
  for (size_t i = 0; i < 4; i++)
    close(ends[i / 2][i % 2]);
  world_close(&w);
}

/* Datagrams of these lengths, each filled with its number, from one socket to one or two others by
 * turns; `aggregate`: those get them as few reads. */
struct burst {
  const uint16_t *len;
  size_t count, places;
  bool aggregate, ipv6, wildcard;
};

static void open_place(struct net_udp *u, const struct burst *s)
{
  struct addr at = addr_v4(127, 0, 0, 1, 0);
  if (s->ipv6)
    at = (struct addr){.family = ADDR_V6, .ip = {[15] = 1}};
  const struct net_udp_setup setup = {.at = at, .aggregate = s->aggregate};
  assert_int_equal(net_udp_open(u, &setup, NULL), 0);
}

static void send_numbered(struct net_udp_batch *b, struct net_udp *from, struct net_udp *to,
                          const struct burst *s)
{
  static uint8_t payload[64][9000]; /* in place: they stay */
  const struct addr local =
      s->ipv6 ? (struct addr){.family = ADDR_V6, .ip = {[15] = 1}} : addr_v4(127, 0, 0, 1, 0);
  for (size_t i = 0; i < s->count; i++) {
    memset(payload[i], (int)i + 1, s->len[i]);
    net_udp_send(b, from, s->wildcard ? &local : NULL, &to[i % s->places].local,
                 (struct bytes){payload[i], s->len[i]}, NET_UDP_IN_PLACE);
  }
  net_udp_flush(b);
}

static void assert_numbered(const struct net_udp_msg *m, const struct burst *s, size_t i)
{
  assert_int_equal(m->d.len, s->len[i]);
  for (size_t k = 0; k < m->d.len; k++)
    assert_int_equal(m->d.at[k], i + 1);
}

/* All arrive as they were, in order; and what is written before and behind one harms no other. */
static void receive_numbered(struct net_udp_batch *b, struct net_udp *to, size_t place,
                             const struct burst *s)
{
  size_t next = place, n;
  while ((n = net_udp_receive(b, to)) > 0) {
    struct net_udp_msg *m = net_udp_batch_messages(b);
    for (size_t i = 0; i < n; i++) {
      assert_true(dgram_headroom(&m[i].d) >= DGRAM_HEADROOM);
      assert_true(dgram_tailroom(&m[i].d) >= DGRAM_TAILROOM);
      memset(m[i].d.at - DGRAM_HEADROOM, 0xee, DGRAM_HEADROOM);
      memset(m[i].d.at + m[i].d.len, 0xee, DGRAM_TAILROOM);
    }
    for (size_t i = 0; i < n; i++, next += s->places)
      assert_numbered(&m[i], s, next);
  }
  assert_int_equal(next, s->count + place);
}

static void play(const struct burst *s)
{
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp from, to[2];
  if (s->wildcard)
    open_at(&from, (struct addr){.family = s->ipv6 ? ADDR_V6 : ADDR_V4}, true);
  else
    open_place(&from, s);
  for (size_t i = 0; i < s->places; i++)
    open_place(&to[i], s);
  send_numbered(b, &from, to, s);
  const struct net_udp_counters sent = *net_udp_batch_counters(b);
  assert_int_equal(sent.sent_packets, s->count);
  assert_int_equal(sent.send_failed + sent.send_buffer_full, 0);
  for (size_t i = 0; i < s->places; i++)
    receive_numbered(b, &to[i], i, s);
  assert_int_equal(net_udp_batch_counters(b)->received_packets, s->count);
  assert_int_equal(net_udp_batch_counters(b)->received_bytes, sent.sent_bytes);
  for (size_t i = 0; i < s->places; i++)
    net_udp_close(&to[i], b);
  net_udp_close(&from, b);
  net_udp_batch_free(b);
}

static void test_bursts(void **state)
{
  (void)state;
  static const uint16_t equal[] = {1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200},
                        frame[] = {1200, 1200, 1200, 300, 1200, 1200, 20},
                        growing[] = {1, 2, 3, 4, 4, 4, 5, 1000, 1000, 1001},
                        empty[] = {100, 0, 100, 100, 0, 0, 100},
                        large[] = {1453, 1453, 1452, 1452, 8000, 8000, 9000};
  static const struct {
    const uint16_t *len;
    size_t count;
  } kinds[] = {{equal, 8}, {frame, 7}, {growing, 10}, {empty, 7}, {large, 7}};
  for (unsigned how = 0; how < 16; how++)
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
      const struct burst s = {.len = kinds[i].len,
                              .count = kinds[i].count / (1 + (how & 1)) * (1 + (how & 1)),
                              .places = 1 + (how & 1),
                              .aggregate = how & 2,
                              .ipv6 = how & 4,
                              .wildcard = how & 8};
      play(&s);
    }
}

/* More than the kernel cuts at once, in pieces of one byte. */
static void test_the_longest_burst(void **state)
{
  (void)state;
  static uint16_t ones[64], most[64];
  for (size_t i = 0; i < 64; i++) {
    ones[i] = 1;
    most[i] = 1452;
  }
  for (unsigned aggregate = 0; aggregate < 2; aggregate++) {
    play(&(struct burst){.len = ones, .count = 64, .places = 1, .aggregate = aggregate});
    play(&(struct burst){.len = most, .count = 64, .places = 1, .aggregate = aggregate});
  }
}

/* One read of many datagrams is what saves the time: without it, the two above prove nothing. */
static void test_a_burst_is_one_read(void **state)
{
  (void)state;
  static const uint16_t equal[] = {1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200};
  const struct burst s = {.len = equal, .count = 8, .places = 1, .aggregate = true};
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp from, to;
  open_place(&from, &s);
  open_place(&to, &s);
  send_numbered(b, &from, &to, &s);
  uint8_t whole[16384];
  assert_int_equal(recv(to.watch.fd, whole, sizeof(whole), MSG_DONTWAIT), 8 * 1200);
  net_udp_close(&to, b);
  net_udp_close(&from, b);
  net_udp_batch_free(b);
}

/* What one socket got is queued, in place, and several others are read before it leaves. */
static void test_output_outlives_other_reads(void **state)
{
  (void)state;
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp from, in[40], out, to;
  open_any(&from);
  open_any(&out);
  open_any(&to);
  for (uint8_t i = 0; i < 40; i++) {
    open_any(&in[i]);
    for (uint8_t k = 0; k < 5; k++)
      net_udp_send(b, &from, NULL, &in[i].local, (struct bytes){(uint8_t[]){i, k, 7}, 3}, 0);
  }
  net_udp_flush(b);
  for (size_t i = 0; i < 40; i++) {
    size_t n = net_udp_receive_runs(b, &in[i]);
    assert_int_equal(n, 5);
    for (size_t k = 0; k < n; k++) {
      const struct dgram *d = &net_udp_batch_messages(b)[k].d;
      net_udp_send(b, &out, NULL, &to.local, (struct bytes){d->at, d->len}, NET_UDP_IN_PLACE);
    }
  }
  size_t seen = 0, n;
  while ((n = net_udp_receive(b, &to)) > 0)
    for (size_t k = 0; k < n; k++, seen++) {
      const struct dgram *d = &net_udp_batch_messages(b)[k].d;
      assert_int_equal(d->at[0], seen / 5);
      assert_int_equal(d->at[1], seen % 5);
    }
  assert_int_equal(seen, 200);
  for (size_t i = 0; i < 40; i++)
    net_udp_close(&in[i], b);
  net_udp_close(&from, b);
  net_udp_close(&out, b);
  net_udp_close(&to, b);
  net_udp_batch_free(b);
}

/* A link that the segments do not fit into: the kernel refuses the burst, and takes its datagrams
 * one by one. In a network of the test's own, which takes root. The last test: it does not come
 * back from there. */
static void test_a_burst_over_a_narrow_link(void **state)
{
  (void)state;
  static const uint16_t equal[] = {1200, 1200, 1200, 1200, 700};
  assert_int_equal(unshare(CLONE_NEWNET), 0);
  assert_int_equal(system("ip link set lo up mtu 1000"), 0);
  play(&(struct burst){.len = equal, .count = 5, .places = 1});
  play(&(struct burst){.len = equal, .count = 5, .places = 1, .wildcard = true});
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_in_place_and_copied),
      cmocka_unit_test(test_order_and_more_than_a_batch),
      cmocka_unit_test(test_wildcard_answers_from_where_it_was_asked),
      cmocka_unit_test(test_refused_sends_harm_nothing),
      cmocka_unit_test(test_errors_are_told),
      cmocka_unit_test(test_close_sends_what_is_queued),
      cmocka_unit_test(test_empty_and_large),
      cmocka_unit_test(test_output_outlives_other_reads),
      cmocka_unit_test(test_bursts),
      cmocka_unit_test(test_the_longest_burst),
      cmocka_unit_test(test_a_burst_is_one_read),
      cmocka_unit_test(test_port_in_use),
      cmocka_unit_test(test_detach_inside_a_round),
      cmocka_unit_test(test_a_burst_over_a_narrow_link),
  };
  return cmocka_run_group_tests_name("net-udp", tests, NULL, NULL);
}
