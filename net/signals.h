/* Signals as something to read: signalfd, so that no code ever runs in a signal handler. */
#ifndef VIADUCT_NET_SIGNALS_H
#define VIADUCT_NET_SIGNALS_H

#include <stddef.h>

/* Blocks these signals in this thread and in those that it starts later (so call it before the
 * first pthread_create), ignores SIGPIPE, and returns a non-blocking descriptor that is readable
 * when one of them came. -ERR_IO. */
int net_signals_open(const int *signal, size_t count);
void net_signals_close(int fd);
/* The number of the next signal, or 0 when there is none. */
int net_signals_next(int fd);
/* In a child, between fork and exec: nothing blocked, SIGPIPE as usual. */
void net_signals_reset(void);

#endif
