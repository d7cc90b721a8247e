/* What every program does with its option table when it starts: a file, then the arguments, and
 * what --help and its kin print. The table and the parser are pure (base/option.h); here are the
 * file and standard output. */
#ifndef VIADUCT_NET_OPTIONS_H
#define VIADUCT_NET_OPTIONS_H

#include "base/option.h"

enum { NET_OPTIONS_FILE_MAX = 4 * 1024 * 1024 }; /* bytes of a configuration file */

struct net_options {
  const struct option_set *set; /* has a row `config`, which names the file */
  int argc;
  char *const *argv;
  option_warn_fn warn; /* may be NULL */
  void *warn_arg;
  /* Where a file is looked for when --config names none, and --no-config does not forbid it: the
   * first that is there counts. NULL-terminated; may be NULL. */
  const char *const *usual;
};

/* The file that net_options_read reads: what --config names, or one of the usual ones; NULL: none.
 * A view into the arguments or into `usual`. */
const char *net_options_file(const struct net_options *o);

/* Fills `config` (`size` bytes) with the defaults, then from that file, then from the arguments. 0,
 * or an error, and then `e` is one line that names the place and the mend. option_fini frees the
 * configuration in either case. */
int net_options_read(const struct net_options *o, struct mem *mem, void *config, size_t size,
                     struct option_error *e);

/* After a reload: tells `warn` of each option that is another in `after` than in `before` and only
 * the next start takes over. */
void net_options_tell_fixed(const struct option_set *set, const void *before, const void *after,
                            option_warn_fn warn, void *warn_arg);

/* A sentence into `e`; -ERR_BAD. */
int net_options_fail(struct option_error *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What was asked for by --help, --version, --example-config and --man. `version` may be NULL. */
struct net_options_asked {
  bool help, example_config, man;
  const char *version; /* the line to print, where it was asked for */
};
/* 0: printed; -ERR_IO: standard output took not all of it; -ERR_MISSING: nothing was asked for. */
int net_options_print(const struct option_set *set, const struct net_options_asked *asked);

#endif
