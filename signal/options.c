/* From config.def's rows to a configuration, or to the one line that says what is wrong. */
#include "signal/options.h"

#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "net/check.h"
#include "net/options.h"
#include "signal/core/sig.h"
#include "signal/settings.h"
#include "signal/webclient.h"

static const struct option rows[] = {
#define AT(field) .offset = offsetof(struct signald_options, field), .group = GROUP
#define FLAG(field, ...) {.kind = OPTION_FLAG, AT(field), __VA_ARGS__},
#define UINT(field, ...) {.kind = OPTION_UINT, AT(field), __VA_ARGS__},
#define TEXT(field, ...) {.kind = OPTION_TEXT, AT(field), __VA_ARGS__},
#define LIST(field, ...) {.kind = OPTION_LIST, AT(field), __VA_ARGS__},
#include "signal/config.def"
};

const struct option_set signald_option_set = {
    .program = "viaduct-signald",
    .summary =
        "introduces the two ends of a call to each other (WebRTC signalling), and serves the "
        "call page",
    .row = rows,
    .count = sizeof rows / sizeof rows[0],
};

int signald_options_read(struct signald_options *o, struct mem *mem, int argc, char *const *argv,
                         struct option_error *e)
{
  const struct net_options from = {.set = &signald_option_set, .argc = argc, .argv = argv};
  return net_options_read(&from, mem, o, sizeof(*o), e);
}

void signald_options_fini(struct signald_options *o, struct mem *mem)
{
  option_fini(&signald_option_set, mem, o);
}

int signald_options_print(const struct signald_options *o)
{
  const struct net_options_asked asked = {
      .help = o->help,
      .example_config = o->example_config,
      .man = o->man,
      .version = o->version ? "viaduct-signald " VIADUCT_VERSION "\n" : NULL,
  };
  return net_options_print(&signald_option_set, &asked);
}

/* The addresses of one list, which were checked one by one when they were read. "none" stands
 * alone. */
static int make_listen(const struct option_list *list, const char *name, struct addr *out,
                       size_t *count, struct net_error *e)
{
  char text[ADDR_TEXT_SIZE];
  *count = 0;
  if (list->count == 1 && strcmp(list->item[0], "none") == 0)
    return 0;
  if (list->count > SIGNALD_LISTEN_MAX) {
    net_error_set(e, "more than %d addresses at %s; listen at 0.0.0.0 or [::] instead",
                  SIGNALD_LISTEN_MAX, name);
    return -ERR_BAD;
  }
  for (size_t i = 0; i < list->count; i++) {
    if (addr_parse(bytes_of(list->item[i]), &out[i]) != 0) {
      net_error_set(e, "%s=none stands alone; leave out the other addresses or this", name);
      return -ERR_BAD;
    }
    for (size_t j = 0; j < i; j++) {
      if (out[i].port != 0 && addr_equal(&out[i], &out[j])) {
        net_error_set(e, "%s %s stands twice; leave one out", name, addr_format(&out[i], text));
        return -ERR_BAD;
      }
    }
  }
  *count = list->count;
  return 0;
}

static bool all_loopback(const struct addr *a, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    if (!addr_is_loopback(&a[i]))
      return false;
  }
  return true;
}

static int make_listeners(const struct signald_options *o, struct signald_config *c,
                          struct net_error *e)
{
  static char loopback[] = "127.0.0.1:8080";
  char *item[] = {loopback};
  const struct option_list by_default = {.item = item, .count = 1};
  int err = make_listen(o->listen.count ? &o->listen : &by_default, "listen", c->listen,
                        &c->listen_count, e);
  if (!err)
    err = make_listen(&o->tls_listen, "tls-listen", c->tls_listen, &c->tls_listen_count, e);
  if (!err)
    err = make_listen(&o->api_listen, "api-listen", c->api_listen, &c->api_listen_count, e);
  if (err)
    return err;
  if (c->listen_count + c->tls_listen_count == 0) {
    net_error_set(e, "there is nothing to listen at; add listen=127.0.0.1:8080 or a tls-listen");
    return -ERR_BAD;
  }
  if (!o->auth && !(all_loopback(c->listen, c->listen_count) &&
                    all_loopback(c->tls_listen, c->tls_listen_count))) {
    net_error_set(e, "a listener is not on loopback, so say who may use it: auth=jwt asks "
                     "for tokens, auth=none lets everybody in");
    return -ERR_BAD;
  }
  if (o->admin_listen)
    (void)addr_parse(bytes_of(o->admin_listen), &c->admin); /* was checked */
  return 0;
}

