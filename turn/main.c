/* viaduct-turnd: reads the options, opens the log, runs the server. Exit status: 0 asked to stop,
 * 2 wrong usage or configuration, 3 a port or address cannot be bound, 1 anything else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/daemon.h"
#include "net/log_out.h"
#include "net/options.h"
#include "net/random.h"
#include "net/syslog.h"
#include "turn/check.h"
#include "turn/server.h"

enum { EXIT_USAGE = 2, EXIT_BIND = 3 };

static void log_warning(void *arg, const char *text)
{
  struct log *log = arg;
  log_event(log, LOG_LEVEL_WARN, "configuration", LOG_TEXT("note", text));
}

/* As net_options_print. */
static int print_asked(const struct turnd_options *o)
{
  const struct net_options_asked asked = {
      .help = o->help,
      .example_config = o->example_config,
      .man = o->man,
      .version = o->version ? "viaduct-turnd " VIADUCT_VERSION "\n" : NULL,
  };
  return net_options_print(&turnd_option_set, &asked);
}

/* Stays open: see leave_pid. NULL when it cannot be written. */
static FILE *write_pid(const char *path)
{
  FILE *f = fopen(path, "we");
  if (f == NULL)
    return NULL;
  fprintf(f, "%ld\n", (long)getpid());
  if (fflush(f) == 0)
    return f;
  fclose(f);
  return NULL;
}

/* Whoever gave root up may not be let to remove it: then it is empty, and names nobody's process.
 */
static void leave_pid(FILE *f, const char *path)
{
  if (f == NULL)
    return;
  if (unlink(path) != 0)
    (void)ftruncate(fileno(f), 0);
  fclose(f);
}

static int fail(int status, const char *text)
{
  fprintf(stderr, "viaduct-turnd: %s\n", text);
  return status;
}

/* Not what was asked for is wrong. */
static bool is_of_the_system(int r)
{
  return r == -ERR_IO || r == -ERR_NOMEM || r == -ERR_DESCRIPTORS;
}

static int serve(const struct turnd_load *load, struct turnd_settings *settings,
                 struct net_log *out, int background)
{
  const struct turnd_options *o = &settings->options;
  struct turnd_server_setup setup = {.settings = settings,
                                     .out = out,
                                     .background = background,
                                     .argc = load->argc,
                                     .argv = load->argv};
  struct net_error e = {{0}};
  if (net_privileges_find(o->proc_user, o->proc_group, &setup.privileges, &e) != 0)
    return fail(EXIT_USAGE, e.text);
  net_log_give(out, setup.privileges.uid, setup.privileges.gid);
  FILE *pid = o->pidfile != NULL ? write_pid(o->pidfile) : NULL;
  if (o->pidfile != NULL && pid == NULL)
    return fail(EXIT_USAGE, "the pidfile cannot be written; name a file in a folder that is there "
                            "and writable");
  int status = EXIT_SUCCESS, r = turnd_server_run(&setup, &e);
  if (r != 0)
    status = fail(is_of_the_system(r) ? EXIT_FAILURE : EXIT_BIND, e.text);
  leave_pid(pid, o->pidfile);
  return status;
}

static int run(struct turnd_load *load, const struct turnd_options *o, int background)
{
  const char *file = o->log_file != NULL ? o->log_file : "-";
  const bool to_syslog = strcmp(file, "syslog") == 0;
  const bool to_file = !to_syslog && strcmp(file, "stdout") != 0 && strcmp(file, "-") != 0;
  const struct net_log_setup log_setup = {
      .program = "turnd",
      .path = to_file ? file : NULL,
      .syslog =
          o->syslog || to_syslog || (background >= 0 && !to_file), /* there is no other place */
      .facility = net_syslog_facility(bytes_of(o->syslog_facility)),
      .no_stderr = o->no_stdout_log,
      .json = o->json_log,
      .anonymous = o->log_anonymize,
      .level = turnd_log_level(o),
  };
  struct net_error e = {{0}};
  struct net_log out;
  if (net_log_open(&out, &log_setup, &e) != 0)
    return fail(EXIT_USAGE, e.text);
  /* Where the log goes is an option itself: what the first reading had to say comes now. */
  load->warn = log_warning;
  load->warn_arg = &out.log;
  struct turnd_settings *settings;
  struct option_error error;
  if (turnd_settings_load(load, &settings, &error) != 0)
    return fail(EXIT_USAGE, error.text);
  int status = serve(load, settings, &out, background);
  turnd_settings_leave(settings);
  net_log_close(&out);
  return status;
}

/* Into the background if that is wanted, and nobody waits for this very process. */
static int go_on(struct turnd_load *load, const struct turnd_options *o)
{
  int background = -1;
  struct net_error e = {{0}};
  if (o->daemon && getenv("NOTIFY_SOCKET") == NULL && net_daemon_begin(&background, &e) != 0)
    return fail(EXIT_FAILURE, e.text);
  return run(load, o, background);
}

int main(int argc, char **argv)
{
  const int checked = turnd_check(argc, argv);
  if (checked != -ERR_MISSING)
    return checked;
  struct net_random random;
  if (net_random_init(&random) != 0)
    return fail(EXIT_FAILURE, "the kernel gives no randomness");
  uint8_t nonce_key[32], ticket_key[NET_TLS_TICKET_KEY];
  random.random.fill(random.random.arg, nonce_key, sizeof(nonce_key));
  random.random.fill(random.random.arg, ticket_key, sizeof(ticket_key));
  net_random_fini(&random);
  struct turnd_load load = {
      .argc = argc, .argv = argv, .nonce_key = nonce_key, .ticket_key = ticket_key};
  struct turnd_settings *first;
  struct option_error error;
  if (turnd_settings_load(&load, &first, &error) != 0)
    return fail(EXIT_USAGE, error.text);
  int printed = print_asked(&first->options);
  int status = printed == -ERR_MISSING ? go_on(&load, &first->options)
               : printed == 0          ? EXIT_SUCCESS
                                       : EXIT_FAILURE;
  turnd_settings_leave(first);
  return status;
}
