/* A laboratory's namespaces: built, found again, taken down. The namespaces are the state, so that
 * what a crash left behind is found by their names; what each site is stands in a file beside. */
#ifndef VIADUCT_PEER_DEMO_LAB_PLACES_H
#define VIADUCT_PEER_DEMO_LAB_PLACES_H

#include "net/error.h"
#include "peer-demo/lab/core/lab.h"

#define PLACES_PREFIX "vlab-"
#define PLACES_DIR "/run/viaduct-lab"

enum {
  PLACES_NAME_MAX = 16,
  PLACES_PREFIX_SIZE = 32,
  PLACES_PATH_SIZE = 128,
  PLACES_WORD_MAX = 128
};

struct lab {
  const char *name;
  char prefix[PLACES_PREFIX_SIZE]; /* of the names of its namespaces */
  char dir[PLACES_PATH_SIZE];      /* its files: what its sites are, the servers' state and log */
  struct lab_site site[LAB_SITES];
  char word[LAB_SITES][PLACES_WORD_MAX + 1]; /* what each site was described with */
  size_t count;
};

/* A laboratory of that name (borrowed) with these sites, 0 to LAB_SITES. -ERR_BAD with the mend. */
int places_init(struct lab *lab, const char *name, size_t count, char *const *word,
                struct net_error *e);
/* Fills the sites of one that stands. -ERR_MISSING. */
int places_load(struct lab *lab, struct net_error *e);
/* The whole name of a namespace; site LAB_SITES: the public side. */
void places_name(const struct lab *lab, size_t site, enum lab_part part, char *out);

/* Makes it all. On failure, and with -ERR_EXISTS not, nothing is left. */
int places_build(const struct lab *lab, struct net_error *e);
/* 0 also where nothing stands. */
int places_remove(const struct lab *lab, struct net_error *e);
/* Every laboratory of this machine. */
int places_remove_all(struct net_error *e);

#endif
