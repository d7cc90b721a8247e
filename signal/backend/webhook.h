/* Tells the application's backend what happens: batches of events, posted to webhook-url one after
 * the other, in order, again and again until they are taken (docs/server-api.md). Called by
 * server.c, reload.c and api.c. */
#ifndef VIADUCT_SIGNAL_BACKEND_WEBHOOK_H
#define VIADUCT_SIGNAL_BACKEND_WEBHOOK_H

#include "signal/server.h"

struct webhook;

/* Behind a start and each reload: opens it where there is a webhook-url now, lets go of what waits
 * where there is none any more. -ERR_NOMEM, -ERR_IO. */
int webhook_configure(struct signald *s);
/* The server stops: the last events, and no more waiting between two tries. */
void webhook_stop(struct signald *s);
/* Whether something is still to be told. */
bool webhook_is_busy(const struct signald *s);
/* Before the loop's last rounds. */
void webhook_close(struct signald *s);
void webhook_put_metrics(const struct signald *s, struct buf *out);

#endif
