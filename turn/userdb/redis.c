/* coturn's keys in Redis (its schema.userdb.redis):
 *
 *   turn/realm/<realm>/user/<name>/key                        text: 32 hexadecimal digits
 *   turn/realm/<realm>/secret, allowed-peer-ip, denied-peer-ip  sets
 *   turn/realm/<realm>/max-bps, user-quota, total-quota       text
 *   turn/origin/<origin>                                      text: a realm
 *   turn/oauth/kid/<kid>                                      a hash
 *
 * Which origins and kids there are takes a walk over all keys, so it is done once a minute; what
 * they hold, and the realms, is read each time.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/clock.h"
#include "net/mem.h"
#include "turn/userdb/database.h"
#include "turn/userdb/redis_link.h"

enum { KEY_MAX = 1024, WALK_MS = 60 * 1000, WALK_STEPS = 100000, NAMES_MAX = 1024 };

static const char origin_prefix[] = "turn/origin/", oauth_prefix[] = "turn/oauth/kid/";

struct redis {
  struct userdb_database database;
  struct userdb_redis_link link;
  struct mem mem;
  struct userdb_rows names; /* keys of origins (USERDB_ORIGIN) and kids (USERDB_OAUTH) */
  bool walked;
  uint64_t walk_ms; /* when to walk again */
};

static struct redis *redis_of(struct userdb_database *db)
{
  return CONTAINER_OF(db, struct redis, database);
}

static struct bytes text_of(const redisReply *r)
{
  if (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_INTEGER)
    return (struct bytes){NULL, 0};
  return (struct bytes){(const uint8_t *)r->str, r->str ? (size_t)r->len : 0};
}

/* ---- users ---- */

static int find(struct userdb_database *db, struct bytes realm, struct bytes name,
                uint8_t key[USERDB_KEY], struct net_error *e)
{
  struct redis *s = redis_of(db);
  uint8_t at[KEY_MAX];
  struct buf b;
  buf_init(&b, at, sizeof(at));
  buf_put_text(&b, "turn/realm/");
  buf_put(&b, realm.at, realm.len);
  buf_put_text(&b, "/user/");
  buf_put(&b, name.at, name.len);
  buf_put_text(&b, "/key");
  if (b.overflow)
    return -ERR_MISSING;
  const struct bytes get[] = {bytes_of("GET"), {at, b.len}};
  redisReply *reply = userdb_redis_ask(&s->link, get, 2, e);
  if (!reply)
    return -ERR_IO;
  const int r = userdb_key_parse(text_of(reply), key) == 0 ? 0 : -ERR_MISSING;
  freeReplyObject(reply);
  return r;
}

/* ---- the rest ---- */

/* "turn/realm/<realm>/<what>" */
static redisReply *ask_realm(struct redis *s, const char *command, struct bytes realm,
                             const char *what, struct net_error *e)
{
  uint8_t at[KEY_MAX];
  struct buf b;
  buf_init(&b, at, sizeof(at));
  buf_put_text(&b, "turn/realm/");
  buf_put(&b, realm.at, realm.len);
  buf_put_text(&b, "/");
  buf_put_text(&b, what);
  const struct bytes words[] = {bytes_of(command), {at, b.len}};
  return userdb_redis_ask(&s->link, words, 2, e);
}

static int add(struct userdb_rows *out, enum userdb_kind kind, const struct bytes *field,
               size_t count)
{
  const int r = userdb_rows_add(out, kind, field, count);
  return r == -ERR_RANGE ? 0 : r;
}

static int read_set(struct redis *s, struct bytes realm, const char *what, enum userdb_kind kind,
                    struct userdb_rows *out, struct net_error *e)
{
  redisReply *reply = ask_realm(s, "SMEMBERS", realm, what, e);
  int r = reply ? 0 : -ERR_IO;
  for (size_t i = 0; reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements && r == 0;
       i++) {
    const struct bytes field[] = {realm, text_of(reply->element[i])};
    r = add(out, kind, field, 2);
  }
  freeReplyObject(reply);
  return r;
}

