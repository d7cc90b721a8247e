/* RFC 5780 in turnd: which of its addresses make up the four, and what clients are told of them. */
#ifndef VIADUCT_TURN_DISCOVERY_H
#define VIADUCT_TURN_DISCOVERY_H

#include "turn/settings.h"

/* From the listening addresses, which are built: s->quad. -ERR_BAD for ports that cannot be. */
int turnd_discovery_build(struct turnd_settings *s, struct option_error *error);
/* Whether `e` (PUBLIC/PRIVATE) is about one of the four addresses, which are told as its public one
 * from now on. */
bool turnd_discovery_tell(struct turnd_settings *s, const struct turnd_external *e);
/* Chooses the ports where listening-port is 0: before anybody else reads `s`. As net_bind. */
int turnd_discovery_choose(struct turnd_settings *s, struct net_error *e);
/* What there is, or what is missing, in one line each. */
void turnd_discovery_log(const struct turnd_settings *s, struct log *log);

#endif
