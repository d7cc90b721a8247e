/* Memory, handed in: core/ never calls malloc, so that a test can count, bound or fail every
 * allocation. */
#ifndef VIADUCT_BASE_MEM_H
#define VIADUCT_BASE_MEM_H

#include <stddef.h>

struct mem {
  /* As realloc, with free as size 0; `old_size` is what was asked for `p` (0 for NULL). NULL when
   * it fails, and then `p` is as it was. */
  void *(*resize)(void *arg, void *p, size_t old_size, size_t new_size);
  void *arg;
};

/* Zeroed memory, or NULL. A size of 0 gives NULL, here and below. */
void *mem_new(struct mem *m, size_t size);
/* A larger or smaller block; what is new is zeroed. NULL when it fails, and then `p` is as it was.
 */
void *mem_resize(struct mem *m, void *p, size_t old_size, size_t new_size);
/* NULL is fine. `size` is what was asked for. */
void mem_free(struct mem *m, void *p, size_t size);
/* A copy with a NUL behind it; `len` + 1 bytes, which is what mem_free wants. */
char *mem_copy_text(struct mem *m, const void *text, size_t len);

#endif
