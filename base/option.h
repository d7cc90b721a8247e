/* Options: one row in a table gives the command line, the configuration file, --help, the example
 * file, the man page and the check. Pure: files are read by the caller (net/file), who hands their
 * bytes in. */
#ifndef VIADUCT_BASE_OPTION_H
#define VIADUCT_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/mem.h"

enum option_kind {
  OPTION_FLAG, /* bool. On the command line the bare name; in a file the bare name, or =1/0, yes/no,
                  true/false, on/off */
  OPTION_UINT, /* uint64_t, within min..max */
  OPTION_TEXT, /* char *, owned by the configuration; NULL when never set and without a default */
  OPTION_LIST, /* struct option_list: may stand several times */
  OPTION_NOTE  /* known, without effect: accepted with the row's help as a warning that says what
                  happens instead */
};

struct option_list {
  char **item; /* owned by the configuration */
  size_t count;
};

struct option {
  const char *name; /* as after "--" and as in the file */
  char letter;      /* the short form, or 0 */
  enum option_kind kind;
  size_t offset;        /* of the field in the configuration struct; unused for OPTION_NOTE */
  uint64_t min, max;    /* OPTION_UINT */
  const char *fallback; /* default, as text; NULL: zero, false, NULL or an empty list */
  const char *group;    /* heading in the help */
  const char *metavar;  /* "ADDRESS", NULL for flags */
  const char *help;     /* one sentence */
  bool reloadable;      /* taken over on SIGHUP */
  bool secret;          /* its value never appears in an error, a log or a dump */
  const char *bare;     /* the value of a bare name; NULL: a value is needed (flags aside). The
                           command line then takes one only as --name=value */
  const char *differs;  /* how coturn does it otherwise, one sentence; NULL: no otherwise */
  /* What is wrong with a value ("must be an address like 192.0.2.1"), NULL when nothing is: so the
   * error names the line. May be NULL. */
  const char *(*check)(struct bytes value);
};

struct option_set {
  const char *program; /* "viaduct-turnd" */
  const char *summary; /* one line */
  const struct option *row;
  size_t count;
};

enum {
  OPTION_ERROR_SIZE = 512,
  OPTION_ROWS_MAX = 512,      /* in one set */
  OPTION_LINE_MAX = 64 * 1024 /* bytes of one line of a file; a longer one is an error */
};

/* The first error as one line that names the file and line (or the argument) and the mend,
 * NUL-terminated. */
struct option_error {
  char text[OPTION_ERROR_SIZE];
};

/* Called for each warning (OPTION_NOTE, deprecated forms); may be NULL where a caller does not
 * care. */
typedef void (*option_warn_fn)(void *arg, const char *text);

struct option_parser {
  const struct option_set *set;
  struct mem *mem;
  void *config; /* the configuration struct: zeroed by option_begin, filled, freed by option_fini */
  option_warn_fn warn; /* may be NULL */
  void *warn_arg;
  struct option_error error;
  /* Private to option.c; a bit for each row of the set. */
  uint64_t was_set[OPTION_ROWS_MAX / 64];
  uint64_t by_args[OPTION_ROWS_MAX / 64]; /* by the option_parse_args that runs or ran last */
};

/* Zeroes the parser and the configuration (`config_size` bytes), and sets every default; set
 * p->warn after it. Failing, it leaves a zeroed configuration and p->error: -ERR_NOMEM; -ERR_FULL
 * or -ERR_BAD for a set that is wrong itself. */
int option_begin(struct option_parser *p, const struct option_set *set, struct mem *mem,
                 void *config, size_t config_size);
/* A file of `name=value`, `name value` or bare `name` lines; '#' starts a comment where a line
 * starts or after white space; spaces around names and values are cut. A value that is quoted as a
 * whole ("..." or '...') loses its quotes; inside it, '#' starts no comment and nothing is escaped.
 * `file_name` is for messages only. A later line replaces an earlier one, lists grow. -ERR_BAD with
 * p->error set: "turnserver.conf:12: unknown option 'min-prot'; did you mean 'min-port'?". */
int option_parse_file(struct option_parser *p, const char *file_name, struct bytes text);
/* What one line of a file came to. */
struct option_line {
  size_t number;
  const struct option *row; /* NULL: there is none of that name */
  struct bytes value;       /* view into the file, without quotes; a secret where row->secret */
  bool given;               /* false: the bare name */
  bool again;               /* a line above had set it, whose value is lost (a list keeps both) */
  int result;               /* 0, or -ERR_* and the parser's error says why */
};
typedef void (*option_line_fn)(void *arg, const struct option_line *line);

/* As option_parse_file, but goes on behind a wrong line and tells of each line that has an option.
 * 0, or the error of the first wrong line. */
int option_check_file(struct option_parser *p, const char *file_name, struct bytes text,
                      option_line_fn each, void *arg);
/* --name value, --name=value, -x value, -xvalue; a flag takes no value unless written --flag=off.
 * argv[0] is skipped. What is not an option is an error. Options of the command line replace those
 * of a file read before (a list starts anew at its first use). */
int option_parse_args(struct option_parser *p, int argc, char *const *argv);
/* The value that these arguments give the option, before anything is parsed (the last one when
 * there are several): for --config, whose file comes before the other arguments. NULL when it is
 * not there; a view into argv. What is wrong with the arguments is for option_parse_args to say. */
const char *option_peek(const struct option_set *set, int argc, char *const *argv,
                        const char *name);
/* Sets one option as if a file's line had said it; `where` names the place in messages. */
int option_set_value(struct option_parser *p, const char *where, const char *name,
                     const char *value /* may be NULL: bare */);
/* Whether these arguments have the option at all, with a value or without. */
bool option_is_asked(const struct option_set *set, int argc, char *const *argv, const char *name);
/* The row of that name (or NULL), and the nearest name for one that is unknown (or NULL if none is
 * near). */
const struct option *option_find(const struct option_set *set, struct bytes name);
const char *option_nearest(const struct option_set *set, struct bytes name);
/* Whether this option was set by a file or an argument, not by its default. */
bool option_was_set(const struct option_parser *p, const char *name);
/* Whether two configurations of its set have the same value for this row. */
bool option_is_same(const struct option *row, const void *a, const void *b);
/* Frees what the configuration owns. Secrets are wiped. */
void option_fini(const struct option_set *set, struct mem *mem, void *config);

/* What --help, --example-config and --man print; appended to `out`, whole or with out->overflow. */
void option_render_help(const struct option_set *set, struct buf *out);
void option_render_example(const struct option_set *set, struct buf *out);
void option_render_man(const struct option_set *set, struct buf *out);

#endif
