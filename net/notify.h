/* sd_notify's protocol: tells whoever supervises this process that it is ready or stopping. */
#ifndef VIADUCT_NET_NOTIFY_H
#define VIADUCT_NET_NOTIFY_H

#define NET_NOTIFY_READY "READY=1"
#define NET_NOTIFY_STOPPING "STOPPING=1"
#define NET_NOTIFY_WATCHDOG "WATCHDOG=1"

/* Sends `state` to the datagram socket that $NOTIFY_SOCKET names ('@': abstract). 0 too when the
 * variable is not set, since then nobody waits; -ERR_BAD for a name that is none, -ERR_IO. Never
 * blocks. */
int net_notify(const char *state);

#endif
