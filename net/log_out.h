/* Where log records go: one write(2) for each line, so that lines of several threads and processes
 * never mix. */
#ifndef VIADUCT_NET_LOG_OUT_H
#define VIADUCT_NET_LOG_OUT_H

#include <sys/types.h>

#include "base/log.h"
#include "net/error.h"

enum { NET_LOG_LINE_SIZE = 4096 }; /* a longer record is cut */

struct net_log_setup {
  const char *program; /* as it stands in each line: "turnd"; borrowed until close */
  const char *path;    /* a file to append to; NULL: none */
  bool syslog;         /* to the system's log too, under that facility (net/syslog.h) */
  int facility;
  bool no_stderr; /* with one of these: not to stderr too */
  bool json, anonymous;
  enum log_level level;
};

struct net_log {
  struct log log; /* hand out this one; points at this struct, which must not move */
  const char *program, *path;
  int file;   /* -1: none */
  int syslog; /* -1: none */
  int facility;
  bool to_stderr, json;
  uint64_t lost; /* lines that could not be written */
};

/* Safe to use from several threads. -ERR_*, with a sentence, when the file cannot be opened. */
int net_log_open(struct net_log *l, const struct net_log_setup *s, struct net_error *e);
/* The file, if there is one and it is root's, belongs to that user from now on, who may then open
 * it again by himself. */
void net_log_give(struct net_log *l, uid_t user, gid_t group);
/* Opens the file again by its name: another program (logrotate) may have moved it away. -ERR_* with
 * a sentence: lines go where they went. From one thread; the others may log meanwhile. */
int net_log_reopen(struct net_log *l, struct net_error *e);
void net_log_close(struct net_log *l);

#endif
