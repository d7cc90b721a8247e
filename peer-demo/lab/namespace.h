/* Network namespaces as `ip netns` knows them: made, entered, emptied, removed. A name here is the
 * whole name, its lab's in front. */
#ifndef VIADUCT_PEER_DEMO_LAB_NAMESPACE_H
#define VIADUCT_PEER_DEMO_LAB_NAMESPACE_H

#include <sys/types.h>

#include "base/bytes.h"
#include "net/error.h"

enum { NAMESPACE_NAME_SIZE = 64 };

/* Whether this process may make any. -ERR_DENIED, -ERR_MISSING (no ip(8) or nft(8)), with the mend.
 */
int namespace_check(struct net_error *e);
/* -ERR_EXISTS for a name that is taken; -ERR_IO. */
int namespace_add(const char *name, struct net_error *e);
/* Ends every process in it, with SIGTERM and then, after two seconds, with SIGKILL, and removes it
 * with all that is in it. 0 also where there is none of that name. */
int namespace_remove(const char *name, struct net_error *e);
/* This thread, and what it opens and starts from now on, is in `name`. Returns a descriptor for
 * namespace_leave, or -ERR_MISSING. */
int namespace_enter(const char *name, struct net_error *e);
void namespace_leave(int back);

/* Calls `each` for every namespace whose name begins with `prefix`, in the order of their names.
 * The first that does not return 0 ends it, and its value is returned. -ERR_NOMEM, -ERR_IO. */
int namespace_each(const char *prefix, int (*each)(void *arg, const char *name), void *arg);

/* A program inside, which reads `input` and is waited for. -ERR_IO with its first line of standard
 * error. */
int namespace_feed(const char *name, const char *const *argv, struct bytes input,
                   struct net_error *e);
/* Lines "name=value" below /proc/sys. */
int namespace_sysctl(const char *name, struct bytes lines, struct net_error *e);
/* Becomes that program inside. Returns only if it cannot. */
void namespace_become(const char *name, const char *const *argv, struct net_error *e);

#endif
