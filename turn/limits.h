/* How many threads turnd has, how many descriptors it may come to need, and how many it may have:
 * server.c at the start, check.c for check-config. */
#ifndef VIADUCT_TURN_LIMITS_H
#define VIADUCT_TURN_LIMITS_H

#include "turn/settings.h"

/* With every relay port in use that total-quota lets be used, and every client of them on a
 * connection of its own. Connections with peers (RFC 6062) come on top: connection-quota bounds
 * them, and hardly anybody has any. */
uint64_t turnd_descriptors_wanted(const struct turnd_settings *s);
/* Descriptors with a number below it are for clients and relays; what is left is for whoever runs
 * the server: metrics, control-socket, a reload. Of the soft limit that is set. */
int turnd_descriptors_for_clients(void);
/* What the system lets this process have; UINT64_MAX when it does not tell. */
uint64_t turnd_descriptors_most(void);
/* Takes all that the system grants, so that only the hard limit counts; says what to raise, and to
 * how much, when that is not enough. */
void turnd_descriptors_raise(const struct turnd_settings *s, struct log *log);
/* Of workers: relay-threads, or one for each core that has ports enough; 1 at least. */
size_t turnd_threads(const struct turnd_settings *s);

#endif
