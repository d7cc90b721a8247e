/* turn/core/members.c: permissions and channels against a plain model, in random order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/support/failing_mem.h"
#include "turn/core/internal.h"

enum { PEERS = 40, NUMBERS = 40, MOST = 24 };

struct model {
  uint64_t permitted_until[PEERS];
  uint64_t bound_until[NUMBERS];
  size_t bound_to[NUMBERS];
};

struct bench {
  struct failing_mem mem;
  struct turn turn;
  struct turn_allocation *a;
  struct random_seed seed;
  struct random random;
};

/* Half of them IPv6, several on one IP address. */
static struct addr peer(size_t i)
{
  uint8_t v6[16] = {0x2a, 0, [14] = (uint8_t)(i / 4)};
  if (i % 2)
    return addr_from_ip(v6, 16, (uint16_t)(1000 + i));
  return addr_v4(8, 8, (uint8_t)(255 - i / 4), 1, (uint16_t)(1000 + i));
}

static bool is_same_ip(size_t i, size_t k)
{
  return i % 2 == k % 2 && i / 4 == k / 4;
}

static void open_bench(struct bench *b)
{
  memset(b, 0, sizeof(*b));
  failing_mem_init(&b->mem);
  b->random = random_seeded(&b->seed, 11);
  b->turn.mem = &b->mem.mem;
  b->a = mem_new(&b->mem.mem, sizeof(*b->a));
  assert_non_null(b->a);
  b->a->turn = &b->turn;
  turn__members_init(b->a);
}

static void close_bench(struct bench *b)
{
  turn__members_fini(b->a);
  mem_free(&b->mem.mem, b->a, sizeof(*b->a));
  assert_int_equal(b->mem.blocks, 0);
}

static size_t alive(const uint64_t *until, size_t count, uint64_t now)
{
  size_t n = 0;
  for (size_t i = 0; i < count; i++)
    if (until[i] > now)
      n++;
  return n;
}

static void compare(struct bench *b, const struct model *m, uint64_t now)
{
  for (size_t i = 0; i < PEERS; i++) {
    const struct addr p = peer(i);
    const struct turn_channel *found = turn__channel_by_peer(b->a, &p, now);
    size_t number = NUMBERS;
    for (size_t n = 0; n < NUMBERS; n++)
      if (m->bound_until[n] > now && m->bound_to[n] == i)
        number = n;
    assert_int_equal(turn__is_permitted(b->a, &p, now), m->permitted_until[i] > now);
    assert_int_equal(found != NULL, number != NUMBERS);
    if (found)
      assert_int_equal(found->number, 0x4000 + number);
  }
  for (size_t n = 0; n < NUMBERS; n++) {
    const struct turn_channel *found = turn__channel_by_number(b->a, (uint16_t)(0x4000 + n), now);
    assert_int_equal(found != NULL, m->bound_until[n] > now);
    if (found) {
      const struct addr p = peer(m->bound_to[n]);
      assert_true(addr_equal(&found->peer, &p));
    }
  }
}

static void permit(struct bench *b, struct model *m, uint64_t now)
{
  const size_t i = random_below(&b->random, PEERS);
  const struct addr p = peer(i);
  size_t addresses = 0;
  for (size_t k = 0; k < PEERS; k += 4)
    addresses += alive(m->permitted_until + k, 2, now);
  turn__members_purge(b->a, now);
  const bool fresh = !turn__is_permitted(b->a, &p, now);
  const int rc = turn__permission_reserve(b->a, fresh, 8);
  assert_int_equal(rc, fresh && addresses == 8 ? -ERR_FULL : 0);
  if (rc)
    return;
  const uint64_t until = now + 1 + random_below(&b->random, 60);
  turn__permission_put(b->a, &p, until);
  for (size_t k = 0; k < PEERS; k++)
    if (is_same_ip(i, k))
      m->permitted_until[k] = until;
}

