/* The folder in which `viaduct up` keeps what outlives it: the shared secret, the development
 * certificates, the servers' generated configuration, the log, the lock. Called by up.c and
 * credentials.c. */
#ifndef VIADUCT_VIADUCT_STATE_H
#define VIADUCT_VIADUCT_STATE_H

#include <limits.h>

#include "base/bytes.h"
#include "net/error.h"

enum { STATE_PATH_SIZE = PATH_MAX, STATE_SECRET_SIZE = 520 };

/* The folder when none is named: /var/lib/viaduct for root, else $XDG_STATE_HOME/viaduct, else
 * ~/.local/state/viaduct. -ERR_MISSING without a home, -ERR_RANGE for one that is too long. */
int state_default_dir(char out[STATE_PATH_SIZE], struct net_error *e);

struct state {
  char dir[STATE_PATH_SIZE]; /* absolute */
  int dir_fd, lock_fd;
};

/* Makes the folder (mode 0700) and those above it where they are missing, and takes its lock.
 * -ERR_BUSY when another process has it, -ERR_DENIED for a folder that others can look into or
 * own; `e` says what to do. */
int state_open(struct state *s, const char *dir, struct net_error *e);
void state_close(struct state *s);

/* "DIR/NAME", or "" when it is too long (state_open sees to it that no name of ours is). */
const char *state_path(const struct state *s, const char *name, char out[STATE_PATH_SIZE]);

/* Writes a file of mode 0600 whole: under another name, synced, then renamed. -ERR_*. */
int state_write(const struct state *s, const char *name, struct bytes content, struct net_error *e);

/* The shared secret in DIR/secret, NUL-terminated; made (256 bits, base64url) when there is none.
 */
int state_secret(const struct state *s, char out[STATE_SECRET_SIZE], struct net_error *e);
/* Puts a secret that the user chose there, so that `viaduct credentials` finds it. */
int state_keep_secret(const struct state *s, const char *secret, struct net_error *e);
/* A secret file: one line of 1 to 512 characters. Also for a file that is not in the folder.
 * -ERR_BAD for one that is none. */
int state_read_secret(const char *path, char out[STATE_SECRET_SIZE], struct net_error *e);

#endif
