/* auth=webhook: each hello is judged by the application's own backend, by a POST to its URL
 * (docs/signalling-protocol.md). Called by server.c, reload.c and the core's effects. */
#ifndef VIADUCT_SIGNAL_AUTH_ASKER_H
#define VIADUCT_SIGNAL_AUTH_ASKER_H

#include "signal/server.h"

/* Behind a start and each reload, behind apps_open or apps_set_config. -ERR_NOMEM, -ERR_IO. */
int asker_configure(struct signald *s);
/* Before the loop's last rounds. */
void asker_close(struct signald *s);

/* Effects of the core: see struct sig_effects. */
int asker_ask(void *arg, const struct sig_question *q);
void asker_forget(void *arg, uint64_t number);

#endif
