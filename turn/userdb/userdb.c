/* One thread, one queue, one database. A database that is away is tried again after a while that
 * grows; until then every question is answered at once, with -ERR_IO. */
#include "turn/userdb/userdb.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"
#include "base/err.h"
#include "net/clock.h"
#include "net/mem.h"

enum {
  QUEUE_MAX = 1024, /* questions of all workers */
  READ_MS = 1000,   /* between two readings of the rows */
  RETRY_LEAST_MS = 500,
  RETRY_MOST_MS = 8000
};

struct userdb {
  struct userdb_database *database;
  char realm[USERDB_REALM_MAX + 1];
  struct log *log;
  struct net_mailbox *changed;
  int changed_kind;
  struct mem mem;
  uint8_t digest[SHA256_SIZE]; /* of the rows that were handed over last */
  uint64_t read_ms;            /* when the rows are due */
  uint64_t retry_ms, wait_ms;  /* away: when to try again, and how long that was */
  bool away;

  pthread_t thread;
  bool running;
  pthread_mutex_t lock; /* of the four below */
  pthread_cond_t wake;
  struct userdb_question *first, **last;
  size_t count;
  bool stopping;
};

/* ---- questions ---- */

struct userdb_question *userdb_question_new(struct bytes realm, struct bytes name)
{
  struct userdb_question *q = calloc(1, sizeof(*q) + realm.len + name.len);
  if (q == NULL)
    return NULL;
  q->realm_len = (uint16_t)realm.len;
  q->name_len = (uint16_t)name.len;
  if (realm.len > 0)
    memcpy(q->text, realm.at, realm.len);
  if (name.len > 0)
    memcpy(q->text + realm.len, name.at, name.len);
  return q;
}

struct bytes userdb_question_realm(const struct userdb_question *q)
{
  return (struct bytes){q->text, q->realm_len};
}

struct bytes userdb_question_name(const struct userdb_question *q)
{
  return (struct bytes){q->text + q->realm_len, q->name_len};
}

void userdb_question_free(struct userdb_question *q)
{
  if (q == NULL)
    return;
  bytes_wipe(q->key, sizeof(q->key));
  free(q);
}

int userdb_ask(struct userdb *u, struct userdb_question *q)
{
  int r = -ERR_FULL;
  pthread_mutex_lock(&u->lock);
  if (u->count < QUEUE_MAX) {
    q->next = NULL;
    *u->last = q;
    u->last = &q->next;
    u->count++;
    r = 0;
    pthread_cond_signal(&u->wake);
  }
  pthread_mutex_unlock(&u->lock);
  return r;
}

/* ---- the database, there or away ---- */

static bool is_away(const struct userdb *u)
{
  return u->away && net_clock_ms() < u->retry_ms;
}

static void note_away(struct userdb *u, const char *why)
{
  if (!u->away)
    log_event(u->log, LOG_LEVEL_ERROR, "userdb-away", LOG_TEXT("why", why),
              LOG_TEXT("now", "it goes on with what it knows, and tries again"));
  u->wait_ms = !u->away                         ? RETRY_LEAST_MS
               : u->wait_ms * 2 < RETRY_MOST_MS ? u->wait_ms * 2
                                                : RETRY_MOST_MS;
  u->away = true;
  u->retry_ms = net_clock_ms() + u->wait_ms;
}

static void note_back(struct userdb *u)
{
  if (u->away)
    log_event(u->log, LOG_LEVEL_INFO, "userdb-back",
              LOG_TEXT("database", u->database->driver->name));
  u->away = false;
}

static void answer(struct userdb *u, struct userdb_question *q)
{
  struct net_error e = {{0}};
  q->verdict = -ERR_IO;
  if (!is_away(u)) {
    q->verdict = u->database->driver->find(u->database, userdb_question_realm(q),
                                           userdb_question_name(q), q->key, &e);
    if (q->verdict == 0 || q->verdict == -ERR_MISSING)
      note_back(u);
    else
      note_away(u, e.text);
  }
  /* A full mailbox: the worker may still wait, as long as for an answer that never comes. */
  if (net_mailbox_post(q->back, (struct net_mail){q->kind, q}) != 0)
    userdb_question_free(q);
}

/* ---- rows ---- */

void userdb_rows_delete(struct userdb_rows *rows)
{
  if (rows == NULL)
    return;
  userdb_rows_fini(rows);
  free(rows);
}

/* As driver->read, with rows of the heap. */
static int read_rows(struct userdb *u, struct userdb_rows **out, struct net_error *e)
{
  struct userdb_rows *rows = calloc(1, sizeof(*rows));
  if (rows == NULL)
    return -ERR_NOMEM;
  userdb_rows_init(rows, &u->mem);
  int r = u->database->driver->read(u->database, bytes_of(u->realm), rows, e);
  if (r != 0) {
    userdb_rows_delete(rows);
    return r;
  }
  userdb_rows_sort(rows);
  *out = rows;
  return 0;
}

