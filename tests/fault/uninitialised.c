/* Deliberate faults that MemorySanitizer has to report, each across a library that it did not
 * compile: tests/support/msan.c must neither hide them nor be left out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"

static volatile size_t len = 16;

static int branch(void)
{
  uint8_t *p = malloc(len);
  if (!p)
    return 0;
  const int odd = p[len / 2] & 1;
  free(p);
  return odd ? 1 : 2;
}

/* A digest over a byte that nobody wrote. */
static int hashed(void)
{
  uint8_t block[16], out[SHA256_SIZE];
  memset(block, 1, len - 1);
  const struct bytes piece = {block, len};
  digest_sha256(&piece, 1, out);
  return out[0];
}

static int checksum(void)
{
  uint8_t block[16];
  memset(block, 1, len - 1);
  const struct bytes piece = {block, len};
  return (int)digest_crc32(&piece, 1);
}

static int parsed(void)
{
  uint8_t text[16];
  json_t *value;
  memset(text, ' ', len - 1);
  text[0] = '1';
  return json_read((struct bytes){text, len}, 4, &value);
}

/* No fault: what the libraries give back is initialised. */
static int nothing(void)
{
  uint8_t out[SHA256_SIZE];
  json_t *value;
  const struct bytes piece = bytes_of("abc");
  digest_sha256(&piece, 1, out);
  if (json_read(bytes_of("{\"a\":[\"b\",1]}"), 4, &value))
    return 1;
  const bool right =
      strcmp(json_string_value(json_array_get(json_object_get(value, "a"), 0)), "b") == 0;
  json_decref(value);
  return right && out[0] == 0xba ? 0 : 1;
}

int main(int argc, char **argv)
{
  static const struct {
    const char *name;
    int (*run)(void);
  } fault[] = {{"branch", branch},
               {"hashed", hashed},
               {"checksum", checksum},
               {"parsed", parsed},
               {"nothing", nothing}};
  for (size_t i = 0; argc == 2 && i < sizeof(fault) / sizeof(fault[0]); i++)
    if (strcmp(argv[1], fault[i].name) == 0) {
      const int got = fault[i].run();
      if (got == 1) /* so that the value decides something */
        fputs("one\n", stderr);
      return got == 0 || strcmp(argv[1], "nothing") != 0 ? 0 : 1;
    }
  fputs("usage: fault_uninitialised branch|hashed|checksum|parsed|nothing\n", stderr);
  return 2;
}
