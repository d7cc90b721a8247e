/* Where a Redis is: the text of redis-userdb and redis-statsdb, which is coturn's. Pure. */
#ifndef VIADUCT_TURN_USERDB_ADDRESS_H
#define VIADUCT_TURN_USERDB_ADDRESS_H

#include "base/bytes.h"

enum {
  USERDB_REDIS_PORT = 6379,
  USERDB_REDIS_TEXT = 256, /* of a host, a user, a password; a NUL included */
  USERDB_CONNECT_MAX_S = 5 /* the longest wait for a connection, whatever the text says */
};

struct userdb_address {
  char host[USERDB_REDIS_TEXT];     /* a name or an address; a path: a Unix socket */
  char user[USERDB_REDIS_TEXT];     /* empty: the default user */
  char password[USERDB_REDIS_TEXT]; /* empty: none */
  uint16_t port;
  uint32_t database;
  uint32_t connect_s;
};

/* "ip=127.0.0.1 dbname=0 password=TEXT port=6379 connect_timeout=30", each with coturn's other
 * names (host, db, pwd, p, timeout, ...) and in any order. -ERR_BAD, and then nothing is written.
 */
int userdb_address_parse(struct bytes text, struct userdb_address *out);

#endif
