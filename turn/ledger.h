/* The one ledger of all workers: turn/core's counts behind a lock. It is asked when an allocation
 * begins or ends, never on a datagram's way. */
#ifndef VIADUCT_TURN_LEDGER_H
#define VIADUCT_TURN_LEDGER_H

#include "turn/core/ledger.h"

struct turnd_ledger;

/* Returns owned. -ERR_NOMEM, -ERR_IO. */
int turnd_ledger_new(struct turnd_ledger **out);
/* After the last worker. NULL is fine. */
void turnd_ledger_free(struct turnd_ledger *l);
/* A view; good until free. */
const struct turn_ledger *turnd_ledger_of(const struct turnd_ledger *l);

#endif
