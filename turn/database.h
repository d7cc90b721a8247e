/* The database of users on the side of the server: opened before there are workers, watched while
 * they run, closed behind them. */
#ifndef VIADUCT_TURN_DATABASE_H
#define VIADUCT_TURN_DATABASE_H

#include "net/loop.h"
#include "net/mailbox.h"
#include "turn/settings.h"
#include "turn/userdb/stats.h"
#include "turn/userdb/userdb.h"

struct turnd_database {
  struct userdb *userdb;      /* NULL: there is none */
  struct userdb_stats *stats; /* NULL: redis-statsdb is not set */
  struct net_mailbox mailbox;
  struct net_watch watch;
  struct userdb_rows *rows; /* those in use; NULL: none were ever read */
  struct log *log;
  bool (*changed)(struct turnd_database *d, const struct userdb_rows *rows); /* false: not these */
};

/* Opens what `s` names (users, figures), and reads it. Nothing to open is no error. A SQLite file
 * that cannot be read is one, with a sentence; a Redis is tried again later. `changed` is set, the
 * mailbox's fd is -1, and it must not move until close. */
int turnd_database_open(struct turnd_database *d, const struct turnd_settings *s, struct log *log,
                        struct net_error *e);
/* Starts the threads; from now on changes come, in that of `loop`. */
int turnd_database_start(struct turnd_database *d, struct net_loop *loop, struct net_error *e);
/* Before the workers go: no answer comes any more. */
void turnd_database_stop(struct turnd_database *d);
/* After them. */
void turnd_database_close(struct turnd_database *d);

#endif
