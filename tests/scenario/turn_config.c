/* CONFIG: the relay's configuration in a scenario; before the first event its start, later a
 * reload. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "tests/scenario/turn_script.h"

static const struct number_key {
  const char *name;
  size_t offset;
} numbers[] = {
    {"lifetime", offsetof(struct turn_config, default_lifetime_s)},
    {"max-lifetime", offsetof(struct turn_config, max_lifetime_s)},
    {"permission-lifetime", offsetof(struct turn_config, permission_lifetime_s)},
    {"channel-lifetime", offsetof(struct turn_config, channel_lifetime_s)},
    {"nonce-lifetime", offsetof(struct turn_config, nonce_lifetime_s)},
    {"total-quota", offsetof(struct turn_config, total_quota)},
    {"max-permissions", offsetof(struct turn_config, max_permissions)},
    {"max-channels", offsetof(struct turn_config, max_channels)},
    {"max-connections", offsetof(struct turn_config, max_connections)},
    {"unauthorized-rate", offsetof(struct turn_config, unauthorized_per_s)},
};

static bool set_large(struct script *s, const struct word *w)
{
  const char *value;
  if ((value = word_value(w, "max-bps")) != NULL)
    s->world.realm[0].max_bps = script_uint(s, value);
  else if ((value = word_value(w, "bps-capacity")) != NULL)
    s->world.config.bps_capacity = script_uint(s, value);
  else
    return false;
  return true;
}

static bool set_number(struct script *s, const struct word *w)
{
  const char *quota = word_value(w, "user-quota");
  if (quota) {
    s->world.realm[0].user_quota = (uint32_t)script_uint(s, quota);
    return true;
  }
  if (set_large(s, w))
    return true;
  for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
    const char *value = word_value(w, numbers[i].name);
    if (!value)
      continue;
    const uint32_t n = (uint32_t)script_uint(s, value);
    memcpy((char *)&s->world.config + numbers[i].offset, &n, sizeof(n));
    return true;
  }
  return false;
}

/* name:password, or name:0x and 32 digits of the key. */
static struct turn_user read_user(struct script *s, const char *value)
{
  char name[256] = {0};
  const char *colon = strchr(value, ':');
  if (!colon || (size_t)(colon - value) >= sizeof(name))
    script_fail(s, "NAME:PASSWORD or NAME:0xKEY");
  memcpy(name, value, (size_t)(colon - value));
  struct turn_user u = {.name = world_text(&s->world, name)};
  u.has_key = strncmp(colon + 1, "0x", 2) == 0;
  if (!u.has_key)
    u.password = world_text(&s->world, colon + 1);
  else if (script_hex(s, colon + 3, u.key, sizeof(u.key)) != sizeof(u.key))
    script_fail(s, "a key has 16 bytes");
  return u;
}

static void add_user(struct script *s, const char *value)
{
  if (s->world.config.user_count == WORLD_LISTS)
    script_fail(s, "at most %d users", WORLD_LISTS);
  s->world.user[s->world.config.user_count++] = read_user(s, value);
}

void script_answer(struct script *s, const struct word *w, size_t count)
{
  if (count == 0 || count > 2 || s->world.database_count == WORLD_LISTS)
    script_fail(s, "ANSWER NAME:PASSWORD, or NAME missing|broken; at most %d", WORLD_LISTS);
  if (count == 1) {
    const struct turn_user u = read_user(s, w[0].at);
    world_answer(&s->world, &u, 0);
  } else {
    const struct turn_user u = {.name = world_text(&s->world, w[0].at)};
    if (!word_is(&w[1], "missing") && !word_is(&w[1], "broken"))
      script_fail(s, "unknown word '%s'", w[1].at);
    world_answer(&s->world, &u, word_is(&w[1], "missing") ? -ERR_MISSING : -ERR_IO);
  }
  world_unpark(&s->world);
}

/* The text up to `stop` or the end; *rest is behind it, or NULL. */
static struct bytes part(struct script *s, const char *text, const char *stop, const char **rest)
{
  char copy[128] = {0};
  const char *end = strstr(text, stop);
  const size_t len = end ? (size_t)(end - text) : strlen(text);
  if (len >= sizeof(copy))
    script_fail(s, "'%s' is too long", text);
  memcpy(copy, text, len);
  *rest = end ? end + strlen(stop) : NULL;
  return world_text(&s->world, copy);
}

