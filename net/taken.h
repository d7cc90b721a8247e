/* How far the other end of a TCP connection has got: to tell a slow one from a dead one. */
#ifndef VIADUCT_NET_TAKEN_H
#define VIADUCT_NET_TAKEN_H

#include <stdint.h>

/* Bytes that its system has acknowledged since the connection began; 0 where that cannot be known.
 */
uint64_t net_taken_len(int fd);

#endif
