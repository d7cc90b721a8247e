/* coturn's SQLite file (its schema.sql; turnadmin makes and fills it), opened for reading alone.
 * Names and realms reach it as bound parameters: whatever is in them, they are values. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "net/clock.h"
#include "turn/userdb/database.h"

enum {
  BUSY_MS = 500, /* turnadmin holds its lock for a moment */
  QUIET_MS = 200 /* since the last write, before all is read */
};

/* A file as far as its writing shows. */
struct mark {
  off_t size;
  time_t s;
  long ns;
};

struct marks {
  struct mark of[2]; /* the file, and the one beside it in WAL mode */
};

struct sqlite {
  struct userdb_database database;
  char *path, *wal;
  sqlite3 *db; /* NULL: not open */
  sqlite3_stmt *find;
  struct stat opened; /* the file that `db` has open: another one may take its name */
  struct marks read;  /* before the last reading */
  bool has_read;
};

static struct sqlite *sqlite_of(struct userdb_database *db)
{
  return CONTAINER_OF(db, struct sqlite, database);
}

static void disconnect(struct sqlite *s)
{
  sqlite3_finalize(s->find);
  sqlite3_close(s->db);
  s->find = NULL;
  s->db = NULL;
  s->has_read = false;
}

/* What SQLite says, with the file and what may help. */
static int fail(struct sqlite *s, int code, struct net_error *e)
{
  const char *mend = code == SQLITE_BUSY || code == SQLITE_LOCKED
                         ? "another program holds it locked"
                     : code == SQLITE_NOTADB || code == SQLITE_ERROR
                         ? "is it coturn's? turnadmin -l -b FILE makes its tables"
                         : "check that it is there and that this user may read it";
  net_error_set(e, "userdb %s: %s; %s", s->path,
                s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code), mend);
  if (code != SQLITE_BUSY && code != SQLITE_LOCKED)
    disconnect(s);
  return -ERR_IO;
}

static int prepare(struct sqlite *s, const char *sql, sqlite3_stmt **out, struct net_error *e)
{
  const int code = sqlite3_prepare_v2(s->db, sql, -1, out, NULL);
  return code == SQLITE_OK ? 0 : fail(s, code, e);
}

static int connect_file(struct sqlite *s, struct net_error *e)
{
  struct stat now;
  if (stat(s->path, &now) != 0) {
    disconnect(s);
    net_error_set(e,
                  "userdb %s cannot be opened: %s; name the file that turnadmin -b made, or leave "
                  "userdb out",
                  s->path, err_text(net_error_from_errno(errno)));
    return -ERR_IO;
  }
  if (s->db && (now.st_ino != s->opened.st_ino || now.st_dev != s->opened.st_dev))
    disconnect(s);
  if (s->db)
    return 0;
  s->opened = now;
  const int code =
      sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
  if (code != SQLITE_OK)
    return fail(s, code, e);
  sqlite3_busy_timeout(s->db, BUSY_MS);
  return prepare(s, "SELECT hmackey FROM turnusers_lt WHERE realm=?1 AND name=?2", &s->find, e);
}

static void bind_bytes(sqlite3_stmt *st, int i, struct bytes value)
{
  sqlite3_bind_text(st, i, value.len ? (const char *)value.at : "", (int)value.len, SQLITE_STATIC);
}

static struct bytes column(sqlite3_stmt *st, int i)
{
  const unsigned char *at = sqlite3_column_text(st, i);
  const int len = sqlite3_column_bytes(st, i);
  return (struct bytes){at, at && len > 0 ? (size_t)len : 0};
}

static int find(struct userdb_database *db, struct bytes realm, struct bytes name,
                uint8_t key[USERDB_KEY], struct net_error *e)
{
  struct sqlite *s = sqlite_of(db);
  int r = connect_file(s, e);
  if (r != 0)
    return r;
  bind_bytes(s->find, 1, realm);
  bind_bytes(s->find, 2, name);
  const int code = sqlite3_step(s->find);
  r = -ERR_MISSING;
  /* A key of another kind (SHA-256, a password in plain text) lets nobody in. */
  if (code == SQLITE_ROW && userdb_key_parse(column(s->find, 0), key) == 0)
    r = 0;
  else if (code != SQLITE_ROW && code != SQLITE_DONE)
    r = fail(s, code, e);
  if (s->find) {
    sqlite3_reset(s->find);
    sqlite3_clear_bindings(s->find);
  }
  return r;
}

