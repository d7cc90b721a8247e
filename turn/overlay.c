/* Rows of a database as settings: secrets, rules for peers, realms with their limits and origins.
 * Settings are immutable, so each change makes new ones, which keep the old for all that no
 * database says. */
#include "turn/overlay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct turnd_overlay {
  struct userdb_rows rows; /* what the views below point into */
  struct turn_realm *realm;
  struct turn_origin *origin;
  struct turn_peer_rule *rule;
  struct bytes *secret; /* of all realms, those of one side by side */
  struct turn_oauth_key *oauth_key;
  size_t realm_cap, origin_cap, rule_cap, secret_cap, oauth_key_cap;
};

/* ---- copies ---- */

static int copy_rows(struct mem *mem, const struct userdb_rows *from, struct userdb_rows *out)
{
  userdb_rows_init(out, mem);
  for (size_t i = 0; i < from->count; i++) {
    struct bytes field[USERDB_FIELDS];
    for (size_t j = 0; j < USERDB_FIELDS; j++)
      field[j] = userdb_row_field(from->row[i], j);
    const int r = userdb_rows_add(out, from->row[i]->kind, field, USERDB_FIELDS);
    if (r != 0)
      return r;
  }
  return 0;
}

static size_t count_kind(const struct userdb_rows *rows, enum userdb_kind kind)
{
  size_t count = 0;
  for (size_t i = 0; i < rows->count; i++)
    count += rows->row[i]->kind == kind;
  return count;
}

/* Room for all that there could be. */
static int reserve(struct turnd_settings *s, struct turnd_overlay *o)
{
  const struct turn_config *base = &s->base->core;
  const struct userdb_rows *rows = &o->rows;
  o->origin_cap = count_kind(rows, USERDB_ORIGIN);
  o->realm_cap = base->realm_count + o->origin_cap + count_kind(rows, USERDB_OAUTH);
  o->rule_cap =
      base->peer_rule_count + count_kind(rows, USERDB_ALLOWED) + count_kind(rows, USERDB_DENIED);
  o->secret_cap = count_kind(rows, USERDB_SECRET);
  o->oauth_key_cap = base->oauth_key_count + count_kind(rows, USERDB_OAUTH);
  o->oauth_key = mem_new(&s->mem, o->oauth_key_cap * sizeof(*o->oauth_key) + 1);
  o->realm = mem_new(&s->mem, o->realm_cap * sizeof(*o->realm));
  o->origin = mem_new(&s->mem, o->origin_cap * sizeof(*o->origin) + 1);
  o->rule = mem_new(&s->mem, o->rule_cap * sizeof(*o->rule) + 1);
  o->secret = mem_new(&s->mem, o->secret_cap * sizeof(*o->secret) + 1);
  return o->realm && o->origin && o->rule && o->secret && o->oauth_key ? 0 : -ERR_NOMEM;
}

/* ---- realms ---- */

static struct turn_realm *find_realm(const struct turnd_settings *s, struct bytes name)
{
  for (size_t i = 0; i < s->core.realm_count; i++)
    if (bytes_equal(s->overlay->realm[i].name, name))
      return &s->overlay->realm[i];
  return NULL;
}

/* A new one begins with the limits of the first, as in coturn. NULL: no realm has such a name. */
static struct turn_realm *take_realm(struct turnd_settings *s, struct bytes name)
{
  struct turn_realm *r = find_realm(s, name);
  if (r != NULL || name.len == 0 || name.len > TURN_REALM_MAX || !utf8_is_valid(name))
    return r;
  r = &s->overlay->realm[s->core.realm_count++];
  *r = s->overlay->realm[0];
  r->name = name;
  return r;
}

/* turnadmin writes the default port of a scheme too, which no browser does (RFC 6454 section 6.2).
 */
static struct bytes without_default_port(struct bytes origin)
{
  static const struct {
    const char *scheme, *port;
  } known[] = {{"http://", ":80"}, {"https://", ":443"}, {"ws://", ":80"}, {"wss://", ":443"}};
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    const size_t scheme = strlen(known[i].scheme), port = strlen(known[i].port);
    if (origin.len > scheme + port && memcmp(origin.at, known[i].scheme, scheme) == 0 &&
        memcmp(origin.at + origin.len - port, known[i].port, port) == 0)
      return (struct bytes){origin.at, origin.len - port};
  }
  return origin;
}

static void add_origin(struct turnd_settings *s, const struct userdb_row *row)
{
  const struct turn_realm *realm = take_realm(s, userdb_row_field(row, 1));
  if (realm == NULL)
    return;
  s->overlay->origin[s->core.origin_count++] =
      (struct turn_origin){.origin = without_default_port(userdb_row_field(row, 0)),
                           .realm = (size_t)(realm - s->overlay->realm)};
}

