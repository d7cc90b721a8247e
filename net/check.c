/* See check.h. */
#include "net/check.h"

#include <string.h>

#include "base/err.h"
#include "net/file.h"
#include "net/mem.h"
#include "net/options.h"

enum { STATUS_WRONG = 1, STATUS_UNREAD = 2, WRONG_MAX = 16 };

struct check {
  const struct net_check *what;
  struct option_parser parser;
  struct net_report report;
  struct net_check_lines lines;
  bool told; /* of any line */
  /* Wrong lines are told behind the explanations, where they are seen. */
  struct {
    size_t line;
    char text[OPTION_ERROR_SIZE];
  } wrong[WRONG_MAX];
  size_t wrong_count;
};

static void explain(void *arg, const struct option_line *line)
{
  struct check *c = arg;
  if (line->result != 0) {
    if (c->wrong_count < WRONG_MAX) {
      c->wrong[c->wrong_count].line = line->number;
      memcpy(c->wrong[c->wrong_count].text, c->parser.error.text, OPTION_ERROR_SIZE);
    }
    c->wrong_count++;
    return;
  }
  size_t *line_of = &c->lines.of[line->row - c->what->set->row];
  net_report_line(&c->report, line);
  c->told = true;
  if (line->again)
    net_report_find(&c->report, NET_FINDING_NOTE, line->number,
                    "%s stands in line %zu already; the last one counts", line->row->name,
                    *line_of);
  *line_of = line->number;
}

/* The parser's errors begin with the place, which stands before them here. */
static const char *without_place(const char *text, const char *path)
{
  const size_t len = strlen(path);
  const char *behind = strncmp(text, path, len) == 0 ? strstr(text + len, ": ") : NULL;
  return behind != NULL ? behind + 2 : text;
}

static void report_wrong(struct check *c, const char *path)
{
  for (size_t i = 0; i < c->wrong_count && i < WRONG_MAX; i++)
    net_report_find(&c->report, NET_FINDING_ERROR, c->wrong[i].line, "%s",
                    without_place(c->wrong[i].text, path));
  if (c->wrong_count > WRONG_MAX)
    net_report_find(&c->report, NET_FINDING_ERROR, 0, "and %zu lines more are wrong",
                    c->wrong_count - WRONG_MAX);
}

void net_check_warn(void *arg, const char *text)
{
  struct net_report *r = arg;
  if (strstr(text, " has no effect here: ") == NULL)
    net_report_find(r, NET_FINDING_NOTE, 0, "%s", text);
}

static void check_whole(struct check *c, const char *path)
{
  char program[] = "viaduct", option[] = "--config";
  char *argv[] = {program, option, (char *)path, NULL};
  struct mem mem = net_mem();
  struct option_error wrong = {{0}};
  if (c->what->whole != NULL)
    c->what->whole(3, argv, &c->lines, &c->report);
  else if (c->what->try_start(3, argv, &mem, &wrong) != 0)
    net_report_find(&c->report, NET_FINDING_ERROR, 0, "%s", wrong.text);
}

static int check_text(struct check *c, const char *path, struct bytes text)
{
  struct mem mem = net_mem();
  void *config = mem_new(&mem, c->what->config_size);
  if (config == NULL ||
      option_begin(&c->parser, c->what->set, &mem, config, c->what->config_size) != 0) {
    mem_free(&mem, config, c->what->config_size);
    fprintf(stderr, "%s: %s\n", c->what->set->program, err_text(-ERR_NOMEM));
    return STATUS_UNREAD;
  }
  net_report_init(&c->report, stdout);
  printf("%s\n\n", path);
  (void)option_check_file(&c->parser, path, text, explain, c); /* told line by line */
  option_fini(c->what->set, &mem, config);
  mem_free(&mem, config, c->what->config_size);
  if (c->told)
    putchar('\n');
  if (c->wrong_count > 0)
    report_wrong(c, path);
  else
    check_whole(c, path);
  return net_report_end(&c->report) ? 0 : STATUS_WRONG;
}

int net_check_asked(const struct net_check *what, int argc, char *const *argv)
{
  const char *path = option_peek(what->set, argc, argv, "check-config");
  if (path == NULL)
    return -ERR_MISSING;
  struct mem mem = net_mem();
  struct net_file file;
  struct net_error e = {{0}};
  struct check *c = mem_new(&mem, sizeof(*c));
  int status = STATUS_UNREAD;
  if (c == NULL || net_file_read(path, NET_OPTIONS_FILE_MAX, &mem, &file, &e) != 0) {
    fprintf(stderr, "%s: %s\n", what->set->program, c == NULL ? err_text(-ERR_NOMEM) : e.text);
  } else {
    c->what = what;
    status = check_text(c, path, file.bytes);
    net_file_free(&file, &mem);
  }
  mem_free(&mem, c, sizeof(*c));
  return status;
}
