/* net/udp on loopback: bursts that are read and sent as one, and how much a read asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/udp.h"

enum { COUNT = 8, EACH = 1200, LAST = 300, LEN = (COUNT - 1) * EACH + LAST };

static void open_at(struct net_udp *u, bool ipv6, bool aggregate)
{
  const struct net_udp_setup s = {.at = ipv6 ? (struct addr){.family = ADDR_V6, .ip = {[15] = 1}}
                                             : addr_v4(127, 0, 0, 1, 0),
                                  .aggregate = aggregate};
  assert_int_equal(net_udp_open(u, &s, NULL), 0);
}

static void open_any(struct net_udp *u)
{
  open_at(u, false, false);
}

static struct bytes text(const char *t)
{
  return (struct bytes){(const uint8_t *)t, strlen(t)};
}

static size_t receive_all(struct net_udp_batch *b, struct net_udp *u)
{
  size_t count = 0, n;
  while ((n = net_udp_receive(b, u)) > 0)
    count += n;
  return count;
}

/* Each has its number in every byte, from 1 on. */
static void send_burst(struct net_udp_batch *b, struct net_udp *from, const struct net_udp *to)
{
  static uint8_t bytes[COUNT][EACH];
  for (size_t i = 0; i < COUNT; i++) {
    memset(bytes[i], (int)i + 1, EACH);
    net_udp_send(b, from, NULL, &to->local, (struct bytes){bytes[i], i < COUNT - 1 ? EACH : LAST},
                 NET_UDP_IN_PLACE);
  }
  net_udp_flush(b);
}

static void assert_filled(const uint8_t *at, size_t len, size_t number)
{
  for (size_t k = 0; k < len; k++)
    assert_int_equal(at[k], number);
}

static void assert_cut(struct net_udp_batch *b, const struct net_udp_msg *m)
{
  struct net_udp_msg *part;
  assert_int_equal(net_udp_cut(b, m, &part), COUNT);
  for (size_t i = 0; i < COUNT; i++) {
    assert_true(dgram_headroom(&part[i].d) >= DGRAM_HEADROOM);
    assert_true(dgram_tailroom(&part[i].d) >= DGRAM_TAILROOM);
    assert_int_equal(part[i].d.len, i < COUNT - 1 ? EACH : LAST);
    assert_filled(part[i].d.at, part[i].d.len, i + 1);
  }
}

/* With "abcd" or "last" before each, or without the first four bytes. */
static void assert_arrives(struct net_udp_batch *b, struct net_udp *to, bool head)
{
  size_t at = 0, n;
  while ((n = net_udp_receive(b, to)) > 0)
    for (size_t i = 0; i < n; i++, at++) {
      const struct dgram *d = &net_udp_batch_messages(b)[i].d;
      const size_t len = at < COUNT - 1 ? EACH : LAST;
      assert_int_equal(d->len, head ? len + 4 : len - 4);
      if (head)
        assert_memory_equal(d->at, at < COUNT - 1 ? "abcd" : "last", 4);
      assert_filled(d->at + (head ? 4 : 0), d->len - (head ? 4 : 0), at + 1);
    }
  assert_int_equal(at, COUNT);
}

static void send_on(bool ipv6, bool head)
{
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp from, middle, to;
  open_at(&from, ipv6, false);
  open_at(&middle, ipv6, true);
  open_at(&to, ipv6, false);
  send_burst(b, &from, &middle);
  assert_int_equal(net_udp_receive_runs(b, &middle), 1);
  assert_int_equal(net_udp_batch_came(b), COUNT);
  const struct net_udp_msg *m = net_udp_batch_messages(b);
  assert_int_equal(m->each, EACH);
  assert_int_equal(m->d.len, LEN);
  const struct net_udp_run run = {.at = m->d.at,
                                  .len = m->d.len,
                                  .each = EACH,
                                  .skip = head ? 0 : 4,
                                  .has_head = head,
                                  .head = "abcd",
                                  .last_head = "last"};
  assert_true(net_udp_send_run(b, &middle, NULL, &to.local, &run));
  net_udp_flush(b);
  assert_int_equal(net_udp_batch_counters(b)->sent_packets, 2 * COUNT);
  assert_cut(b, m);
  assert_arrives(b, &to, head);
  net_udp_close(&from, b);
  net_udp_close(&middle, b);
  net_udp_close(&to, b);
  net_udp_batch_free(b);
}

static void test_runs(void **state)
{
  (void)state;
  for (unsigned how = 0; how < 4; how++)
    send_on(how & 1, how & 2);
}

