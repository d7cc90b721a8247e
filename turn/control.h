/* The commands of the control socket: what an operator can ask and do while the server runs. Called
 * in the thread of server.c; the workers are asked by mail. */
#ifndef VIADUCT_TURN_CONTROL_H
#define VIADUCT_TURN_CONTROL_H

#include "turn/metrics.h"

struct turnd_control {
  const struct turnd_metrics_source *source; /* the workers */
  struct log *log;
  const char *version;
  uint64_t started_ms; /* wall clock */
  /* server.c's: as SIGHUP (0, or an error with its sentence) and as SIGUSR1. */
  int (*reload)(void *arg, struct option_error *e);
  void (*drain)(void *arg);
  void *arg;
};

/* `arg` is a struct turnd_control. One command; the answer is one JSON object or several lines of
 * them, {"error":"..."} when it cannot be done. */
void turnd_control_command(void *arg, struct bytes line, struct buf *out);

#endif
