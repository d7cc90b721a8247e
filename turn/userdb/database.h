/* A database of users behind four functions: sqlite.c and redis.c. Used by one thread at a time,
 * which may wait: each call ends within seconds. */
#ifndef VIADUCT_TURN_USERDB_DATABASE_H
#define VIADUCT_TURN_USERDB_DATABASE_H

#include "net/error.h"
#include "turn/userdb/address.h"
#include "turn/userdb/cache.h"
#include "turn/userdb/rows.h"

struct userdb_database;

struct userdb_driver {
  const char *name; /* for the log */
  /* 0 with the key, -ERR_MISSING, or -ERR_IO with a sentence. Opens what is not open. */
  int (*find)(struct userdb_database *db, struct bytes realm, struct bytes name,
              uint8_t key[USERDB_KEY], struct net_error *e);
  /* Adds all rows to `out`, those of `realm` at the least. -ERR_EXISTS: nothing has changed since
   * the last time, and nothing was added; -ERR_IO with a sentence. */
  int (*read)(struct userdb_database *db, struct bytes realm, struct userdb_rows *out,
              struct net_error *e);
  void (*close)(struct userdb_database *db);
};

struct userdb_database {
  const struct userdb_driver *driver;
};

/* Both return owned, connected to nothing yet. -ERR_NOMEM. `path` is copied. */
int userdb_sqlite_new(const char *path, struct userdb_database **out);
int userdb_redis_new(const struct userdb_address *address, struct userdb_database **out);

/* 32 hexadecimal digits, as coturn stores keys. -ERR_BAD. */
int userdb_key_parse(struct bytes hex, uint8_t key[USERDB_KEY]);

#endif
