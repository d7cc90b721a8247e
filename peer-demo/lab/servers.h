/* Viaduct on the public side of a laboratory: `viaduct up` in the background. */
#ifndef VIADUCT_PEER_DEMO_LAB_SERVERS_H
#define VIADUCT_PEER_DEMO_LAB_SERVERS_H

#include "net/error.h"

/* Starts it in that namespace with its state in `dir`, which must be there, and waits until it
 * serves. It goes on when this process ends, until its namespace is removed. -ERR_IO, and `e` says
 * where its log is. */
int servers_start(const char *namespace, const char *dir, struct net_error *e);

#endif
