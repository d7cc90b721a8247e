/* bench/load/signal_ws.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/err.h"
#include "bench/load/signal_ws.h"

static struct bytes view(const char *text, size_t len)
{
  return (struct bytes){(const uint8_t *)text, len};
}

/* The three ways to say a length; each is wanted whole. */
static void test_a_server_s_frames(void **state)
{
  (void)state;
  static const size_t lengths[] = {0, 1, 125, 126, 65535, 65536};
  static uint8_t bytes[65536 + 10];
  for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
    const size_t len = lengths[i], head = len < 126 ? 2 : len < 65536 ? 4 : 10;
    struct load_ws_frame f;
    bytes[0] = 0x81;
    bytes[1] = len < 126 ? (uint8_t)len : len < 65536 ? 126 : 127;
    if (head == 4)
      store_be16(bytes + 2, (uint16_t)len);
    if (head == 10)
      store_be64(bytes + 2, len);
    assert_int_equal(load_ws_decode((struct bytes){bytes, head + len + 0}, &f), (int)(head + len));
    assert_int_equal(f.opcode, LOAD_WS_TEXT);
    assert_ptr_equal(f.payload.at, bytes + head);
    assert_int_equal(f.payload.len, len);
    for (size_t cut = 0; cut < head + (len > 0); cut++)
      assert_int_equal(load_ws_decode((struct bytes){bytes, cut}, &f), -ERR_MORE);
  }
}

static void test_frames_that_are_none(void **state)
{
  (void)state;
  struct load_ws_frame f;
  static const char *const bad[] = {"\x01\x01x",                   /* a fragment */
                                    "\x80\x01x",                   /* and the rest of one */
                                    "\x81\x81\1\1\1\1x",           /* masked by a server */
                                    "\xc1\x01x",                   /* an extension */
                                    "\x82\x01x",                   /* binary */
                                    "\x81\x7f\x7f\1\1\1\1\1\1\1"}; /* nobody needs so much */
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    assert_int_equal(load_ws_decode(view(bad[i], strlen(bad[i])), &f), -ERR_BAD);
}

/* RFC 6455 section 5.7: "A single-frame masked text message", Hello. */
static void test_a_client_s_frame(void **state)
{
  (void)state;
  uint8_t out[LOAD_WS_HEAD_MOST + 5];
  const size_t head = load_ws_head(out, LOAD_WS_TEXT, 5, 0x37fa213d);
  memcpy(out + head, "Hello", 5);
  load_ws_mask(out + head, 5, 0x37fa213d);
  assert_int_equal(head, 6);
  assert_memory_equal(out, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
}

static void test_long_masks(void **state)
{
  (void)state;
  uint8_t out[LOAD_WS_HEAD_MOST], text[41] = {0};
  assert_int_equal(load_ws_head(out, LOAD_WS_TEXT, 200, 1), 8);
  assert_memory_equal(out, "\x81\xfe\x00\xc8\x00\x00\x00\x01", 8);
  assert_int_equal(load_ws_head(out, LOAD_WS_TEXT, 65536, 1), 14);
  load_ws_mask(text, sizeof(text), 0x01020304);
  for (size_t i = 0; i < sizeof(text); i++)
    assert_int_equal(text[i], 1 + i % 4);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_server_s_frames),
      cmocka_unit_test(test_frames_that_are_none),
      cmocka_unit_test(test_a_client_s_frame),
      cmocka_unit_test(test_long_masks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
