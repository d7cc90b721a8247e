/* The error numbers of the project, from one table. Functions return 0 or -ERR_*, and write their
 * results through the last pointer on success only. */
#ifndef VIADUCT_BASE_ERR_H
#define VIADUCT_BASE_ERR_H

enum err {
  ERR_NONE = 0,
#define ERR(name, text) ERR_##name,
#include "base/err.def"
#undef ERR
  ERR_COUNT
};

/* The name ("NOMEM") and the sentence for an error as it was returned (-ERR_NOMEM); a static
 * string, never NULL, "unknown error" for a number that is none. */
const char *err_name(int err);
const char *err_text(int err);

#endif
