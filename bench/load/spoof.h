/* A UDP datagram in its IPv4 header, as a raw socket sends it: from whatever address. Pure. */
#ifndef VIADUCT_BENCH_LOAD_SPOOF_H
#define VIADUCT_BENCH_LOAD_SPOOF_H

#include "base/addr.h"

enum { LOAD_SPOOF_HEADERS = 20 + 8 };

/* The headers into `out`, in front of a payload of `len` bytes that stands there already; with
 * checksums. Both addresses are IPv4. */
void load_spoof_put(uint8_t *out, size_t len, const struct addr *from, const struct addr *to);

#endif
