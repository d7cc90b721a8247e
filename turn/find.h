/* Users of a database, for one worker: it never waits. A request whose user is not known yet is
 * parked, the thread of turn/userdb is asked, and the answer hands the request to the core again.
 */
#ifndef VIADUCT_TURN_FIND_H
#define VIADUCT_TURN_FIND_H

#include "base/wheel.h"
#include "turn/userdb/park.h"
#include "turn/userdb/userdb.h"

/* In place of a question's number: so many are under way that this one could not be asked. */
#define TURND_NO_ROOM UINT64_MAX

struct turnd_find_counters {
  uint64_t asked;   /* of the database */
  uint64_t refused; /* questions: too many under way */
  uint64_t full;    /* requests that found no room to wait */
  uint64_t late;    /* requests that waited too long */
};

struct turnd_finder {
  struct userdb *userdb; /* borrowed; NULL: there is no database */
  struct userdb_cache cache;
  struct userdb_park park;
  uint64_t question; /* that the request at hand waits for, as find_user said; 0: none */
  struct timer late; /* of the oldest that waits */
  struct turnd_find_counters counters;
};

#endif