static void bind_channel(struct bench *b, struct model *m, uint64_t now)
{
  const size_t i = random_below(&b->random, PEERS), n = random_below(&b->random, NUMBERS);
  const struct addr p = peer(i);
  turn__members_purge(b->a, now);
  for (size_t k = 0; k < NUMBERS; k++)
    if (m->bound_until[k] > now && (k == n) != (m->bound_to[k] == i))
      return; /* channel.c refuses that */
  if (m->bound_until[n] <= now) {
    const bool full = alive(m->bound_until, NUMBERS, now) == MOST;
    const int rc = turn__channel_reserve(b->a, MOST);
    assert_int_equal(rc, full ? -ERR_FULL : 0);
    if (rc)
      return;
  }
  m->bound_until[n] = now + 1 + random_below(&b->random, 90);
  m->bound_to[n] = i;
  turn__channel_put(b->a, (uint16_t)(0x4000 + n), &p, m->bound_until[n]);
}

static void drop_family(struct bench *b, struct model *m, size_t odd)
{
  turn__members_drop_family(b->a, odd ? ADDR_V6 : ADDR_V4);
  for (size_t i = 0; i < PEERS; i++)
    if (i % 2 == odd)
      m->permitted_until[i] = 0;
  for (size_t n = 0; n < NUMBERS; n++)
    if (m->bound_to[n] % 2 == odd)
      m->bound_until[n] = 0;
}

static void test_against_a_model(void **state)
{
  (void)state;
  static struct bench b;
  struct model m = {0};
  open_bench(&b);
  for (uint64_t now = 1; now < 3000; now++) {
    const uint32_t what = random_below(&b.random, 100);
    if (what < 45)
      permit(&b, &m, now);
    else if (what < 99)
      bind_channel(&b, &m, now);
    else
      drop_family(&b, &m, now % 2);
    compare(&b, &m, now);
  }
  close_bench(&b);
}

/* A growth that fails leaves all as it was. */
static void test_no_memory_to_grow(void **state)
{
  (void)state;
  static struct bench b;
  open_bench(&b);
  for (size_t i = 0; i < TURN__MEMBERS_INLINE; i++) {
    const struct addr p = peer(4 * i);
    assert_int_equal(turn__permission_reserve(b.a, 1, 64), 0);
    assert_int_equal(turn__channel_reserve(b.a, 64), 0);
    turn__permission_put(b.a, &p, 100);
    turn__channel_put(b.a, (uint16_t)(0x4000 + i), &p, 100);
  }
  /* The first two cost nothing but the allocation itself. */
  assert_int_equal(b.mem.blocks, 1);
  failing_mem_fail_all(&b.mem);
  assert_int_equal(turn__permission_reserve(b.a, 1, 64), -ERR_NOMEM);
  assert_int_equal(turn__channel_reserve(b.a, 64), -ERR_NOMEM);
  failing_mem_fail_at(&b.mem, 0);
  for (size_t i = 0; i < TURN__MEMBERS_INLINE; i++) {
    const struct addr p = peer(4 * i);
    assert_true(turn__is_permitted(b.a, &p, 99));
    assert_false(turn__is_permitted(b.a, &p, 100));
    assert_non_null(turn__channel_by_number(b.a, (uint16_t)(0x4000 + i), 99));
    assert_null(turn__channel_by_number(b.a, (uint16_t)(0x4000 + i), 100));
  }
  close_bench(&b);
}

/* Without a configured limit there is still one. */
static void test_the_hard_limit(void **state)
{
  (void)state;
  static struct bench b;
  open_bench(&b);
  assert_int_equal(turn__permission_reserve(b.a, TURN__MEMBERS_MAX, 0), 0);
  assert_int_equal(turn__permission_reserve(b.a, TURN__MEMBERS_MAX + 1, 0), -ERR_FULL);
  assert_int_equal(turn__permission_reserve(b.a, TURN__MEMBERS_MAX + 1, UINT32_MAX), -ERR_FULL);
  close_bench(&b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_a_model),
      cmocka_unit_test(test_no_memory_to_grow),
      cmocka_unit_test(test_the_hard_limit),
  };
  return cmocka_run_group_tests_name("turn-members", tests, NULL, NULL);
}