static int fail(struct option_error *error, const struct userdb_row *row, const char *what,
                struct bytes value, const char *mend)
{
  const struct bytes realm = userdb_row_field(row, 0);
  snprintf(error->text, sizeof(error->text),
           "the database has %s=%.*s for the realm '%.*s', which %s; mend it there", what,
           (int)value.len, value.len ? (const char *)value.at : "", (int)realm.len,
           realm.len ? (const char *)realm.at : "", mend);
  return -ERR_BAD;
}

static int set_limit(struct turn_realm *realm, const struct userdb_row *row,
                     struct option_error *error)
{
  const struct bytes name = userdb_row_field(row, 1), value = userdb_row_field(row, 2);
  uint64_t n = 0;
  const char *known = NULL;
  static const char *const names[] = {"max-bps", "user-quota", "total-quota"};
  for (size_t i = 0; i < 3; i++)
    if (bytes_equal(name, bytes_of(names[i])))
      known = names[i];
  if (known == NULL)
    return 0; /* of a newer coturn */
  if (parse_uint(value, UINT32_MAX, &n) != 0)
    return fail(error, row, known, value, "is no number");
  if (known == names[0])
    realm->max_bps = n;
  else if (known == names[1])
    realm->user_quota = (uint32_t)n;
  else
    realm->total_quota = (uint32_t)n;
  return 0;
}

static int lay_limits(struct turnd_settings *s, struct option_error *error)
{
  const struct userdb_rows *rows = &s->overlay->rows;
  int r = 0;
  for (size_t i = 0; i < rows->count && r == 0; i++) {
    const struct userdb_row *row = rows->row[i];
    struct turn_realm *realm =
        row->kind == USERDB_OPTION ? find_realm(s, userdb_row_field(row, 0)) : NULL;
    if (realm != NULL)
      r = set_limit(realm, row, error);
  }
  return r;
}

static void lay_realms(struct turnd_settings *s)
{
  const struct turn_config *base = &s->base->core;
  struct turnd_overlay *o = s->overlay;
  memcpy(o->realm, base->realm, base->realm_count * sizeof(*o->realm));
  s->core.realm = o->realm;
  s->core.realm_count = base->realm_count;
  s->core.origin = o->origin;
  s->core.origin_count = 0;
  for (size_t i = 0; i < o->rows.count; i++) {
    const struct userdb_row *row = o->rows.row[i];
    if (row->kind == USERDB_ORIGIN)
      add_origin(s, row);
    else if (row->kind == USERDB_OAUTH)
      (void)take_realm(s, userdb_row_field(row, 5));
  }
}

/* ---- secrets and rules ---- */

/* As in coturn, they count where use-auth-secret says so. */
static void lay_secrets(struct turnd_settings *s)
{
  struct turnd_overlay *o = s->overlay;
  size_t count = 0;
  if (!s->options.use_auth_secret && s->options.static_auth_secret.count == 0)
    return;
  for (size_t i = 0; i < s->core.realm_count; i++) {
    struct turn_realm *realm = &o->realm[i];
    realm->secret = o->secret + count;
    for (size_t j = 0; j < o->rows.count; j++) {
      const struct userdb_row *row = o->rows.row[j];
      const struct bytes value = userdb_row_field(row, 1);
      if (row->kind == USERDB_SECRET && value.len > 0 &&
          bytes_equal(userdb_row_field(row, 0), realm->name)) {
        o->secret[count++] = value;
        realm->secret_count++;
      }
    }
  }
}

static int read_oauth_key(const struct userdb_row *row, struct turn_oauth_key *out,
                          struct option_error *error)
{
  const struct bytes kid = userdb_row_field(row, 0), key = userdb_row_field(row, 1);
  const struct bytes algorithm = userdb_row_field(row, 4);
  uint64_t from_s = 0, for_s = 0;
  uint8_t text[2 * USERDB_FIELD_MAX];
  struct buf b;
  buf_init(&b, text, sizeof(text));
  buf_put_text(&b, "kid:"); /* the real one may have colons */
  if (algorithm.len > 0)
    buf_put(&b, algorithm.at, algorithm.len);
  else
    buf_put_text(&b, "A256GCM"); /* coturn's default */
  buf_put_text(&b, ":");
  buf_put(&b, key.at, key.len);
  int r = b.overflow ? -ERR_BAD : turnd_parse_oauth_key((struct bytes){text, b.len}, out);
  if (r == 0 && userdb_row_field(row, 2).len > 0)
    r = parse_uint(userdb_row_field(row, 2), INT64_MAX, &from_s);
  if (r == 0 && userdb_row_field(row, 3).len > 0)
    r = parse_uint(userdb_row_field(row, 3), UINT32_MAX, &for_s);
  bytes_wipe(text, sizeof(text));
  if (r != 0) {
    snprintf(error->text, sizeof(error->text),
             "the database has an oauth_key '%.*s' that is none (A256GCM or A128GCM, a key in "
             "base64, numbers); mend it there",
             (int)kid.len, kid.len ? (const char *)kid.at : "");
    return -ERR_BAD;
  }
  out->kid = kid;
  out->realm = userdb_row_field(row, 5);
  out->from_s = from_s;
  out->until_s = for_s > 0 ? from_s + for_s : 0;
  return 0;
}

