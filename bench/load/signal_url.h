/* Where a signalling server is, from a URL. Pure. */
#ifndef VIADUCT_BENCH_LOAD_SIGNAL_URL_H
#define VIADUCT_BENCH_LOAD_SIGNAL_URL_H

#include "base/bytes.h"

struct load_url {
  struct bytes host;      /* name or address, without brackets; view */
  struct bytes authority; /* with the port, for Host; view */
  uint16_t port;
  struct bytes path; /* without slashes at its end; view */
};

/* NULL, or what is wrong with it, as a sentence that goes on from the option's name. */
const char *load_url_parse(struct bytes text, struct load_url *out);

#endif
