/* SIGHUP: the file and the arguments are read again. What can change while it runs does, for
 * everybody at once; the rest is named, and a file that is wrong changes nothing at all. Called by
 * server.c. */
#include "net/options.h"
#include "signal/auth/asker.h"
#include "signal/ayame/core/ayame.h"
#include "signal/backend/webhook.h"
#include "signal/peerjs/core/peerjs.h"
#include "signal/server.h"
#include "signal/tls.h"

static void note(void *arg, const char *text)
{
  struct log *log = arg;
  log_event(log, LOG_LEVEL_WARN, "configuration", LOG_TEXT("note", text));
}

/* What is read while it runs and yet belongs to the start. */
static void keep(struct signald_config *next, const struct signald_config *before)
{
  /* libwebsockets has made its table of descriptors. */
  next->max_connections = before->max_connections;
}

/* The last step that can fail, so that it fails as a whole. */
static int load_certificate(struct signald *s, const struct signald_config *next,
                            struct option_error *e)
{
  struct net_error cause = {0};
  if (!s->tls || !next->cert_path)
    return 0;
  int err = signald_tls_load(s->tls, next->cert_path, next->pkey_path, &cause);
  if (err)
    (void)net_options_fail(e, "%s", cause.text);
  return err;
}

static void use(struct signald *s, struct signald_settings *next)
{
  struct signald_settings *before = s->settings;
  net_options_tell_fixed(&signald_option_set, &before->options, &next->options, note, s->log);
  s->settings = next;
  s->config = &next->config;
  apps_set_config(s);
  peerjs_set_config(s->peerjs, &next->config.peerjs);
  ayame_set_config(s->ayame, &next->config.ayame);
  signald_set_keepalive(s);
  if (asker_configure(s) != 0)
    note(s->log, "auth-webhook: no memory to begin; reload once more");
  if (webhook_configure(s) != 0)
    note(s->log, "webhook-url: no memory to begin; reload once more");
  log_set_level(s->log, next->config.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
  signald_settings_free(before);
}

void signald_reload(struct signald *s)
{
  struct signald_settings *next = NULL;
  struct option_error e = {{0}};
  int err = signald_settings_read(s->settings->argc, s->settings->argv, &next, &e);
  if (!err)
    err = signald_settings_make(next, &e);
  if (!err)
    err = apps_check_reload(s, next, &e);
  if (!err) {
    keep(&next->config, s->config);
    err = load_certificate(s, &next->config, &e);
  }
  if (err) {
    signald_settings_free(next);
    log_event(s->log, LOG_LEVEL_ERROR, "reload-refused", LOG_TEXT("why", e.text),
              LOG_TEXT("now", "the configuration in use stays as it was"));
    return;
  }
  use(s, next);
  log_event(s->log, LOG_LEVEL_INFO, "reloaded", LOG_TEXT("cert", s->config->cert_path),
            LOG_UINT("auth_keys", s->settings->auth ? auth_key_count(s->settings->auth) : 0),
            LOG_UINT("origins", s->config->core.origin_count),
            LOG_UINT("turn_uris", s->config->core.turn_uri_count));
}
