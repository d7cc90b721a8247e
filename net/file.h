/* Whole files in memory: configuration, certificates, pages. */
#ifndef VIADUCT_NET_FILE_H
#define VIADUCT_NET_FILE_H

#include "base/bytes.h"
#include "base/mem.h"
#include "net/error.h"

struct net_file {
  struct bytes bytes; /* a NUL stands behind them */
  size_t cap;         /* what mem_free wants */
};

/* At most `max` bytes; what is no regular file or pipe is refused. Returns owned (net_file_free).
 * -ERR_MISSING, -ERR_DENIED, -ERR_RANGE (too large), -ERR_NOMEM, -ERR_IO; `e` then names the file
 * and why. */
int net_file_read(const char *path, size_t max, struct mem *mem, struct net_file *out,
                  struct net_error *e);
/* The bytes are wiped first, since they may hold secrets. */
void net_file_free(struct net_file *f, struct mem *mem);

#endif
