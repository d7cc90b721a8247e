/* From arguments and files to what the worker runs with. */
#include "signal/settings.h"

#include "base/err.h"
#include "net/mem.h"
#include "net/options.h"
#include "signal/tls.h"

int signald_settings_read(int argc, char *const *argv, struct signald_settings **out,
                          struct option_error *e)
{
  struct mem mem = net_mem();
  struct signald_settings *settings = mem_new(&mem, sizeof(*settings));
  if (!settings) {
    (void)net_options_fail(e, "no memory for the configuration");
    return -ERR_NOMEM;
  }
  *settings = (struct signald_settings){.mem = mem, .argc = argc, .argv = argv};
  int err = signald_options_read(&settings->options, &settings->mem, argc, argv, e);
  if (err)
    signald_settings_free(settings);
  else
    *out = settings;
  return err;
}

int signald_settings_make(struct signald_settings *settings, struct option_error *e)
{
  struct signald_config *c = &settings->config;
  struct net_error cause = {0};
  int err = signald_config_make(&settings->options, c, &cause);
  if (!err && c->cert_path)
    err = signald_tls_check(c->cert_path, c->pkey_path, &cause);
  if (!err)
    err = signald_auth_open(c, &settings->mem, &settings->auth, &cause);
  if (err) {
    (void)net_options_fail(e, "%s", cause.text);
    return err;
  }
  err = app_settings_read(&settings->options, c, &settings->mem, &settings->app, e);
  settings->app_count = err ? 0 : settings->options.app.count;
  return err;
}

void signald_settings_free(struct signald_settings *settings)
{
  if (!settings)
    return;
  struct mem mem = settings->mem;
  app_settings_free(settings->app, settings->app_count, &mem);
  auth_free(settings->auth);
  signald_options_fini(&settings->options, &mem);
  mem_free(&mem, settings, sizeof(*settings));
}
