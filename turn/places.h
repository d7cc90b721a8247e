/* Where this server is and where others are: relay addresses, alternate servers, auxiliary
 * listeners, and what it listens at itself. settings.c and server.c call it. */
#ifndef VIADUCT_TURN_PLACES_H
#define VIADUCT_TURN_PLACES_H

#include "base/option.h"
#include "turn/settings.h"

/* From options to s->core: what is served, to which other servers Allocate is sent, and the default
 * family. 0 or -ERR_BAD with a sentence. */
int turnd_places_build(struct turnd_settings *s, struct option_error *error);
/* Reads this machine's addresses, which a listener at an unspecified address is at. */
void turnd_places_look(struct turnd_settings *s);
/* One more place where this server listens, found when it was opened; before the threads run. */
void turnd_places_add(struct turnd_settings *s, const struct addr *listener);
/* A sentence for each alternate server that is this very one, whose clients stay. */
void turnd_places_log(const struct turnd_settings *s, struct log *log);
/* Listeners do not change with a reload. */
void turnd_places_keep(struct turnd_settings *s, const struct turnd_settings *before);

#endif
