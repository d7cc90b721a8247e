/* viaduct-peer: a table of subcommands; each is one file. */
#include <stdio.h>
#include <string.h>

#include "peer-demo/native/command.h"

enum { EXIT_USAGE = 2 };

static const struct subcommand {
  const char *name;
  int (*main)(int argc, char **argv);
  const char *help;
} subcommands[] = {
    {"doctor", doctor_main,
     "what works from this network, and the cause and the mend of what does not"},
    {"nat", nat_main, "which NAT stands between this machine and a STUN server (RFC 5780)"},
};

enum { SUBCOMMANDS = sizeof(subcommands) / sizeof(subcommands[0]) };

static int print_help(void)
{
  printf("viaduct-peer: the other end of a call, on the command line\n\n"
         "Usage: viaduct-peer COMMAND [OPTION...]\n\n");
  for (size_t i = 0; i < SUBCOMMANDS; i++)
    printf("  %-8s %s\n", subcommands[i].name, subcommands[i].help);
  printf("\n'viaduct-peer COMMAND --help' lists a command's options.\n");
  return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
  const char *name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
    return print_help();
  if (strcmp(name, "--version") == 0)
    return printf("viaduct-peer %s\n", VIADUCT_VERSION) > 0 && fflush(stdout) == 0 ? 0 : 1;
  for (size_t i = 0; i < SUBCOMMANDS; i++)
    if (strcmp(name, subcommands[i].name) == 0)
      return subcommands[i].main(argc - 1, argv + 1);
  if (argc > 1)
    fprintf(stderr, "viaduct-peer: there is no command '%.64s'; 'viaduct-peer --help' lists them\n",
            name);
  else
    fprintf(stderr, "viaduct-peer: a command is missing; 'viaduct-peer --help' lists them\n");
  return EXIT_USAGE;
}
