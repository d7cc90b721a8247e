/* Applications: several users of one server that know nothing of each other. Each has a signalling
 * core of its own (struct sig), so no token, key, session, room or peer of one means anything to
 * another. What one address may do, and the sum of sessions, hold over all of them.
 *
 * A client names one by the beginning of its path: /apps/NAME/v1/ws where /v1/ws is the default
 * application's, and a PeerJS client by its key. Everything behind that reads conn.app. */
#ifndef VIADUCT_SIGNAL_APPS_H
#define VIADUCT_SIGNAL_APPS_H

#include "base/option.h"
#include "net/error.h"
#include "signal/core/sig.h"

struct signald;
struct signald_settings;
struct signald_webhook;

/* At an address that stays for as long as the server runs. */
struct app {
  const char *name;                   /* empty: the default one; in the settings, as `config` is */
  const struct sig_config *config;    /* its origins, limits, TURN servers, tokens */
  const struct signald_webhook *asks; /* who judges hellos; NULL: `config` says it all */
  struct sig *core;
};

/* Opens all that are configured; the default one is s->app[0], and s->core is its core. -ERR_*, and
 * `e` says why. apps_close in any case. */
int apps_open(struct signald *s, struct net_error *e);
void apps_close(struct signald *s);
/* SIGHUP: whether these settings can be taken over, and s->settings are others now. */
int apps_check_reload(const struct signald *s, const struct signald_settings *next,
                      struct option_error *e);
void apps_set_config(struct signald *s);
/* The counters of all together. */
void apps_count(const struct signald *s, struct sig_counters *out);

/* By the name that the operator gave it; NULL: there is none. An empty one is the default. */
struct app *app_by_name(const struct signald *s, struct bytes name);
/* By a request's path, of which *rest is what the application itself has to look at: the path
 * behind "/apps/NAME", or all of it. NULL: the path names an application that there is not. */
struct app *app_of_path(const struct signald *s, const char *path, const char **rest);

#endif
