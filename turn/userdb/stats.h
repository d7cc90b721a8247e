/* What becomes of allocations, into a Redis: coturn's redis-statsdb (its schema.stats.redis).
 *
 *   turn/realm/<realm>/user/<name>/allocation/<id>/status          "new lifetime=600", kept and
 *                                                                  published; "deleted", published
 *   .../traffic, .../traffic/peer                                  published: since the last time
 *   .../total_traffic, .../total_traffic/peer                      published at the end
 *
 * One thread talks to Redis. A worker puts an event into its queue and goes on; what finds no room
 * there is dropped. While Redis is away the queue waits for it. */
#ifndef VIADUCT_TURN_USERDB_STATS_H
#define VIADUCT_TURN_USERDB_STATS_H

#include "base/log.h"
#include "turn/core/event.h"
#include "turn/userdb/address.h"

enum { USERDB_EVENTS_MAX = 4096 };

struct userdb_stats;

/* No thread runs yet. Returns owned. -ERR_NOMEM. `log` is borrowed until free. */
int userdb_stats_new(const struct userdb_address *address, struct log *log,
                     struct userdb_stats **out);
/* Starts the thread. -ERR_IO. */
int userdb_stats_start(struct userdb_stats *s);
/* If the thread runs: sends what waits, if Redis is there, and ends it within seconds. NULL is
 * fine. */
void userdb_stats_free(struct userdb_stats *s);
/* From any thread; copies. -ERR_FULL, -ERR_NOMEM: the event is lost. */
int userdb_stats_put(struct userdb_stats *s, const struct turn_event *e);

#endif
