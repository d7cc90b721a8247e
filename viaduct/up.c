/* `viaduct up`: from options to three servers that run. Reads the file, opens the state folder,
 * makes what is missing (secret, certificates), writes each server's configuration, hands over to
 * supervise.c, and tells the user where everything is. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "net/file.h"
#include "net/mem.h"
#include "net/notify.h"
#include "net/options.h"
#include "net/signals.h"
#include "viaduct/address.h"
#include "viaduct/certificates.h"
#include "viaduct/command.h"
#include "viaduct/install.h"
#include "viaduct/supervise.h"

enum { CONFIG_MAX = 1 << 20 };

struct up {
  struct mem mem;
  struct up_options options;
  struct option_parser parser;
  struct sections sections;
  struct plan_settings settings;
  struct state state;
  struct merged_log log;
  struct readiness readiness;
  struct supervisor supervisor;
  struct addr address, local;
  char secret[STATE_SECRET_SIZE];
  char certs_dir[STATE_PATH_SIZE];
};

static int fail(int status, const char *text)
{
  return command_fail(&up_option_set, status, text);
}

/* ---- options and the file ---- */

/* The sections of the file, and what they say; of an empty text without a file. -ERR_*, with a line
 * in `error`. */
static int read_sections(struct mem *mem, const char *path, struct sections *sections,
                         struct plan_settings *settings, struct option_error *error)
{
  struct net_file file = {0};
  struct net_error e = {{0}};
  int r = path != NULL ? net_file_read(path, CONFIG_MAX, mem, &file, &e) : 0;
  if (r != 0) {
    snprintf(error->text, sizeof(error->text), "%s", e.text);
    return r;
  }
  r = sections_split(path != NULL ? path : "", file.bytes, mem, sections, error);
  net_file_free(&file, mem);
  if (r != 0)
    return r;
  r = plan_settings_read(settings, sections, mem);
  if (r != 0) {
    snprintf(error->text, sizeof(error->text), "out of memory");
    sections_free(sections, mem);
  }
  return r;
}

static int check_options(const struct up *u, struct option_error *error)
{
  if (u->options.min_port <= u->options.max_port)
    return 0;
  snprintf(error->text, sizeof(error->text),
           "min-port %llu is above max-port %llu; the relay needs a range",
           (unsigned long long)u->options.min_port, (unsigned long long)u->options.max_port);
  return -ERR_BAD;
}

static int read_options(struct up *u, int argc, char **argv, struct option_error *error)
{
  const char *path = option_peek(&up_option_set, argc, argv, "config");
  int r = option_begin(&u->parser, &up_option_set, &u->mem, &u->options, sizeof(u->options));
  if (r != 0) {
    *error = u->parser.error;
    return r;
  }
  r = read_sections(&u->mem, path, &u->sections, &u->settings, error);
  if (r != 0)
    return r;
  const struct buf *own = &u->sections.text[SECTION_UP];
  r = option_parse_file(&u->parser, path, (struct bytes){own->at, own->len});
  if (r == 0 && option_was_set(&u->parser, "config")) {
    snprintf(error->text, sizeof(error->text), "%s: [up] cannot name another file with config",
             path);
    return -ERR_BAD;
  }
  if (r == 0)
    r = option_parse_args(&u->parser, argc, argv);
  if (r != 0)
    *error = u->parser.error;
  return r != 0 ? r : check_options(u, error);
}

static void free_options(struct up *u)
{
  sections_free(&u->sections, &u->mem);
  plan_settings_free(&u->settings, &u->mem);
  option_fini(&up_option_set, &u->mem, &u->options);
}

/* ---- what is needed around the servers ---- */

static int find_addresses(struct up *u, struct net_error *e)
{
  u->address = plan_own_address(&u->settings);
  if (u->options.address != NULL)
    (void)addr_parse(bytes_of(u->options.address), &u->address); /* the table has checked it */
  if (u->address.family == ADDR_NONE)
    u->address = address_find();
  u->local = address_is_local(&u->address) ? u->address : address_find();
  if (u->local.family == u->address.family)
    return 0;
  char text[ADDR_TEXT_SIZE];
  net_error_set(e,
                "%s is no address of this machine, and there is no other of its family to relay "
                "from; name another one with --address",
                addr_format_ip(&u->address, text));
  return -ERR_UNREACHABLE;
}

