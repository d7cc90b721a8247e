/* `check-config` of turnd: the settings that a start would make of the file, and what is dangerous
 * in them. */
#ifndef VIADUCT_TURN_CHECK_H
#define VIADUCT_TURN_CHECK_H

#include "net/check.h"

/* As net_check_asked. */
int turnd_check(int argc, char *const *argv);

#endif