static int read_option(struct redis *s, struct bytes realm, const char *what,
                       struct userdb_rows *out, struct net_error *e)
{
  redisReply *reply = ask_realm(s, "GET", realm, what, e);
  if (!reply)
    return -ERR_IO;
  const struct bytes field[] = {realm, bytes_of(what), text_of(reply)};
  const int r = field[2].len ? add(out, USERDB_OPTION, field, 3) : 0;
  freeReplyObject(reply);
  return r;
}

static int read_realm(struct redis *s, struct bytes realm, struct userdb_rows *out,
                      struct net_error *e)
{
  static const char *const options[] = {"max-bps", "user-quota", "total-quota"};
  int r = read_set(s, realm, "secret", USERDB_SECRET, out, e);
  if (r == 0)
    r = read_set(s, realm, "allowed-peer-ip", USERDB_ALLOWED, out, e);
  if (r == 0)
    r = read_set(s, realm, "denied-peer-ip", USERDB_DENIED, out, e);
  for (size_t i = 0; i < 3 && r == 0; i++)
    r = read_option(s, realm, options[i], out, e);
  return r;
}

static int read_origin(struct redis *s, struct bytes key, struct userdb_rows *out,
                       struct net_error *e)
{
  const size_t skip = sizeof(origin_prefix) - 1;
  const struct bytes get[] = {bytes_of("GET"), key};
  redisReply *reply = userdb_redis_ask(&s->link, get, 2, e);
  if (!reply)
    return -ERR_IO;
  const struct bytes field[] = {{key.at + skip, key.len - skip}, text_of(reply)};
  const int r = field[1].len ? add(out, USERDB_ORIGIN, field, 2) : 0;
  freeReplyObject(reply);
  return r;
}

static int read_kid(struct redis *s, struct bytes key, struct userdb_rows *out, struct net_error *e)
{
  static const char *const names[USERDB_FIELDS] = {NULL,       "ikm_key",   "timestamp",
                                                   "lifetime", "as_rs_alg", "realm"};
  const size_t skip = sizeof(oauth_prefix) - 1;
  const struct bytes get[] = {bytes_of("HGETALL"), key};
  struct bytes field[USERDB_FIELDS] = {{key.at + skip, key.len - skip}};
  redisReply *reply = userdb_redis_ask(&s->link, get, 2, e);
  if (!reply)
    return -ERR_IO;
  for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2)
    for (size_t j = 1; j < USERDB_FIELDS; j++)
      if (bytes_equal(text_of(reply->element[i]), bytes_of(names[j])))
        field[j] = text_of(reply->element[i + 1]);
  const int r = field[1].len ? add(out, USERDB_OAUTH, field, USERDB_FIELDS) : 0;
  freeReplyObject(reply);
  return r;
}

/* ---- which there are ---- */

static bool begins_with(struct bytes text, const char *prefix)
{
  const size_t len = strlen(prefix);
  return text.len > len && memcmp(text.at, prefix, len) == 0;
}

static int take_name(struct redis *s, struct bytes key)
{
  const bool oauth = begins_with(key, oauth_prefix);
  if ((!oauth && !begins_with(key, origin_prefix)) || s->names.count >= NAMES_MAX)
    return 0;
  for (size_t i = 0; i < s->names.count; i++) /* SCAN may give a key twice */
    if (bytes_equal(userdb_row_field(s->names.row[i], 0), key))
      return 0;
  return add(&s->names, oauth ? USERDB_OAUTH : USERDB_ORIGIN, &key, 1);
}