static int make_tls(const struct signald_options *o, struct signald_config *c, struct net_error *e)
{
  if (!o->cert != !o->pkey) {
    net_error_set(e, "cert and pkey go together; %s is missing", o->cert ? "pkey" : "cert");
    return -ERR_BAD;
  }
  if (c->tls_listen_count > 0 && !o->cert) {
    net_error_set(e,
                  "tls-listen needs a certificate: add cert and pkey (certs/make-dev-certs makes "
                  "them for development)");
    return -ERR_BAD;
  }
  c->cert_path = o->cert;
  c->pkey_path = o->pkey;
  return 0;
}

static int make_texts(const struct option_list *list, const char *name, struct bytes *out,
                      struct net_error *e)
{
  if (list->count > SIGNALD_LIST_MAX) {
    net_error_set(e, "more than %d lines of %s; leave some out", SIGNALD_LIST_MAX, name);
    return -ERR_BAD;
  }
  for (size_t i = 0; i < list->count; i++)
    out[i] = bytes_of(list->item[i]);
  return 0;
}

static int make_ice(const struct signald_options *o, struct signald_config *c, struct net_error *e)
{
  int err = make_texts(&o->turn_uri, "turn-uri", c->turn_uri, e);
  for (size_t i = 0; i < o->turn_uri.count && !err && !o->turn_secret; i++) {
    if (strncmp(o->turn_uri.item[i], "turn", 4) == 0) {
      net_error_set(e,
                    "turn-uri=%s needs credentials: add turn-secret, the static-auth-secret of "
                    "that server",
                    o->turn_uri.item[i]);
      err = -ERR_BAD;
    }
  }
  c->core.turn_uri = c->turn_uri;
  c->core.turn_uri_count = o->turn_uri.count;
  c->core.turn_ttl_s = (uint32_t)o->ice_ttl;
  if (o->turn_secret)
    c->core.turn_secret = bytes_of(o->turn_secret);
  return err;
}

static int make_asks(const struct signald_options *o, struct signald_config *c, struct net_error *e)
{
  bool wants = o->auth && strcmp(o->auth, "webhook") == 0;
  if (wants && (!o->auth_webhook || !o->auth_webhook_secret)) {
    net_error_set(e, "auth=webhook needs to know whom to ask: add %s",
                  o->auth_webhook ? "auth-webhook-secret" : "auth-webhook");
    return -ERR_BAD;
  }
  if (!wants && (o->auth_webhook || o->auth_webhook_secret || o->auth_webhook_ca)) {
    net_error_set(e, "auth-webhook is for auth=webhook, and without that it is not asked; add it");
    return -ERR_BAD;
  }
  if (!wants)
    return 0;
  c->asks = (struct signald_webhook){.url = o->auth_webhook,
                                     .ca_path = o->auth_webhook_ca,
                                     .timeout_s = (uint32_t)o->auth_webhook_timeout};
  c->asks.secret_len = signald_webhook_secret(bytes_of(o->auth_webhook_secret), c->asks.secret);
  c->core.asks = true;
  /* Later than the answer's own deadline: that one says why. */
  c->core.limits.asking_ms = (c->asks.timeout_s + 1) * 1000;
  return c->asks.ca_path ? webclient_check_ca("auth-webhook-ca", c->asks.ca_path, e) : 0;
}

