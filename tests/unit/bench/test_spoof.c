/* bench/load/spoof.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/load/spoof.h"

/* Written by hand: 127.128.1.2:4660 to 127.0.0.1:3478, three bytes. */
static const uint8_t datagram[] = {0x45, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x00, 0x00, 0x40, 0x11, 0x7b,
                                   0x4b,                                        /* no id, 64 hops */
                                   127,  128,  1,    2,    127,  0,    0,    1, /* from, to */
                                   0x12, 0x34, 0x0d, 0x96, 0x00, 0x0b, 0x1c, 0x28, 'a',  'b',  'c'};

static void test_headers(void **state)
{
  (void)state;
  const struct addr from = addr_v4(127, 128, 1, 2, 0x1234), to = addr_v4(127, 0, 0, 1, 3478);
  uint8_t out[LOAD_SPOOF_HEADERS + 3];
  memset(out, 0xee, sizeof(out));
  memcpy(out + LOAD_SPOOF_HEADERS, "abc", 3);
  load_spoof_put(out, 3, &from, &to);
  assert_memory_equal(out, datagram, sizeof(datagram));
}

/* RFC 768: "If the computed checksum is zero, it is transmitted as all ones". */
static void test_a_sum_of_zero(void **state)
{
  (void)state;
  const struct addr from = addr_v4(127, 128, 1, 2, 0x1234), to = addr_v4(127, 0, 0, 1, 3478);
  uint8_t out[LOAD_SPOOF_HEADERS + 2] = {0};
  load_spoof_put(out, 2, &from, &to);
  /* With its own sum as the payload, nothing is left. */
  out[LOAD_SPOOF_HEADERS] = out[26];
  out[LOAD_SPOOF_HEADERS + 1] = out[27];
  load_spoof_put(out, 2, &from, &to);
  assert_int_equal(load_be16(out + 26), 0xffff);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_headers),
      cmocka_unit_test(test_a_sum_of_zero),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
