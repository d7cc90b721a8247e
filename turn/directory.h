/* Which relayed addresses are an allocation's, of whatever worker: each says its own, and asks
 * before it hands a payload to another. Without locks; read on a datagram's way, where both ends of
 * a call are relayed by this server. */
#ifndef VIADUCT_TURN_DIRECTORY_H
#define VIADUCT_TURN_DIRECTORY_H

#include "turn/core/types.h"

struct turnd_directory;

/* Returns owned, for the relay addresses of this configuration, which stay. -ERR_NOMEM. */
int turnd_directory_new(const struct turn_config *c, struct turnd_directory **out);
/* After the last worker. NULL is fine. */
void turnd_directory_free(struct turnd_directory *d);
/* From the worker whose port it is. */
void turnd_directory_set(struct turnd_directory *d, const struct addr *relayed, bool on);
/* From any worker. */
bool turnd_directory_has(const struct turnd_directory *d, const struct addr *relayed);

#endif
