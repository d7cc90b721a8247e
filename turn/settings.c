/* From options to a configuration that the core and the workers can use: what single values cannot
 * tell is checked here. */
#include "turn/settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/interfaces.h"
#include "net/mem.h"
#include "net/options.h"
#include "net/sockaddr.h"
#include "stun/core/integrity.h"
#include "turn/discovery.h"
#include "turn/overlay.h"
#include "turn/places.h"
#include "turn/settings_tls.h"

/* A sentence into `error`; -ERR_BAD. */
static int fail(struct option_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(struct option_error *error, const char *format, ...)
{
  va_list ap;
  va_start(ap, format);
  vsnprintf(error->text, sizeof(error->text), format, ap);
  va_end(ap);
  return -ERR_BAD;
}

static void warn(const struct turnd_load *l, const char *text)
{
  if (l->warn != NULL)
    l->warn(l->warn_arg, text);
}

/* ---- reading ---- */

/* coturn's places, but for the folder that it happens to be started in: whoever can write there
 * would be asked who may relay. */
static const char *const usual_files[] = {"/etc/turnserver.conf", "/etc/coturn/turnserver.conf",
                                          "/usr/local/etc/turnserver.conf", NULL};

static int read_options(const struct turnd_load *l, struct turnd_settings *s,
                        struct option_error *error)
{
  const struct net_options from = {
      .set = &turnd_option_set,
      .argc = l->argc,
      .argv = l->argv,
      .warn = l->warn,
      .warn_arg = l->warn_arg,
      .usual = usual_files,
  };
  s->file = net_options_file(&from);
  int r = net_options_read(&from, &s->mem, &s->options, sizeof(s->options), error);
  if (r == 0 && s->options.no_config && s->options.config != NULL)
    r = fail(error, "-n says that there is no file and -c names one; leave one of the two out");
  return r;
}

/* ---- what reload keeps ---- */

static bool same_list(const struct option_list *a, const struct option_list *b)
{
  if (a->count != b->count)
    return false;
  for (size_t i = 0; i < a->count; i++)
    if (strcmp(a->item[i], b->item[i]) != 0)
      return false;
  return true;
}

static bool same_text(const char *a, const char *b)
{
  return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_value(const struct option *row, const struct turnd_options *a,
                       const struct turnd_options *b)
{
  const void *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;
  switch (row->kind) {
  case OPTION_FLAG:
    return *(const bool *)x == *(const bool *)y;
  case OPTION_UINT:
    return *(const uint64_t *)x == *(const uint64_t *)y;
  case OPTION_TEXT:
    return same_text(*(char *const *)x, *(char *const *)y);
  case OPTION_LIST:
    return same_list(x, y);
  case OPTION_NOTE:
  default:
    return true;
  }
}

static void warn_fixed(const struct turnd_load *l, const struct turnd_settings *s)
{
  for (size_t i = 0; i < turnd_option_set.count; i++) {
    const struct option *row = &turnd_option_set.row[i];
    if (row->reloadable || same_value(row, &l->before->options, &s->options))
      continue;
    char text[256];
    snprintf(text, sizeof(text), "%s has changed, which takes effect at the next start", row->name);
    warn(l, text);
  }
}

/* ---- who ---- */

static int build_users(struct turnd_settings *s)
{
  const struct option_list *list = &s->options.user;
  s->users = mem_new(&s->mem, list->count * sizeof(*s->users) + 1);
  if (s->users == NULL)
    return -ERR_NOMEM;
  for (size_t i = 0; i < list->count; i++)
    if (turnd_parse_user(bytes_of(list->item[i]), &s->users[i]) != 0)
      return -ERR_BAD; /* cannot be: the table's check let it pass */
  s->core.user = s->users;
  s->core.user_count = list->count;
  return 0;
}

static int build_secrets(struct turnd_settings *s)
{
  const struct option_list *list = &s->options.static_auth_secret;
  s->secrets = mem_new(&s->mem, list->count * sizeof(*s->secrets) + 1);
  if (s->secrets == NULL)
    return -ERR_NOMEM;
  for (size_t i = 0; i < list->count; i++)
    s->secrets[i] = bytes_of(list->item[i]);
  s->core.secret = s->secrets;
  s->core.secret_count = list->count;
  return 0;
}

static int build_oauth(struct turnd_settings *s)
{
  const struct option_list *list = &s->options.oauth_key;
  s->oauth_keys = mem_new(&s->mem, list->count * sizeof(*s->oauth_keys) + 1);
  if (s->oauth_keys == NULL)
    return -ERR_NOMEM;
  for (size_t i = 0; i < list->count; i++)
    if (turnd_parse_oauth_key(bytes_of(list->item[i]), &s->oauth_keys[i]) != 0)
      return -ERR_BAD; /* cannot be: the table's check let it pass */
  s->core.oauth = s->options.oauth;
  s->core.oauth_key = s->oauth_keys;
  s->core.oauth_key_count = list->count;
  return 0;
}

/* Debian's coturn has it there. */
static const char default_userdb[] = "/var/lib/turn/turndb";

/* Which database there is. The default one is for those who ask for users or secrets, and name
 * none: whoever just forgot to say who may come in shall hear of it. */
static int find_database(const struct turnd_load *l, struct turnd_settings *s,
                         struct option_error *error)
{
  const struct turnd_options *o = &s->options;
  const bool named = o->user.count > 0 || o->static_auth_secret.count > 0;
  s->userdb = o->userdb != NULL ? o->userdb : o->db;
  if (o->redis_userdb != NULL) {
    if (s->userdb != NULL)
      warn(l, "redis-userdb and userdb are both set; redis-userdb is used");
    s->userdb = NULL;
  } else if (s->userdb != NULL) {
    if (l->before == NULL && access(s->userdb, R_OK) != 0)
      return fail(error,
                  "userdb %s cannot be read; check that it is there and that this user may read "
                  "it (turnadmin -a -b FILE -u NAME -r REALM -p PASSWORD makes one)",
                  s->userdb);
  } else if (!named && (o->lt_cred_mech || o->use_auth_secret) &&
             access(default_userdb, R_OK) == 0) {
    s->userdb = default_userdb;
  }
  const bool database = s->userdb != NULL || o->redis_userdb != NULL;
  const bool secrets = o->use_auth_secret || o->static_auth_secret.count > 0;
  s->core.users_elsewhere = database && !o->no_auth && (o->lt_cred_mech || !secrets);
  return 0;
}

static int check_auth(struct turnd_settings *s, struct option_error *error)
{
  const struct turnd_options *o = &s->options;
  bool database = s->userdb != NULL || o->redis_userdb != NULL;
  bool users = o->user.count > 0, secrets = o->static_auth_secret.count > 0;
  if (o->no_auth && (o->lt_cred_mech || o->use_auth_secret || users || secrets || o->oauth))
    return fail(error, "no-auth lets anybody in, and there are credentials too; leave one out");
  if (!o->no_auth && !o->lt_cred_mech && !o->use_auth_secret && !users && !secrets && !database &&
      !o->oauth)
    return fail(error, "nobody is asked for a password, so anybody could relay through this "
                       "server; set static-auth-secret=SECRET, user=NAME:PASSWORD or userdb=FILE, "
                       "or no-auth if that is what you want");
  if (o->use_auth_secret && !secrets && !database)
    return fail(error,
                "use-auth-secret needs static-auth-secret=SECRET, or a userdb=FILE with one");
  if (o->lt_cred_mech && !users && !secrets && !database)
    return fail(error, "lt-cred-mech needs a user=NAME:PASSWORD, or a userdb=FILE with users");
  if (o->oauth && o->oauth_key.count == 0 && !database)
    return fail(error, "oauth needs an oauth-key=KID:A256GCM:KEY, which the authorization server "
                       "has too");
  if (!o->oauth && o->oauth_key.count > 0)
    return fail(error, "oauth-key is set and oauth is not; set oauth, or take the key out");
  for (size_t i = 0; i < o->static_auth_secret.count; i++)
    if (o->static_auth_secret.item[i][0] == 0)
      return fail(error, "static-auth-secret is empty; give it a long random text");
  s->core.auth_required = !o->no_auth;
  return 0;
}

static void note_implied(const struct turnd_load *l, const struct turnd_options *o)
{
  if (o->user.count > 0 && !o->lt_cred_mech && !o->use_auth_secret)
    warn(l, "user= implies lt-cred-mech");
  if (o->static_auth_secret.count > 0 && !o->use_auth_secret)
    warn(l, "static-auth-secret= implies use-auth-secret");
  if (o->no_auth)
    warn(l, "no-auth: anybody may relay through this server");
}

/* ---- whom ---- */

static int add_rules(struct turnd_settings *s, const struct option_list *list, bool allowed)
{
  for (size_t i = 0; i < list->count; i++) {
    struct turn_peer_rule *rule = &s->rules[s->core.peer_rule_count++];
    if (turnd_parse_rule(bytes_of(list->item[i]), rule) != 0)
      return -ERR_BAD; /* cannot be: the table's check let it pass */
    rule->allowed = allowed;
  }
  return 0;
}

static size_t rule_count(const struct turnd_settings *s)
{
  return s->options.allowed_peer_ip.count + s->options.denied_peer_ip.count;
}

static int build_peers(struct turnd_settings *s)
{
  const struct turnd_options *o = &s->options;
  s->rules = mem_new(&s->mem, rule_count(s) * sizeof(*s->rules) + 1);
  if (s->rules == NULL)
    return -ERR_NOMEM;
  s->core.peer_rule = s->rules;
  s->core.allow_loopback_peers = o->allow_loopback_peers;
  int r = add_rules(s, &o->allowed_peer_ip, true);
  return r != 0 ? r : add_rules(s, &o->denied_peer_ip, false);
}

/* Row 0 is the one of realm=; further ones would stand behind it. */
static int build_realms(struct turnd_settings *s)
{
  const struct turnd_options *o = &s->options;
  s->realms = mem_new(&s->mem, sizeof(*s->realms));
  if (s->realms == NULL)
    return -ERR_NOMEM;
  s->realms[0].user_quota = (uint32_t)o->user_quota;
  s->realms[0].max_bps = o->max_bps;
  s->core.realm = s->realms;
  s->core.realm_count = 1;
  return 0;
}

/* ---- where ---- */

static int build_listen(struct turnd_settings *s, struct option_error *error)
{
  const struct option_list *list = &s->options.listening_ip;
  const struct turnd_options *o = &s->options;
  bool secure = s->tls != NULL && !(o->no_tls && o->no_dtls);
  if (o->no_udp && o->no_tcp && !secure)
    return fail(error, "no-udp and no-tcp leave no listener; leave one out, or set cert and pkey");
  if (list->count > TURND_LISTEN_MAX)
    return fail(error, "there are more than %d listening-ip; use an unspecified address (0.0.0.0)",
                TURND_LISTEN_MAX);
  if (list->count == 0 && o->listening_device != NULL) {
    s->listen_count = net_interfaces(o->listening_device, s->listen, TURND_LISTEN_MAX);
    if (s->listen_count == 0)
      return fail(error, "listening-device=%s has no address; name another, or set listening-ip",
                  o->listening_device);
    return turnd_discovery_build(s, error);
  }
  s->listen_all = list->count == 0;
  if (s->listen_all) {
    s->listen[0] = (struct addr){.family = ADDR_V4};
    s->listen[1] = (struct addr){.family = ADDR_V6};
    s->listen_count = 2;
  }
  for (size_t i = 0; i < list->count; i++) {
    (void)addr_parse(bytes_of(list->item[i]), &s->listen[i]);
    for (size_t j = 0; j < i; j++)
      if (addr_equal_ip(&s->listen[i], &s->listen[j]))
        return fail(error, "listening-ip=%s stands twice; leave one out", list->item[i]);
    s->listen_count = i + 1;
  }
  return turnd_discovery_build(s, error);
}

static int add_relay(struct turnd_settings *s, const struct addr *a)
{
  for (size_t i = 0; i < s->core.relay_count; i++)
    if (addr_equal_ip(&s->relay[i].local, a))
      return 0;
  if (s->core.relay_count == TURND_PLACES_MAX)
    return -ERR_FULL;
  s->relay[s->core.relay_count++] = (struct turn_relay_address){.local = *a};
  return 0;
}

/* Those of `list` that are of this family and name one address. */
static int add_relays(struct turnd_settings *s, const struct option_list *list,
                      enum addr_family family)
{
  for (size_t i = 0; i < list->count; i++) {
    struct addr a;
    if (addr_parse(bytes_of(list->item[i]), &a) != 0 || a.family != family ||
        addr_is_unspecified(&a))
      continue;
    const int r = add_relay(s, &a);
    if (r != 0)
      return r;
  }
  return 0;
}

/* What this machine would use towards the internet: documentation addresses (RFC 5737, RFC 3849)
 * take the default route, and nothing is sent. */
static struct addr default_relay(enum addr_family family)
{
  struct addr far = addr_v4(198, 51, 100, 1, 9);
  if (family == ADDR_V6)
    far = addr_from_ip((const uint8_t[16]){0x20, 1, 0x0d, 0xb8, [15] = 1}, 16, 9);
  return net_sockaddr_toward(&far);
}

static int find_relays(struct turnd_settings *s, enum addr_family family)
{
  const struct turnd_options *o = &s->options;
  const size_t before = s->core.relay_count;
  struct addr device[TURND_PLACES_MAX];
  const size_t count =
      o->relay_device != NULL ? net_interfaces(o->relay_device, device, TURND_PLACES_MAX) : 0;
  if (o->relay_ip.count > 0)
    return add_relays(s, &o->relay_ip, family);
  for (size_t i = 0; i < count; i++)
    if (device[i].family == family && device[i].scope == 0 && add_relay(s, &device[i]) != 0)
      return -ERR_FULL;
  if (o->relay_device != NULL)
    return 0;
  s->core.relay_as_reached = true;
  int r = add_relays(s, &o->listening_ip, family);
  for (size_t i = 0; r == 0 && s->core.relay_count == before && i < s->listen_count; i++)
    if (s->listen[i].family == family && addr_is_unspecified(&s->listen[i])) {
      const struct addr a = default_relay(family);
      if (a.family != ADDR_NONE)
        r = add_relay(s, &a);
    }
  return r;
}

static int apply_external(struct turnd_settings *s, const char *text, struct option_error *error)
{
  struct turnd_external e;
  if (turnd_parse_external(bytes_of(text), &e) != 0)
    return -ERR_BAD;
  bool found = turnd_discovery_tell(s, &e);
  for (size_t i = 0; i < s->core.relay_count; i++) {
    struct turn_relay_address *relay = &s->relay[i];
    bool meant = e.private.family == ADDR_NONE ? relay->local.family == e.public.family
                                               : addr_equal_ip(&relay->local, &e.private);
    if (meant)
      relay->external = e.public;
    found = found || meant;
  }
  if (found)
    return 0;
  if (e.private.family == ADDR_NONE)
    return fail(error, "external-ip=%s has no relay address of its family; set relay-ip", text);
  return fail(error, "external-ip=%s: the private address is no relay address; set relay-ip to it",
              text);
}

static int build_relay(struct turnd_settings *s, struct option_error *error)
{
  const struct turnd_options *o = &s->options;
  static const enum addr_family families[] = {ADDR_V4, ADDR_V6};
  for (size_t i = 0; i < 2; i++)
    if (find_relays(s, families[i]) != 0)
      return fail(error, "there are more than %d relay-ip; leave some out", TURND_PLACES_MAX);
  if (s->core.relay_count == 0)
    return fail(error, "no address for relayed traffic could be found; set relay-ip=ADDRESS");
  s->core.relay = s->relay;
  for (size_t i = 0; i < o->external_ip.count; i++) {
    int r = apply_external(s, o->external_ip.item[i], error);
    if (r != 0)
      return r;
  }
  if (o->min_port > o->max_port)
    return fail(error, "min-port %u is above max-port %u; swap them", (unsigned)o->min_port,
                (unsigned)o->max_port);
  s->core.min_port = (uint16_t)o->min_port;
  s->core.max_port = (uint16_t)o->max_port;
  return 0;
}

/* ---- how much, and the rest ---- */

static uint32_t least(uint64_t a, uint64_t b)
{
  return (uint32_t)(a < b ? a : b);
}

static void build_plain(const struct turnd_load *l, struct turnd_settings *s)
{
  const struct turnd_options *o = &s->options;
  const char *realm = o->realm != NULL         ? o->realm
                      : o->server_name != NULL ? o->server_name
                                               : "viaduct";
  snprintf(s->realm, sizeof(s->realm), "%s", realm);
  s->realms[0].name = bytes_of(s->realm);
  snprintf(s->server_name, sizeof(s->server_name), "%s",
           o->server_name != NULL ? o->server_name : realm);
  s->core.server_name = bytes_of(s->server_name);
  if (o->software_attribute && !o->no_software_attribute)
    s->core.software = bytes_of("viaduct");
  s->core.enforce_expiry = o->enforce_expiry;
  s->core.rest_separator = o->rest_api_separator[0];
  s->core.fingerprint = o->fingerprint;
  s->core.max_lifetime_s = (uint32_t)o->max_allocate_lifetime;
  s->core.default_lifetime_s = least(600, o->max_allocate_lifetime); /* RFC 8656 section 3.2 */
  s->core.permission_lifetime_s = (uint32_t)o->permission_lifetime;
  s->core.channel_lifetime_s = (uint32_t)o->channel_lifetime;
  s->core.nonce_lifetime_s = (uint32_t)o->stale_nonce;
  s->core.mobility = o->mobility;
  s->core.classic = !o->no_stun_backward_compatibility;
  if (o->unauthorized_ratelimit)
    s->core.unauthorized_per_s = (uint32_t)o->unauthorized_ratelimit_rps;
  s->core.max_permissions = (uint32_t)o->permission_quota;
  s->core.max_channels = (uint32_t)o->channel_quota;
  s->core.max_connections = (uint32_t)o->connection_quota;
  s->core.no_udp_relay = o->no_udp_relay;
  s->core.no_tcp_relay = o->no_tcp_relay;
  s->core.total_quota = (uint32_t)o->total_quota;
  s->core.bps_capacity = o->bps_capacity;
  memcpy(s->core.nonce_key, l->nonce_key, sizeof(s->core.nonce_key));
}

static void keep_fixed(struct turnd_settings *s, const struct turnd_settings *before)
{
  memcpy(s->realm, before->realm, sizeof(s->realm));
  s->realms[0].name = bytes_of(s->realm);
  memcpy(s->relay, before->relay, sizeof(s->relay));
  s->core.relay_count = before->core.relay_count;
  s->core.relay_as_reached = before->core.relay_as_reached;
  s->core.min_port = before->core.min_port;
  s->core.max_port = before->core.max_port;
  s->core.auth_required = before->core.auth_required;
  s->core.oauth = before->core.oauth;
  memcpy(s->server_name, before->server_name, sizeof(s->server_name));
  s->core.server_name = bytes_of(s->server_name);
  s->core.users_elsewhere = before->core.users_elsewhere;
  turnd_places_keep(s, before);
  memcpy(s->quad, before->quad, sizeof(s->quad));
  s->core.quad_count = before->core.quad_count;
}

/* Once the realm is known, which a reload keeps. */
static int build_hashes(struct turnd_settings *s)
{
  const size_t count = s->core.user_count;
  if (count == 0)
    return 0;
  s->user_hashes = mem_new(&s->mem, count * sizeof(*s->user_hashes));
  if (s->user_hashes == NULL)
    return -ERR_NOMEM;
  for (size_t i = 0; i < count; i++)
    stun_userhash(s->users[i].name, s->realms[0].name, s->user_hashes[i]);
  s->core.user_hash = (const uint8_t(*)[32])s->user_hashes;
  return 0;
}

static int build(const struct turnd_load *l, struct turnd_settings *s, struct option_error *error)
{
  int r = find_database(l, s, error);
  if (r == 0)
    r = check_auth(s, error);
  if (r == 0)
    r = build_users(s);
  if (r == 0)
    r = build_secrets(s);
  if (r == 0)
    r = build_oauth(s);
  if (r == 0)
    r = build_peers(s);
  if (r == 0)
    r = build_realms(s);
  if (r == 0)
    r = turnd__build_tls(l, s, error);
  if (r == 0)
    r = build_listen(s, error);
  if (r == 0)
    r = build_relay(s, error);
  if (r == 0)
    r = turnd_places_build(s, error);
  if (r != 0)
    return r;
  build_plain(l, s);
  note_implied(l, &s->options);
  if (l->before != NULL) {
    warn_fixed(l, s);
    keep_fixed(s, l->before);
  }
  return build_hashes(s);
}

static void settings_free(struct turnd_settings *s)
{
  struct mem mem = s->mem;
  if (s->base != NULL) {
    turnd_overlay_free(s);
    return;
  }
  net_tls_context_leave(s->tls);
  if (s->users != NULL)
    bytes_wipe(s->users, s->options.user.count * sizeof(*s->users));
  mem_free(&mem, s->users, s->options.user.count * sizeof(*s->users) + 1);
  const size_t keys_size = s->options.oauth_key.count * sizeof(*s->oauth_keys) + 1;
  if (s->oauth_keys != NULL)
    bytes_wipe(s->oauth_keys, keys_size);
  mem_free(&mem, s->oauth_keys, keys_size);
  if (s->user_hashes != NULL)
    mem_free(&mem, s->user_hashes, s->core.user_count * sizeof(*s->user_hashes));
  mem_free(&mem, s->secrets, s->options.static_auth_secret.count * sizeof(*s->secrets) + 1);
  mem_free(&mem, s->rules, rule_count(s) * sizeof(*s->rules) + 1);
  mem_free(&mem, s->realms, s->core.realm_count * sizeof(*s->realms));
  option_fini(&turnd_option_set, &mem, &s->options);
  bytes_wipe(s, sizeof(*s));
  free(s);
}

int turnd_settings_load(const struct turnd_load *l, struct turnd_settings **out,
                        struct option_error *error)
{
  struct turnd_settings *s = calloc(1, sizeof(*s));
  if (s == NULL) {
    (void)fail(error, "%s", err_text(-ERR_NOMEM));
    return -ERR_NOMEM;
  }
  s->mem = net_mem();
  atomic_init(&s->references, 1);
  error->text[0] = 0;
  int r = read_options(l, s, error);
  const struct turnd_options *o = &s->options;
  bool prints = o->help || o->version || o->example_config || o->man;
  if (r == 0 && !prints) /* what is printed needs no sound configuration */
    r = build(l, s, error);
  if (r != 0) {
    if (error->text[0] == 0)
      (void)fail(error, "%s", err_text(r));
    settings_free(s);
    return r;
  }
  *out = s;
  return 0;
}

void turnd_settings_share(struct turnd_settings *s)
{
  atomic_fetch_add(&s->references, 1);
}

void turnd_settings_leave(struct turnd_settings *s)
{
  if (s != NULL && atomic_fetch_sub(&s->references, 1) == 1)
    settings_free(s);
}