/* They count where oauth says so. */
static int lay_oauth(struct turnd_settings *s, struct option_error *error)
{
  const struct turn_config *base = &s->base->core;
  struct turnd_overlay *o = s->overlay;
  size_t count = base->oauth_key_count;
  int r = 0;
  if (count > 0)
    memcpy(o->oauth_key, base->oauth_key, count * sizeof(*o->oauth_key));
  for (size_t i = 0; i < o->rows.count && r == 0 && s->options.oauth; i++)
    if (o->rows.row[i]->kind == USERDB_OAUTH)
      r = read_oauth_key(o->rows.row[i], &o->oauth_key[count++], error);
  s->core.oauth_key = o->oauth_key;
  s->core.oauth_key_count = count;
  return r;
}

static int lay_rules(struct turnd_settings *s, struct option_error *error)
{
  const struct turn_config *base = &s->base->core;
  struct turnd_overlay *o = s->overlay;
  if (base->peer_rule_count > 0)
    memcpy(o->rule, base->peer_rule, base->peer_rule_count * sizeof(*o->rule));
  s->core.peer_rule = o->rule;
  s->core.peer_rule_count = base->peer_rule_count;
  for (size_t i = 0; i < o->rows.count; i++) {
    const struct userdb_row *row = o->rows.row[i];
    const bool allowed = row->kind == USERDB_ALLOWED;
    if (!allowed && row->kind != USERDB_DENIED)
      continue;
    struct turn_peer_rule *rule = &o->rule[s->core.peer_rule_count++];
    const struct bytes range = userdb_row_field(row, 1);
    *rule = (struct turn_peer_rule){.allowed = allowed, .realm = userdb_row_field(row, 0)};
    if (addr_range_parse(range, &rule->range) != 0)
      return fail(error, row, allowed ? "allowed-peer-ip" : "denied-peer-ip", range,
                  "is no address, FIRST-LAST or ADDRESS/BITS");
  }
  return 0;
}

/* ---- all of it ---- */

void turnd_overlay_free(struct turnd_settings *s)
{
  struct turnd_overlay *o = s->overlay;
  struct turnd_settings *base = s->base;
  if (o != NULL) {
    if (o->oauth_key)
      bytes_wipe(o->oauth_key, o->oauth_key_cap * sizeof(*o->oauth_key));
    mem_free(&s->mem, o->oauth_key, o->oauth_key_cap * sizeof(*o->oauth_key) + 1);
    mem_free(&s->mem, o->realm, o->realm_cap * sizeof(*o->realm));
    mem_free(&s->mem, o->origin, o->origin_cap * sizeof(*o->origin) + 1);
    mem_free(&s->mem, o->rule, o->rule_cap * sizeof(*o->rule) + 1);
    mem_free(&s->mem, o->secret, o->secret_cap * sizeof(*o->secret) + 1);
    userdb_rows_fini(&o->rows);
    mem_free(&s->mem, o, sizeof(*o));
  }
  bytes_wipe(s, sizeof(*s));
  free(s);
  turnd_settings_leave(base);
}

static int lay(struct turnd_settings *s, const struct userdb_rows *rows, struct option_error *error)
{
  s->overlay = mem_new(&s->mem, sizeof(*s->overlay));
  if (s->overlay == NULL)
    return -ERR_NOMEM;
  int r = copy_rows(&s->mem, rows, &s->overlay->rows);
  if (r == 0)
    r = reserve(s, s->overlay);
  if (r != 0)
    return r;
  lay_realms(s);
  lay_secrets(s);
  r = lay_limits(s, error);
  if (r == 0)
    r = lay_oauth(s, error);
  return r != 0 ? r : lay_rules(s, error);
}

int turnd_settings_lay_over(struct turnd_settings *settings, const struct userdb_rows *rows,
                            struct turnd_settings **out, struct option_error *error)
{
  struct turnd_settings *s = malloc(sizeof(*s));
  error->text[0] = 0;
  if (s == NULL)
    return -ERR_NOMEM;
  /* The fixed parts are those in use: ports that were chosen at the start, say. */
  memcpy(s, settings, sizeof(*s));
  s->base = settings->base != NULL ? settings->base : settings;
  s->overlay = NULL;
  s->core.relay = s->relay;
  s->core.quad = s->quad;
  s->core.listener = s->listener;
  s->core.local = s->local;
  turnd_settings_share(s->base);
  atomic_init(&s->references, 1);
  const int r = lay(s, rows, error);
  if (r != 0) {
    if (error->text[0] == 0)
      snprintf(error->text, sizeof(error->text), "%s", err_text(r));
    turnd_overlay_free(s);
    return r;
  }
  *out = s;
  return 0;
}
