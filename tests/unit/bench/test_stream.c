/* bench/load/stream.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "bench/load/stream.h"

static uint8_t room[LOAD_OUT_MAX];
static const uint8_t three[] = {0x40, 0, 0, 3, 'a', 'b', 'c'}; /* ChannelData of 3 bytes */
static const uint8_t four[] = {0x40, 1,   0,   4,
                               'w',  'x', 'y', 'z'}; /* of 4, which needs no padding */
static const uint8_t binding[] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1,  2,
                                  3, 4, 5, 6, 7,    8,    9,    10,   11, 12};

static void put(struct load_stream *s, const uint8_t *at, size_t len)
{
  assert_true(load_stream_put(s, (struct bytes){at, len}));
}

/* RFC 8656 12.5: over a stream "the ChannelData message MUST be padded to a multiple of four
 * bytes". */
static void test_channel_data_is_padded(void **state)
{
  (void)state;
  struct load_stream s = {.out = room};
  memset(room, 0xff, sizeof(room));
  put(&s, three, sizeof(three));
  put(&s, four, sizeof(four));
  put(&s, binding, sizeof(binding));
  const struct bytes out = load_stream_waiting(&s);
  assert_int_equal(out.len, 8 + 8 + 20);
  assert_memory_equal(out.at, three, sizeof(three));
  assert_int_equal(out.at[7], 0);
  assert_memory_equal(out.at + 8, four, sizeof(four));
  assert_memory_equal(out.at + 16, binding, sizeof(binding));
}

static void test_no_room_is_no_message(void **state)
{
  (void)state;
  struct load_stream s = {.out = room};
  for (size_t i = 0; i < LOAD_OUT_MAX / sizeof(four); i++)
    put(&s, four, sizeof(four));
  assert_false(load_stream_put(&s, (struct bytes){three, sizeof(three)}));
  /* What is written makes room, and what waits behind it stays in order. */
  load_stream_wrote(&s, LOAD_OUT_MAX - 8);
  put(&s, three, sizeof(three));
  const struct bytes out = load_stream_waiting(&s);
  assert_int_equal(out.len, 16);
  assert_memory_equal(out.at, four, sizeof(four));
  assert_memory_equal(out.at + 8, three, sizeof(three));
  load_stream_wrote(&s, 16);
  assert_int_equal(load_stream_waiting(&s).len, 0);
  assert_int_equal(s.out_at, 0);
}

struct seen {
  size_t count, len;
  uint8_t bytes[256];
};

static void see(void *arg, struct bytes message, uint64_t now_ns)
{
  struct seen *seen = arg;
  assert_int_equal(now_ns, 7);
  seen->count++;
  memcpy(seen->bytes + seen->len, message.at, message.len);
  seen->len += message.len;
}

/* As the caller does: what was left of the last read, and behind it this one. */
static int feed(struct load_stream *s, const uint8_t *at, size_t len, struct seen *seen)
{
  uint8_t in[2 * LOAD_REST_MAX + 8];
  memcpy(in, s->rest, s->rest_len);
  memcpy(in + s->rest_len, at, len);
  return load_stream_cut(s, (struct bytes){in, s->rest_len + len}, see, seen, 7);
}

static size_t three_messages(uint8_t *out)
{
  struct load_stream s = {.out = room};
  put(&s, three, sizeof(three));
  put(&s, binding, sizeof(binding));
  put(&s, four, sizeof(four));
  const struct bytes all = load_stream_waiting(&s);
  memcpy(out, all.at, all.len);
  return all.len;
}

/* However the stream is cut, the same messages come out, without their padding. */
static void test_messages_are_cut_out(void **state)
{
  (void)state;
  uint8_t all[64];
  const size_t len = three_messages(all);
  for (size_t piece = 1; piece <= len; piece++) {
    struct load_stream s = {0};
    struct seen seen = {0};
    for (size_t at = 0; at < len; at += piece)
      assert_true(feed(&s, all + at, len - at < piece ? len - at : piece, &seen) >= 0);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.len, sizeof(three) + sizeof(binding) + sizeof(four));
    assert_memory_equal(seen.bytes, three, sizeof(three));
    assert_memory_equal(seen.bytes + sizeof(three), binding, sizeof(binding));
    assert_memory_equal(seen.bytes + sizeof(three) + sizeof(binding), four, sizeof(four));
    assert_int_equal(s.rest_len, 0);
  }
}

static void test_something_else_is_bad(void **state)
{
  (void)state;
  static const uint8_t web[] = "<html>no relay</html>";
  struct load_stream s = {0};
  struct seen seen = {0};
  assert_int_equal(feed(&s, web, sizeof(web) - 1, &seen), -ERR_BAD);
  assert_int_equal(seen.count, 0);
}

/* A message that never ends is not waited for. */
static void test_the_rest_is_bounded(void **state)
{
  (void)state;
  static uint8_t endless[LOAD_REST_MAX + 1] = {0x40, 0, 0x7f, 0xff};
  struct load_stream s = {0};
  struct seen seen = {0};
  assert_int_equal(feed(&s, endless, LOAD_REST_MAX, &seen), 0);
  assert_int_equal(s.rest_len, LOAD_REST_MAX);
  assert_int_equal(feed(&s, endless, 1, &seen), -ERR_BAD);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_channel_data_is_padded), cmocka_unit_test(test_no_room_is_no_message),
      cmocka_unit_test(test_messages_are_cut_out),   cmocka_unit_test(test_something_else_is_bad),
      cmocka_unit_test(test_the_rest_is_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
