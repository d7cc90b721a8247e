/* Development certificates, made by certs/make-dev-certs. */
#ifndef VIADUCT_VIADUCT_CERTIFICATES_H
#define VIADUCT_VIADUCT_CERTIFICATES_H

#include "base/addr.h"
#include "viaduct/merged_log.h"

/* Sees to it that `dir` has a CA and a certificate that names the addresses (of count 1 or 2). What
 * the script says goes into the log. -ERR_*; `e` then has its last line. */
int certificates_ensure(const char *dir, const struct addr *address, size_t count,
                        struct merged_log *log, struct net_error *e);

#endif
