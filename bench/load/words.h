/* The values of options that are one of several words. */
#ifndef VIADUCT_BENCH_LOAD_WORDS_H
#define VIADUCT_BENCH_LOAD_WORDS_H

#include "base/bytes.h"

/* The index of `text` among `count` names, or -1. */
static inline int load_word_of(struct bytes text, const char *const *names, int count)
{
  for (int i = 0; i < count; i++)
    if (bytes_equal(text, bytes_of(names[i])))
      return i;
  return -1;
}

#endif
