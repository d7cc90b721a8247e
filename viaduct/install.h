/* Where the other parts of Viaduct are: beside this executable, in the installed share folder, or
 * in the source tree. */
#ifndef VIADUCT_VIADUCT_INSTALL_H
#define VIADUCT_VIADUCT_INSTALL_H

#include <limits.h>

#include "net/error.h"

/* The program NAME in the folder of this executable. -ERR_MISSING with the mend. */
int install_program(const char *name, char out[PATH_MAX], struct net_error *e);
/* make-dev-certs. -ERR_MISSING. */
int install_certs_script(char out[PATH_MAX], struct net_error *e);

#endif
