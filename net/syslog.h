/* The system's log, /dev/log: what syslog(3) does, but never waiting. journald, rsyslog and the
 * like listen there. */
#ifndef VIADUCT_NET_SYSLOG_H
#define VIADUCT_NET_SYSLOG_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/log.h"
#include "net/error.h"

/* "daemon", "local0", or as in syslog.h, "LOG_LOCAL0"; in any case. Its number, or -ERR_BAD. */
int net_syslog_facility(struct bytes name);
/* A descriptor, or -ERR_IO. */
int net_syslog_open(void);
/* Whether somebody listens now: 0, or -ERR_MISSING and the like with a sentence. Whoever comes
 * later gets the lines from there. */
int net_syslog_check(int fd, struct net_error *e);

struct net_syslog_line {
  int facility;
  enum log_level level;
  const char *program;
  uint64_t wall_ms; /* since 1970 */
  struct bytes text;
};
/* One datagram. -ERR_IO: lost. Safe from several threads. */
int net_syslog_send(int fd, const struct net_syslog_line *line);

#endif
