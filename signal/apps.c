/* Applications: opened, looked up, told of other settings; see apps.h. Called by server.c,
 * reload.c, http.c and whoever serves another protocol. */
#include "signal/apps.h"

#include <string.h>

#include "base/err.h"
#include "net/clock.h"
#include "net/options.h"
#include "signal/server.h"

enum { APPS = 1 + SIGNALD_APP_MAX };

static const char prefix[] = "/apps/";

static void set_config(struct app *app, const char *name, const struct signald_config *config)
{
  app->name = name;
  app->config = &config->core;
  app->asks = config->asks.url ? &config->asks : NULL;
}

static int open_app(struct signald *s, const char *name, const struct signald_config *config)
{
  struct app *app = &s->app[s->app_count];
  const struct sig_setup setup = {
      .beside = s->core,
      .config = &config->core,
      .effects = &s->effects,
      .mem = &s->mem,
      .random = &s->random.random,
      .log = s->log,
      .now_ms = signald_now_ms(s),
      .wall_ms = net_clock_wall_ms(),
  };
  *app = (struct app){.core = NULL};
  set_config(app, name, config);
  int err = sig_new(&setup, &app->core);
  if (err)
    return err;
  s->app_count++;
  return 0;
}

int apps_open(struct signald *s, struct net_error *e)
{
  const struct signald_settings *settings = s->settings;
  net_error_set(e, "out of memory");
  s->app = mem_new(&s->mem, APPS * sizeof *s->app);
  if (!s->app)
    return -ERR_NOMEM;
  int err = open_app(s, "", s->config);
  if (err)
    return err;
  s->core = s->app[0].core;
  for (size_t i = 0; i < settings->app_count && !err; i++)
    err = open_app(s, settings->app[i].name, &settings->app[i].config);
  return err;
}

/* The first core goes last: the others stand on it. */
void apps_close(struct signald *s)
{
  for (size_t i = s->app_count; i > 0; i--)
    sig_free(s->app[i - 1].core);
  mem_free(&s->mem, s->app, APPS * sizeof *s->app);
  s->app = NULL;
  s->app_count = 0;
}

static bool has_app(const struct signald_settings *settings, const char *name)
{
  for (size_t i = 0; i < settings->app_count; i++) {
    if (strcmp(settings->app[i].name, name) == 0)
      return true;
  }
  return false;
}

/* Each application that runs is among the next ones, so there is room for those too. */
int apps_check_reload(const struct signald *s, const struct signald_settings *next,
                      struct option_error *e)
{
  for (size_t i = 1; i < s->app_count; i++) {
    if (!has_app(next, s->app[i].name))
      return net_options_fail(e,
                              "the application %s is not there any more, and may have sessions; "
                              "restart the server for that",
                              s->app[i].name);
  }
  return 0;
}

void apps_set_config(struct signald *s)
{
  const struct signald_settings *settings = s->settings;
  set_config(&s->app[0], "", s->config);
  for (size_t i = 0; i < settings->app_count; i++) {
    const struct signald_app *of = &settings->app[i];
    struct app *app = app_by_name(s, bytes_of(of->name));
    if (app) {
      set_config(app, of->name, &of->config);
    } else if (open_app(s, of->name, &of->config) != 0) {
      log_event(s->log, LOG_LEVEL_ERROR, "application-not-opened", LOG_TEXT("name", of->name),
                LOG_TEXT("why", "out of memory"));
    }
  }
  for (size_t i = 0; i < s->app_count; i++)
    sig_set_config(s->app[i].core, s->app[i].config);
}

void apps_count(const struct signald *s, struct sig_counters *out)
{
  _Static_assert(sizeof *out % sizeof(uint64_t) == 0, "nothing but uint64_t");
  uint64_t sum[sizeof *out / sizeof(uint64_t)] = {0}, one[sizeof *out / sizeof(uint64_t)];
  for (size_t i = 0; i < s->app_count; i++) {
    memcpy(one, sig_counters(s->app[i].core), sizeof one);
    for (size_t k = 0; k < sizeof one / sizeof one[0]; k++)
      sum[k] += one[k];
  }
  memcpy(out, sum, sizeof *out);
}

struct app *app_by_name(const struct signald *s, struct bytes name)
{
  for (size_t i = 0; i < s->app_count; i++) {
    if (bytes_equal(bytes_of(s->app[i].name), name))
      return &s->app[i];
  }
  return NULL;
}

struct app *app_of_path(const struct signald *s, const char *path, const char **rest)
{
  *rest = path;
  if (strncmp(path, prefix, sizeof prefix - 1) != 0)
    return &s->app[0];
  const char *name = path + sizeof prefix - 1;
  size_t len = strcspn(name, "/");
  if (len == 0 || name[len] != '/')
    return NULL;
  *rest = name + len;
  return app_by_name(s, (struct bytes){(const uint8_t *)name, len});
}
