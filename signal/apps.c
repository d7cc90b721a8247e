/* Applications: opened, looked up, told of other settings; see apps.h. Called by server.c,
 * reload.c, http.c and whoever serves another protocol. */
#include "signal/apps.h"

#include <string.h>

#include "base/err.h"
#include "net/clock.h"
#include "signal/server.h"

static const char prefix[] = "/apps/";

int apps_open(struct signald *s, struct net_error *e)
{
  s->app = mem_new(&s->mem, sizeof *s->app);
  s->app_count = s->app ? 1 : 0;
  net_error_set(e, "out of memory");
  if (!s->app)
    return -ERR_NOMEM;
  s->app[0] = (struct app){.name = "", .config = &s->config->core};
  const struct sig_setup setup = {
      .config = s->app[0].config,
      .effects = &s->effects,
      .mem = &s->mem,
      .random = &s->random.random,
      .log = s->log,
      .now_ms = signald_now_ms(s),
      .wall_ms = net_clock_wall_ms(),
  };
  int err = sig_new(&setup, &s->app[0].core);
  s->core = s->app[0].core;
  return err;
}

void apps_close(struct signald *s)
{
  for (size_t i = s->app_count; i > 0; i--)
    sig_free(s->app[i - 1].core);
  mem_free(&s->mem, s->app, s->app_count * sizeof *s->app);
  s->app = NULL;
  s->app_count = 0;
}

void apps_set_config(struct signald *s)
{
  s->app[0].config = &s->config->core;
  sig_set_config(s->app[0].core, s->app[0].config);
}

struct app *app_by_name(const struct signald *s, struct bytes name)
{
  for (size_t i = 0; i < s->app_count; i++) {
    if (bytes_equal(bytes_of(s->app[i].name), name))
      return &s->app[i];
  }
  return NULL;
}

struct app *app_by_peerjs_key(const struct signald *s, struct bytes key)
{
  (void)key; /* there is only the default one yet: the caller compares its option */
  return &s->app[0];
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