static int make_auth(const struct signald_options *o, struct signald_config *c, struct net_error *e)
{
  bool wants = o->auth && strcmp(o->auth, "jwt") == 0;
  if (wants && !o->auth_secret && !o->auth_jwks) {
    net_error_set(e, "auth=jwt needs to know whose tokens are good: add auth-secret or auth-jwks");
    return -ERR_BAD;
  }
  if (!wants && (o->auth_secret || o->auth_jwks || o->auth_issuer || o->auth_audience)) {
    net_error_set(e, "%s is for auth=jwt, and without that everybody is let in; add it",
                  o->auth_secret   ? "auth-secret"
                  : o->auth_jwks   ? "auth-jwks"
                  : o->auth_issuer ? "auth-issuer"
                                   : "auth-audience");
    return -ERR_BAD;
  }
  if (wants)
    c->auth = (struct auth_setup){.secret = o->auth_secret,
                                  .jwks_path = o->auth_jwks,
                                  .issuer = o->auth_issuer,
                                  .audience = o->auth_audience,
                                  .leeway_s = (uint32_t)o->auth_leeway};
  return make_asks(o, c, e);
}

static void make_limits(const struct signald_options *o, struct sig_limits *l)
{
  l->sessions = l->all_sessions = (uint32_t)o->max_sessions;
  l->sessions_per_address = (uint32_t)o->max_sessions_per_address;
  l->links_per_address = (uint32_t)o->max_connections_per_address;
  l->message_rate = (uint32_t)o->max_message_rate;
  l->byte_rate = (uint32_t)o->max_byte_rate;
  l->address_message_rate = (uint32_t)o->max_address_message_rate;
  l->address_byte_rate = (uint32_t)o->max_address_byte_rate;
  l->message_size = o->max_message_size ? (uint32_t)o->max_message_size : SIGNALD_MESSAGE_MAX;
  l->outbox_messages = (uint32_t)o->max_outbox_messages;
  l->outbox_bytes = (uint32_t)o->max_outbox_bytes;
  l->rooms_per_session = (uint32_t)o->max_rooms_per_session;
  l->members_per_room = (uint32_t)o->max_room_members;
  l->hello_ms = (uint32_t)o->hello_timeout * 1000;
  l->resume_s = (uint32_t)o->resume_seconds;
}

/* Without a slash at its end; `at` is NULL for none. */
static struct bytes make_path(const char *text)
{
  struct bytes path = bytes_of(text);
  if (strcmp(text, "none") == 0)
    return (struct bytes){0};
  while (path.len > 0 && path.at[path.len - 1] == '/')
    path.len--;
  return path;
}

static int make_ayame(const struct signald_options *o, struct signald_config *c,
                      struct net_error *e)
{
  bool is_open = !o->auth || strcmp(o->auth, "none") == 0;
  /* Its clients bring no token: where tokens are asked for, it must not be a way around them. */
  if (is_open || o->ayame_signaling_key)
    c->ayame_path = make_path(o->ayame_path);
  c->ayame = (struct ayame_config){
      .key = o->ayame_signaling_key ? bytes_of(o->ayame_signaling_key) : (struct bytes){0},
      .limit = (uint32_t)o->max_sessions,
      .register_ms = (uint32_t)o->hello_timeout * 1000,
      .pong_ms = (uint32_t)o->ayame_pong_timeout * 1000,
      .outbox_messages = (uint32_t)o->max_outbox_messages,
      .outbox_bytes = (uint32_t)o->max_outbox_bytes,
  };
  bool has_own = o->ayame_origin.count > 0;
  c->ayame_origin = has_own ? c->ayame_origins : c->origin;
  c->ayame_origin_count = has_own ? o->ayame_origin.count : o->origin.count;
  return make_texts(&o->ayame_origin, "ayame-origin", c->ayame_origins, e);
}

