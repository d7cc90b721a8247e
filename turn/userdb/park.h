/* Messages of clients that wait until their user has been looked up: bounded in number, bytes and
 * age, and for each address. Pure; turn/find.c parks and feeds them. */
#ifndef VIADUCT_TURN_USERDB_PARK_H
#define VIADUCT_TURN_USERDB_PARK_H

#include "base/list.h"
#include "turn/core/types.h"

enum {
  USERDB_PARKED_MAX = 256,
  USERDB_PARKED_BYTES = 512 * 1024,
  USERDB_PARKED_ADDRESS = 64,   /* of one address: others find room beside it */
  USERDB_PARKED_MESSAGE = 2048, /* bytes of a request that may wait */
  USERDB_PARKED_STREAM = 8,     /* of one connection, what waits behind a request included */
  USERDB_PARKED_MS = 4 * 1000
};

struct userdb_parked {
  struct list link; /* in the order of their coming */
  struct turn_flow flow;
  uint64_t due_ms;
  uint64_t question; /* of the cache; 0: waits only for what its connection sent before */
  bool fed;          /* in the owner's hands: forget leaves it there */
  struct dgram d;    /* `storage` is behind this struct */
  size_t size;
};

struct userdb_park {
  struct mem *mem;
  struct list all;
  size_t count, bytes;
};

void userdb_park_init(struct userdb_park *p, struct mem *mem);
void userdb_park_fini(struct userdb_park *p);

/* A copy of the message. 0 also for one that waits already (a retransmission). -ERR_FULL,
 * -ERR_RANGE (too long), -ERR_NOMEM. */
int userdb_park_put(struct userdb_park *p, const struct turn_flow *flow, const struct dgram *d,
                    uint64_t question, uint64_t now_ms);
/* Whether something of this client waits. */
bool userdb_park_has(const struct userdb_park *p, const struct turn_flow *flow);
/* The first that need not wait when `question` is answered: it asked that, or it stands behind
 * nothing any more. NULL: none. */
struct userdb_parked *userdb_park_next(struct userdb_park *p, uint64_t question);
/* The oldest, if it is due, or NULL. */
struct userdb_parked *userdb_park_late(struct userdb_park *p, uint64_t now_ms);
void userdb_park_free(struct userdb_park *p, struct userdb_parked *m);
/* All of one client, but what is fed just now: its connection is gone. */
void userdb_park_forget(struct userdb_park *p, const struct turn_flow *flow);

#endif
