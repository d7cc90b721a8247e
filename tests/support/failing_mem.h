/* A struct mem over malloc that counts what is outstanding, checks that every caller names the size
 * it asked for, and fails the allocation that a test chooses. Every block moves when it is resized,
 * so that a pointer kept too long is found by AddressSanitizer. */
#ifndef VIADUCT_TESTS_SUPPORT_FAILING_MEM_H
#define VIADUCT_TESTS_SUPPORT_FAILING_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct failing_mem {
  struct mem mem;       /* hand out &f->mem; it points back here, so `f` must not move */
  size_t bytes, blocks; /* outstanding */
  size_t asked;         /* allocations and growths since init or failing_mem_fail_at */
  size_t fail_at;       /* the one that fails, counted from 1; 0: none */
  bool fail_later;      /* whether all behind it fail too */
};

void failing_mem_init(struct failing_mem *f);
/* Starts counting anew: allocation number `n` from here fails (1 is the next; 0: none will). */
void failing_mem_fail_at(struct failing_mem *f, size_t n);
/* From here on nothing is given until failing_mem_fail_at(f, 0). */
void failing_mem_fail_all(struct failing_mem *f);
/* Whether the chosen failure has happened. */
bool failing_mem_has_failed(const struct failing_mem *f);

/* Runs `run` without a failure, then with allocation 1 failing, then 2, and so on until one run
 * asks for fewer. `run` must return true when it is content (with a failure: nothing broke, and it
 * reported -ERR_NOMEM or went on without). Returns false when a run was not content or left memory
 * outstanding; `*which` is then the allocation that failed (0: the run without a failure). */
bool failing_mem_each(bool (*run)(struct failing_mem *f, void *arg), void *arg, size_t *which);

#endif