/* One SCAN; its cursor for the next one into `cursor`. */
static int walk_on(struct redis *s, uint8_t cursor[32], size_t *cursor_len, struct net_error *e)
{
  const struct bytes scan[] = {bytes_of("SCAN"),    {cursor, *cursor_len}, bytes_of("MATCH"),
                               bytes_of("turn/o*"), bytes_of("COUNT"),     bytes_of("1000")};
  redisReply *reply = userdb_redis_ask(&s->link, scan, 6, e);
  int r = reply ? 0 : -ERR_IO;
  if (reply && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
                reply->element[0]->len <= 0 || reply->element[0]->len > 32)) {
    net_error_set(e, "%s: this is no Redis: its SCAN cannot be read", s->link.what);
    r = -ERR_IO;
  }
  if (r == 0) {
    const struct bytes next = text_of(reply->element[0]);
    const redisReply *keys = reply->element[1];
    *cursor_len = next.len;
    memcpy(cursor, next.at, next.len);
    for (size_t i = 0; keys->type == REDIS_REPLY_ARRAY && i < keys->elements && r == 0; i++)
      r = take_name(s, text_of(keys->element[i]));
  }
  freeReplyObject(reply);
  return r;
}

static int walk(struct redis *s, struct net_error *e)
{
  const uint64_t now_ms = net_clock_ms();
  uint8_t cursor[32] = "0";
  size_t len = 1;
  if (s->walked && now_ms < s->walk_ms)
    return 0;
  userdb_rows_fini(&s->names);
  for (int i = 0; i < WALK_STEPS; i++) {
    const int r = walk_on(s, cursor, &len, e);
    if (r != 0)
      return r;
    if (len == 1 && cursor[0] == '0')
      break;
  }
  s->walked = true;
  s->walk_ms = now_ms + WALK_MS;
  return 0;
}

static bool has_realm(const struct userdb_rows *realms, struct bytes realm)
{
  for (size_t i = 0; i < realms->count; i++)
    if (bytes_equal(userdb_row_field(realms->row[i], 0), realm))
      return true;
  return false;
}

/* The realms that origins and kids lead to. */
static int read_realms(struct redis *s, struct bytes first, struct userdb_rows *out,
                       struct net_error *e)
{
  struct userdb_rows realms;
  userdb_rows_init(&realms, &s->mem);
  int r = add(&realms, USERDB_OPTION, &first, 1);
  for (size_t i = 0; i < out->count && r == 0; i++) {
    const struct userdb_row *row = out->row[i];
    const struct bytes realm = userdb_row_field(row, row->kind == USERDB_ORIGIN ? 1 : 5);
    if (realm.len && !has_realm(&realms, realm))
      r = add(&realms, USERDB_OPTION, &realm, 1);
  }
  for (size_t i = 0; i < realms.count && r == 0; i++)
    r = read_realm(s, userdb_row_field(realms.row[i], 0), out, e);
  userdb_rows_fini(&realms);
  return r;
}

static int read_all(struct userdb_database *db, struct bytes realm, struct userdb_rows *out,
                    struct net_error *e)
{
  struct redis *s = redis_of(db);
  int r = walk(s, e);
  for (size_t i = 0; i < s->names.count && r == 0; i++) {
    const struct bytes key = userdb_row_field(s->names.row[i], 0);
    r = s->names.row[i]->kind == USERDB_OAUTH ? read_kid(s, key, out, e)
                                              : read_origin(s, key, out, e);
  }
  return r == 0 ? read_realms(s, realm, out, e) : r;
}

static void close_redis(struct userdb_database *db)
{
  struct redis *s = redis_of(db);
  userdb_redis_disconnect(&s->link);
  userdb_rows_fini(&s->names);
  bytes_wipe(s, sizeof(*s));
  free(s);
}

static const struct userdb_driver driver = {
    .name = "redis", .find = find, .read = read_all, .close = close_redis};

int userdb_redis_new(const struct userdb_address *address, struct userdb_database **out)
{
  struct redis *s = calloc(1, sizeof(*s));
  if (s == NULL)
    return -ERR_NOMEM;
  s->database.driver = &driver;
  s->link = (struct userdb_redis_link){.what = "redis-userdb", .address = *address};
  s->mem = net_mem();
  userdb_rows_init(&s->names, &s->mem);
  *out = &s->database;
  return 0;
}
