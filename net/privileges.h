/* Another user and group for a daemon that root started, and no capabilities for one that somebody
 * else did: found before anything is opened, taken on once everything is (sockets, log, keys), and
 * for good. */
#ifndef VIADUCT_NET_PRIVILEGES_H
#define VIADUCT_NET_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "net/error.h"

struct net_privileges {
  const char *user, *group; /* as asked for; NULL: as it is; borrowed */
  uid_t uid;
  gid_t gid; /* of the group, or the user's own */
};

/* Looks the names up. Either may be NULL. -ERR_MISSING with a sentence when there is no such user
 * or group. */
int net_privileges_find(const char *user, const char *group, struct net_privileges *out,
                        struct net_error *e);
/* From now on nothing that is executed gains privileges (PR_SET_NO_NEW_PRIVS). It counts for this
 * thread and those that it starts: call it before the first one. */
void net_privileges_seal(void);
/* Takes user and groups, if there is a name and they are not its own already, and makes sure that
 * there is no way back. Whoever is not root then keeps no capability, with a name or without.
 * Capabilities are dropped in this thread alone, and in those that it starts: call it when
 * everything is open and before the first one. -ERR_DENIED with a sentence: then the process must
 * not go on. */
int net_privileges_drop(const struct net_privileges *p, struct net_error *e);

#endif
