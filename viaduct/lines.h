/* A child's output cut into lines: whole ones only, of bounded length, without control characters.
 * Pure; merged_log.c and child.c call it. */
#ifndef VIADUCT_VIADUCT_LINES_H
#define VIADUCT_VIADUCT_LINES_H

#include "base/bytes.h"
#include "base/log.h"

enum {
  LINES_MAX = 4096
}; /* bytes of a line; the rest of a longer one is dropped, "..." stands for it */

struct lines {
  char text[LINES_MAX + 4];
  size_t len;
  bool too_long;
};

/* Takes bytes up to the end of a line and returns how many it took; `*line` is then that line
 * without its newline, valid until the next call, or has no bytes (`at` NULL) when no line has
 * ended yet. */
size_t lines_take(struct lines *l, struct bytes in, struct bytes *line);
/* What stands there without a newline, when nothing more comes. */
struct bytes lines_rest(struct lines *l);

/* The level that a line of base/log says. What is no such line is a warning: a server that does not
 * log but print has something to say. */
enum log_level line_level(struct bytes line);

/* Writes `line` into `out`, with `path` (or its end, as a server shows a long one) replaced by
 * `name` where ":NUMBER" follows and NUMBER is at most `line_max`. */
void line_rename(struct buf *out, struct bytes line, const char *path, const char *name,
                 uint64_t line_max);

#endif
