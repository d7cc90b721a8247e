/* What a URL may be, before anything is posted. The posts are tests/process/test_webclient.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "signal/webclient.h"

static void good_urls(void **state)
{
  static const char *const good[] = {
      "https://app.example.org/hooks",
      "http://127.0.0.1:8000",
      "https://[2001:db8::1]:8443/a?b=c",
      "http://localhost/",
      "HTTPS://A/",
  };
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
    assert_null(webclient_check_url(bytes_of(good[i])));
}

static void bad_urls(void **state)
{
  static const struct {
    const char *url, *says;
  } bad[] = {
      {"", "like https://"},
      {"app.example.org/hooks", "like https://"},
      {"//app.example.org", "like https://"},
      {"https://", "like https://"},
      {"https:///hooks", "like https://"},
      {"https://a:99999/", "like https://"},
      {"ftp://a/", "https or http"},
      {"file:///etc/passwd", "https or http"},
      {"javascript:alert(1)", "like https://"},
      {"https://user@a/", "no name and password"},
      {"https://:pass@a/", "no name and password"},
      {"https://a/#x", "no fragment"},
      {"https://a/ b", "in ASCII"},
      {"https://a/\r\nX: y", "in ASCII"},
      {"https://\xC3\xA4/", "in ASCII"},
  };
  char longest[WEBCLIENT_URL_SIZE + 1];
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    const char *wrong = webclient_check_url(bytes_of(bad[i].url));
    assert_non_null(wrong);
    assert_non_null(strstr(wrong, bad[i].says));
  }
  memset(longest, 'a', sizeof longest);
  memcpy(longest, "http://a/", 9);
  longest[WEBCLIENT_URL_SIZE] = 0;
  assert_non_null(webclient_check_url(bytes_of(longest)));
  longest[WEBCLIENT_URL_SIZE - 1] = 0;
  assert_null(webclient_check_url(bytes_of(longest)));
}

static void what_others_cannot_read(void **state)
{
  (void)state;
  assert_true(webclient_is_private("https://app.example.org/"));
  assert_true(webclient_is_private("http://127.0.0.1:8000/hooks"));
  assert_true(webclient_is_private("http://[::1]/"));
  assert_true(webclient_is_private("http://localhost:3000/"));
  assert_false(webclient_is_private("http://app.example.org/"));
  assert_false(webclient_is_private("http://192.0.2.1/"));
  assert_false(webclient_is_private("http://127.0.0.1.example.org/"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_urls),
      cmocka_unit_test(bad_urls),
      cmocka_unit_test(what_others_cannot_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
