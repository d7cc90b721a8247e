/* A connection to a Redis that waits for its answers, for seconds at the most. Every argument is
 * handed over with its length, so that no name can be a command. */
#ifndef VIADUCT_TURN_USERDB_REDIS_LINK_H
#define VIADUCT_TURN_USERDB_REDIS_LINK_H

#include <hiredis/hiredis.h>

#include "net/error.h"
#include "turn/userdb/address.h"

enum { USERDB_REDIS_ANSWER_S = 2, USERDB_REDIS_ARGUMENTS = 6 };

struct userdb_redis_link {
  const char *what; /* the option, for errors: "redis-userdb" */
  struct userdb_address address;
  redisContext *context; /* NULL: not connected */
};

/* Connects, proves the password and selects the database, unless it has. -ERR_IO with a sentence.
 */
int userdb_redis_connect(struct userdb_redis_link *l, struct net_error *e);
void userdb_redis_disconnect(struct userdb_redis_link *l);
/* One command and its answer, which freeReplyObject frees; NULL with a sentence, and then the
 * connection is gone, when there was none or it was an error. */
redisReply *userdb_redis_ask(struct userdb_redis_link *l, const struct bytes *argument,
                             size_t count, struct net_error *e);
/* A command whose answer userdb_redis_finish takes. -ERR_IO with a sentence. */
int userdb_redis_queue(struct userdb_redis_link *l, const struct bytes *argument, size_t count,
                       struct net_error *e);
/* Sends what is queued and takes `count` answers. -ERR_IO with a sentence. */
int userdb_redis_finish(struct userdb_redis_link *l, size_t count, struct net_error *e);

#endif