static int find_secret(struct up *u, struct net_error *e)
{
  const char *own = plan_own_secret(&u->settings);
  if (own == NULL)
    return state_secret(&u->state, u->secret, e);
  int r = state_keep_secret(&u->state, own, e);
  if (r == 0)
    snprintf(u->secret, sizeof(u->secret), "%s", own);
  return r;
}

static int find_certificates(struct up *u, struct net_error *e)
{
  const struct addr names[] = {u->address, u->local};
  (void)state_path(&u->state, "certs", u->certs_dir);
  if (!plan_needs_certificate(&u->settings))
    return 0;
  return certificates_ensure(u->certs_dir, names, addr_equal_ip(&u->address, &u->local) ? 1 : 2,
                             &u->log, e);
}

static int find_programs(struct up *u, struct net_error *e)
{
  for (int i = 0; i < SERVER_COUNT; i++) {
    struct child *c = &u->supervisor.child[i];
    char name[32], path[STATE_PATH_SIZE];
    snprintf(name, sizeof(name), "viaduct-%s", server_name((enum server)i));
    int r = install_program(name, c->program, e);
    if (r != 0)
      return r;
    snprintf(name, sizeof(name), "%s.conf", server_name((enum server)i));
    memcpy(c->config, state_path(&u->state, name, path), sizeof(c->config));
    c->server = (enum server)i;
    c->output = -1;
  }
  return 0;
}

/* ---- configurations ---- */

static int make_plan(struct up *u, const struct sections *sections,
                     const struct plan_settings *settings, struct plan *out)
{
  const struct plan_input in = {
      .options = &u->options,
      .parser = &u->parser,
      .sections = sections,
      .settings = settings,
      .address = u->address,
      .local = u->local,
      .has_ipv6 = address_has_ipv6(),
      .secret = u->secret,
      .certs_dir = u->certs_dir,
  };
  return plan_make(&in, &u->mem, out);
}

static int write_plan(struct up *u, const struct plan *plan, struct net_error *e)
{
  int r = 0;
  for (int i = 0; i < SERVER_COUNT && r == 0; i++) {
    char name[32];
    snprintf(name, sizeof(name), "%s.conf", server_name((enum server)i));
    const struct buf *b = &plan->config[i];
    r = state_write(&u->state, name, (struct bytes){b->at, b->len}, e);
  }
  return r;
}

/* On SIGHUP: the file is read again and the servers' configurations are written anew; a file that
 * is wrong changes nothing. What [up] itself says counts from the next start. */
static bool reload(void *arg)
{
  struct up *u = arg;
  struct sections sections;
  struct plan_settings settings;
  struct option_error error;
  struct net_error e = {{0}};
  struct plan plan;
  if (read_sections(&u->mem, u->options.config, &sections, &settings, &error) != 0) {
    log_event(&u->log.log, LOG_LEVEL_ERROR, "reload-refused", LOG_TEXT("reason", error.text));
    return false;
  }
  int r = make_plan(u, &sections, &settings, &plan);
  if (r == 0) {
    r = write_plan(u, &plan, &e);
    plan_free(&plan, &u->mem);
  }
  if (r != 0)
    log_event(&u->log.log, LOG_LEVEL_ERROR, "reload-refused",
              LOG_TEXT("reason", e.text[0] != '\0' ? e.text : err_text(r)));
  else
    u->supervisor.file_lines = sections.line_count;
  plan_settings_free(&settings, &u->mem);
  sections_free(&sections, &u->mem);
  return r == 0;
}

/* ---- the user ---- */

static void print_block(const struct up *u, const struct plan *plan)
{
  char path[STATE_PATH_SIZE], turn[ADDR_TEXT_SIZE], turns[ADDR_TEXT_SIZE], stun[ADDR_TEXT_SIZE];
  struct addr a = plan->address;
  a.port = plan->turn_port;
  addr_format(&a, turn);
  a.port = plan->turns_port;
  addr_format(&a, turns);
  a.port = plan->stun_port;
  addr_format(&a, stun);
  printf("\nViaduct is running.\n\n");
  if (plan->local_url[0] != '\0')
    printf("  On this machine     %s\n", plan->local_url);
  if (plan->remote_url[0] != '\0')
    printf("  On another machine  %s\n", plan->remote_url);
  if (plan->remote_url[0] != '\0' && plan->dev_certificate)
    printf(
        "                      Its browser warns once of the development certificate: go on, or\n"
        "                      trust %s/ca.pem there.\n",
        u->certs_dir);
  printf("  TURN                %s (UDP and TCP)\n", turn);
  if (plan->turns_port != 0)
    printf("                      %s (TLS and DTLS)\n", turns);
  printf("  STUN                %s (UDP and TCP)\n"
         "  Log                 %s\n",
         stun, state_path(&u->state, "viaduct.log", path));
  if (plan->dev_certificate)
    printf("  Certificates        %s\n", u->certs_dir);
  printf("\nCtrl-C stops everything.\n");
  /* Without a reader the servers run all the same. */
  (void)fflush(stdout);
}

