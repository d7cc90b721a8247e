/* acme-redirect: ACME's challenges (RFC 8555 section 8.3), which a certificate authority asks for
 * at port 80 or 443, are sent on to where they are answered. */
#ifndef VIADUCT_TURN_ACME_H
#define VIADUCT_TURN_ACME_H

#include "base/bytes.h"

enum { TURND_ACME_MAX = 1024 }; /* bytes of an answer */

/* What an HTTP connection begins with, and the option's value. The length of the answer in `out`;
 * 0: it asks for something else; -ERR_MORE. */
int turnd_acme_answer(struct bytes stream, const char *url, char out[TURND_ACME_MAX]);

#endif
