/* turnd as a whole: workers, metrics, signals. Called by main. */
#ifndef VIADUCT_TURN_SERVER_H
#define VIADUCT_TURN_SERVER_H

#include "net/error.h"
#include "net/log_out.h"
#include "net/privileges.h"
#include "turn/settings.h"

struct turnd_server_setup {
  struct turnd_settings *settings; /* the server takes a reference of its own */
  struct net_log *out;
  struct net_privileges privileges; /* taken on once everything is open */
  int background;                   /* net_daemon_begin's; -1: in the foreground */
  int argc;                         /* for the reload */
  char *const *argv;
};

/* Listens, relays, and returns when it was told to stop: 0. -ERR_BUSY, -ERR_DENIED and the like
 * when something cannot be bound, with a sentence; -ERR_IO when a worker died. */
int turnd_server_run(const struct turnd_server_setup *s, struct net_error *e);

#endif
