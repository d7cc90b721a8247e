/* From options to a configuration that the core and the workers can use: what single values cannot
 * tell is checked here. */
#include "turn/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/interfaces.h"
#include "net/mem.h"
#include "net/options.h"
#include "stun/core/integrity.h"
#include "turn/addresses.h"
#include "turn/discovery.h"
#include "turn/overlay.h"
#include "turn/places.h"
#include "turn/settings_tls.h"

void turnd_load_warn(const struct turnd_load *l, const char *text)
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
    r = net_options_fail(
        error, "-n says that there is no file and -c names one; leave one of the two out");
  return r;
}

static void tell_fixed(const struct turnd_load *l, const struct turnd_settings *s)
{
  if (l->warn != NULL)
    net_options_tell_fixed(&turnd_option_set, &l->before->options, &s->options, l->warn,
                           l->warn_arg);
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
      turnd_load_warn(l, "redis-userdb and userdb are both set; redis-userdb is used");
    s->userdb = NULL;
  } else if (s->userdb != NULL) {
    if (l->before == NULL && access(s->userdb, R_OK) != 0)
      return net_options_fail(
          error,
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
    return net_options_fail(
        error, "no-auth lets anybody in, and there are credentials too; leave one out");
  if (!o->no_auth && !o->lt_cred_mech && !o->use_auth_secret && !users && !secrets && !database &&
      !o->oauth)
    return net_options_fail(
        error, "nobody is asked for a password, so anybody could relay through this "
               "server; set static-auth-secret=SECRET, user=NAME:PASSWORD or userdb=FILE, "
               "or no-auth if that is what you want");
  if (o->use_auth_secret && !secrets && !database)
    return net_options_fail(
        error, "use-auth-secret needs static-auth-secret=SECRET, or a userdb=FILE with one");
  if (o->lt_cred_mech && !users && !secrets && !database)
    return net_options_fail(error,
                            "lt-cred-mech needs a user=NAME:PASSWORD, or a userdb=FILE with users");
  if (o->oauth && o->oauth_key.count == 0 && !database)
    return net_options_fail(
        error, "oauth needs an oauth-key=KID:A256GCM:KEY, which the authorization server "
               "has too");
  if (!o->oauth && o->oauth_key.count > 0)
    return net_options_fail(error,
                            "oauth-key is set and oauth is not; set oauth, or take the key out");
  for (size_t i = 0; i < o->static_auth_secret.count; i++)
    if (o->static_auth_secret.item[i][0] == 0)
      return net_options_fail(error, "static-auth-secret is empty; give it a long random text");
  s->core.auth_required = !o->no_auth;
  return 0;
}

static int check_relay_mode(const struct turnd_settings *s, struct option_error *error)
{
  if (s->core.relay_virtual && s->options.no_udp_relay)
    return net_options_fail(error, "relay-mode=virtual has no allocations but those of UDP, which "
                                   "no-udp-relay refuses; leave one out");
  return 0;
}

static void note_implied(const struct turnd_load *l, const struct turnd_options *o)
{
  if (o->user.count > 0 && !o->lt_cred_mech && !o->use_auth_secret)
    turnd_load_warn(l, "user= implies lt-cred-mech");
  if (o->static_auth_secret.count > 0 && !o->use_auth_secret)
    turnd_load_warn(l, "static-auth-secret= implies use-auth-secret");
  if (o->no_auth)
    turnd_load_warn(l, "no-auth: anybody may relay through this server");
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
    return net_options_fail(
        error, "no-udp and no-tcp leave no listener; leave one out, or set cert and pkey");
  if (list->count > TURND_LISTEN_MAX)
    return net_options_fail(
        error, "there are more than %d listening-ip; use an unspecified address (0.0.0.0)",
        TURND_LISTEN_MAX);
  if (list->count == 0 && o->listening_device != NULL) {
    s->listen_count = net_interfaces(o->listening_device, s->listen, TURND_LISTEN_MAX);
    if (s->listen_count == 0)
      return net_options_fail(
          error, "listening-device=%s has no address; name another, or set listening-ip",
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
        return net_options_fail(error, "listening-ip=%s stands twice; leave one out",
                                list->item[i]);
    s->listen_count = i + 1;
  }
  return turnd_discovery_build(s, error);
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
  s->core.relay_virtual = before->core.relay_virtual;
  s->core.auth_required = before->core.auth_required;
  s->core.oauth = before->core.oauth;
  s->options.oauth = before->options.oauth;
  s->options.use_auth_secret = before->options.use_auth_secret;
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
    r = turnd_addresses_build(s, error);
  if (r == 0)
    r = check_relay_mode(s, error);
  if (r == 0)
    r = turnd_places_build(s, error);
  if (r != 0)
    return r;
  build_plain(l, s);
  note_implied(l, &s->options);
  if (l->before != NULL) {
    tell_fixed(l, s);
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
    (void)net_options_fail(error, "%s", err_text(-ERR_NOMEM));
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
      (void)net_options_fail(error, "%s", err_text(r));
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
