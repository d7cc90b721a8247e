/* A program's start: its options from a file and the arguments, and its help to standard output. */
#include "net/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "net/file.h"

enum { PRINT_MAX = 256 * 1024 };

static int read_file(struct option_parser *p, const char *path, struct option_error *e)
{
  struct net_file file;
  struct net_error cause = {{0}};
  int r = net_file_read(path, NET_OPTIONS_FILE_MAX, p->mem, &file, &cause);
  if (r != 0) {
    /* Cut, so that the mend is never lost behind a long path. */
    snprintf(e->text, sizeof(e->text), "%.400s; config has to name a file that can be read",
             cause.text);
    return r;
  }
  r = option_parse_file(p, path, file.bytes);
  if (r != 0)
    *e = p->error;
  net_file_free(&file, p->mem);
  return r;
}

const char *net_options_file(const struct net_options *o)
{
  /* What is asked for by these needs no sound file, and --check-config has one of its own. */
  static const char *const without[] = {"no-config", "help",         "version",
                                        "man",       "check-config", "example-config"};
  const char *named = option_peek(o->set, o->argc, o->argv, "config");
  if (named != NULL || o->usual == NULL)
    return named;
  for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
    if (option_is_asked(o->set, o->argc, o->argv, without[i]))
      return NULL;
  for (const char *const *path = o->usual; *path != NULL; path++)
    if (access(*path, F_OK) == 0)
      return *path;
  return NULL;
}

int net_options_read(const struct net_options *o, struct mem *mem, void *config, size_t size,
                     struct option_error *e)
{
  struct option_parser p;
  int r = option_begin(&p, o->set, mem, config, size);
  if (r != 0) {
    *e = p.error;
    return r;
  }
  p.warn = o->warn;
  p.warn_arg = o->warn_arg;
  const char *path = net_options_file(o);
  if (path != NULL)
    r = read_file(&p, path, e);
  if (r == 0 && (r = option_parse_args(&p, o->argc, o->argv)) != 0)
    *e = p.error;
  return r;
}

void net_options_tell_fixed(const struct option_set *set, const void *before, const void *after,
                            option_warn_fn warn, void *warn_arg)
{
  for (size_t i = 0; i < set->count; i++) {
    const struct option *row = &set->row[i];
    if (row->reloadable || option_is_same(row, before, after))
      continue;
    char text[256];
    snprintf(text, sizeof(text), "%s has changed, which takes effect at the next start", row->name);
    warn(warn_arg, text);
  }
}

int net_options_fail(struct option_error *e, const char *format, ...)
{
  va_list ap;
  va_start(ap, format);
  vsnprintf(e->text, sizeof(e->text), format, ap);
  va_end(ap);
  return -ERR_BAD;
}

int net_options_print(const struct option_set *set, const struct net_options_asked *asked)
{
  uint8_t storage[PRINT_MAX];
  struct buf out;
  buf_init(&out, storage, sizeof(storage));
  if (asked->help)
    option_render_help(set, &out);
  else if (asked->example_config)
    option_render_example(set, &out);
  else if (asked->man)
    option_render_man(set, &out);
  else if (asked->version != NULL)
    buf_put_text(&out, asked->version);
  else
    return -ERR_MISSING;
  bool whole = fwrite(out.at, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
  return whole && !out.overflow ? 0 : -ERR_IO;
}