/* ---- one after the other ---- */

static int run_servers(struct up *u, const struct plan *plan)
{
  struct supervisor *s = &u->supervisor;
  int status = supervise_start(s);
  if (s->message[0] != '\0') {
    fprintf(stderr, "%s\n", s->message);
    return status;
  }
  if (s->stopping)
    return 0;
  log_event(&u->log.log, LOG_LEVEL_INFO, "all-ready", LOG_TEXT("local", plan->local_url),
            LOG_TEXT("remote", plan->remote_url));
  print_block(u, plan);
  if (net_notify(NET_NOTIFY_READY) != 0) /* when a supervisor started this one */
    log_event(&u->log.log, LOG_LEVEL_WARN, "notify-failed",
              LOG_TEXT("mend", "NOTIFY_SOCKET must name a datagram socket of the supervisor"));
  supervise_run(s);
  (void)net_notify(NET_NOTIFY_STOPPING);
  return s->status;
}

static int with_plan(struct up *u, const struct plan *plan)
{
  static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
  struct net_error e = {{0}};
  if (write_plan(u, plan, &e) != 0 || readiness_open(&u->readiness, &u->state, &e) != 0)
    return fail(1, e.text);
  int status = 1;
  int signals = net_signals_open(wanted, sizeof(wanted) / sizeof(wanted[0]));
  if (signals < 0) {
    (void)fail(1, "cannot watch for signals (no file descriptor left?)");
  } else {
    struct supervisor *s = &u->supervisor;
    s->log = &u->log;
    s->readiness = &u->readiness;
    s->signals = signals;
    s->file_name = u->options.config;
    s->file_lines = u->sections.line_count;
    s->reload = reload;
    s->reload_arg = u;
    status = run_servers(u, plan);
  }
  net_signals_close(signals);
  readiness_close(&u->readiness);
  return status;
}

static int with_log(struct up *u)
{
  struct net_error e = {{0}};
  struct plan plan;
  if (find_addresses(u, &e) != 0 || find_programs(u, &e) != 0)
    return fail(EXIT_USAGE, e.text);
  if (find_secret(u, &e) != 0 || find_certificates(u, &e) != 0)
    return fail(1, e.text);
  if (make_plan(u, &u->sections, &u->settings, &plan) != 0)
    return fail(1, "out of memory, or more lines to add than a section takes");
  int status = with_plan(u, &plan);
  plan_free(&plan, &u->mem);
  return status;
}

static int with_options(struct up *u)
{
  struct net_error e = {{0}};
  char dir[STATE_PATH_SIZE];
  if (u->options.state_dir == NULL && state_default_dir(dir, &e) != 0)
    return fail(EXIT_USAGE, e.text);
  int r = state_open(&u->state, u->options.state_dir != NULL ? u->options.state_dir : dir, &e);
  if (r != 0)
    return fail(r == -ERR_BUSY ? 1 : EXIT_USAGE, e.text);
  int status;
  if (merged_log_open(&u->log, &u->state, u->options.verbose, &e) != 0) {
    status = fail(1, e.text);
  } else {
    status = with_log(u);
    merged_log_close(&u->log);
  }
  bytes_wipe(u->secret, sizeof(u->secret));
  state_close(&u->state);
  return status;
}

int up_main(int argc, char **argv)
{
  /* Too large for the stack with its buffers, and there is one. */
  static struct up u;
  struct option_error error;
  u.mem = net_mem();
  int status;
  if (read_options(&u, argc, argv, &error) != 0) {
    status = fail(EXIT_USAGE, error.text);
  } else {
    const struct net_options_asked asked = {
        .help = u.options.help, .example_config = u.options.example_config, .man = u.options.man};
    int printed = net_options_print(&up_option_set, &asked);
    status = printed == -ERR_MISSING ? with_options(&u) : printed != 0;
  }
  free_options(&u);
  return status;
}
