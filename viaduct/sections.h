/* One configuration file for all servers, cut into the files of each: `[turnd]` begins a section,
 * and its lines are that server's own options. Pure; called by up.c. */
#ifndef VIADUCT_VIADUCT_SECTIONS_H
#define VIADUCT_VIADUCT_SECTIONS_H

#include "base/bytes.h"
#include "base/mem.h"
#include "base/option.h"

enum section { SECTION_UP, SECTION_TURND, SECTION_STUND, SECTION_SIGNALD, SECTION_COUNT };

/* "up", "turnd", "stund", "signald". */
const char *section_name(enum section s);

struct sections {
  /* As many lines as the whole file, those of other sections empty: so a line has the same number
   * in both, and what a server says about its line 12 is true of the file that the user wrote. */
  struct buf text[SECTION_COUNT];
  size_t line_count;
};

/* Empty texts are made of an empty file. -ERR_NOMEM, or -ERR_BAD with a line in `error` that names
 * file, line and mend. */
int sections_split(const char *file_name, struct bytes file, struct mem *mem, struct sections *out,
                   struct option_error *error);
/* Wipes the texts, which may hold secrets. */
void sections_free(struct sections *s, struct mem *mem);

#endif
