/* What option.c and option_read.c share; nobody else includes it. */
#ifndef VIADUCT_BASE_OPTION_PRIV_H
#define VIADUCT_BASE_OPTION_PRIV_H

#include "base/option.h"

/* Where a value comes from. */
struct option_place {
  const char *name; /* the file; NULL: the command line */
  size_t line;      /* 0: none */
};

struct option_value {
  struct bytes text;
  bool given;  /* false: the bare name */
  bool quoted; /* an empty value is meant */
};

enum { OPTION_SHOWN_MAX = 64 };

/* Errors: begin (writes the place), append, end (-ERR_BAD). */
struct buf option__error_begin(struct option_parser *p, const struct option_place *at);
int option__error_end(struct option_parser *p, struct buf *b);
int option__fail(struct option_parser *p, const struct option_place *at, const char *text);
int option__fail_unknown(struct option_parser *p, const struct option_place *at, struct bytes name);
/* What came from outside: at most `max` bytes, without control characters. */
void option__put_shown(struct buf *b, struct bytes text, size_t max);
/* The option's name as its user writes it there. */
void option__put_name(struct buf *b, const struct option_place *at, const char *name);

bool option__was_set(const struct option_parser *p, const struct option *row);
/* Sets the row's field. -ERR_BAD or -ERR_NOMEM, with p->error set. */
int option__set(struct option_parser *p, const struct option_place *at, const struct option *row,
                const struct option_value *v);

#endif
