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
  bool no_stderr;      /* with a path: not to stderr too */
  bool json;
  enum log_level level;
};

struct net_log {
  struct log log; /* hand out this one; points at this struct, which must not move */
  const char *program;
  int file; /* -1: none */
  bool to_stderr, json;
  uint64_t lost; /* lines that could not be written */
};

/* Safe to use from several threads. -ERR_*, with a sentence, when the file cannot be opened. */
int net_log_open(struct net_log *l, const struct net_log_setup *s, struct net_error *e);
/* The file, if there is one and it is root's, belongs to that user from now on, who may then open
 * it again by himself. */
void net_log_give(struct net_log *l, uid_t user, gid_t group);
void net_log_close(struct net_log *l);

#endif
