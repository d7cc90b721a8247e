/* The addresses that relayed traffic leaves from. settings.c calls it, behind the listeners. */
#ifndef VIADUCT_TURN_ADDRESSES_H
#define VIADUCT_TURN_ADDRESSES_H

#include "base/option.h"
#include "turn/settings.h"

/* From options and s->listen to s->relay, and the range of ports. 0 or -ERR_BAD with a sentence. */
int turnd_addresses_build(struct turnd_settings *s, struct option_error *error);

#endif
