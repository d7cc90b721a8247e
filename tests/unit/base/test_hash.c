/* base/hash.c: SipHash-1-3 against the values of its authors' reference code, and the table while
 * it grows, while it cannot, and against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/random.h"
#include "tests/support/failing_mem.h"

/* Key 00 01 .. 0f, message 00 01 .. len - 1. */
static void siphash_1_3_reference(void **state)
{
  (void)state;
  static const struct {
    size_t len;
    uint64_t hash;
  } vector[] = {
      {0, 0xabac0158050fc4dc},  {1, 0xc9f49bf37d57ca93},  {7, 0xd3927d989bb11140},
      {8, 0x369095118d299a8e},  {15, 0xd320d86d2a519956}, {16, 0xcc4fdd1a7d908b66},
      {31, 0x2370dd1f8c21d1bc}, {32, 0x81157b6c16a7b60d}, {63, 0x9d199062b7bbb3a8},
  };
  static const struct hash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
  uint8_t message[64];
  for (size_t i = 0; i < sizeof(message); i++)
    message[i] = (uint8_t)i;
  for (size_t i = 0; i < sizeof(vector) / sizeof(vector[0]); i++)
    assert_true(hash_bytes(&key, message, vector[i].len) == vector[i].hash);
}

static void the_key_matters(void **state)
{
  (void)state;
  static const struct hash_key a = {1, 2}, b = {1, 3}, c = {2, 2};
  uint64_t hash = hash_bytes(&a, "room", 4);
  assert_true(hash != hash_bytes(&b, "room", 4));
  assert_true(hash != hash_bytes(&c, "room", 4));
}

static size_t chain_len(const struct hash_table *t, uint64_t hash)
{
  size_t len = 0;
  for (struct hash_node *n = hash_table_first(t, hash); n; n = hash_table_next(n)) {
    assert_true(n->hash == hash);
    len++;
  }
  return len;
}

/* Every chain holds nodes of its own bucket alone, and all chains together all nodes. */
static void assert_chains(const struct hash_table *t)
{
  size_t seen = 0;
  for (size_t i = 0; i < t->bucket_count; i++)
    for (const struct hash_node *n = t->bucket[i]; n; n = n->next, seen++)
      assert_int_equal(n->hash & (t->bucket_count - 1), i);
  assert_int_equal(seen, t->count);
}

static void allocates_nothing_before_the_first_insertion(void **state)
{
  (void)state;
  struct failing_mem f;
  struct hash_table t;
  struct hash_node stranger = {.hash = 7};
  failing_mem_init(&f);
  hash_table_init(&t, &f.mem);
  assert_null(hash_table_first(&t, 7));
  hash_table_remove(&t, &stranger);
  assert_int_equal(t.count, 0);
  assert_int_equal(f.asked, 0);
  hash_table_fini(&t);
}

static void grows_and_keeps_everything(void **state)
{
  (void)state;
  enum { NODES = 5000 };
  static struct hash_node node[NODES];
  static const struct hash_key key = {3, 4};
  struct failing_mem f;
  struct hash_table t;
  failing_mem_init(&f);
  hash_table_init(&t, &f.mem);
  for (size_t i = 0; i < NODES; i++) {
    assert_int_equal(hash_table_insert(&t, &node[i], hash_bytes(&key, &i, sizeof(i))), 0);
    assert_true(t.count <= t.bucket_count);
  }
  assert_int_equal(t.count, NODES);
  assert_int_equal(t.bucket_count, 8192);
  assert_int_equal(f.blocks, 1);
  assert_chains(&t);
  for (size_t i = 0; i < NODES; i++)
    assert_ptr_equal(hash_table_first(&t, node[i].hash), &node[i]);
  for (size_t i = 0; i < NODES; i += 2)
    hash_table_remove(&t, &node[i]);
  for (size_t i = 0; i < NODES; i++)
    assert_int_equal(chain_len(&t, node[i].hash), i % 2);
  assert_int_equal(t.count, NODES / 2);
  hash_table_fini(&t);
  assert_int_equal(f.bytes, 0);
  assert_int_equal(t.count, 0);
}

