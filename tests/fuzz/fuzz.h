/* What every fuzz target includes: the entry point, and the assertion that counts in all builds. */
#ifndef VIADUCT_TESTS_FUZZ_FUZZ_H
#define VIADUCT_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that holds for every input. */
#define REQUIRE(what)                                                                              \
  do {                                                                                             \
    if (!(what)) {                                                                                 \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what);                    \
      abort();                                                                                     \
    }                                                                                              \
  } while (0)

#endif
