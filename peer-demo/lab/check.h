/* `viaduct lab check`: whether each NAT is what it is called. */
#ifndef VIADUCT_PEER_DEMO_LAB_CHECK_H
#define VIADUCT_PEER_DEMO_LAB_CHECK_H

#include "net/error.h"
#include "peer-demo/lab/places.h"

/* Measures every site from inside, side by side, by RFC 5780 against the laboratory's own stund,
 * and prints what was found and what should be. 0; -ERR_BAD: a site is not what it is called; other
 * -ERR_*: it could not be measured, and `e` says why. */
int check_sites(const struct lab *lab, struct net_error *e);

#endif
