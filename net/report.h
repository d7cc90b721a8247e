/* What `check-config` prints: each line of a configuration file with what it does, then what was
 * found, and a last line that counts. */
#ifndef VIADUCT_NET_REPORT_H
#define VIADUCT_NET_REPORT_H

#include <stdio.h>

#include "base/option.h"

enum net_finding {
  NET_FINDING_ERROR,  /* it would not start, or not work */
  NET_FINDING_DANGER, /* it would work, for the wrong people too */
  NET_FINDING_NOTE,   /* worth knowing */
  NET_FINDING_KINDS
};

struct net_report {
  FILE *out; /* borrowed */
  bool colour;
  unsigned count[NET_FINDING_KINDS];
};

void net_report_init(struct net_report *r, FILE *out);
/* A line that has been understood. Values of secret options are not shown. */
void net_report_line(struct net_report *r, const struct option_line *line);
/* `line`: which line of the file it is about, 0: none. */
void net_report_find(struct net_report *r, enum net_finding kind, size_t line, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));
/* Prints the counts. True when there is no error and all of it went out. */
bool net_report_end(struct net_report *r);

#endif
