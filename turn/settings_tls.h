/* The part of settings.c that is about cert and pkey. Private to it. */
#ifndef VIADUCT_TURN_SETTINGS_TLS_H
#define VIADUCT_TURN_SETTINGS_TLS_H

#include "turn/settings.h"

/* Into s->tls. -ERR_BAD with a sentence. */
int turnd__build_tls(const struct turnd_load *l, struct turnd_settings *s,
                     struct option_error *error);

#endif
