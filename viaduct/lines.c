/* See lines.h. */
#include "viaduct/lines.h"

#include <string.h>

enum { SHOWN_PATH_MAX = 128 }; /* as base/option shows one in its messages */

static void put_char(struct lines *l, uint8_t c)
{
  if (l->len == LINES_MAX) {
    l->too_long = true;
    return;
  }
  /* A terminal would take it as a command. */
  l->text[l->len++] = (char)((c < 0x20 && c != '\t') || c == 0x7f ? '?' : c);
}

static struct bytes finish(struct lines *l)
{
  if (l->too_long) {
    memcpy(l->text + l->len, "...", 3);
    l->len += 3;
  }
  struct bytes line = {(const uint8_t *)l->text, l->len};
  l->len = 0;
  l->too_long = false;
  return line;
}

size_t lines_take(struct lines *l, struct bytes in, struct bytes *line)
{
  *line = (struct bytes){0};
  for (size_t i = 0; i < in.len; i++) {
    if (in.at[i] == '\n') {
      *line = finish(l);
      return i + 1;
    }
    if (in.at[i] != '\r')
      put_char(l, in.at[i]);
  }
  return in.len;
}

struct bytes lines_rest(struct lines *l)
{
  return finish(l);
}

/* The word between the first two spaces. */
enum log_level line_level(struct bytes line)
{
  static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
                                          LOG_LEVEL_DEBUG};
  const uint8_t *space = line.len > 0 ? memchr(line.at, ' ', line.len) : NULL;
  if (space == NULL || space == line.at || space[-1] != 'Z')
    return LOG_LEVEL_WARN;
  struct bytes rest = {space + 1, line.len - (size_t)(space + 1 - line.at)};
  for (size_t i = 0; i < 4; i++) {
    struct bytes name = bytes_of(log_level_name(levels[i]));
    if (rest.len > name.len && memcmp(rest.at, name.at, name.len) == 0 && rest.at[name.len] == ' ')
      return levels[i];
  }
  return LOG_LEVEL_WARN;
}

/* Whether `text` starts with ":NUMBER" for a NUMBER from 1 to `max`. */
static bool numbered(struct bytes text, uint64_t max)
{
  if (text.len < 2 || text.at[0] != ':')
    return false;
  struct bytes digits = {text.at + 1, 0};
  while (digits.len + 1 < text.len && digits.at[digits.len] >= '0' && digits.at[digits.len] <= '9')
    digits.len++;
  uint64_t number;
  return parse_uint(digits, max, &number) == 0 && number > 0;
}

void line_rename(struct buf *out, struct bytes line, const char *path, const char *name,
                 uint64_t line_max)
{
  struct bytes needle = bytes_of(path);
  if (needle.len > SHOWN_PATH_MAX)
    needle = (struct bytes){needle.at + needle.len - SHOWN_PATH_MAX, SHOWN_PATH_MAX};
  const uint8_t *at = line.len >= needle.len && needle.len > 0
                          ? memmem(line.at, line.len, needle.at, needle.len)
                          : NULL;
  if (at == NULL) {
    buf_put(out, line.at, line.len);
    return;
  }
  size_t before = (size_t)(at - line.at);
  struct bytes behind = {at + needle.len, line.len - before - needle.len};
  if (!numbered(behind, line_max)) {
    buf_put(out, line.at, line.len);
    return;
  }
  buf_put(out, line.at, before);
  buf_put_text(out, name);
  buf_put(out, behind.at, behind.len);
}