/* RANGE[,realm=NAME][,user=NAME] */
static void add_rule(struct script *s, bool allowed, const char *value)
{
  struct turn_config *c = &s->world.config;
  const char *rest;
  if (c->peer_rule_count == WORLD_LISTS)
    script_fail(s, "more than %d peer rules", WORLD_LISTS);
  struct turn_peer_rule *rule = &s->world.peer_rule[c->peer_rule_count++];
  *rule = (struct turn_peer_rule){.allowed = allowed};
  if (addr_range_parse(part(s, value, ",", &rest), &rule->range))
    script_fail(s, "'%s' is no range", value);
  while (rest) {
    const struct bytes word = part(s, rest, ",", &rest);
    if (word.len > 6 && memcmp(word.at, "realm=", 6) == 0)
      rule->realm = (struct bytes){word.at + 6, word.len - 6};
    else if (word.len > 5 && memcmp(word.at, "user=", 5) == 0)
      rule->user = (struct bytes){word.at + 5, word.len - 5};
    else
      script_fail(s, "RANGE,realm=NAME,user=NAME, not '%s'", value);
  }
}

/* REALM:SECRET, of a realm that is there: one for each. */
static void add_realm_secret(struct script *s, const char *value)
{
  const char *secret;
  struct bytes name = part(s, value, ":", &secret);
  for (size_t i = 0; i < s->world.config.realm_count && secret; i++) {
    struct turn_realm *r = &s->world.realm[i];
    if (!bytes_equal(r->name, name))
      continue;
    s->world.realm_secret[i] = world_text(&s->world, secret);
    r->secret = &s->world.realm_secret[i];
    r->secret_count = 1;
    return;
  }
  script_fail(s, "realm-secret=REALM:SECRET, not '%s'", value);
}

/* NAME[,USER-QUOTA,TOTAL-QUOTA]: one more realm. */
static void add_realm(struct script *s, const char *value)
{
  const char *user, *total = NULL;
  if (s->world.config.realm_count == WORLD_LISTS)
    script_fail(s, "more than %d realms", WORLD_LISTS);
  struct turn_realm *r = &s->world.realm[s->world.config.realm_count++];
  *r = (struct turn_realm){.name = part(s, value, ",", &user)};
  if (user) {
    char number[16] = {0};
    const struct bytes n = part(s, user, ",", &total);
    memcpy(number, n.at, n.len < sizeof(number) ? n.len : 0);
    r->user_quota = (uint32_t)script_uint(s, number);
  }
  if (total)
    r->total_quota = (uint32_t)script_uint(s, total);
}

/* ORIGIN->REALM, a realm that is there. */
static void add_origin(struct script *s, const char *value)
{
  struct turn_config *c = &s->world.config;
  const char *name;
  if (c->origin_count == WORLD_LISTS)
    script_fail(s, "more than %d origins", WORLD_LISTS);
  struct turn_origin *o = &s->world.origin[c->origin_count++];
  *o = (struct turn_origin){.origin = part(s, value, "->", &name), .realm = c->realm_count};
  for (size_t i = 0; i < c->realm_count && name; i++)
    if (bytes_equal(c->realm[i].name, bytes_of(name)))
      o->realm = i;
  if (o->realm == c->realm_count)
    script_fail(s, "origin=ORIGIN->REALM, not '%s'", value);
}

/* relay=ADDRESS, relay=ADDRESS/EXTERNAL, relay=none takes all away. */
static void set_relay(struct script *s, const char *value)
{
  struct turn_config *c = &s->world.config;
  char local[64] = {0};
  const char *slash = strchr(value, '/');
  const size_t len = slash ? (size_t)(slash - value) : strlen(value);
  if (strcmp(value, "none") == 0) {
    c->relay_count = 0;
    return;
  }
  if (len >= sizeof(local) || c->relay_count == WORLD_LISTS)
    script_fail(s, "%d relay addresses at most, and relay=none first", WORLD_LISTS);
  memcpy(local, value, len);
  struct turn_relay_address *r = &s->world.relay_address[c->relay_count++];
  *r = (struct turn_relay_address){0};
  script_addr(s, local, &r->local);
  if (slash)
    script_addr(s, slash + 1, &r->external);
}

static void set_ports(struct script *s, const char *value)
{
  unsigned min, max;
  char end;
  if (sscanf(value, "%u-%u%c", &min, &max, &end) != 2 || max > UINT16_MAX)
    script_fail(s, "ports=FIRST-LAST");
  s->world.config.min_port = (uint16_t)min;
  s->world.config.max_port = (uint16_t)max;
}

