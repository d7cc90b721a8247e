/* Memory from whatever the caller handed in; every allocation of base/ and core/ goes through here.
 */
#include "base/mem.h"

#include <stdint.h>
#include <string.h>

void *mem_new(struct mem *m, size_t size)
{
  return mem_resize(m, NULL, 0, size);
}

void *mem_resize(struct mem *m, void *p, size_t old_size, size_t new_size)
{
  /* A resize to 0 would free `p` and answer NULL, which reads as a failure that left it alone. */
  if (new_size == 0)
    return NULL;
  uint8_t *now = m->resize(m->arg, p, old_size, new_size);
  if (now && new_size > old_size)
    memset(now + old_size, 0, new_size - old_size);
  return now;
}

void mem_free(struct mem *m, void *p, size_t size)
{
  if (p)
    m->resize(m->arg, p, size, 0);
}

char *mem_copy_text(struct mem *m, const void *text, size_t len)
{
  if (len == SIZE_MAX)
    return NULL;
  char *copy = mem_new(m, len + 1);
  if (copy && len > 0)
    memcpy(copy, text, len);
  return copy;
}
