/* What the subcommands share. */
#include "viaduct/command.h"

#include <stdio.h>

#include "base/err.h"

enum { PRINT_MAX = 64 * 1024 };

int command_print(const struct option_set *set, const struct command_prints *asked)
{
  uint8_t storage[PRINT_MAX];
  struct buf out;
  buf_init(&out, storage, sizeof(storage));
  if (asked->help)
    option_render_help(set, &out);
  else if (asked->example_config)
    option_render_example(set, &out);
  else if (asked->man)
    option_render_man(set, &out);
  else
    return -1;
  bool printed = fwrite(out.at, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
  return printed && !out.overflow ? 0 : 1;
}

int command_fail(const struct option_set *set, int status, const char *text)
{
  fprintf(stderr, "%s: %s\n", set->program, text);
  return status;
}
