/* What a start or a reload brings: the options as they are written, and what they come to. One is
 * in use at a time; SIGHUP makes another, and one that is wrong changes nothing. Called by main.c,
 * reload.c and options.c. */
#ifndef VIADUCT_SIGNAL_SETTINGS_H
#define VIADUCT_SIGNAL_SETTINGS_H

#include "signal/app_settings.h"

struct signald_settings {
  struct mem mem;
  int argc;
  char *const *argv; /* borrowed: a reload reads them again, behind the file */
  struct signald_options options;
  struct signald_app *app; /* owned */
  size_t app_count;
  struct auth *auth;            /* owned; NULL: everybody is let in */
  struct signald_config config; /* views into options, and into what else is read from files */
};

/* The options alone, so that --help needs no sound configuration. Returns owned; an error otherwise
 * (-ERR_BAD, -ERR_NOMEM, …), and then `e` is one line that names the place and the mend. */
int signald_settings_read(int argc, char *const *argv, struct signald_settings **out,
                          struct option_error *e);
/* The configuration, with every file that it names read and checked: nothing of the world is
 * changed yet. Errors alike; the settings still have to be freed. */
int signald_settings_make(struct signald_settings *settings, struct option_error *e);
/* NULL is fine. Secrets are wiped. */
void signald_settings_free(struct signald_settings *settings);

#endif
