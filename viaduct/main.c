/* viaduct: the front command. A table of subcommands; each is one file. */
#include <stdio.h>
#include <string.h>

#include "peer-demo/lab/lab.h"
#include "viaduct/command.h"

enum { EXIT_USAGE = 2 };

static int help_main(int argc, char **argv);
static int version_main(int argc, char **argv);

static const struct subcommand {
  const char *name;
  int (*main)(int argc, char **argv);
  const char *help;
} subcommands[] = {
    {"up", up_main, "start signalling, STUN and TURN on this machine, and supervise them"},
    {"credentials", credentials_main, "make time-limited TURN credentials"},
    {"check-config", check_config_main,
     "explain a configuration file (turnserver.conf too) and find what is wrong in it"},
    {"lab", lab_main, "a laboratory of NATs in network namespaces (root)"},
    {"control", control_main, "ask a running viaduct-turnd, or tell it what to do"},
    {"help", help_main, "print this"},
    {"version", version_main, "print the version"},
};

enum { SUBCOMMANDS = sizeof(subcommands) / sizeof(subcommands[0]) };

static int help_main(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  printf("viaduct: video calls that you host yourself\n\nUsage: viaduct COMMAND [OPTION...]\n\n");
  for (size_t i = 0; i < SUBCOMMANDS; i++)
    printf("  %-13s %s\n", subcommands[i].name, subcommands[i].help);
  printf("\n'viaduct COMMAND --help' lists a command's options.\n");
  return fflush(stdout) == 0 ? 0 : 1;
}

static int version_main(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  printf("viaduct %s\n", VIADUCT_VERSION);
  return fflush(stdout) == 0 ? 0 : 1;
}

/* By the rule that options have: a set whose rows are the subcommands. */
static const char *nearest(const char *name)
{
  struct option row[SUBCOMMANDS] = {0};
  for (size_t i = 0; i < SUBCOMMANDS; i++)
    row[i].name = subcommands[i].name;
  const struct option_set set = {.row = row, .count = SUBCOMMANDS};
  return option_nearest(&set, bytes_of(name));
}

static int unknown(const char *name)
{
  const char *near = nearest(name);
  fprintf(stderr, "viaduct: unknown command '%.64s'; ", name);
  if (near != NULL)
    fprintf(stderr, "did you mean '%s'?\n", near);
  else
    fprintf(stderr, "'viaduct help' lists them all\n");
  return EXIT_USAGE;
}

int main(int argc, char **argv)
{
  if (argc < 2) {
    fprintf(stderr, "viaduct: a command is missing; 'viaduct up' starts everything, 'viaduct help' "
                    "lists the commands\n");
    return EXIT_USAGE;
  }
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
    name = "help";
  if (strcmp(name, "--version") == 0)
    name = "version";
  for (size_t i = 0; i < SUBCOMMANDS; i++)
    if (strcmp(subcommands[i].name, name) == 0)
      return subcommands[i].main(argc - 1, argv + 1);
  return unknown(name);
}
