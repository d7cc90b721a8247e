/* Reads vector files for the tests. Strict, since a typing error in a vector must not go unseen. */
#include "tests/vectors/hex.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static int digit(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return -1;
}

/* "HH" or "HH*COUNT" at *at; moves behind it. */
static int read_token(const char **at, struct vector *out)
{
  const char *p = *at;
  int high = digit(p[0]), low = high < 0 ? -1 : digit(p[1]);
  if (low < 0)
    return -ERR_BAD;
  p += 2;
  unsigned long count = 1;
  if (*p == '*') {
    char *end;
    count = strtoul(p + 1, &end, 10);
    if (end == p + 1)
      return -ERR_BAD;
    p = end;
  }
  if (count > VECTOR_MAX - out->len)
    return -ERR_RANGE;
  memset(out->bytes + out->len, high * 16 + low, count);
  out->len += count;
  *at = p;
  return 0;
}

static int read_text(const char *path, struct vector *out)
{
  int line = 1;
  for (const char *p = out->text; *p;) {
    if (*p == '#') {
      p += strcspn(p, "\n");
    } else if (*p == '\n') {
      line++;
      p++;
    } else if (*p == ' ') {
      p++;
    } else {
      int err = read_token(&p, out);
      if (err) {
        fprintf(stderr, "%s:%d: neither a byte (two lower-case digits) nor a comment\n", path,
                line);
        return err;
      }
    }
  }
  return 0;
}

int vector_load(const char *path, struct vector *out)
{
  out->len = 0;
  FILE *f = fopen(path, "rb");
  if (!f) {
    fprintf(stderr, "%s: cannot be opened\n", path);
    return -ERR_MISSING;
  }
  size_t n = fread(out->text, 1, sizeof out->text - 1, f);
  bool whole = feof(f) && !ferror(f);
  fclose(f);
  out->text[n] = '\0';
  if (!whole) {
    fprintf(stderr, "%s: cannot be read, or is longer than %d bytes\n", path, VECTOR_TEXT - 1);
    return -ERR_RANGE;
  }
  return read_text(path, out);
}

struct bytes vector_field(const struct vector *v, const char *key)
{
  size_t key_len = strlen(key);
  for (const char *line = v->text; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, "# ", 2) != 0 || strncmp(line + 2, key, key_len) != 0 ||
        strncmp(line + 2 + key_len, ": ", 2) != 0)
      continue;
    const char *value = line + 2 + key_len + 2;
    return (struct bytes){(const uint8_t *)value, strcspn(value, "\n")};
  }
  return (struct bytes){NULL, 0};
}

static int compare_paths(const void *a, const void *b)
{
  return strcmp(a, b);
}

int vector_list(const char *folder, struct vector_files *out)
{
  out->count = 0;
  DIR *d = opendir(folder);
  if (!d) {
    fprintf(stderr, "%s: cannot be opened\n", folder);
    return -ERR_MISSING;
  }
  int err = 0;
  for (struct dirent *e = readdir(d); e && !err; e = readdir(d)) {
    size_t len = strlen(e->d_name);
    if (len < 4 || strcmp(e->d_name + len - 4, ".hex") != 0)
      continue;
    if (out->count == VECTOR_FILES)
      err = -ERR_RANGE;
    else if (snprintf(out->path[out->count], VECTOR_NAME, "%s/%s", folder, e->d_name) < VECTOR_NAME)
      out->count++;
    else
      err = -ERR_RANGE;
  }
  closedir(d);
  qsort(out->path, out->count, VECTOR_NAME, compare_paths);
  return err;
}