static bool set_flag(struct script *s, const struct word *w)
{
  struct turn_config *c = &s->world.config;
  if (word_is(w, "no-auth"))
    c->auth_required = false;
  else if (word_is(w, "fingerprint"))
    c->fingerprint = true;
  else if (word_is(w, "no-software"))
    c->software.len = 0;
  else if (word_is(w, "no-users"))
    c->user_count = 0;
  else if (word_is(w, "no-secrets"))
    c->secret_count = 0;
  else if (word_is(w, "userhash"))
    s->world.userhash = true;
  else if (word_is(w, "oauth"))
    c->oauth = true;
  else if (word_is(w, "no-oauth"))
    c->oauth = false, c->oauth_key_count = 0;
  else if (word_is(w, "enforce-expiry"))
    c->enforce_expiry = true;
  else if (word_is(w, "no-other-realms"))
    c->realm_count = 1, c->origin_count = 0;
  else if (word_is(w, "no-busy"))
    s->world.busy_count = 0;
  else if (word_is(w, "database"))
    c->users_elsewhere = true;
  else if (word_is(w, "no-database"))
    c->users_elsewhere = false;
  else if (word_is(w, "no-udp-relay"))
    c->no_udp_relay = true;
  else if (word_is(w, "no-tcp-relay"))
    c->no_tcp_relay = true;
  else if (word_is(w, "no-route") || word_is(w, "route"))
    s->world.no_route = word_is(w, "no-route");
  else if (word_is(w, "allow-loopback"))
    c->allow_loopback_peers = true;
  else if (word_is(w, "mobility"))
    c->mobility = true;
  else if (word_is(w, "no-mobility"))
    c->mobility = false;
  else
    return false;
  return true;
}

/* share=INDEX/COUNT: which of how many workers this one is. */
static void set_share(struct script *s, const char *value)
{
  char end;
  struct world *w = &s->world;
  if (s->started || sscanf(value, "%u/%u%c", &w->share_index, &w->share_count, &end) != 2 ||
      w->share_index >= w->share_count)
    script_fail(s, "share=INDEX/COUNT, before the first event");
}

static bool set_text(struct script *s, const struct word *w)
{
  struct turn_config *c = &s->world.config;
  const char *value;
  if ((value = word_value(w, "user")) != NULL)
    add_user(s, value);
  else if ((value = word_value(w, "secret")) != NULL && c->secret_count < WORLD_LISTS)
    s->world.secret[c->secret_count++] = world_text(&s->world, value);
  else if ((value = word_value(w, "realm")) != NULL)
    s->world.realm[0].name = world_text(&s->world, value);
  else if ((value = word_value(w, "realm-secret")) != NULL)
    add_realm_secret(s, value);
  else if ((value = word_value(w, "server-name")) != NULL)
    c->server_name = world_text(&s->world, value);
  else if ((value = word_value(w, "oauth-key")) != NULL)
    script_oauth_key(s, value);
  else if ((value = word_value(w, "also-realm")) != NULL)
    add_realm(s, value);
  else if ((value = word_value(w, "origin")) != NULL)
    add_origin(s, value);
  else if ((value = word_value(w, "separator")) != NULL)
    c->rest_separator = value[0];
  else if ((value = word_value(w, "relay")) != NULL)
    set_relay(s, value);
  else if ((value = word_value(w, "ports")) != NULL)
    set_ports(s, value);
  else if ((value = word_value(w, "share")) != NULL)
    set_share(s, value);
  else if ((value = word_value(w, "allow")) != NULL)
    add_rule(s, true, value);
  else if ((value = word_value(w, "deny")) != NULL)
    add_rule(s, false, value);
  else if ((value = word_value(w, "busy")) != NULL && s->world.busy_count < WORLD_BUSY)
    s->world.busy[s->world.busy_count++] = (uint16_t)script_uint(s, value);
  else
    return false;
  return true;
}

void script_config(struct script *s, const struct word *w, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (!set_number(s, &w[i]) && !set_flag(s, &w[i]) && !set_text(s, &w[i]) &&
        !script_config_place(s, &w[i]))
      script_fail(s, "unknown word '%s'", w[i].at);
  if (s->world.turn)
    world_reload(&s->world);
}
