/* The settings of one application, from its own file. Called by settings.c. */
#ifndef VIADUCT_SIGNAL_APP_SETTINGS_H
#define VIADUCT_SIGNAL_APP_SETTINGS_H

#include "signal/options.h"

struct signald_app {
  char name[SIGNALD_APP_NAME + 1];
  const char *path;  /* of its file, in the server's options */
  struct auth *auth; /* owned; NULL: everybody is let in */
  struct signald_options options;
  struct signald_config config; /* of which `core` and `auth` count */
};

/* All that `server` names, into an array that is owned (app_settings_free). -ERR_BAD and the like,
 * and then `e` is one line that names the place and the mend, and there is no array. */
int app_settings_read(const struct signald_options *o, const struct signald_config *server,
                      struct mem *mem, struct signald_app **out, struct option_error *e);
void app_settings_free(struct signald_app *app, size_t count, struct mem *mem);

/* Makes `core` ask for tokens, if the configuration does. */
int signald_auth_open(struct signald_config *c, struct mem *mem, struct auth **out,
                      struct net_error *e);

#endif