static void read_changes(struct userdb *u)
{
  struct net_error e = {{0}};
  struct userdb_rows *rows = NULL;
  uint8_t digest[SHA256_SIZE];
  u->read_ms = net_clock_ms() + READ_MS;
  if (is_away(u))
    return;
  int r = read_rows(u, &rows, &e);
  if (r == 0 || r == -ERR_EXISTS)
    note_back(u);
  else
    note_away(u, e.text[0] != 0 ? e.text : err_text(r));
  if (r != 0)
    return;
  userdb_rows_digest(rows, digest);
  if (memcmp(digest, u->digest, sizeof(digest)) != 0 &&
      net_mailbox_post(u->changed, (struct net_mail){u->changed_kind, rows}) == 0)
    memcpy(u->digest, digest, sizeof(digest));
  else
    userdb_rows_delete(rows);
}

int userdb_read(struct userdb *u, struct userdb_rows **out, struct net_error *e)
{
  int r = read_rows(u, out, e);
  if (r == 0)
    userdb_rows_digest(*out, u->digest);
  else
    note_away(u, e->text[0] != 0 ? e->text : err_text(r));
  return r;
}

/* ---- the thread ---- */

static struct timespec until(uint64_t ms)
{
  return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
}

/* All questions that wait, or NULL when the rows are due; false: stop. */
static bool wait_for_work(struct userdb *u, struct userdb_question **out)
{
  const struct timespec due = until(u->read_ms);
  pthread_mutex_lock(&u->lock);
  while (u->first == NULL && !u->stopping && net_clock_ms() < u->read_ms)
    (void)pthread_cond_timedwait(&u->wake, &u->lock, &due);
  *out = u->first;
  u->first = NULL;
  u->last = &u->first;
  u->count = 0;
  const bool go_on = !u->stopping;
  pthread_mutex_unlock(&u->lock);
  return go_on;
}

static bool is_stopping(struct userdb *u)
{
  pthread_mutex_lock(&u->lock);
  const bool stopping = u->stopping;
  pthread_mutex_unlock(&u->lock);
  return stopping;
}

static void forget(struct userdb_question *q)
{
  for (struct userdb_question *next; q != NULL; q = next) {
    next = q->next;
    userdb_question_free(q);
  }
}

static void *run(void *arg)
{
  struct userdb *u = arg;
  struct userdb_question *q;
  while (wait_for_work(u, &q)) {
    while (q != NULL && !is_stopping(u)) {
      struct userdb_question *next = q->next;
      answer(u, q);
      q = next;
    }
    forget(q);
    if (net_clock_ms() >= u->read_ms)
      read_changes(u);
  }
  forget(q);
  return NULL;
}

/* ---- its life ---- */

static int init_lock(struct userdb *u)
{
  pthread_condattr_t attr;
  if (pthread_condattr_init(&attr) != 0)
    return -ERR_NOMEM;
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* as net_clock_ms */
  int r = pthread_cond_init(&u->wake, &attr) == 0 ? 0 : -ERR_NOMEM;
  pthread_condattr_destroy(&attr);
  if (r == 0 && pthread_mutex_init(&u->lock, NULL) != 0) {
    pthread_cond_destroy(&u->wake);
    r = -ERR_NOMEM;
  }
  return r;
}

int userdb_new(const struct userdb_setup *s, struct userdb **out)
{
  struct userdb *u = calloc(1, sizeof(*u));
  if (u == NULL)
    return -ERR_NOMEM;
  u->log = s->log;
  u->changed = s->changed;
  u->changed_kind = s->changed_kind;
  u->mem = net_mem();
  u->last = &u->first;
  const size_t len = s->realm.len < USERDB_REALM_MAX ? s->realm.len : USERDB_REALM_MAX;
  memcpy(u->realm, s->realm.at, len);
  if (init_lock(u) != 0) {
    free(u);
    return -ERR_NOMEM;
  }
  u->database = s->database;
  *out = u;
  return 0;
}

int userdb_start(struct userdb *u)
{
  u->read_ms = net_clock_ms() + READ_MS;
  if (u->away)
    u->read_ms = u->retry_ms;
  if (pthread_create(&u->thread, NULL, run, u) != 0)
    return -ERR_IO;
  u->running = true;
  return 0;
}

void userdb_stop(struct userdb *u)
{
  if (!u->running)
    return;
  pthread_mutex_lock(&u->lock);
  u->stopping = true;
  pthread_cond_signal(&u->wake);
  pthread_mutex_unlock(&u->lock);
  pthread_join(u->thread, NULL);
  u->running = false;
}

void userdb_free(struct userdb *u)
{
  if (u == NULL)
    return;
  userdb_stop(u);
  forget(u->first);
  u->database->driver->close(u->database);
  pthread_cond_destroy(&u->wake);
  pthread_mutex_destroy(&u->lock);
  free(u);
}
