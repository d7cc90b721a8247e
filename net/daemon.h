/* Into the background, as daemon(3) does it, but the command that the user typed does not end
 * before the program serves, and fails when it fails. */
#ifndef VIADUCT_NET_DAEMON_H
#define VIADUCT_NET_DAEMON_H

#include "net/error.h"

/* In the process that goes on, *fd is for net_daemon_ready. The process that was started waits for
 * it and ends by itself: with 0, or with the other one's status if that ends first. Before any
 * thread is started. -ERR_IO with a sentence. */
int net_daemon_begin(int *fd, struct net_error *e);
/* Lets the waiting process end, and leaves the terminal. Harmless with -1. */
void net_daemon_ready(int fd);

#endif
