/* Fuzz target: framing on a stream. The first four bytes choose where the network cuts the rest.
 * The same messages have to come out as from one piece, in the same order and from the same places,
 * and the same end: more wanted, or a connection to be closed. */
#include <string.h>

#include "base/err.h"
#include "stun/core/frame.h"
#include "tests/fuzz/fuzz.h"

enum { FRAMES_MAX = 4096, SEED_LEN = 4 };

struct framed {
  struct stun_frame frame[FRAMES_MAX];
  size_t count;
  size_t used; /* bytes of all frames */
  int end;     /* -ERR_MORE or -ERR_BAD */
};

/* Takes what is whole at the start of stream[used..len). False: nothing more will ever come. */
static bool take(struct framed *f, const uint8_t *stream, size_t len, bool channel)
{
  while (f->count < FRAMES_MAX) {
    struct stun_frame *next = &f->frame[f->count];
    f->end = stun_frame_next((struct bytes){stream + f->used, len - f->used}, channel, next);
    if (f->end)
      return f->end == -ERR_MORE;
    REQUIRE(next->len <= next->padded && next->padded % 4 == 0 && next->padded - next->len < 4);
    REQUIRE(next->padded > 0 && next->padded <= len - f->used && next->padded <= STUN_FRAME_MAX);
    REQUIRE(channel || next->kind == STUN_FRAME_STUN);
    f->used += next->padded;
    f->count++;
  }
  return false;
}

/* A generator of its own: what a file does must not depend on the machine. */
static size_t step(uint32_t *state, bool bytewise)
{
  *state = *state * 1664525u + 1013904223u;
  return bytewise ? 1 : 1 + (*state >> 16) % (*state & 0x80 ? 7 : 1500);
}

static void check(const uint8_t *stream, size_t len, uint32_t seed, bool channel)
{
  static struct framed whole, cut;
  whole = (struct framed){.count = 0};
  cut = (struct framed){.count = 0};
  (void)take(&whole, stream, len, channel);
  const bool bytewise = seed % 4 == 0;
  size_t there = 0;
  bool open = true;
  while (open && there < len) {
    const size_t more = step(&seed, bytewise);
    there += more < len - there ? more : len - there;
    open = take(&cut, stream, there, channel);
  }
  if (len == 0)
    return;
  REQUIRE(cut.count == whole.count && cut.used == whole.used && cut.end == whole.end);
  for (size_t i = 0; i < whole.count; i++)
    REQUIRE(cut.frame[i].kind == whole.frame[i].kind && cut.frame[i].len == whole.frame[i].len &&
            cut.frame[i].padded == whole.frame[i].padded);
  /* Bad is said before a whole header could have come: nobody is waited for in vain. */
  REQUIRE(whole.end != -ERR_MORE || whole.count == FRAMES_MAX || len - whole.used < STUN_FRAME_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < SEED_LEN)
    return 0;
  const uint32_t seed = load_be32(data);
  check(data + SEED_LEN, size - SEED_LEN, seed, true);
  check(data + SEED_LEN, size - SEED_LEN, seed, false);
  return 0;
}
