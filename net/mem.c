/* base/mem over malloc. */
#include "net/mem.h"

#include <stdlib.h>

static void *resize(void *arg, void *p, size_t old_size, size_t new_size)
{
  (void)arg;
  (void)old_size;
  if (new_size == 0) {
    free(p);
    return NULL;
  }
  return realloc(p, new_size);
}

struct mem net_mem(void)
{
  return (struct mem){.resize = resize, .arg = NULL};
}