/* What one message cannot hold is refused before anything has happened. */
static void test_runs_that_are_none(void **state)
{
  (void)state;
  static uint8_t bytes[65536];
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp u;
  open_any(&u);
  static const struct {
    size_t len, each, skip;
    bool has_head;
  } bad[] = {{3000, 1453, 0, false},
             {2900, 1449, 0, true},
             {65 * 10, 10, 0, false},
             {204, 100, 4, false},
             {65000, 1420, 0, true}};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    const struct net_udp_run run = {.at = bytes,
                                    .len = bad[i].len,
                                    .each = bad[i].each,
                                    .skip = bad[i].skip,
                                    .has_head = bad[i].has_head};
    assert_false(net_udp_send_run(b, &u, NULL, &u.local, &run));
  }
  const struct net_udp_run run = {.at = bytes, .len = 200, .each = 100};
  struct addr nowhere = u.local;
  nowhere.port = 0;
  assert_false(net_udp_send_run(b, &u, NULL, &nowhere, &run));
  net_udp_flush(b);
  assert_int_equal(net_udp_batch_counters(b)->sent_packets, 0);
  /* More runs than the batch has room for pieces. */
  for (size_t i = 0; i < 100; i++)
    assert_true(net_udp_send_run(
        b, &u, NULL, &u.local,
        &(struct net_udp_run){.at = bytes, .len = 640, .each = 10, .has_head = true}));
  net_udp_flush(b);
  assert_int_equal(net_udp_batch_counters(b)->sent_packets, 6400);
  net_udp_close(&u, b);
  net_udp_batch_free(b);
}

/* A socket of single datagrams is asked for one, and one of bursts for all; an error that was all
 * there was changes nothing. */
static void test_what_is_asked_for(void **state)
{
  (void)state;
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp from, to;
  open_any(&from);
  open_any(&to);
  for (size_t i = 0; i < 10; i++)
    assert_int_equal(net_udp_receive(b, &to), 0);
  assert_int_equal(to.ask, 1);
  for (size_t i = 0; i < 200; i++) {
    net_udp_send(b, &from, NULL, &to.local, text("x"), 0);
    net_udp_flush(b);
  }
  assert_int_equal(net_udp_receive(b, &to), 1);
  assert_int_equal(receive_all(b, &to), 199);
  for (size_t i = 0; i < 100; i++) {
    net_udp_send(b, &from, NULL, &to.local, text("x"), 0);
    assert_int_equal(net_udp_receive(b, &to), 1);
    assert_in_range(to.ask, 1, 64);
  }
  assert_in_range(to.ask, 1, 2);
  net_udp_close(&from, b);
  net_udp_close(&to, b);
  net_udp_batch_free(b);
}

/* All of one round, whatever came before: their answers leave together. */
static void test_a_crowded_socket(void **state)
{
  (void)state;
  struct net_udp_batch *b;
  assert_int_equal(net_udp_batch_new(&b), 0);
  struct net_udp from, to;
  const struct net_udp_setup s = {.at = addr_v4(127, 0, 0, 1, 0), .crowded = true};
  open_any(&from);
  assert_int_equal(net_udp_open(&to, &s, NULL), 0);
  for (size_t i = 0; i < 10; i++)
    assert_int_equal(net_udp_receive(b, &to), 0);
  for (size_t i = 0; i < 40; i++)
    net_udp_send(b, &from, NULL, &to.local, text("x"), 0);
  assert_int_equal(net_udp_receive(b, &to), 40); /* which flushes */
  net_udp_close(&from, b);
  net_udp_close(&to, b);
  net_udp_batch_free(b);
}

static struct net_udp_msg kept;
static size_t releases;

static void release(void *arg)
{
  (void)arg;
  releases++;
  assert_memory_equal(kept.d.at, "first", 5);
}

/* What somebody else sends in place stays until a flush, or until the buffers run out. A queue that
 * is full goes out by itself, which is no flush. */
static void test_kept(void **state)
{
  (void)state;
  struct net_udp_batch *b, *other;
  assert_int_equal(net_udp_batch_new(&b), 0);
  assert_int_equal(net_udp_batch_new(&other), 0);
  struct net_udp from, to;
  open_any(&from);
  open_any(&to);
  releases = 0;
  for (size_t i = 0; i < NET_UDP_BATCH && releases == 0; i++) {
    net_udp_send(other, &from, NULL, &to.local, text(i == 0 ? "first" : "later"), 0);
    net_udp_flush(other);
    assert_int_equal(net_udp_receive_runs(b, &to), 1);
    if (i > 0)
      continue;
    kept = net_udp_batch_messages(b)[0];
    net_udp_keep(b, release, NULL);
  }
  assert_int_equal(releases, 1);
  kept.d.at = (uint8_t *)(uintptr_t) "first";
  net_udp_keep(b, release, NULL);
  for (size_t i = 0; i <= NET_UDP_OUT; i++)
    net_udp_send(b, &to, NULL, &to.local, text("x"), 0);
  assert_int_equal(net_udp_batch_counters(b)->sent_packets, NET_UDP_OUT);
  assert_int_equal(releases, 1);
  net_udp_flush(b);
  net_udp_flush(b);
  assert_int_equal(releases, 2);
  net_udp_close(&from, b);
  net_udp_close(&to, b);
  net_udp_batch_free(other);
  net_udp_batch_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_kept),
      cmocka_unit_test(test_runs),
      cmocka_unit_test(test_runs_that_are_none),
      cmocka_unit_test(test_what_is_asked_for),
      cmocka_unit_test(test_a_crowded_socket),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
