/* The laboratory of NATs as text: which sites there are, and what has to be told to ip(8), to
 * nft(8) and to /proc/sys in each network namespace so that they stand. Pure; lab/ makes the
 * namespaces.
 *
 *   public side "net"   198.18.0.10 and .11 (the two addresses that RFC 5780 asks of a server), and
 *      |                2001:2::10: a bridge, and Viaduct on it
 *   "a-cgn"             198.18.1.1: a carrier's NAT, where the site has one
 *      |                100.64.1.0/24
 *   "a-nat"             the site's NAT; its public side is 198.18.1.1, or 100.64.1.2 behind a
 * carrier |                192.168.1.0/24 "a"                 the site's host, 192.168.1.2
 *
 * Site b has 2 where a has 1. A site without a NAT has a router that translates nothing, and its
 * host 198.19.1.2. The addresses are those for measurements (RFC 2544, RFC 5180): nobody's. */
#ifndef VIADUCT_PEER_DEMO_LAB_CORE_LAB_H
#define VIADUCT_PEER_DEMO_LAB_CORE_LAB_H

#include "base/bytes.h"
#include "peer-demo/core/behaviour.h"

enum {
  LAB_SITES = 8,
  LAB_LIFETIME_S = 120, /* RFC 4787 REQ-5: not less than two minutes, where nothing else is said */
  LAB_TEXT_SIZE = 8 * 1024, /* of one namespace's ip or nft input */
  LAB_WORD_SIZE = 32,
  LAB_ERROR_SIZE = 256
};

/* The classic names, and what they are in RFC 4787's words: all but symmetric map independently of
 * the endpoint; they differ in the filter. */
enum lab_nat {
  LAB_NONE,
  LAB_FULL_CONE,          /* filter: endpoint-independent */
  LAB_ADDRESS_RESTRICTED, /* filter: address-dependent */
  LAB_PORT_RESTRICTED,    /* filter: address- and port-dependent */
  LAB_SYMMETRIC,          /* mapping and filter: address- and port-dependent */
  LAB_NAT_COUNT
};

enum lab_block { LAB_OPEN, LAB_NO_UDP, LAB_ONLY_443 };

enum lab_families { LAB_V4, LAB_V6, LAB_DUAL };

struct lab_site {
  enum lab_nat nat;
  enum lab_block block;
  enum lab_families families;
  bool carrier; /* a port-restricted NAT of a carrier in front */
  bool hairpin; /* a host inside reaches another one by its public address */
  unsigned loss_percent;
  unsigned lifetime_s; /* of an idle mapping */
};

/* What a namespace is within its site. */
enum lab_part { LAB_HOST, LAB_ROUTER, LAB_CARRIER, LAB_PART_COUNT };

/* Reads "port-restricted", "symmetric+carrier+loss=10", …: the NAT's name, then what else is so:
 * carrier, hairpin, no-udp, only-443, v6, dual, loss=PERCENT, lifetime=SECONDS. -ERR_BAD: `error`
 * names the word and what is known. */
int lab_site_parse(struct bytes text, struct lab_site *out, char error[LAB_ERROR_SIZE]);
/* "port-restricted"; static. */
const char *lab_nat_name(enum lab_nat nat);

/* What RFC 5780 must find from inside the site. `hairpins` where the host has a NAT; without one,
 * its own address is where it is. */
struct lab_behaviour {
  bool answers; /* UDP passes at all; else nothing below is known */
  enum behaviour mapping, filtering;
  bool hairpins;
};
struct lab_behaviour lab_expected(const struct lab_site *site);

/* The letter of a site, "a" for 0, and the name of a namespace without its lab's: "a", "a-nat",
 * "a-cgn". Returns `out`. */
const char *lab_part_name(size_t site, enum lab_part part, char out[LAB_WORD_SIZE]);
bool lab_has_part(const struct lab_site *site, enum lab_part part);

/* What `ip -batch` and `nft -f` read inside the namespace, and one "name=value" a line for
 * /proc/sys. `prefix` stands before the names of namespaces. The public side's ip text makes the
 * links to the sites, so theirs has to come after it, the carrier's before the router's, the
 * router's before the host's. An empty text: nothing to do. */
struct lab_text {
  struct buf ip, nft, sysctl;
};
void lab_put_public(const struct lab_site *site, size_t count, const char *prefix,
                    struct lab_text *out);
void lab_put_part(const struct lab_site *site, size_t index, enum lab_part part, const char *prefix,
                  struct lab_text *out);

#endif
