/* A network of its own for a test: a namespace with veth pairs, whose neighbours never change. */
#ifndef VIADUCT_TESTS_XDP_NET_H
#define VIADUCT_TESTS_XDP_NET_H

#include <stdbool.h>

/* What tells ctest that a test did not run (SKIP_RETURN_CODE). */
enum { NET_SKIPPED = 77 };

/* From now on this process is in a namespace with nothing but lo, which is up. False, and stderr
 * says why: no privilege, or no BPF in this kernel. */
bool net_begin(void);
/* "ip ..." there. False, and stderr has ip's words. */
bool net_ip(const char *arguments);
/* Writes to a file below /proc/sys/net of that namespace. */
bool net_set(const char *path, const char *value);

#endif
