/* What the subcommands share. */
#include "viaduct/command.h"

#include <stdio.h>

int command_fail(const struct option_set *set, int status, const char *text)
{
  fprintf(stderr, "%s: %s\n", set->program, text);
  return status;
}
