/* A fuzz target with a deliberate fault: an invariant that one bit flip of its only seed breaks. */
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  if (len > 0 && data[0] == ('a' ^ 1)) {
    fputs("fault/fuzz: the invariant is broken\n", stderr);
    abort();
  }
  return 0;
}
