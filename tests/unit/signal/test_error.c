/* signal/core/error.c: the codes are those of the contract, each with its HTTP status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "signal/core/sig.h"

static void codes_of_the_contract(void **state)
{
  (void)state;
  static const char *const code[] = {
      "bad-json",     "bad-message",  "unknown-type", "hello-first",  "unauthorized",
      "forbidden",    "no-such-room", "not-in-room",  "no-such-peer", "room-full",
      "name-taken",   "taken-over",   "too-large",    "rate-limited", "outbox-overflow",
      "session-gone", "server-full",  "draining"};
  assert_int_equal(SIG_ERROR_COUNT, sizeof(code) / sizeof(code[0]));
  for (int i = 0; i < SIG_ERROR_COUNT; i++) {
    assert_string_equal(sig_error_code((enum sig_error)i), code[i]);
  }
}

/* "HTTP transports map them to 400, 401, 403, 404, 409, 413, 429, 410 and 503." */
static void statuses_of_the_contract(void **state)
{
  (void)state;
  static const int status[] = {400, 401, 403, 404, 409, 413, 429, 410, 503};
  for (int i = 0; i < SIG_ERROR_COUNT; i++) {
    bool known = false;
    for (size_t k = 0; k < sizeof(status) / sizeof(status[0]); k++) {
      known = known || sig_error_http_status((enum sig_error)i) == status[k];
    }
    assert_true(known);
  }
  assert_int_equal(sig_error_http_status(SIG_ERROR_SESSION_GONE), 410);
  assert_int_equal(sig_error_http_status(SIG_ERROR_RATE_LIMITED), 429);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(codes_of_the_contract),
      cmocka_unit_test(statuses_of_the_contract),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
