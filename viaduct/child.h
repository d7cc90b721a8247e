/* One server as a process: started, read from, told apart from a crash when it ends. Called by
 * supervise.c. */
#ifndef VIADUCT_VIADUCT_CHILD_H
#define VIADUCT_VIADUCT_CHILD_H

#include <limits.h>
#include <sys/types.h>

#include "net/error.h"
#include "viaduct/backoff.h"
#include "viaduct/lines.h"
#include "viaduct/plan.h"

enum { CHILD_REASON_SIZE = 64, CHILD_WATCHDOG_MS = 20 * 1000 };

struct child {
  enum server server;
  char program[PATH_MAX], config[PATH_MAX];
  pid_t pid;  /* 0: does not run */
  int output; /* its stdout and stderr; -1: none */
  struct lines lines;
  char last[LINES_MAX + 4]; /* the last line that it said since it was started */
  size_t last_len;
  bool held; /* `last` has not been logged yet */
  bool ready;
  bool hang_up; /* a SIGHUP waits until it is ready: before that it might not catch one */
  struct backoff backoff;
  uint64_t start_at_ms; /* when it is started again; 0: not waiting */
  uint64_t ready_by_ms; /* when it has to be ready; 0: no such time */
  uint64_t well_by_ms;  /* when it has to have said again that it is well; 0: it never has */
};

/* Starts it with -c CONFIG. It dies with this process, whatever kills that. */
int child_start(struct child *c, const char *notify_path, struct net_error *e);
/* "exit status 1", "signal 11 (SEGV)". */
const char *child_reason(int wait_status, char out[CHILD_REASON_SIZE]);

#endif
