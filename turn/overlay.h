/* What a database holds beside its users, laid over settings. Private to settings.c. */
#ifndef VIADUCT_TURN_OVERLAY_H
#define VIADUCT_TURN_OVERLAY_H

#include "turn/settings.h"

/* Settings that turnd_settings_lay_over made, and their reference of what they were laid over. */
void turnd_overlay_free(struct turnd_settings *s);

#endif
