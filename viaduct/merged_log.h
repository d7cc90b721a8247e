/* One log for all servers and for `viaduct up` itself: a file in the state folder, and the terminal
 * (or whatever stderr is). Whole lines, never waiting for a reader. */
#ifndef VIADUCT_VIADUCT_MERGED_LOG_H
#define VIADUCT_VIADUCT_MERGED_LOG_H

#include "base/log.h"
#include "viaduct/state.h"

enum {
  MERGED_LOG_FILE_MAX = 16 << 20 /* bytes; then the file becomes NAME.1 and a new one begins */
};

struct merged_log {
  struct log log; /* for `up` itself; points at this struct, which must not move */
  const struct state *state;
  int file;
  uint64_t file_len;
  bool on_terminal; /* stderr is one: there only warnings and errors, unless verbose */
  bool verbose;
};

/* Appends to "viaduct.log" in the state folder. */
int merged_log_open(struct merged_log *l, const struct state *state, bool verbose,
                    struct net_error *e);
void merged_log_close(struct merged_log *l);

/* A line without its newline, to both places. */
void merged_log_line(struct merged_log *l, struct bytes line, enum log_level level);
/* To the file alone: what is told on the terminal in another way. */
void merged_log_file(struct merged_log *l, struct bytes line);

#endif
