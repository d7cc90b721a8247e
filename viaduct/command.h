/* The subcommands of `viaduct`, one file each. argv[0] is the subcommand's name. Each returns the
 * exit status: 0, 1 (failed), 2 (wrong usage or configuration), 3 (a port cannot be had). */
#ifndef VIADUCT_VIADUCT_COMMAND_H
#define VIADUCT_VIADUCT_COMMAND_H

#include "base/option.h"

int up_main(int argc, char **argv);
int credentials_main(int argc, char **argv);
int control_main(int argc, char **argv);
int check_config_main(int argc, char **argv);

/* "viaduct up: TEXT" on stderr; returns `status`. */
int command_fail(const struct option_set *set, int status, const char *text);

#endif
