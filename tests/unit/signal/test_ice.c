/* signal/core/ice.c: iceServers, and credentials that a TURN server with the same secret accepts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/json.h"
#include "signal/core/core.h"

static struct sig_config config(const struct bytes *uri, size_t count, const char *secret)
{
  struct sig_config c;
  sig_config_defaults(&c);
  c.turn_uri = uri;
  c.turn_uri_count = count;
  c.turn_secret = bytes_of(secret);
  c.turn_ttl_s = 600;
  return c;
}

static const char *put(const struct sig_config *c, char *out, size_t cap)
{
  struct buf b;
  buf_init(&b, out, cap - 1);
  sig__ice_put(c, bytes_of("peer"), 1700000000, &b);
  assert_false(b.overflow);
  assert_true(b.len <= sig__ice_size(c));
  out[b.len] = 0;
  return out;
}

static void groups_and_signs(void **state)
{
  (void)state;
  const struct bytes uri[] = {SIG_LIT("turn:t.example:3478"), SIG_LIT("stun:s.example"),
                              SIG_LIT("turns:t.example"), SIG_LIT("stuns:s.example")};
  struct sig_config c = config(uri, 4, "north");
  char out[1024];
  /* The credential was computed with: openssl dgst -sha1 -hmac north -binary | base64 */
  assert_string_equal(
      put(&c, out, sizeof(out)),
      "[{\"urls\":[\"stun:s.example\",\"stuns:s.example\"]},"
      "{\"urls\":[\"turn:t.example:3478\",\"turns:t.example\"],"
      "\"username\":\"1700000600:peer\",\"credential\":\"S4f/8bGZZsnmd4N+HVqSTjcmomU=\"}]");
}

static void leaves_out_what_is_not_there(void **state)
{
  (void)state;
  const struct bytes turn = SIG_LIT("turn:t"), stun = SIG_LIT("stun:s");
  char out[512];
  struct sig_config c = config(NULL, 0, "x");
  assert_string_equal(put(&c, out, sizeof(out)), "[]");
  c = config(&turn, 1, "");
  assert_string_equal(put(&c, out, sizeof(out)), "[]");
  c = config(&stun, 1, "");
  assert_string_equal(put(&c, out, sizeof(out)), "[{\"urls\":[\"stun:s\"]}]");
  c = config(&turn, 1, "x");
  assert_memory_equal(put(&c, out, sizeof(out)), "[{\"urls\":[\"turn:t\"],\"username\"", 30);
}

/* What an operator writes may need escapes; the size that is promised still holds. */
static void survives_odd_uris(void **state)
{
  (void)state;
  uint8_t odd[200];
  memset(odd, 1, sizeof(odd));
  memcpy(odd, "turn:\"\\", 7);
  const struct bytes uri[] = {{odd, sizeof(odd)}, {odd, sizeof(odd)}};
  struct sig_config c = config(uri, 2, "x");
  static char out[4096];
  json_t *tree;
  assert_int_equal(json_read(bytes_of(put(&c, out, sizeof(out))), 8, &tree), 0);
  json_t *urls = json_object_get(json_array_get(tree, 0), "urls");
  assert_int_equal(json_array_size(urls), 2);
  assert_int_equal(json_string_length(json_array_get(urls, 1)), sizeof(odd));
  json_decref(tree);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(groups_and_signs),
      cmocka_unit_test(leaves_out_what_is_not_there),
      cmocka_unit_test(survives_odd_uris),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