static const struct table {
  enum userdb_kind kind;
  size_t fields;
  const char *sql;
} tables[] = {
    {USERDB_SECRET, 2, "SELECT realm, value FROM turn_secret"},
    {USERDB_ALLOWED, 2, "SELECT realm, ip_range FROM allowed_peer_ip"},
    {USERDB_DENIED, 2, "SELECT realm, ip_range FROM denied_peer_ip"},
    {USERDB_ORIGIN, 2, "SELECT origin, realm FROM turn_origin_to_realm"},
    {USERDB_OPTION, 3, "SELECT realm, opt, value FROM turn_realm_option"},
    {USERDB_OAUTH, 6, "SELECT kid, ikm_key, timestamp, lifetime, as_rs_alg, realm FROM oauth_key"},
};

static int read_rows(struct sqlite *s, sqlite3_stmt *st, const struct table *t,
                     struct userdb_rows *out)
{
  int code;
  while ((code = sqlite3_step(st)) == SQLITE_ROW) {
    struct bytes field[USERDB_FIELDS];
    for (size_t i = 0; i < t->fields; i++)
      field[i] = column(st, (int)i);
    /* What is longer than coturn's tables allow is not taken for something else. */
    const int r = userdb_rows_add(out, t->kind, field, t->fields);
    if (r != 0 && r != -ERR_RANGE)
      return SQLITE_NOMEM;
  }
  (void)s;
  return code;
}

static int read_table(struct sqlite *s, const struct table *t, struct userdb_rows *out,
                      struct net_error *e)
{
  sqlite3_stmt *st;
  int r = prepare(s, t->sql, &st, e);
  if (r != 0)
    return r;
  const int code = read_rows(s, st, t, out);
  sqlite3_finalize(st);
  return code == SQLITE_DONE ? 0 : fail(s, code, e);
}

/* Where the database and its log of writes (WAL mode) stand. Looking takes no lock: turnadmin does
 * not wait for one, and a write of its that finds ours is lost. */
static struct marks look(const struct sqlite *s)
{
  const char *const path[] = {s->path, s->wal};
  struct marks m = {0};
  for (size_t i = 0; i < 2; i++) {
    struct stat st;
    if (stat(path[i], &st) == 0)
      m.of[i] = (struct mark){st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
  }
  return m;
}

static bool is_same(const struct marks *a, const struct marks *b)
{
  for (size_t i = 0; i < 2; i++)
    if (a->of[i].size != b->of[i].size || a->of[i].s != b->of[i].s || a->of[i].ns != b->of[i].ns)
      return false;
  return true;
}

/* Whether somebody has written just now, and may not be done. */
static bool is_fresh(const struct marks *m)
{
  const int64_t now_ms = (int64_t)net_clock_wall_ms();
  for (size_t i = 0; i < 2; i++) {
    const int64_t age_ms = now_ms - ((int64_t)m->of[i].s * 1000 + m->of[i].ns / 1000000);
    if (age_ms >= 0 && age_ms < QUIET_MS)
      return true;
  }
  return false;
}

static int read_all(struct userdb_database *db, struct bytes realm, struct userdb_rows *out,
                    struct net_error *e)
{
  (void)realm;
  struct sqlite *s = sqlite_of(db);
  int r = connect_file(s, e);
  const struct marks marks = look(s);
  if (r == 0 && s->has_read && (is_same(&marks, &s->read) || is_fresh(&marks)))
    return -ERR_EXISTS;
  for (size_t i = 0; r == 0 && i < sizeof(tables) / sizeof(tables[0]); i++)
    r = read_table(s, &tables[i], out, e);
  if (r == 0) {
    s->read = marks;
    s->has_read = true;
  }
  return r;
}

static void close_file(struct userdb_database *db)
{
  struct sqlite *s = sqlite_of(db);
  disconnect(s);
  free(s->path);
  free(s->wal);
  free(s);
}

static const struct userdb_driver driver = {
    .name = "sqlite", .find = find, .read = read_all, .close = close_file};

int userdb_sqlite_new(const char *path, struct userdb_database **out)
{
  struct sqlite *s = calloc(1, sizeof(*s));
  if (s == NULL)
    return -ERR_NOMEM;
  s->database.driver = &driver;
  s->path = strdup(path);
  if (s->path == NULL || asprintf(&s->wal, "%s-wal", path) < 0) {
    free(s->path);
    free(s);
    return -ERR_NOMEM;
  }
  *out = &s->database;
  return 0;
}
