/* What `viaduct up` is told: the table is up.def. */
#ifndef VIADUCT_VIADUCT_UP_OPTIONS_H
#define VIADUCT_VIADUCT_UP_OPTIONS_H

#include "base/option.h"

struct up_options {
#define FLAG(field, ...) bool field;
#define UINT(field, ...) uint64_t field;
#define TEXT(field, ...) char *field;
#include "viaduct/up.def"
#undef FLAG
#undef UINT
#undef TEXT
};

extern const struct option_set up_option_set;

#endif
