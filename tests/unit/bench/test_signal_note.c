/* bench/load/signal_note.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/err.h"
#include "bench/load/signal_note.h"

static const struct load_note sent = {7, 0x0102030405060708, 0x1112131415161718};

/* A message with a note of `len` bytes in it. */
static struct bytes message(uint8_t *out, size_t len)
{
  static const char before[] = "{\"type\":\"OFFER\",\"payload\":{\"sdp\":\"", after[] = "\"}}";
  memcpy(out, before, sizeof(before) - 1);
  load_note_put(out + sizeof(before) - 1, len, &sent);
  memcpy(out + sizeof(before) - 1 + len, after, sizeof(after) - 1);
  return (struct bytes){out, sizeof(before) - 1 + len + sizeof(after) - 1};
}

static void test_what_is_put_is_found(void **state)
{
  (void)state;
  static uint8_t bytes[LOAD_NOTE_MOST + 100];
  static const size_t lengths[] = {LOAD_NOTE_LEAST, 127, 200, 3072, LOAD_NOTE_MOST};
  for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
    struct load_note got;
    assert_int_equal(load_note_find(message(bytes, lengths[i]), &got), 0);
    assert_int_equal(got.flow, sent.flow);
    assert_int_equal(got.sequence, sent.sequence);
    assert_int_equal(got.made_ns, sent.made_ns);
  }
}

/* Every byte of the note counts, and so does its length. */
static void test_damage_is_noticed(void **state)
{
  (void)state;
  uint8_t bytes[400];
  struct load_note got;
  const struct bytes whole = message(bytes, 200);
  const size_t from = whole.len - 3 - 200;
  for (size_t i = from; i < from + 200; i++) {
    bytes[i] ^= 1;
    assert_int_not_equal(load_note_find(whole, &got), 0);
    bytes[i] ^= 1;
  }
  memmove(bytes + from + 150, bytes + from + 151, whole.len - from - 151);
  assert_int_equal(load_note_find((struct bytes){bytes, whole.len - 1}, &got), -ERR_BAD);
  assert_int_equal(load_note_find(bytes_of("{\"type\":\"OPEN\"}"), &got), -ERR_MISSING);
  assert_int_equal(load_note_find(bytes_of("\"vl:"), &got), -ERR_BAD);
}

static void test_members(void **state)
{
  (void)state;
  struct bytes text = bytes_of("{\"seq\":12,\"from\":\"abc\",\"n\":x}"), value;
  uint64_t number;
  assert_true(load_json_text(text, "\"from\":", &value));
  assert_true(bytes_equal(value, bytes_of("abc")));
  assert_true(load_json_uint(text, "\"seq\":", &number));
  assert_int_equal(number, 12);
  assert_false(load_json_text(text, "\"seq\":", &value));
  assert_false(load_json_text(text, "\"to\":", &value));
  assert_false(load_json_uint(text, "\"n\":", &number));
  assert_false(load_json_text(bytes_of("{\"from\":\"ab"), "\"from\":", &value));
}

static void test_elements_of_a_list(void **state)
{
  (void)state;
  struct bytes rest = bytes_of("[{\"a\":{\"b\":\"}\\\"}\"}},{},{\"c\":"), object;
  assert_true(load_json_object(&rest, &object));
  assert_true(bytes_equal(object, bytes_of("{\"a\":{\"b\":\"}\\\"}\"}}")));
  assert_true(load_json_object(&rest, &object));
  assert_true(bytes_equal(object, bytes_of("{}")));
  assert_false(load_json_object(&rest, &object));
  rest = bytes_of("{\"\\");
  assert_false(load_json_object(&rest, &object));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_is_put_is_found),
      cmocka_unit_test(test_damage_is_noticed),
      cmocka_unit_test(test_members),
      cmocka_unit_test(test_elements_of_a_list),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
