/* signal/core/outbox.c: the ring, its bounds, and that a body lives as long as somebody needs it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "signal/core/core.h"
#include "tests/support/signal_world.h"

static struct sig_world world;

static struct sig_session *start(const char *name)
{
  struct sig_client *c = world_client(&world, name);
  struct sig_link_setup s = {.client = addr_v4(192, 0, 2, 1, 1)};
  assert_int_equal(world_connect(c, &s), 0);
  world_send(c, bytes_of("{\"type\":\"hello\"}"));
  c->held = true;
  assert_non_null(c->link->session);
  return c->link->session;
}

static int setup(void **state)
{
  (void)state;
  world_init(&world);
  return world_start(&world);
}

static struct sig_msg *message(unsigned n)
{
  char text[32];
  snprintf(text, sizeof(text), "\"n\":%u}", n);
  struct bytes piece = bytes_of(text);
  struct sig_msg *m = sig__msg_join(world.sig, &piece, 1);
  assert_non_null(m);
  return m;
}

static bool push(struct sig_session *session, unsigned n)
{
  struct sig_msg *m = message(n);
  bool pushed = sig__outbox_push(world.sig, session, m);
  sig__msg_release(world.sig, m);
  return pushed;
}

static void expect_at(const struct sig_session *session, uint64_t seq, unsigned n)
{
  char text[32];
  snprintf(text, sizeof(text), "\"n\":%u}", n);
  const struct sig_msg *m = sig__outbox_at(&session->outbox, seq);
  assert_true(bytes_equal((struct bytes){m->text, m->len}, bytes_of(text)));
}

/* Any mixture of pushes and acknowledgements: what is kept is what was not acknowledged. */
static void ring_keeps_order(void **state)
{
  (void)state;
  struct sig_session *a = start("a");
  uint64_t first = 1, next = 1;
  for (unsigned round = 0; round < 2000; round++) {
    uint32_t dice = random_below(&world.random, 10);
    if (dice < 6 && next - first < 900) {
      assert_true(push(a, (unsigned)next));
      next++;
    } else if (dice < 9 && next > first) {
      first += random_below(&world.random, (uint32_t)(next - first) + 1);
      sig__outbox_ack(world.sig, a, first - 1);
    } else if (dice == 9) {
      sig__outbox_ack(world.sig, a, next - 1);
      first = next;
    }
    assert_int_equal(a->outbox.first_seq, first);
    assert_int_equal(sig__outbox_next_seq(&a->outbox), next);
    if (next > first) {
      expect_at(a, first, (unsigned)first);
      expect_at(a, next - 1, (unsigned)(next - 1));
      expect_at(a, first + (next - first) / 2, (unsigned)(first + (next - first) / 2));
    }
    assert_int_equal(world.sig->counters.outbox_messages, next - first);
  }
  assert_true(world_fini(&world));
}

static void limits_count_exactly(void **state)
{
  (void)state;
  world.config.limits.outbox_messages = 3;
  world.config.limits.outbox_bytes = 0;
  struct sig_session *a = start("a");
  assert_true(push(a, 1));
  assert_true(push(a, 2));
  assert_true(push(a, 3));
  sig__outbox_ack(world.sig, a, 1);
  assert_true(push(a, 4));
  assert_false(a->is_doomed);
  assert_false(push(a, 5));
  assert_true(a->is_doomed);
  assert_int_equal(a->end, SIG_LEFT_OUTBOX_OVERFLOW);
  sig__outbox_ack(world.sig, a, 4);
  assert_false(push(a, 6)); /* the doomed stay doomed */
  assert_true(world_fini(&world));
}

static void bytes_count_exactly(void **state)
{
  (void)state;
  struct sig_session *a = start("a");
  world.config.limits.outbox_bytes = 12; /* two of six */
  assert_true(push(a, 1));
  assert_true(push(a, 2));
  assert_int_equal(world.sig->counters.outbox_bytes, 12);
  assert_false(push(a, 3));
  assert_true(world_fini(&world));
}

static void body_is_shared(void **state)
{
  (void)state;
  struct sig_session *a = start("a"), *b = start("b");
  size_t before = world.memory.blocks;
  assert_int_equal(sig__outbox_reserve(world.sig, a), 0);
  assert_int_equal(sig__outbox_reserve(world.sig, b), 0);
  size_t rings = world.memory.blocks - before;
  struct sig_msg *m = message(7);
  assert_true(sig__outbox_push(world.sig, a, m));
  assert_true(sig__outbox_push(world.sig, b, m));
  assert_int_equal(m->refs, 3);
  assert_int_equal(world.memory.blocks, before + rings + 1);
  sig__msg_release(world.sig, m);
  sig__outbox_ack(world.sig, a, 1);
  expect_at(b, 1, 7);
  sig__outbox_ack(world.sig, b, 1);
  assert_int_equal(world.memory.blocks, before + rings);
  assert_true(world_fini(&world));
}

/* A burst's memory comes back; a few slots stay, so that a quiet session allocates nothing. */
static void ring_shrinks(void **state)
{
  (void)state;
  struct sig_session *a = start("a");
  for (unsigned i = 1; i <= 500; i++) {
    assert_true(push(a, i));
  }
  assert_int_equal(a->outbox.cap, 512);
  sig__outbox_ack(world.sig, a, 500);
  assert_int_equal(a->outbox.cap, 0);
  assert_true(push(a, 501));
  assert_int_equal(a->outbox.cap, 8);
  sig__outbox_ack(world.sig, a, 501);
  assert_int_equal(a->outbox.cap, 8);
  assert_true(world_fini(&world));
}

/* A reserved slot is used without memory; without one, the session ends rather than lose something.
 */
static void reserve_makes_push_safe(void **state)
{
  (void)state;
  struct sig_session *a = start("a"), *b = start("b");
  struct sig_msg *m = message(1);
  assert_int_equal(sig__outbox_reserve(world.sig, a), 0);
  failing_mem_fail_all(&world.memory);
  assert_true(sig__outbox_push(world.sig, a, m));
  assert_int_equal(sig__outbox_reserve(world.sig, b), -ERR_NOMEM);
  assert_false(b->is_doomed);
  assert_false(sig__outbox_push(world.sig, b, m));
  assert_true(b->is_doomed);
  failing_mem_fail_at(&world.memory, 0);
  sig__msg_release(world.sig, m);
  assert_true(world_fini(&world));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(ring_keeps_order, setup),
      cmocka_unit_test_setup(limits_count_exactly, setup),
      cmocka_unit_test_setup(bytes_count_exactly, setup),
      cmocka_unit_test_setup(body_is_shared, setup),
      cmocka_unit_test_setup(ring_shrinks, setup),
      cmocka_unit_test_setup(reserve_makes_push_safe, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