static void equal_hashes_stay_together(void **state)
{
  (void)state;
  struct hash_node node[40];
  struct failing_mem f;
  struct hash_table t;
  failing_mem_init(&f);
  hash_table_init(&t, &f.mem);
  for (size_t i = 0; i < 40; i++) /* two hashes that share every bucket up to 2^32 */
    assert_int_equal(hash_table_insert(&t, &node[i], i % 2 ? 5 : (UINT64_C(1) << 40) + 5), 0);
  assert_int_equal(chain_len(&t, 5), 20);
  assert_int_equal(chain_len(&t, (UINT64_C(1) << 40) + 5), 20);
  assert_int_equal(chain_len(&t, (UINT64_C(2) << 40) + 5), 0);
  hash_table_remove(&t, &node[1]);
  hash_table_remove(&t, &node[1]); /* no longer in it: harmless */
  assert_int_equal(chain_len(&t, 5), 19);
  assert_int_equal(t.count, 39);
  hash_table_fini(&t);
}

static void the_first_buckets_may_be_refused(void **state)
{
  (void)state;
  struct hash_node node;
  struct failing_mem f;
  struct hash_table t;
  failing_mem_init(&f);
  failing_mem_fail_at(&f, 1);
  hash_table_init(&t, &f.mem);
  assert_int_equal(hash_table_insert(&t, &node, 1), -ERR_NOMEM);
  assert_int_equal(t.count, 0);
  assert_null(hash_table_first(&t, 1));
  assert_int_equal(hash_table_insert(&t, &node, 1), 0); /* and given later */
  hash_table_fini(&t);
  assert_int_equal(f.bytes, 0);
}

static void without_memory_chains_grow_longer(void **state)
{
  (void)state;
  struct hash_node node[200];
  struct failing_mem f;
  struct hash_table t;
  failing_mem_init(&f);
  hash_table_init(&t, &f.mem);
  assert_int_equal(hash_table_insert(&t, &node[0], 0), 0);
  failing_mem_fail_all(&f);
  for (size_t i = 1; i < 200; i++)
    assert_int_equal(hash_table_insert(&t, &node[i], i), 0);
  assert_int_equal(t.bucket_count, 16);
  failing_mem_fail_at(&f, 0);
  hash_table_remove(&t, &node[150]);
  assert_int_equal(hash_table_insert(&t, &node[150], 150), 0);
  assert_int_equal(t.bucket_count, 32); /* memory is back: it grows on */
  for (size_t i = 0; i < 200; i++)
    assert_ptr_equal(hash_table_first(&t, i), &node[i]);
  hash_table_fini(&t);
  assert_int_equal(f.bytes, 0);
}

static void agrees_with_an_array(void **state)
{
  (void)state;
  enum { NODES = 600 };
  static struct hash_node node[NODES];
  static bool is_in[NODES];
  struct random_seed seed;
  struct random random = random_seeded(&seed, 11);
  struct failing_mem f;
  struct hash_table t;
  failing_mem_init(&f);
  hash_table_init(&t, &f.mem);
  for (unsigned step = 0; step < 100000; step++) {
    uint32_t i = random_below(&random, NODES);
    if (is_in[i])
      hash_table_remove(&t, &node[i]);
    else
      assert_int_equal(hash_table_insert(&t, &node[i], i / 3), 0); /* three of each hash */
    is_in[i] = !is_in[i];
    uint32_t hash = random_below(&random, NODES / 3);
    assert_int_equal(chain_len(&t, hash),
                     is_in[3 * hash] + is_in[3 * hash + 1] + is_in[3 * hash + 2]);
  }
  hash_table_fini(&t);
  assert_int_equal(f.bytes, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(siphash_1_3_reference),
      cmocka_unit_test(the_key_matters),
      cmocka_unit_test(allocates_nothing_before_the_first_insertion),
      cmocka_unit_test(grows_and_keeps_everything),
      cmocka_unit_test(equal_hashes_stay_together),
      cmocka_unit_test(the_first_buckets_may_be_refused),
      cmocka_unit_test(without_memory_chains_grow_longer),
      cmocka_unit_test(agrees_with_an_array),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
