/* The files of applications: rows of config.def, of which some are an application's own. See
 * app_settings.h. */
#include "signal/app_settings.h"

#include <string.h>

#include "base/err.h"
#include "net/file.h"
#include "net/options.h"

/* What an application may say for itself. The rest is the server's affair: what it listens at, and
 * what one address may do, which has to hold over all applications. */
static const char *const own[] = {
    "auth",
    "auth-secret",
    "auth-jwks",
    "auth-issuer",
    "auth-audience",
    "auth-leeway",
    "auth-webhook",
    "auth-webhook-secret",
    "auth-webhook-ca",
    "auth-webhook-timeout",
    "origin",
    "turn-uri",
    "turn-secret",
    "ice-ttl",
    "max-sessions",
    "max-message-rate",
    "max-byte-rate",
    "max-message-size",
    "max-outbox-messages",
    "max-outbox-bytes",
    "max-rooms-per-session",
    "max-room-members",
    "resume-seconds",
};

static bool is_own(const struct option *row)
{
  for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
    if (strcmp(row->name, own[i]) == 0)
      return true;
  }
  return false;
}

/* "apps/acme.conf" is the application acme. */
static bool take_name(const char *path, char out[SIGNALD_APP_NAME + 1])
{
  static const char end[] = ".conf";
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  size_t len = strlen(name);
  if (len <= sizeof end - 1 || strcmp(name + len - (sizeof end - 1), end) != 0)
    return false;
  len -= sizeof end - 1;
  if (len > SIGNALD_APP_NAME)
    return false;
  for (size_t i = 0; i < len; i++) {
    char c = name[i];
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
      return false;
  }
  memcpy(out, name, len);
  out[len] = 0;
  return true;
}

/* Numbers that the file does not have are the server's; but that many sessions are for all. */
static void inherit(struct signald_options *o, const struct signald_options *server)
{
  for (size_t i = 0; i < signald_option_set.count; i++) {
    const struct option *row = &signald_option_set.row[i];
    if (row->kind == OPTION_UINT)
      memcpy((char *)o + row->offset, (const char *)server + row->offset, sizeof(uint64_t));
  }
  o->max_sessions = 0;
}

struct foreign {
  size_t line; /* the first line that is not an application's; 0: none */
  const char *name;
};

static void note_foreign(void *arg, const struct option_line *line)
{
  struct foreign *f = arg;
  if (f->line == 0 && line->row && !is_own(line->row)) {
    f->line = line->number;
    f->name = line->row->name;
  }
}

static int parse(struct signald_app *app, const struct signald_options *server, struct mem *mem,
                 struct option_error *e)
{
  struct option_parser p;
  struct net_file file = {0};
  struct net_error cause = {0};
  struct foreign foreign = {0};
  if (net_file_read(app->path, NET_OPTIONS_FILE_MAX, mem, &file, &cause) != 0)
    return net_options_fail(e, "app: %s", cause.text);
  int err = option_begin(&p, &signald_option_set, mem, &app->options, sizeof app->options);
  inherit(&app->options, server);
  if (!err)
    err = option_check_file(&p, app->path, file.bytes, note_foreign, &foreign);
  net_file_free(&file, mem);
  if (err)
    *e = p.error;
  else if (foreign.line)
    err =
        net_options_fail(e, "%s:%zu: %s is for the whole server; put it into the server's own file",
                         app->path, foreign.line, foreign.name);
  else if (!option_was_set(&p, "auth"))
    err = net_options_fail(
        e, "%s: say who may use it: auth=jwt, with auth-secret or auth-jwks, or auth=none",
        app->path);
  return err;
}

static bool is_same_text(const char *a, const char *b)
{
  return a == b || (a && b && strcmp(a, b) == 0);
}

/* Whether a token for the one would open the other too. */
static bool is_same_auth(const struct auth_setup *a, const struct auth_setup *b)
{
  bool same_key = (a->secret && is_same_text(a->secret, b->secret)) ||
                  (a->jwks_path && is_same_text(a->jwks_path, b->jwks_path));
  return same_key && is_same_text(a->audience, b->audience);
}

static int check_apart(const struct signald_app *app, size_t count,
                       const struct signald_config *server, struct option_error *e)
{
  const struct signald_app *last = &app[count - 1];
  if (is_same_auth(&last->config.auth, &server->auth))
    return net_options_fail(e,
                            "%s: it has the keys and the auth-audience of the server itself, so a "
                            "token of one opens the other; give it an auth-audience of its own",
                            last->path);
  for (size_t i = 0; i + 1 < count; i++) {
    if (strcmp(app[i].name, last->name) == 0)
      return net_options_fail(
          e, "app=%s: there is another application called %s; call the file otherwise", last->path,
          last->name);
    if (is_same_auth(&last->config.auth, &app[i].config.auth))
      return net_options_fail(e,
                              "%s: it has the keys and the auth-audience of %s, so a token of one "
                              "opens the other; give each an auth-audience of its own",
                              last->path, app[i].path);
  }
  return 0;
}

int signald_auth_open(struct signald_config *c, struct mem *mem, struct auth **out,
                      struct net_error *e)
{
  if (!c->auth.secret && !c->auth.jwks_path)
    return 0;
  c->auth.mem = mem;
  int err = auth_new(&c->auth, out, e);
  if (err)
    return err;
  c->core.auth = auth_check;
  c->core.auth_arg = *out;
  return 0;
}

static int make(struct signald_app *app, const struct signald_options *o,
                const struct signald_config *server, struct mem *mem, struct option_error *e)
{
  struct net_error cause = {0};
  if (!take_name(app->path, app->name))
    return net_options_fail(e,
                            "app=%s: the file has to be called NAME.conf, with a NAME of small "
                            "letters, digits, - and _",
                            app->path);
  int err = parse(app, o, mem, e);
  if (err)
    return err;
  err = signald_config_make_app(&app->options, server, &app->config, &cause);
  if (!err)
    err = signald_auth_open(&app->config, mem, &app->auth, &cause);
  return err ? net_options_fail(e, "%s: %s", app->path, cause.text) : 0;
}

int app_settings_read(const struct signald_options *o, const struct signald_config *server,
                      struct mem *mem, struct signald_app **out, struct option_error *e)
{
  size_t count = o->app.count;
  *out = NULL;
  if (count == 0)
    return 0;
  if (count > SIGNALD_APP_MAX)
    return net_options_fail(e, "more than %d lines of app; run another server for some",
                            SIGNALD_APP_MAX);
  struct signald_app *app = mem_new(mem, count * sizeof *app);
  if (!app)
    return net_options_fail(e, "no memory for the applications");
  int err = 0;
  for (size_t i = 0; i < count && !err; i++) {
    app[i].path = o->app.item[i];
    err = make(&app[i], o, server, mem, e);
    if (!err)
      err = check_apart(app, i + 1, server, e);
  }
  if (err) {
    app_settings_free(app, count, mem);
    return err;
  }
  *out = app;
  return 0;
}

void app_settings_free(struct signald_app *app, size_t count, struct mem *mem)
{
  if (!app)
    return;
  for (size_t i = 0; i < count; i++) {
    auth_free(app[i].auth);
    option_fini(&signald_option_set, mem, &app[i].options);
  }
  mem_free(mem, app, count * sizeof *app);
}
