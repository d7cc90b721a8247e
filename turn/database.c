/* Opens SQLite or Redis, and hands what changes in it to the server. */
#include "turn/database.h"

#include "base/err.h"

/* The newest of what has come; what the server refuses is as if it had never come. */
static void ready(struct net_watch *watch, uint32_t events, uint64_t now_ms)
{
  (void)events;
  (void)now_ms;
  struct turnd_database *d = CONTAINER_OF(watch, struct turnd_database, watch);
  struct userdb_rows *rows = NULL;
  struct net_mail mail;
  while (net_mailbox_take(&d->mailbox, &mail)) {
    userdb_rows_delete(rows);
    rows = mail.load;
  }
  if (rows != NULL && d->changed(d, rows)) {
    userdb_rows_delete(d->rows);
    d->rows = rows;
  } else {
    userdb_rows_delete(rows);
  }
}

static int make(const struct turnd_settings *s, struct userdb_database **out)
{
  struct userdb_address address;
  if (s->userdb != NULL)
    return userdb_sqlite_new(s->userdb, out);
  int r = userdb_address_parse(bytes_of(s->options.redis_userdb), &address);
  if (r == 0)
    r = userdb_redis_new(&address, out);
  bytes_wipe(&address, sizeof(address));
  return r;
}

static int begin(struct turnd_database *d, const struct turnd_settings *s)
{
  struct userdb_database *database;
  int r = net_mailbox_open(&d->mailbox);
  if (r != 0)
    return r;
  d->watch = (struct net_watch){.fd = d->mailbox.fd, .events = EPOLLIN, .ready = ready};
  r = make(s, &database);
  if (r != 0)
    return r;
  const struct userdb_setup setup = {
      .database = database,
      .realm = bytes_of(s->realm),
      .log = d->log,
      .changed = &d->mailbox,
  };
  r = userdb_new(&setup, &d->userdb);
  if (r != 0)
    database->driver->close(database);
  return r;
}

static int follow(struct turnd_database *d, const struct turnd_settings *s, struct net_error *e)
{
  struct userdb_address address;
  if (s->options.redis_statsdb == NULL)
    return 0;
  int r = userdb_address_parse(bytes_of(s->options.redis_statsdb), &address);
  if (r == 0)
    r = userdb_stats_new(&address, d->log, &d->stats);
  bytes_wipe(&address, sizeof(address));
  if (r != 0)
    net_error_set(e, "redis-statsdb cannot be used: %s", err_text(r));
  return r;
}

int turnd_database_open(struct turnd_database *d, const struct turnd_settings *s, struct log *log,
                        struct net_error *e)
{
  d->log = log;
  int r = follow(d, s, e);
  if (r != 0 || (s->userdb == NULL && s->options.redis_userdb == NULL))
    return r;
  r = begin(d, s);
  if (r != 0) {
    net_error_set(e, "the database of users cannot be opened: %s", err_text(r));
    return r;
  }
  r = userdb_read(d->userdb, &d->rows, e);
  if (r != 0 && s->options.redis_userdb != NULL)
    return 0; /* and said so */
  if (r == 0)
    log_event(log, LOG_LEVEL_INFO, "userdb",
              LOG_TEXT("database", s->userdb != NULL ? s->userdb : "redis"),
              LOG_UINT("rows", d->rows->count));
  return r;
}

int turnd_database_start(struct turnd_database *d, struct net_loop *loop, struct net_error *e)
{
  int r = d->stats != NULL ? userdb_stats_start(d->stats) : 0;
  if (r == 0 && d->userdb != NULL) {
    r = net_loop_attach(loop, &d->watch);
    if (r == 0)
      r = userdb_start(d->userdb);
  }
  if (r != 0)
    net_error_set(e, "no thread for the database could be started: %s", err_text(r));
  return r;
}

void turnd_database_stop(struct turnd_database *d)
{
  if (d->userdb != NULL)
    userdb_stop(d->userdb);
}

void turnd_database_close(struct turnd_database *d)
{
  struct net_mail mail;
  userdb_stats_free(d->stats);
  while (d->mailbox.fd >= 0 && net_mailbox_take(&d->mailbox, &mail))
    userdb_rows_delete(mail.load);
  if (d->mailbox.fd >= 0)
    net_mailbox_close(&d->mailbox);
  userdb_rows_delete(d->rows);
  userdb_free(d->userdb); /* the rows were its memory's */
}
