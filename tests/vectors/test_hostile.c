/* Every file of hostile/: what the decoder, the responder and the stream framing must make of it
 * stands in its own header. argv[1] is the folder.
 *
 *   # decode: ok | 400 | bad            stun_decode
 *   # respond: success | 400 | silence | 420 0x7fff 0x4000 ...
 *   # frame: ok | more | bad            optional: the first message of a stream that starts so
 *   # address: 400                      optional: reading XOR-MAPPED-ADDRESS
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "stun/core/decode.h"
#include "stun/core/frame.h"
#include "stun/core/integrity.h"
#include "stun/core/respond.h"
#include "tests/vectors/hex.h"

static const char *folder;
static struct vector vec;
static struct vector_files files;

static bool says(const char *key, const char *want)
{
  return bytes_equal(vector_field(&vec, key), bytes_of(want));
}

static const char *decode_word(int decoded)
{
  return decoded == 0 ? "ok" : decoded == 400 ? "400" : decoded == -ERR_BAD ? "bad" : "?";
}

static const char *frame_word(int err)
{
  return err == 0 ? "ok" : err == -ERR_MORE ? "more" : err == -ERR_BAD ? "bad" : "?";
}

/* What the responder did, in the words of the file's header. */
static void respond_words(const uint8_t *message, char *words, size_t size)
{
  const struct stun_respond_config config = {.classic = true};
  const struct stun_path path = {.source = addr_v4(192, 0, 2, 7, 5000)};
  uint8_t out[STUN_RESPOND_MAX];
  struct stun_answer answer = {.at = out, .cap = sizeof out};
  int len = stun_respond_bytes(&config, &path, message, vec.len, &answer);
  if (len == -ERR_DROP) {
    snprintf(words, size, "silence");
    return;
  }
  struct stun_view v;
  assert_true(len > 0);
  assert_int_equal(stun_decode(out, (size_t)len, &v), 0);
  assert_memory_equal(out + 4, message + 4, 16);
  if (v.class == STUN_SUCCESS) {
    snprintf(words, size, "success");
    return;
  }
  assert_int_equal(v.class, STUN_ERROR);
  size_t n = (size_t)snprintf(words, size, "%d", stun_get_error(&v));
  struct bytes list = stun_get_bytes(&v, STUN_ATTR_UNKNOWN_ATTRIBUTES);
  for (size_t i = 0; i + 1 < list.len; i += 2)
    n += (size_t)snprintf(words + n, size - n, " 0x%04x", load_be16(list.at + i));
}

static void check_file(const char *path)
{
  assert_int_equal(vector_load(path, &vec), 0);
  /* Exactly as long as the message, so that AddressSanitizer sees one byte too much. */
  uint8_t *message = malloc(vec.len ? vec.len : 1);
  assert_non_null(message);
  if (vec.len)
    memcpy(message, vec.bytes, vec.len);

  struct stun_view view;
  char words[512];
  int decoded = stun_decode(message, vec.len, &view);
  respond_words(message, words, sizeof words);
  if (!says("decode", decode_word(decoded)))
    fail_msg("%s: decode says %s", path, decode_word(decoded));
  if (!says("respond", words))
    fail_msg("%s: respond says %s", path, words);
  if (vector_field(&vec, "frame").len) {
    struct stun_frame frame;
    int err = stun_frame_next((struct bytes){message, vec.len}, false, &frame);
    if (!says("frame", frame_word(err)))
      fail_msg("%s: frame says %s", path, frame_word(err));
  }
  if (vector_field(&vec, "address").len) {
    struct addr addr;
    assert_true(says("address", "400"));
    assert_int_equal(stun_get_addr(&view, STUN_ATTR_XOR_MAPPED_ADDRESS, &addr), 400);
  }
  free(message);
}

static void test_every_file(void **state)
{
  (void)state;
  assert_int_equal(vector_list(folder, &files), 0);
  assert_true(files.count >= 40);
  for (size_t i = 0; i < files.count; i++)
    check_file(files.path[i]);
}

int main(int argc, char **argv)
{
  if (argc != 2) {
    fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  folder = argv[1];
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_file)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
