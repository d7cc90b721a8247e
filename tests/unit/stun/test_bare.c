/* stun/core/bare.c: what it answers is what the decoder, stun_respond and the encoder do. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "stun/core/bare.h"
#include "stun/core/decode.h"
#include "stun/core/respond.h"

static uint8_t request[STUN_HEADER_LEN] = {0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42};
static struct stun_respond_config config = {.classic = true};
static struct stun_quad quad;
static struct stun_path path;
static uint8_t out[STUN_RESPOND_MAX];
static struct stun_answer got;

static int setup(void **state)
{
  (void)state;
  path = (struct stun_path){.local = addr_v4(192, 0, 2, 1, 3478)};
  quad = (struct stun_quad){.ip = {addr_v4(192, 0, 2, 1, 0), addr_v4(198, 51, 100, 1, 0)},
                            .port = {3478, 3479}};
  return 0;
}

/* The general way, for what stun_respond_bytes may answer by a shorter one. */
static int respond_at_length(uint8_t bytes[STUN_RESPOND_MAX], struct stun_answer *a)
{
  struct stun_view view;
  int decoded = stun_decode(request, sizeof request, &view);
  *a = (struct stun_answer){.at = bytes, .cap = sizeof out};
  return decoded < 0 ? -ERR_DROP : stun_respond(&config, &path, decoded, &view, a);
}

static void set_bare(uint32_t number)
{
  static const char *const source[] = {"192.0.2.7:1",
                                       "255.255.255.255:65535",
                                       "0.0.0.0:3478",
                                       "[2001:db8::7]:5000",
                                       "[::ffff:192.0.2.9]:40000",
                                       "[fe80::1%7]:9",
                                       "[::1]:0"};
  const uint32_t kinds = sizeof source / sizeof source[0];
  if (number % (kinds + 1) == kinds)
    path.source = (struct addr){.family = ADDR_NONE};
  else
    assert_int_equal(addr_parse(bytes_of(source[number % (kinds + 1)]), &path.source), 0);
  for (int i = 0; i < STUN_TXID_LEN; i++)
    request[8 + i] = (uint8_t)((number * 2654435761u) >> i);
  config.fingerprint = number % 16 == 14;
  config.software = number % 16 == 15 ? "viaduct" : NULL;
  path.quad = number % 32 == 13 ? &quad : NULL;
  path.stream = number & 64;
}

static void test_bare_requests_are_answered_as_all_others(void **state)
{
  (void)state;
  static uint8_t other[STUN_RESPOND_MAX];
  struct stun_answer at_length;
  for (uint32_t number = 0; number < 20000; number++) {
    set_bare(number);
    got = (struct stun_answer){.at = out, .cap = sizeof out};
    int len = stun_respond_bytes(&config, &path, request, sizeof request, &got);
    assert_int_equal(len, respond_at_length(other, &at_length));
    if (len <= 0)
      continue;
    assert_memory_equal(out, other, (size_t)len);
    assert_int_equal(got.code, at_length.code);
    assert_true(addr_equal(&got.from, &at_length.from) && addr_equal(&got.to, &at_length.to));
  }
}

static void test_what_is_not_bare(void **state)
{
  (void)state;
  uint8_t other[STUN_HEADER_LEN + 4];
  memcpy(other, request, sizeof request);
  assert_true(stun_bare_is(other, sizeof request));
  assert_false(stun_bare_is(other, sizeof other));
  assert_false(stun_bare_is(other, sizeof request - 1));
  for (size_t i = 0; i < 8; i++) {
    other[i] ^= 1;
    assert_false(stun_bare_is(other, sizeof request));
    other[i] ^= 1;
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_bare_requests_are_answered_as_all_others, setup),
      cmocka_unit_test_setup(test_what_is_not_bare, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
