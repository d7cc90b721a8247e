/* The memory that tests hand to base/ and core/; see failing_mem.h. */
#include "tests/support/failing_mem.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In front of each block, as large as the strictest alignment. */
struct head {
  alignas(max_align_t) size_t size;
};

static void check_size(const struct head *h, size_t said)
{
  size_t asked = h ? h->size : 0;
  if (asked == said)
    return;
  fprintf(stderr, "failing_mem: a block of %zu bytes was handed back as one of %zu\n", asked, said);
  abort();
}

/* Number VIADUCT_FAILING_ALLOCATION of all that a whole program asks for: each-allocation runs the
 * unit tests like that. */
static bool is_chosen(void)
{
  static unsigned long chosen, asked;
  const char *text = asked++ ? NULL : getenv("VIADUCT_FAILING_ALLOCATION");
  if (text)
    chosen = strtoul(text, NULL, 10);
  if (!chosen || asked != chosen)
    return false;
  fprintf(stderr, "failing_mem: allocation %lu fails\n", asked);
  return true;
}

static bool must_fail(struct failing_mem *f)
{
  f->asked++;
  if (is_chosen())
    return true;
  return f->fail_at && (f->asked == f->fail_at || (f->fail_later && f->asked > f->fail_at));
}

static void *resize(void *arg, void *p, size_t old_size, size_t new_size)
{
  struct failing_mem *f = arg;
  struct head *old = p ? (struct head *)p - 1 : NULL, *new = NULL;
  check_size(old, old_size);
  if (new_size > 0) {
    if (new_size > SIZE_MAX - sizeof(*new) || must_fail(f))
      return NULL;
    new = malloc(sizeof(*new) + new_size);
    if (!new)
      abort();
    new->size = new_size;
    memset(new + 1, 0xa5, new_size);
    if (old)
      memcpy(new + 1, old + 1, old_size < new_size ? old_size : new_size);
    f->blocks++;
  }
  f->bytes += new_size;
  f->bytes -= old_size;
  if (old)
    f->blocks--;
  free(old);
  return new ? new + 1 : NULL;
}

void failing_mem_init(struct failing_mem *f)
{
  *f = (struct failing_mem){.mem = {resize, f}};
}

void failing_mem_fail_at(struct failing_mem *f, size_t n)
{
  f->asked = 0;
  f->fail_at = n;
  f->fail_later = false;
}

void failing_mem_fail_all(struct failing_mem *f)
{
  failing_mem_fail_at(f, 1);
  f->fail_later = true;
}

bool failing_mem_has_failed(const struct failing_mem *f)
{
  return f->fail_at && f->asked >= f->fail_at;
}

bool failing_mem_each(bool (*run)(struct failing_mem *f, void *arg), void *arg, size_t *which)
{
  struct failing_mem f;
  size_t n = 0;
  do {
    failing_mem_init(&f);
    failing_mem_fail_at(&f, n);
    *which = n;
    if (!run(&f, arg) || f.bytes != 0 || f.blocks != 0)
      return false;
    n++;
  } while (f.fail_at == 0 || failing_mem_has_failed(&f));
  return true;
}
