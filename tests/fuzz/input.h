/* An input that is a play, taken byte by byte; behind its end there are zeros. */
#ifndef VIADUCT_TESTS_FUZZ_INPUT_H
#define VIADUCT_TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
  const uint8_t *at;
  size_t len;
};

static inline uint8_t take(struct input *in)
{
  if (in->len == 0)
    return 0;
  in->len--;
  return *in->at++;
}

/* As many as the next byte says, `most` at most. */
static inline size_t take_bytes(struct input *in, uint8_t *out, size_t most)
{
  size_t len = take(in);
  if (len > most)
    len = most;
  if (len > in->len)
    len = in->len;
  if (len)
    memcpy(out, in->at, len);
  in->at += len;
  in->len -= len;
  return len;
}

#endif
