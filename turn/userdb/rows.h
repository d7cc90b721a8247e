/* What a database holds beside its users: secrets, rules for peers, realms, OAuth keys. Few, so
 * they are read whole, and compared with what was read before. Pure. */
#ifndef VIADUCT_TURN_USERDB_ROWS_H
#define VIADUCT_TURN_USERDB_ROWS_H

#include "base/bytes.h"
#include "base/mem.h"

enum userdb_kind {
  USERDB_SECRET,  /* realm, secret */
  USERDB_ALLOWED, /* realm, range; an empty realm: all */
  USERDB_DENIED,  /* the same */
  USERDB_ORIGIN,  /* origin, realm */
  USERDB_OPTION,  /* realm, option, value */
  USERDB_OAUTH,   /* kid, key in base64, timestamp, lifetime, algorithm, realm */
};

enum { USERDB_FIELDS = 6, USERDB_FIELD_MAX = 512, USERDB_ROWS_MAX = 65536 };

struct userdb_row {
  enum userdb_kind kind;
  uint16_t len[USERDB_FIELDS];
  uint8_t text[];
};

struct userdb_rows {
  struct mem *mem;
  struct userdb_row **row; /* sorted after userdb_rows_sort */
  size_t count, cap;
};

void userdb_rows_init(struct userdb_rows *rows, struct mem *mem);
/* Wipes them: there are secrets among them. */
void userdb_rows_fini(struct userdb_rows *rows);
/* A copy of up to USERDB_FIELDS fields. -ERR_RANGE (a field that is too long), -ERR_FULL,
 * -ERR_NOMEM. */
int userdb_rows_add(struct userdb_rows *rows, enum userdb_kind kind, const struct bytes *field,
                    size_t count);
/* So that two readings of the same have the same digest. */
void userdb_rows_sort(struct userdb_rows *rows);
/* SHA-256 over all of them, which is another one when anything is. */
void userdb_rows_digest(const struct userdb_rows *rows, uint8_t out[32]);
struct bytes userdb_row_field(const struct userdb_row *row, size_t i);

#endif
