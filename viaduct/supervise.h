/* Starts the servers, brings back the one that stops, and stops them all. One poll(2) loop over
 * signals, readiness and the servers' output; called by up.c. */
#ifndef VIADUCT_VIADUCT_SUPERVISE_H
#define VIADUCT_VIADUCT_SUPERVISE_H

#include "viaduct/child.h"
#include "viaduct/merged_log.h"
#include "viaduct/readiness.h"

enum {
  SUPERVISE_READY_MS = 15000, /* how long a server may take until it is ready */
  SUPERVISE_STOP_MS = 5000,   /* how long it may take to stop before it is killed */
  SUPERVISE_ECHO_MS = 500,    /* a second signal so soon is the same wish */
  SUPERVISE_MESSAGE_SIZE = LINES_MAX + 512
};

/* Exit statuses of a server (and of `viaduct up`) that no new start can mend. */
enum { EXIT_USAGE = 2, EXIT_BIND = 3 };

struct supervisor {
  struct child child[SERVER_COUNT];
  struct merged_log *log;
  struct readiness *readiness;
  int signals; /* of net_signals_open: SIGINT, SIGTERM, SIGHUP, SIGCHLD */
  /* The file that the user wrote, in whose place the servers name a generated one; NULL: none. */
  const char *file_name;
  size_t file_lines;
  /* On SIGHUP, before it is passed on: writes the configurations anew. False: leave the servers
   * alone. */
  bool (*reload)(void *arg);
  void *reload_arg;

  bool started;  /* all were ready once */
  bool stopping; /* no new starts */
  uint64_t stop_asked_ms;
  uint64_t kill_at_ms;                  /* while stopping */
  int status;                           /* the exit status that it will be */
  char message[SUPERVISE_MESSAGE_SIZE]; /* why the start failed; "" when it did not */
};

/* Until all are ready (0), one cannot be started (its exit status, with `message`; nothing is left
 * running), or somebody asked to stop (0, with `stopping`). */
int supervise_start(struct supervisor *s);
/* Until somebody asks to stop and all have. */
void supervise_run(struct supervisor *s);

#endif
