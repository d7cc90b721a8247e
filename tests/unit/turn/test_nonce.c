/* turn/core/nonce.c: stateless, bound to the client's address, and of one spelling only. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "turn/core/internal.h"

enum { NOW_S = 1800000000, LIFETIME_S = 600 };

static struct turn_config config;
static struct bytes realm;
static const struct turn node = {.config = &config};

static int set_up(void **state)
{
  (void)state;
  realm = bytes_of("example.org");
  config = (struct turn_config){.nonce_lifetime_s = LIFETIME_S};
  memset(config.nonce_key, 3, sizeof(config.nonce_key));
  return 0;
}

static struct turn_flow flow_of(const char *text)
{
  struct turn_flow f = {.transport = TURN_UDP};
  assert_int_equal(addr_parse(bytes_of(text), &f.client), 0);
  return f;
}

static bool is_fresh(const char *client, const uint8_t *nonce, size_t len, uint64_t wall_s)
{
  const struct turn_flow f = flow_of(client);
  return turn__nonce_is_fresh(&node, &f, realm, (struct bytes){nonce, len}, wall_s);
}

static void make(const char *client, uint8_t out[TURN__NONCE_LEN])
{
  const struct turn_flow f = flow_of(client);
  turn__nonce_make(&node, &f, realm, NOW_S, out);
}

static void test_its_shape(void **state)
{
  (void)state;
  uint8_t nonce[TURN__NONCE_LEN];
  make("8.8.8.8:1", nonce);
  /* RFC 8489 9.2 and 18.1: the cookie, and bit 0 of the features: password algorithms. */
  assert_memory_equal(nonce, "obMatJos2gAAA", 13);
  assert_true(TURN__NONCE_LEN < 128);
  for (size_t i = 0; i < sizeof(nonce); i++)
    assert_true(nonce[i] > ' ' && nonce[i] < 127 && nonce[i] != '"' && nonce[i] != '\\');
}

/* Bit 1, username anonymity, where all users can be found by their hash, and nowhere else. */
static void test_its_features(void **state)
{
  (void)state;
  static const uint8_t hash[1][32];
  const struct turn_realm realms[] = {{.name = realm}};
  uint8_t nonce[TURN__NONCE_LEN];
  config.realm = realms;
  config.realm_count = 1;
  config.user_hash = hash;
  config.user_count = 1;
  make("8.8.8.8:1", nonce);
  assert_memory_equal(nonce, "obMatJos2wAAA", 13);
  assert_true(is_fresh("8.8.8.8:1", nonce, sizeof(nonce), NOW_S));
  config.secret_count = 1;
  assert_false(is_fresh("8.8.8.8:1", nonce, sizeof(nonce), NOW_S));
  config.secret_count = 0;
  config.users_elsewhere = true;
  assert_false(is_fresh("8.8.8.8:1", nonce, sizeof(nonce), NOW_S));
  config.users_elsewhere = false;
  config.user_count = TURN__USERHASH_MAX + 1;
  assert_false(turn__userhash_is_offered(&config, realm));
  config.user_count = 1;
  assert_true(turn__userhash_is_offered(&config, realm));
  assert_false(turn__userhash_is_offered(&config, bytes_of("example.com")));
}

static void test_its_lifetime(void **state)
{
  (void)state;
  uint8_t nonce[TURN__NONCE_LEN];
  make("8.8.8.8:1", nonce);
  assert_true(is_fresh("8.8.8.8:1", nonce, sizeof(nonce), NOW_S));
  assert_true(is_fresh("8.8.8.8:1", nonce, sizeof(nonce), NOW_S + LIFETIME_S - 1));
  assert_false(is_fresh("8.8.8.8:1", nonce, sizeof(nonce), NOW_S + LIFETIME_S));
  /* Another node's clock may be a minute behind, no more. */
  assert_true(is_fresh("8.8.8.8:1", nonce, sizeof(nonce), NOW_S - 60));
  assert_false(is_fresh("8.8.8.8:1", nonce, sizeof(nonce), NOW_S - 61));
  config.nonce_lifetime_s = 0; /* stale-nonce=0: for ever */
  assert_true(is_fresh("8.8.8.8:1", nonce, sizeof(nonce), NOW_S + 1000000));
}

static void test_its_owner(void **state)
{
  (void)state;
  uint8_t nonce[TURN__NONCE_LEN];
  make("8.8.8.8:1", nonce);
  assert_false(is_fresh("8.8.8.8:2", nonce, sizeof(nonce), NOW_S));
  assert_false(is_fresh("8.8.8.9:1", nonce, sizeof(nonce), NOW_S));
  assert_false(is_fresh("[2a00::1]:1", nonce, sizeof(nonce), NOW_S));
  realm = bytes_of("example.com");
  assert_false(is_fresh("8.8.8.8:1", nonce, sizeof(nonce), NOW_S));
}

/* Any node with the key, and no other. */
static void test_its_key(void **state)
{
  (void)state;
  uint8_t nonce[TURN__NONCE_LEN];
  make("8.8.8.8:1", nonce);
  config.nonce_key[31] ^= 1;
  assert_false(is_fresh("8.8.8.8:1", nonce, sizeof(nonce), NOW_S));
  config.nonce_key[31] ^= 1;
  assert_true(is_fresh("8.8.8.8:1", nonce, sizeof(nonce), NOW_S));
}

static void test_no_other_spelling(void **state)
{
  (void)state;
  uint8_t nonce[TURN__NONCE_LEN];
  make("8.8.8.8:1", nonce);
  for (size_t i = 0; i < sizeof(nonce); i++)
    for (unsigned value = 0; value < 256; value++) {
      const uint8_t was = nonce[i];
      nonce[i] = (uint8_t)value;
      if (is_fresh("8.8.8.8:1", nonce, sizeof(nonce), NOW_S) != (value == was))
        fail_msg("character %zu as %u", i, value);
      nonce[i] = was;
    }
  for (size_t len = 0; len < sizeof(nonce); len++)
    assert_false(is_fresh("8.8.8.8:1", nonce, len, NOW_S));
}

static void test_algorithms(void **state)
{
  (void)state;
  const struct turn_user user[] = {{.has_key = false}, {.has_key = true}};
  config.user = user;
  config.user_count = 1;
  assert_int_equal(turn__algorithms(&config).len, 8);
  config.user_count = 2;
  assert_int_equal(turn__algorithms(&config).len, 4);
  assert_memory_equal(turn__algorithms(&config).at, "\0\1\0\0", 4);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_its_shape, set_up),
      cmocka_unit_test_setup(test_its_features, set_up),
      cmocka_unit_test_setup(test_its_lifetime, set_up),
      cmocka_unit_test_setup(test_its_owner, set_up),
      cmocka_unit_test_setup(test_its_key, set_up),
      cmocka_unit_test_setup(test_no_other_spelling, set_up),
      cmocka_unit_test_setup(test_algorithms, set_up),
  };
  return cmocka_run_group_tests_name("turn-nonce", tests, NULL, NULL);
}
