/* Rows in blocks of their own, and an array of them. */
#include "turn/userdb/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/err.h"

static size_t text_len(const struct userdb_row *r)
{
  size_t len = 0;
  for (size_t i = 0; i < USERDB_FIELDS; i++)
    len += r->len[i];
  return len;
}

void userdb_rows_init(struct userdb_rows *rows, struct mem *mem)
{
  *rows = (struct userdb_rows){.mem = mem};
}

void userdb_rows_fini(struct userdb_rows *rows)
{
  for (size_t i = 0; i < rows->count; i++) {
    struct userdb_row *r = rows->row[i];
    const size_t size = sizeof(*r) + text_len(r);
    bytes_wipe(r, size);
    mem_free(rows->mem, r, size);
  }
  mem_free(rows->mem, rows->row, rows->cap * sizeof(struct userdb_row *));
  userdb_rows_init(rows, rows->mem);
}

static int reserve(struct userdb_rows *rows)
{
  if (rows->count < rows->cap)
    return 0;
  if (rows->count >= USERDB_ROWS_MAX)
    return -ERR_FULL;
  const size_t cap = rows->cap ? 2 * rows->cap : 16;
  struct userdb_row **row =
      mem_resize(rows->mem, rows->row, rows->cap * sizeof(struct userdb_row *),
                 cap * sizeof(struct userdb_row *));
  if (!row)
    return -ERR_NOMEM;
  rows->row = row;
  rows->cap = cap;
  return 0;
}

int userdb_rows_add(struct userdb_rows *rows, enum userdb_kind kind, const struct bytes *field,
                    size_t count)
{
  size_t len = 0;
  for (size_t i = 0; i < count; i++) {
    if (field[i].len > USERDB_FIELD_MAX)
      return -ERR_RANGE;
    len += field[i].len;
  }
  int rc = reserve(rows);
  if (rc)
    return rc;
  struct userdb_row *r = mem_new(rows->mem, sizeof(*r) + len);
  if (!r)
    return -ERR_NOMEM;
  r->kind = kind;
  uint8_t *at = r->text;
  for (size_t i = 0; i < count; i++) {
    r->len[i] = (uint16_t)field[i].len;
    if (field[i].len)
      memcpy(at, field[i].at, field[i].len);
    at += field[i].len;
  }
  rows->row[rows->count++] = r;
  return 0;
}

/* Any order does, as long as it is one. */
static int compare(const struct userdb_row *a, const struct userdb_row *b)
{
  if (a->kind != b->kind)
    return a->kind < b->kind ? -1 : 1;
  const int by_len = memcmp(a->len, b->len, sizeof(a->len));
  return by_len ? by_len : memcmp(a->text, b->text, text_len(a));
}

static int compare_pointers(const void *a, const void *b)
{
  return compare(*(const struct userdb_row *const *)a, *(const struct userdb_row *const *)b);
}

void userdb_rows_sort(struct userdb_rows *rows)
{
  if (rows->count)
    qsort(rows->row, rows->count, sizeof(struct userdb_row *), compare_pointers);
}

void userdb_rows_digest(const struct userdb_rows *rows, uint8_t out[32])
{
  memset(out, 0, SHA256_SIZE);
  for (size_t i = 0; i < rows->count; i++) {
    const struct userdb_row *r = rows->row[i];
    const uint8_t kind = (uint8_t)r->kind;
    const struct bytes piece[] = {{out, SHA256_SIZE},
                                  {&kind, 1},
                                  {(const uint8_t *)r->len, sizeof(r->len)},
                                  {r->text, text_len(r)}};
    uint8_t next[SHA256_SIZE];
    digest_sha256(piece, 4, next);
    memcpy(out, next, sizeof(next));
  }
}

struct bytes userdb_row_field(const struct userdb_row *row, size_t i)
{
  size_t at = 0;
  for (size_t j = 0; j < i; j++)
    at += row->len[j];
  return (struct bytes){row->text + at, row->len[i]};
}
