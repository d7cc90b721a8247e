/* signal/core/auth.c: origins, claims, rooms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "signal/core/core.h"
#include "tests/support/signal_world.h"

static bool allowed(const char *entry, const char *origin, const char *host)
{
  struct bytes list = bytes_of(entry == NULL ? "" : entry);
  return sig_origin_is_allowed(&list, entry == NULL ? 0 : 1, bytes_of(origin), bytes_of(host));
}

static void origin_list(void **state)
{
  (void)state;
  assert_true(allowed("https://a.example", "", ""));
  assert_true(allowed("*", "https://a.example", ""));
  assert_true(allowed("*", "null", ""));
  assert_true(allowed("https://a.example", "https://a.example", ""));
  assert_true(allowed("https://A.example", "HTTPS://a.EXAMPLE", ""));
  assert_true(allowed("https://a.example:443", "https://a.example", ""));
  assert_true(allowed("http://a.example", "http://a.example:80", ""));
  assert_true(allowed("http://[::1]:3000", "http://[::1]:3000", ""));
  assert_false(allowed("https://a.example", "http://a.example", ""));
  assert_false(allowed("https://a.example", "https://a.example:8443", ""));
  assert_false(allowed("https://a.example", "https://b.a.example", ""));
  assert_false(allowed("https://a.example", "https://xa.example", ""));
  assert_false(allowed("https://a.example", "https://a.example.evil.example", ""));
  assert_false(allowed("https://a.example", "null", ""));
  assert_false(allowed("https://a.example", "a.example", ""));
  assert_false(allowed("a.example", "a.example", ""));
  assert_false(allowed("http://[::1]", "http://[::1]:3000", ""));
  /* A list that is there does not add the own host. */
  assert_false(allowed("https://a.example", "https://b.example", "b.example"));
}

static void origin_names_below(void **state)
{
  (void)state;
  assert_true(allowed("https://*.example.org", "https://a.example.org", ""));
  assert_true(allowed("https://*.example.org", "https://b.A.Example.org", ""));
  assert_true(allowed("https://*.example.org:8443", "https://a.example.org:8443", ""));
  assert_false(allowed("https://*.example.org", "https://example.org", ""));
  assert_false(allowed("https://*.example.org", "https://.example.org", ""));
  assert_false(allowed("https://*.example.org", "https://badexample.org", ""));
  assert_false(allowed("https://*.example.org", "https://a.example.org.evil.example", ""));
  assert_false(allowed("https://*.example.org", "http://a.example.org", ""));
}

static void origin_of_this_host(void **state)
{
  (void)state;
  assert_true(allowed(NULL, "http://127.0.0.1:8080", "127.0.0.1:8080"));
  assert_true(allowed(NULL, "https://a.example", "a.example"));
  assert_true(allowed(NULL, "https://a.example", "a.example:443"));
  assert_true(allowed(NULL, "https://[2001:db8::1]:8443", "[2001:db8::1]:8443"));
  assert_true(allowed(NULL, "", "a.example"));
  assert_false(allowed(NULL, "http://127.0.0.1:3000", "127.0.0.1:8080"));
  assert_false(allowed(NULL, "http://evil.example", "127.0.0.1:8080"));
  assert_false(allowed(NULL, "http://a.example", ""));
  assert_false(allowed(NULL, "null", "null"));
}

static bool has_room(struct sig_world *w, const struct sig_claims *claims, const char *room)
{
  struct sig_grant grant;
  assert_int_equal(sig__grant_take(w->sig, &(struct sig_verdict){.claims = *claims}, &grant), 0);
  bool has = sig__grant_has_room(&grant, bytes_of(room));
  sig__grant_fini(w->sig, &grant);
  return has;
}

static void rooms_of_a_token(void **state)
{
  (void)state;
  static struct sig_world w;
  world_init(&w);
  assert_int_equal(world_start(&w), 0);
  struct sig_claims c = {.can = SIG_CAN_ALL};
  assert_false(has_room(&w, &c, "a")); /* an empty list is none, not all */
  c.any_room = true;
  assert_true(has_room(&w, &c, "a"));
  c.any_room = false;
  c.room[0] = bytes_of("a");
  c.room[1] = bytes_of("");
  c.room[2] = bytes_of("team-*");
  c.room_count = 3;
  assert_true(has_room(&w, &c, "a"));
  assert_true(has_room(&w, &c, "team-1"));
  assert_false(has_room(&w, &c, "ab"));
  assert_false(has_room(&w, &c, "team"));
  assert_false(has_room(&w, &c, "Team-1"));
  c.room[0] = bytes_of("*");
  assert_true(has_room(&w, &c, "anything"));
  assert_true(world_fini(&w));
}

static uint64_t expiry;

static int check(void *arg, struct bytes token, struct sig_claims *out, const char **why)
{
  (void)arg;
  (void)token;
  (void)why;
  out->exp_s = expiry;
  return 0;
}

static void expiry_is_exclusive(void **state)
{
  (void)state;
  static struct sig_world w;
  struct sig_claims claims;
  const char *why;
  world_init(&w);
  w.config.auth = check;
  assert_int_equal(world_start(&w), 0);
  expiry = 1000;
  assert_int_equal(sig__auth_check(w.sig, bytes_of("t"), 999, &claims, &why), 0);
  assert_int_equal(sig__auth_check(w.sig, bytes_of("t"), 1000, &claims, &why), -ERR_DENIED);
  expiry = 0;
  assert_int_equal(sig__auth_check(w.sig, bytes_of("t"), UINT64_MAX, &claims, &why), 0);
  assert_true(world_fini(&w));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(origin_list),         cmocka_unit_test(origin_names_below),
      cmocka_unit_test(origin_of_this_host), cmocka_unit_test(rooms_of_a_token),
      cmocka_unit_test(expiry_is_exclusive),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
