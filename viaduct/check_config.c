/* `viaduct check-config`: asks the server whose file it is; the server has the table, the checks
 * and the knowledge of what is dangerous. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/mem.h"
#include "net/options.h"
#include "viaduct/command.h"
#include "viaduct/install.h"

enum { EXIT_USAGE = 2 };

struct check_config_options {
  char *server;
  bool help, man;
};

#define AT(field) offsetof(struct check_config_options, field)

static const char *check_server(struct bytes value)
{
  static const char *const servers[] = {"turnd", "stund", "signald"};
  for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
    if (bytes_equal(value, bytes_of(servers[i])))
      return NULL;
  return "must be turnd, stund or signald";
}

static const struct option rows[] = {
    {.name = "server",
     .kind = OPTION_TEXT,
     .offset = AT(server),
     .metavar = "NAME",
     .fallback = "turnd",
     .check = check_server,
     .help = "Whose file it is: turnd (turnserver.conf too), stund or signald."},
    {.name = "help", .letter = 'h', .kind = OPTION_FLAG, .offset = AT(help), .help = "Print this."},
    {.name = "man",
     .kind = OPTION_FLAG,
     .offset = AT(man),
     .help = "Print the manual page (roff)."},
};

static const struct option_set set = {
    .program = "viaduct check-config",
    .summary = "explains the configuration file that stands behind the options, and finds what is "
               "wrong or dangerous in it; the exit status is 1 where there is an error",
    .row = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

/* Does not come back when all is well. */
static int run_server(const char *server, char *file)
{
  char name[32], program[PATH_MAX], option[] = "--check-config";
  struct net_error e = {{0}};
  snprintf(name, sizeof(name), "viaduct-%s", server);
  if (install_program(name, program, &e) != 0)
    return command_fail(&set, EXIT_USAGE, e.text);
  char *argv[] = {name, option, file, NULL};
  execv(program, argv);
  snprintf(e.text, sizeof(e.text), "%s cannot be run; build or install all of Viaduct", name);
  return command_fail(&set, EXIT_USAGE, e.text);
}

static int run(const struct check_config_options *o, char *file)
{
  const struct net_options_asked asked = {.help = o->help, .man = o->man};
  const int printed = net_options_print(&set, &asked);
  if (printed != -ERR_MISSING)
    return printed == 0 ? 0 : 1;
  if (file == NULL)
    return command_fail(&set, EXIT_USAGE, "name the file: viaduct check-config turnserver.conf");
  return run_server(o->server, file);
}

int check_config_main(int argc, char **argv)
{
  struct mem mem = net_mem();
  struct check_config_options options;
  struct option_parser p;
  /* The file stands last. */
  char *file = argc > 1 && argv[argc - 1][0] != '-' ? argv[argc - 1] : NULL;
  int status = EXIT_USAGE;
  if (option_begin(&p, &set, &mem, &options, sizeof(options)) != 0 ||
      option_parse_args(&p, file != NULL ? argc - 1 : argc, argv) != 0)
    (void)command_fail(&set, EXIT_USAGE, p.error.text);
  else
    status = run(&options, file);
  option_fini(&set, &mem, &options);
  return status;
}
