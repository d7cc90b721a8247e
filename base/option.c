/* Options from a file, a command line and a table's defaults into a configuration struct. Called
 * by every daemon's options and by `viaduct up`. Here: the table, its values and the errors;
 * reading files and arguments is in option_read.c, what --help, the example file and the man page
 * say in option_render.c. */
#include <string.h>

#include "base/err.h"
#include "base/option_priv.h"

static uint8_t lower(uint8_t c)
{
  return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* Errors. Whatever came from outside is shown short and without control characters. */

enum { SHOWN_PLACE_MAX = 128 };

void option__put_shown(struct buf *b, struct bytes text, size_t max)
{
  for (size_t i = 0; i < text.len; i++) {
    if (i == max) {
      buf_put_text(b, "...");
      return;
    }
    uint8_t c = text.at[i];
    buf_put_byte(b, c < 0x20 || c >= 0x7f ? '?' : c);
  }
}

struct buf option__error_begin(struct option_parser *p, const struct option_place *at)
{
  struct buf b;
  buf_init(&b, p->error.text, OPTION_ERROR_SIZE - 1);
  if (at->name != NULL) {
    struct bytes name = bytes_of(at->name);
    if (name.len > SHOWN_PLACE_MAX) /* the end of a long path says more than its beginning */
      name = (struct bytes){name.at + name.len - SHOWN_PLACE_MAX, SHOWN_PLACE_MAX};
    option__put_shown(&b, name, SHOWN_PLACE_MAX);
    if (at->line > 0) {
      buf_put_byte(&b, ':');
      buf_put_uint(&b, at->line);
    }
    buf_put_text(&b, ": ");
  }
  return b;
}

int option__error_end(struct option_parser *p, struct buf *b)
{
  p->error.text[b->len] = '\0';
  return -ERR_BAD;
}

int option__fail(struct option_parser *p, const struct option_place *at, const char *text)
{
  struct buf b = option__error_begin(p, at);
  buf_put_text(&b, text);
  return option__error_end(p, &b);
}

static int fail_nomem(struct option_parser *p, const struct option_place *at)
{
  (void)option__fail(p, at, "out of memory while reading the options");
  return -ERR_NOMEM;
}

/* The name as its user writes it there. */
void option__put_name(struct buf *b, const struct option_place *at, const char *name)
{
  if (at->name == NULL)
    buf_put_text(b, "--");
  buf_put_text(b, name);
}

int option__fail_unknown(struct option_parser *p, const struct option_place *at, struct bytes name)
{
  struct buf b = option__error_begin(p, at);
  buf_put_text(&b, "unknown option '");
  if (at->name == NULL)
    buf_put_text(&b, "--");
  option__put_shown(&b, name, OPTION_SHOWN_MAX);
  buf_put_byte(&b, '\'');
  const char *near = option_nearest(p->set, name);
  if (near != NULL) {
    buf_put_text(&b, "; did you mean '");
    option__put_name(&b, at, near);
    buf_put_text(&b, "'?");
  } else {
    buf_put_text(&b, "; '");
    buf_put_text(&b, p->set->program);
    buf_put_text(&b, " --help' lists them all");
  }
  return option__error_end(p, &b);
}

static int fail_missing(struct option_parser *p, const struct option_place *at,
                        const struct option *row)
{
  struct buf b = option__error_begin(p, at);
  option__put_name(&b, at, row->name);
  buf_put_text(&b, " needs a value: write '");
  option__put_name(&b, at, row->name);
  buf_put_byte(&b, '=');
  buf_put_text(&b, row->metavar != NULL ? row->metavar : "VALUE");
  buf_put_byte(&b, '\'');
  return option__error_end(p, &b);
}

/* "NAME must be `what`, not 'TEXT'"; a secret is not repeated. `wrong` is what the row's own check
 * said, or NULL. */
static int fail_value(struct option_parser *p, const struct option_place *at,
                      const struct option *row, struct bytes text, const char *wrong)
{
  struct buf b = option__error_begin(p, at);
  option__put_name(&b, at, row->name);
  if (wrong != NULL) {
    buf_put_byte(&b, ' ');
    buf_put_text(&b, wrong);
  } else if (row->kind == OPTION_UINT) {
    buf_put_text(&b, " must be a number from ");
    buf_put_uint(&b, row->min);
    buf_put_text(&b, " to ");
    buf_put_uint(&b, row->max);
  } else {
    buf_put_text(&b, " is on or off: write it bare, or with yes or no");
  }
  if (!row->secret) {
    buf_put_text(&b, ", not '");
    option__put_shown(&b, text, OPTION_SHOWN_MAX);
    buf_put_byte(&b, '\'');
  }
  return option__error_end(p, &b);
}

/* The table. */

const struct option *option_find(const struct option_set *set, struct bytes name)
{
  for (size_t i = 0; i < set->count; i++)
    if (bytes_equal(bytes_of(set->row[i].name), name))
      return &set->row[i];
  return NULL;
}

enum { NAME_MAX_LEN = 63 };

static size_t least(size_t a, size_t b)
{
  return a < b ? a : b;
}

/* Insertions, deletions, substitutions and swaps of neighbours that make `a` into `b`, both of at
 * most NAME_MAX_LEN bytes; '_' counts as '-', and case does not count. */
static size_t edit_distance(struct bytes a, struct bytes b)
{
  size_t row[3][NAME_MAX_LEN + 1] = {{0}};
  size_t *two_up = row[0], *up = row[1], *here = row[2];
  for (size_t j = 0; j <= b.len; j++)
    up[j] = j;
  for (size_t i = 1; i <= a.len; i++) {
    here[0] = i;
    for (size_t j = 1; j <= b.len; j++) {
      uint8_t x = lower(a.at[i - 1]), y = lower(b.at[j - 1]);
      size_t change = x == y || (x == '_' && y == '-') ? 0 : 1;
      here[j] = least(up[j - 1] + change, least(up[j], here[j - 1]) + 1);
      if (i > 1 && j > 1 && x == lower(b.at[j - 2]) && lower(a.at[i - 2]) == y)
        here[j] = least(here[j], two_up[j - 2] + 1);
    }
    size_t *free_row = two_up;
    two_up = up;
    up = here;
    here = free_row;
  }
  return up[b.len];
}

const char *option_nearest(const struct option_set *set, struct bytes name)
{
  if (name.len == 0 || name.len > NAME_MAX_LEN)
    return NULL;
  /* Far enough for two slips in a word, never so far that any word resembles any other. */
  size_t best = name.len <= 3 ? 2 : name.len <= 6 ? 3 : 4;
  const char *near = NULL, *longer = NULL;
  for (size_t i = 0; i < set->count; i++) {
    struct bytes other = bytes_of(set->row[i].name);
    if (other.len > NAME_MAX_LEN)
      continue;
    size_t distance = edit_distance(name, other);
    if (distance < best) {
      best = distance;
      near = set->row[i].name;
    }
    bool begins = name.len >= 3 && other.len > name.len && memcmp(other.at, name.at, name.len) == 0;
    if (begins && (longer == NULL || other.len < strlen(longer)))
      longer = set->row[i].name;
  }
  return near != NULL ? near : longer;
}

static bool bit_get(const uint64_t *bits, size_t i)
{
  return (bits[i / 64] >> (i % 64) & 1) != 0;
}

static void bit_set(uint64_t *bits, size_t i)
{
  bits[i / 64] |= (uint64_t)1 << (i % 64);
}

bool option__was_set(const struct option_parser *p, const struct option *row)
{
  return bit_get(p->was_set, (size_t)(row - p->set->row));
}

bool option_was_set(const struct option_parser *p, const char *name)
{
  const struct option *row = option_find(p->set, bytes_of(name));
  return row != NULL && option__was_set(p, row);
}

/* Values. */

static void *field_of(const struct option *row, void *config)
{
  return (char *)config + row->offset;
}

static void text_free(struct mem *mem, char *text, bool secret)
{
  if (text == NULL)
    return;
  size_t size = strlen(text) + 1;
  if (secret)
    bytes_wipe(text, size);
  mem_free(mem, text, size);
}

static void list_clear(struct mem *mem, struct option_list *list, bool secret)
{
  for (size_t i = 0; i < list->count; i++)
    text_free(mem, list->item[i], secret);
  mem_free(mem, list->item, list->count * sizeof(*list->item));
  *list = (struct option_list){0};
}

static int list_add(struct mem *mem, struct option_list *list, struct bytes text)
{
  char *copy = mem_copy_text(mem, text.at, text.len);
  if (copy == NULL)
    return -ERR_NOMEM;
  size_t size = list->count * sizeof(*list->item);
  char **item = mem_resize(mem, list->item, size, size + sizeof(*list->item));
  if (item == NULL) {
    text_free(mem, copy, true);
    return -ERR_NOMEM;
  }
  item[list->count++] = copy;
  list->item = item;
  return 0;
}

static int read_flag(struct bytes text, bool *out)
{
  static const char *const words[] = {"0", "no", "false", "off", "1", "yes", "true", "on"};
  for (size_t i = 0; i < 8; i++) {
    struct bytes word = bytes_of(words[i]);
    size_t same = 0;
    while (same < word.len && same < text.len && lower(text.at[same]) == word.at[same])
      same++;
    if (same == word.len && same == text.len) {
      *out = i >= 4;
      return 0;
    }
  }
  return -ERR_BAD;
}

static void warn_note(struct option_parser *p, const struct option_place *at,
                      const struct option *row)
{
  if (p->warn == NULL)
    return;
  struct option_error kept = p->error;
  struct buf b = option__error_begin(p, at);
  option__put_name(&b, at, row->name);
  buf_put_text(&b, " has no effect here: ");
  buf_put_text(&b, row->help);
  (void)option__error_end(p, &b);
  p->warn(p->warn_arg, p->error.text);
  p->error = kept;
}

static int set_text(struct option_parser *p, const struct option_place *at,
                    const struct option *row, struct bytes text)
{
  char *copy = mem_copy_text(p->mem, text.at, text.len);
  if (copy == NULL)
    return fail_nomem(p, at);
  char **field = field_of(row, p->config);
  text_free(p->mem, *field, row->secret);
  *field = copy;
  return 0;
}

static int set_list(struct option_parser *p, const struct option_place *at,
                    const struct option *row, struct bytes text)
{
  size_t i = (size_t)(row - p->set->row);
  struct option_list *list = field_of(row, p->config);
  /* The first value of a file replaces the default, the first one of the command line the file's.
   */
  if (!bit_get(p->was_set, i) || (at->name == NULL && !bit_get(p->by_args, i)))
    list_clear(p->mem, list, row->secret);
  return list_add(p->mem, list, text) == 0 ? 0 : fail_nomem(p, at);
}

static int set_scalar(struct option_parser *p, const struct option_place *at,
                      const struct option *row, const struct option_value *v)
{
  if (row->kind == OPTION_FLAG) {
    bool on = true;
    if (v->given && read_flag(v->text, &on) != 0)
      return fail_value(p, at, row, v->text, NULL);
    *(bool *)field_of(row, p->config) = on;
    return 0;
  }
  uint64_t number;
  if (parse_uint(v->text, row->max, &number) != 0 || number < row->min)
    return fail_value(p, at, row, v->text, NULL);
  *(uint64_t *)field_of(row, p->config) = number;
  return 0;
}

int option__set(struct option_parser *p, const struct option_place *at, const struct option *row,
                const struct option_value *v)
{
  if (row->kind == OPTION_NOTE) {
    warn_note(p, at, row);
    return 0;
  }
  struct option_value bare = {.given = true, .text = bytes_of(row->bare != NULL ? row->bare : "")};
  if (!v->given && row->bare != NULL)
    v = &bare;
  if (row->kind != OPTION_FLAG && (!v->given || (v->text.len == 0 && !v->quoted)))
    return fail_missing(p, at, row);
  const char *wrong = row->check != NULL ? row->check(v->text) : NULL;
  if (wrong != NULL)
    return fail_value(p, at, row, v->text, wrong);
  int rc;
  if (row->kind == OPTION_TEXT)
    rc = set_text(p, at, row, v->text);
  else if (row->kind == OPTION_LIST)
    rc = set_list(p, at, row, v->text);
  else
    rc = set_scalar(p, at, row, v);
  if (rc == 0) {
    size_t i = (size_t)(row - p->set->row);
    bit_set(p->was_set, i);
    if (at->name == NULL)
      bit_set(p->by_args, i);
  }
  return rc;
}

int option_set_value(struct option_parser *p, const char *where, const char *name,
                     const char *value)
{
  struct option_place at = {.name = where};
  const struct option *row = option_find(p->set, bytes_of(name));
  if (row == NULL)
    return option__fail_unknown(p, &at, bytes_of(name));
  struct option_value v = {.given = value != NULL};
  if (v.given)
    v.text = bytes_of(value);
  return option__set(p, &at, row, &v);
}

int option_begin(struct option_parser *p, const struct option_set *set, struct mem *mem,
                 void *config, size_t config_size)
{
  *p = (struct option_parser){.set = set, .mem = mem, .config = config};
  memset(config, 0, config_size);
  struct option_place at = {.name = set->program};
  if (set->count > OPTION_ROWS_MAX) {
    (void)option__fail(p, &at, "the table of options is too long");
    return -ERR_FULL;
  }
  for (size_t i = 0; i < set->count; i++) {
    const struct option *row = &set->row[i];
    if (row->fallback == NULL || row->kind == OPTION_NOTE)
      continue;
    struct option_value v = {.text = bytes_of(row->fallback), .given = true, .quoted = true};
    int rc = option__set(p, &at, row, &v);
    if (rc != 0) {
      option_fini(set, mem, config);
      memset(config, 0, config_size);
      return rc;
    }
  }
  memset(p->was_set, 0, sizeof(p->was_set));
  return 0;
}

static bool same_list(const struct option_list *a, const struct option_list *b)
{
  if (a->count != b->count)
    return false;
  for (size_t i = 0; i < a->count; i++)
    if (strcmp(a->item[i], b->item[i]) != 0)
      return false;
  return true;
}

static bool same_text(const char *a, const char *b)
{
  return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool option_is_same(const struct option *row, const void *a, const void *b)
{
  const void *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;
  switch (row->kind) {
  case OPTION_FLAG:
    return *(const bool *)x == *(const bool *)y;
  case OPTION_UINT:
    return *(const uint64_t *)x == *(const uint64_t *)y;
  case OPTION_TEXT:
    return same_text(*(char *const *)x, *(char *const *)y);
  case OPTION_LIST:
    return same_list(x, y);
  case OPTION_NOTE:
  default:
    return true;
  }
}

void option_fini(const struct option_set *set, struct mem *mem, void *config)
{
  for (size_t i = 0; i < set->count; i++) {
    const struct option *row = &set->row[i];
    if (row->kind == OPTION_TEXT) {
      char **field = field_of(row, config);
      text_free(mem, *field, row->secret);
      *field = NULL;
    } else if (row->kind == OPTION_LIST) {
      list_clear(mem, field_of(row, config), row->secret);
    }
  }
}