static int make_peerjs(const struct signald_options *o, struct signald_config *c,
                       struct net_error *e)
{
  c->peerjs_path = make_path(o->peerjs_path);
  c->peerjs_discovery = o->peerjs_discovery;
  c->peerjs = (struct peerjs_config){
      .key = bytes_of(o->peerjs_key),
      .limit = (uint32_t)o->peerjs_limit,
      .alive_ms = (uint32_t)o->peerjs_alive_timeout,
      .expire_ms = (uint32_t)o->peerjs_expire_timeout,
      .outbox_messages = (uint32_t)o->max_outbox_messages,
      .outbox_bytes = (uint32_t)o->max_outbox_bytes,
      .waiting_bytes = SIGNALD_PEERJS_WAITING,
  };
  c->peerjs_origin = c->peerjs_origins;
  c->peerjs_origin_count = o->peerjs_origin.count;
  return make_texts(&o->peerjs_origin, "peerjs-origin", c->peerjs_origins, e);
}

static int make_web(const struct signald_options *o, struct signald_config *c, struct net_error *e)
{
  struct stat st;
  if (strcmp(o->web_root, "none") == 0)
    return 0;
  if (stat(o->web_root, &st) != 0 || !S_ISDIR(st.st_mode)) {
    net_error_set(e,
                  "web-root %s is no folder that can be read; name the folder of the call page "
                  "(peer-demo/web), or web-root=none",
                  o->web_root);
    return -ERR_BAD;
  }
  c->web_root = o->web_root;
  return 0;
}

int signald_config_make(const struct signald_options *o, struct signald_config *out,
                        struct net_error *e)
{
  *out = (struct signald_config){
      .max_connections = (uint32_t)o->max_connections,
      .max_body = (uint32_t)o->max_body_size,
      .max_address_bodies = o->max_address_bodies,
      .header_ms = (uint32_t)o->header_timeout * 1000,
      .body_ms = (uint32_t)o->body_timeout * 1000,
      .ping_s = (uint32_t)o->ping_interval,
      .drain_s = (uint32_t)o->drain_timeout,
      .drain_url = bytes_of(o->drain_url ? o->drain_url : ""),
      .json_log = strcmp(o->log_format, "json") == 0,
      .verbose = o->verbose,
  };
  sig_config_defaults(&out->core);
  make_limits(o, &out->core.limits);
  out->core.unique_names = o->unique_names;
  out->core.node = bytes_of(o->node);
  int err = make_listeners(o, out, e);
  if (!err)
    err = make_tls(o, out, e);
  if (!err)
    err = make_ice(o, out, e);
  if (!err)
    err = make_auth(o, out, e);
  if (!err)
    err = make_texts(&o->origin, "origin", out->origin, e);
  if (!err)
    err = signald_make_backend(o, out, e);
  if (!err)
    err = make_peerjs(o, out, e);
  if (!err)
    err = make_ayame(o, out, e);
  out->core.origin = out->origin;
  out->core.origin_count = o->origin.count;
  return err ? err : make_web(o, out, e);
}

int signald_config_make_app(const struct signald_options *o, const struct signald_config *server,
                            struct signald_config *out, struct net_error *e)
{
  *out = (struct signald_config){.core = server->core};
  out->core.auth = NULL;
  out->core.auth_arg = NULL;
  out->core.asks = false;
  make_limits(o, &out->core.limits);
  out->core.limits.all_sessions = server->core.limits.all_sessions;
  int err = make_auth(o, out, e);
  if (!err && (o->turn_uri.count > 0 || o->turn_secret))
    err = make_ice(o, out, e);
  if (!err)
    err = make_texts(&o->origin, "origin", out->origin, e);
  out->core.origin = out->origin;
  out->core.origin_count = o->origin.count;
  return err;
}

/* -ERR_BAD and one sentence where a start with these arguments would fail. */
static int try_start(int argc, char **argv, struct mem *mem, struct option_error *wrong)
{
  struct signald_settings *settings;
  (void)mem; /* they have their own */
  int err = signald_settings_read(argc, argv, &settings, wrong);
  if (err)
    return err;
  err = signald_settings_make(settings, wrong);
  signald_settings_free(settings);
  return err;
}

int signald_options_check(int argc, char *const *argv)
{
  const struct net_check what = {.set = &signald_option_set,
                                 .config_size = sizeof(struct signald_options),
                                 .try_start = try_start};
  return net_check_asked(&what, argc, argv);
}
