/* Keyed hashing and an intrusive hash table. The key is secret and random in the daemons, since
 * everything that is hashed comes from the network (SipHash-1-3; Aumasson and Bernstein, 2012). */
#ifndef VIADUCT_BASE_HASH_H
#define VIADUCT_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

struct hash_key {
  uint64_t k0, k1;
};

uint64_t hash_bytes(const struct hash_key *key, const void *p, size_t len);

struct hash_node {
  struct hash_node *next;
  uint64_t hash;
};

/* Chained, a power of two of buckets, doubled at a load of 1. The nodes belong to the caller. */
struct hash_table {
  struct mem *mem;
  struct hash_node **bucket;
  size_t bucket_count, count;
};

/* Allocates nothing before the first insertion. */
void hash_table_init(struct hash_table *t, struct mem *mem);
/* Frees the buckets; the nodes are the caller's. */
void hash_table_fini(struct hash_table *t);
/* -ERR_NOMEM only when there is no bucket at all: a table that cannot grow goes on with longer
 * chains. */
int hash_table_insert(struct hash_table *t, struct hash_node *node, uint64_t hash);
void hash_table_remove(struct hash_table *t, struct hash_node *node);
/* Walks the nodes of one hash: the first, then the next; NULL at the end. The caller compares the
 * keys. */
struct hash_node *hash_table_first(const struct hash_table *t, uint64_t hash);
struct hash_node *hash_table_next(const struct hash_node *node);

#endif
