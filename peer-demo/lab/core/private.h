/* What the files of this folder share. */
#ifndef VIADUCT_PEER_DEMO_LAB_CORE_PRIVATE_H
#define VIADUCT_PEER_DEMO_LAB_CORE_PRIVATE_H

#include "peer-demo/lab/core/lab.h"

/* printf's format, one line of at most 255 bytes. */
void lab__put(struct buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool lab__has_v4(const struct lab_site *site);
bool lab__has_v6(const struct lab_site *site);

/* links.c */
void lab__put_links(const struct lab_site *site, size_t index, enum lab_part part,
                    const char *prefix, struct buf *out);
/* rules.c: what nft reads in a router or a carrier. */
void lab__put_rules(const struct lab_site *site, size_t index, enum lab_part part, struct buf *out);

#endif
