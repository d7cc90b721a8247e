/* The frame of a daemon's main: how it ends, its signals and its log, and the word to whoever
 * supervises it. */
#ifndef VIADUCT_NET_PROGRAM_H
#define VIADUCT_NET_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

/* How a process of this project ends. */
enum net_exit {
  NET_EXIT_STOPPED = 0, /* as it was asked to */
  NET_EXIT_FAILED = 1,  /* anything that the others are not */
  NET_EXIT_USAGE = 2,   /* wrong options, a file that cannot be read */
  NET_EXIT_ADDRESS = 3  /* a port or an address cannot be had */
};

/* "viaduct-NAME: TEXT" on standard error; returns `status`. */
int net_program_fail(const char *name, int status, const char *text);
/* The exit status for what opening a listener gave. */
int net_program_status(int err);
/* It listens: in the log, and to $NOTIFY_SOCKET. */
void net_program_ready(struct log *log, uint64_t workers);

struct net_program {
  const char *name; /* "stund" */
  bool json, verbose;
  /* From a log that works to the end: the exit status. `signals` is net_signals_open's, for
   * SIGTERM, SIGINT and SIGHUP. */
  int (*serve)(void *arg, struct log *log, int signals);
  void *arg;
};
/* Watches for signals, opens the log (on standard error), and serves. */
int net_program_run(const struct net_program *d);

#endif
