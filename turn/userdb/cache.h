/* What a worker has been told about users of the database, for seconds: bounded rows under keyed
 * hashes. Pure: the time is handed in, and nothing is asked here. turn/find.c asks. */
#ifndef VIADUCT_TURN_USERDB_CACHE_H
#define VIADUCT_TURN_USERDB_CACHE_H

#include "base/bytes.h"
#include "base/hash.h"
#include "base/list.h"

enum {
  USERDB_KEY = 16,            /* bytes: MD5(name:realm:password) */
  USERDB_NAME_MAX = 513,      /* as in coturn; RFC 8489 14.3: fewer than 509 */
  USERDB_REALM_MAX = 127,     /* as coturn's tables have it */
  USERDB_ASKED_MAX = 32,      /* questions of one worker under way */
  USERDB_ASKED_ADDRESS = 8,   /* of these, for one address: others find room beside it */
  USERDB_FOUND_MAX = 1024,    /* users whose key is known */
  USERDB_OTHERS_MAX = 256,    /* names that are no users: a flood of them pushes out no user */
  USERDB_FOUND_MS = 5000,     /* so long until a user who was deleted is gone */
  USERDB_OTHERS_MS = 1000,    /* so long until one who was added is there */
  USERDB_ASKED_MS = 10 * 1000 /* then an answer is not waited for any more */
};

struct userdb_asked {
  struct bytes realm, name;
  uint64_t asker; /* whoever makes us ask: the same number for the same address */
};

struct userdb_cache {
  struct mem *mem;
  struct hash_key hash_key;
  struct hash_table by_name;
  struct list asked, found, others; /* the oldest first */
  size_t asked_count, found_count, others_count;
  uint64_t questions; /* so far: their numbers */
};

/* Allocates nothing yet. */
void userdb_cache_init(struct userdb_cache *c, struct mem *mem, struct hash_key hash_key);
void userdb_cache_fini(struct userdb_cache *c);

/* 0 with the key; -ERR_MISSING: no user; -ERR_IO: the database could not say; -ERR_AGAIN: it is
 * asked, and *question is the number; -ERR_DROP: nothing is known, so ask. */
int userdb_cache_find(struct userdb_cache *c, struct bytes realm, struct bytes name,
                      uint64_t now_ms, uint8_t key[USERDB_KEY], uint64_t *question);
/* Notes that the database is asked from now on, after -ERR_DROP. -ERR_FULL, -ERR_NOMEM, -ERR_RANGE
 * (longer than a name is). */
int userdb_cache_ask(struct userdb_cache *c, const struct userdb_asked *a, uint64_t now_ms,
                     uint64_t *question);
/* What the database said: 0 with the key, -ERR_MISSING, or another error, after which a user who
 * was known stays so. The number of the question that it answers; 0 when nobody asked. */
uint64_t userdb_cache_answer(struct userdb_cache *c, struct bytes realm, struct bytes name,
                             int verdict, const uint8_t key[USERDB_KEY], uint64_t now_ms);

#endif
