/* A line-wise walk over the file: headers switch the section, everything else goes into the current
 * one under its own number. */
#include "viaduct/sections.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

static const char *const names[SECTION_COUNT] = {"up", "turnd", "stund", "signald"};

const char *section_name(enum section s)
{
  return names[s];
}

static bool is_blank(uint8_t c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

static struct bytes trimmed(struct bytes text)
{
  while (text.len > 0 && is_blank(text.at[0]))
    text = (struct bytes){text.at + 1, text.len - 1};
  while (text.len > 0 && is_blank(text.at[text.len - 1]))
    text.len--;
  return text;
}

/* The nearest name by the rule that options have: a set whose rows are the sections. */
static const char *nearest(struct bytes name)
{
  static const struct option row[SECTION_COUNT] = {
      {.name = "up"}, {.name = "turnd"}, {.name = "stund"}, {.name = "signald"}};
  static const struct option_set set = {.row = row, .count = SECTION_COUNT};
  return option_nearest(&set, name);
}

struct place {
  const char *file_name;
  size_t line;
  struct option_error *error;
};

static int fail_header(const struct place *at, struct bytes line)
{
  snprintf(at->error->text, sizeof(at->error->text),
           "%s:%zu: '%.*s' is no section; write [up], [turnd], [stund] or [signald]", at->file_name,
           at->line, (int)(line.len < 64 ? line.len : 64), (const char *)line.at);
  for (char *c = at->error->text; *c != '\0'; c++)
    if ((uint8_t)*c < 0x20 || *c == 0x7f)
      *c = '?';
  return -ERR_BAD;
}

static int fail_unknown(const struct place *at, struct bytes name)
{
  const char *near = nearest(name);
  if (near == NULL)
    return fail_header(at, (struct bytes){name.at - 1, name.len + 2});
  snprintf(
      at->error->text, sizeof(at->error->text),
      "%s:%zu: unknown section [%.*s]; did you mean [%s]? There are [up], [turnd], [stund] and "
      "[signald]",
      at->file_name, at->line, (int)name.len, (const char *)name.at, near);
  return -ERR_BAD;
}

/* `line` starts with '['. */
static int read_header(const struct place *at, struct bytes line, enum section *out)
{
  struct bytes name = {line.at + 1, 0};
  while (name.len + 1 < line.len && name.at[name.len] != ']')
    name.len++;
  if (name.len + 1 == line.len)
    return fail_header(at, line);
  struct bytes behind = {name.at + name.len + 1, line.len - name.len - 2};
  if (trimmed(behind).len > 0 && trimmed(behind).at[0] != '#')
    return fail_header(at, line);
  for (size_t i = 0; i < SECTION_COUNT; i++)
    if (bytes_equal(name, bytes_of(names[i]))) {
      *out = (enum section)i;
      return 0;
    }
  return fail_unknown(at, name);
}

static void put_line(struct sections *s, enum section current, struct bytes line)
{
  for (size_t i = 0; i < SECTION_COUNT; i++) {
    if (i == current)
      buf_put(&s->text[i], line.at, line.len);
    buf_put_byte(&s->text[i], '\n');
  }
  s->line_count++;
}

static int split(struct bytes file, struct place *at, struct sections *out)
{
  static const struct bytes nothing = {0};
  enum section current = SECTION_COUNT; /* none yet */
  while (file.len > 0) {
    const uint8_t *end = memchr(file.at, '\n', file.len);
    struct bytes line = {file.at, end != NULL ? (size_t)(end - file.at) : file.len};
    struct bytes text = trimmed(line);
    at->line++;
    if (text.len > 0 && text.at[0] == '[') {
      int r = read_header(at, text, &current);
      if (r != 0)
        return r;
      put_line(out, current, nothing);
    } else if (current == SECTION_COUNT && text.len > 0 && text.at[0] != '#') {
      snprintf(at->error->text, sizeof(at->error->text),
               "%s:%zu: this line belongs to no section; put [up], [turnd], [stund] or [signald] "
               "above it",
               at->file_name, at->line);
      return -ERR_BAD;
    } else {
      put_line(out, current, line);
    }
    size_t used = line.len + (end != NULL ? 1 : 0);
    file = (struct bytes){file.at + used, file.len - used};
  }
  return 0;
}

int sections_split(const char *file_name, struct bytes file, struct mem *mem, struct sections *out,
                   struct option_error *error)
{
  struct sections s = {0};
  if (file.len >= 3 && memcmp(file.at, "\xef\xbb\xbf", 3) == 0) /* the mark before UTF-8 */
    file = (struct bytes){file.at + 3, file.len - 3};
  for (size_t i = 0; i < SECTION_COUNT; i++) {
    size_t cap = file.len + 1; /* a last line without its end gets one */
    void *storage = mem_new(mem, cap);
    if (storage == NULL) {
      sections_free(&s, mem);
      snprintf(error->text, sizeof(error->text), "%s: out of memory", file_name);
      return -ERR_NOMEM;
    }
    buf_init(&s.text[i], storage, cap);
  }
  struct place at = {.file_name = file_name, .error = error};
  int r = split(file, &at, &s);
  if (r != 0) {
    sections_free(&s, mem);
    return r;
  }
  *out = s;
  return 0;
}

void sections_free(struct sections *s, struct mem *mem)
{
  for (size_t i = 0; i < SECTION_COUNT; i++) {
    struct buf *b = &s->text[i];
    if (b->at == NULL)
      continue;
    bytes_wipe(b->at, b->cap);
    mem_free(mem, b->at, b->cap);
    *b = (struct buf){0};
  }
}
