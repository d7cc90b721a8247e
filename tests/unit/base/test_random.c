/* base/random.c: a seed means the same everywhere and always, and random_below is even. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"

/* xoshiro256** from the state 1, 2, 3, 4: the first ones can be checked by hand (rotl(2 * 5, 7) * 9
 * is 11520), and the generators of other languages give the same row. */
static void known_sequence(void **state)
{
  (void)state;
  static const uint64_t want[] = {11520, 0, 1509978240, 1215971899390074240, 1216172134540287360};
  struct random_seed seed;
  struct random random = random_seeded(&seed, 0);
  for (uint64_t i = 0; i < 4; i++)
    seed.state[i] = i + 1;
  for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
    uint8_t b[8];
    uint64_t v = 0;
    random.fill(random.arg, b, sizeof(b));
    for (unsigned k = 0; k < 8; k++)
      v |= (uint64_t)b[k] << (8 * k);
    assert_true(v == want[i]);
  }
}

/* SplitMix64's first value of seed 0 is well known. */
static void the_seed_is_spread(void **state)
{
  (void)state;
  struct random_seed seed;
  random_seeded(&seed, 0);
  assert_true(seed.state[0] == 0xe220a8397b1dcdaf);
  assert_true(seed.state[1] == 0x6e789e6aa1b965f4);
}

static void the_same_seed_repeats_and_another_differs(void **state)
{
  (void)state;
  struct random_seed s[3];
  struct random a = random_seeded(&s[0], 9), b = random_seeded(&s[1], 9),
                c = random_seeded(&s[2], 10);
  unsigned same = 0;
  for (unsigned i = 0; i < 100; i++) {
    uint64_t v = random_u64(&a);
    assert_true(v == random_u64(&b));
    same += v == random_u64(&c);
  }
  assert_int_equal(same, 0);
}

static void fills_exactly_what_was_asked(void **state)
{
  (void)state;
  struct random_seed seed;
  struct random random = random_seeded(&seed, 1);
  for (size_t len = 0; len < 20; len++) {
    uint8_t out[24] = {0};
    unsigned nonzero = 0;
    random.fill(random.arg, out + 2, len);
    for (size_t i = 0; i < sizeof(out); i++) {
      nonzero += out[i] != 0;
      if (i < 2 || i >= 2 + len)
        assert_int_equal(out[i], 0);
    }
    assert_true(nonzero * 2 >= len);
  }
}

static void below_is_in_range_and_even(void **state)
{
  (void)state;
  enum { KINDS = 7, DRAWS = 70000 };
  struct random_seed seed;
  struct random random = random_seeded(&seed, 2);
  unsigned seen[KINDS] = {0};
  for (unsigned i = 0; i < DRAWS; i++) {
    uint32_t v = random_below(&random, KINDS);
    assert_true(v < KINDS);
    seen[v]++;
  }
  for (unsigned i = 0; i < KINDS; i++) /* five standard deviations are 463 */
    assert_true(seen[i] > DRAWS / KINDS - 463 && seen[i] < DRAWS / KINDS + 463);
  assert_int_equal(random_below(&random, 1), 0);
}

/* A source whose every draw is known: the first of them must be drawn again. */
struct script {
  const uint32_t *value;
  unsigned used;
};

static void script_fill(void *arg, void *out, size_t len)
{
  struct script *s = arg;
  assert_int_equal(len, sizeof(uint32_t));
  *(uint32_t *)out = s->value[s->used++];
}

static void biased_draws_are_drawn_again(void **state)
{
  (void)state;
  /* Below 3 * 2^30, a third of the range is surplus: with plain scaling or a plain modulo some
   * values would come twice as often. 0 lies in it, 1 does not. */
  static const uint32_t value[] = {0, UINT32_MAX};
  struct script script = {value, 0};
  struct random random = {script_fill, &script};
  assert_int_equal(random_below(&random, UINT32_C(3) << 30), (UINT32_C(3) << 30) - 1);
  assert_int_equal(script.used, 2);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_sequence),
      cmocka_unit_test(the_seed_is_spread),
      cmocka_unit_test(the_same_seed_repeats_and_another_differs),
      cmocka_unit_test(fills_exactly_what_was_asked),
      cmocka_unit_test(below_is_in_range_and_even),
      cmocka_unit_test(biased_draws_are_drawn_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
