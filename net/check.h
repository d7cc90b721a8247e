/* `check-config` of every server: each line of a configuration file with what it does, then what
 * would stop the start, then what the server itself finds. */
#ifndef VIADUCT_NET_CHECK_H
#define VIADUCT_NET_CHECK_H

#include "net/report.h"

/* The lines that a finding is about. */
struct net_check_lines {
  size_t of[OPTION_ROWS_MAX]; /* the last one that sets this row of the table; 0: none does */
};

struct net_check {
  const struct option_set *set; /* has a row `config`, which names a file */
  size_t config_size;           /* of the struct that the rows' offsets are in */
  /* The file as a whole, where no line is wrong: reads it as a start would, by these arguments
   * ("--config FILE"). 0, or one sentence that says why it would fail. The one or the other, with
   * more to say. */
  int (*try_start)(int argc, char **argv, struct mem *mem, struct option_error *wrong);
  void (*whole)(int argc, char **argv, const struct net_check_lines *lines, struct net_report *r);
};

/* Explains the file that --check-config names, on standard output. The exit status: 0 it has no
 * error, 1 it has, 2 it cannot be read, with a sentence on standard error. -ERR_MISSING: these
 * arguments do not ask for it. */
int net_check_asked(const struct net_check *c, int argc, char *const *argv);
/* A warning of the start as a note; `arg` is the report. What the table says of a line is not
 * repeated: it stands with the line. */
void net_check_warn(void *arg, const char *text);

#endif
