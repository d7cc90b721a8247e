/* Runs scenarios: text files in which clients talk to a whole signalling core with a fake edge and
 * a fake clock. signal/README.md has the language.
 *
 *   signal_runner FILE              runs it; then again with allocation 1 failing, with 2, and so
 * on signal_runner --must-fail FILE  0 when the scenario fails: the runner's own test
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/scenario/signal_script.h"

void script_fail(const struct script *s, const char *format, ...)
{
  va_list args;
  if (!s->wants_failure) {
    fprintf(stderr, "%s:%d: ", s->path, s->line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    if (s->lenient) {
      fprintf(stderr, " (allocation %zu failed)", s->world.memory.fail_at);
    }
    fprintf(stderr, "\n");
  }
  exit(1);
}

static char *read_file(const char *path)
{
  FILE *f = fopen(path, "rb");
  if (f == NULL) {
    fprintf(stderr, "%s: cannot be opened\n", path);
    exit(1);
  }
  char *text = calloc(1, SCRIPT_TEXT);
  size_t len = text == NULL ? 0 : fread(text, 1, SCRIPT_TEXT - 1, f);
  fclose(f);
  if (text == NULL || len == SCRIPT_TEXT - 1) {
    fprintf(stderr, "%s: too long\n", path);
    exit(1);
  }
  return text;
}

/* Nothing that lets a reader of the log take part: no key, no room. */
static void check_log(const struct script *s)
{
  for (size_t i = 0; i < s->var_count; i++) {
    const char *dot = strrchr(s->var[i].name, '.');
    if (dot != NULL && strcmp(dot, ".key") == 0 &&
        strstr(s->world.log_text, s->var[i].text) != NULL) {
      script_fail(s, "the log has the key of '%s'", s->var[i].name);
    }
  }
}

static void finish(struct script *s)
{
  script_start(s);
  if (!s->lenient) {
    script_nothing_left(s);
    check_log(s);
  }
  /* A broken rule counts with and without memory. */
  if (!world_fini(&s->world)) {
    script_fail(s, "%s", s->world.broken);
  }
}

/* Which clients the core has closed, a bit for each. */
static uint64_t closed_clients(const struct script *s)
{
  uint64_t mask = 0;
  for (size_t i = 0; i < s->world.client_count; i++) {
    mask |= (uint64_t)s->world.client[i].closed << i;
  }
  return mask;
}

/* Whoever did not act in the line whose allocation failed may not feel it: what is closed then was
 * closed in the run without a failure too. */
static void check_bystanders(const struct script *s, uint64_t usual)
{
  uint64_t more = closed_clients(s) & ~usual;
  for (size_t i = 0; i < s->world.client_count; i++) {
    const struct sig_client *c = &s->world.client[i];
    if (((more >> i) & 1) && c != s->actor) {
      script_fail(s, "'%s' was closed (%u %s) for want of memory that another asked for", c->name,
                  c->close_code, c->close_reason);
    }
  }
}

static void after_line(struct script *s, uint64_t usual[SCRIPT_LINES], bool failed_before)
{
  if (s->line >= SCRIPT_LINES) {
    script_fail(s, "more than %d lines", SCRIPT_LINES);
  }
  if (!s->lenient) {
    usual[s->line] = closed_clients(s);
  } else if (!failed_before && failing_mem_has_failed(&s->world.memory)) {
    check_bystanders(s, usual[s->line]);
  }
}

static struct script *script_new(const char *path, bool wants_failure)
{
  struct script *s = calloc(1, sizeof(*s));
  if (s == NULL) {
    exit(1);
  }
  s->path = path;
  s->wants_failure = wants_failure;
  world_init(&s->world);
  return s;
}

/* Whether the failure was asked for and has happened: else there is no further one to try. */
static bool run(const char *path, size_t fail_at, bool wants_failure)
{
  static uint64_t usual[SCRIPT_LINES]; /* from the first run, which has all its memory */
  struct script *s = script_new(path, wants_failure);
  char *text = read_file(path), *rest = text;
  s->lenient = fail_at > 0;
  failing_mem_fail_at(&s->world.memory, fail_at);
  for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
    bool failed_before = failing_mem_has_failed(&s->world.memory);
    s->line++;
    s->actor = NULL;
    script_run_line(s, line);
    after_line(s, usual, failed_before);
    /* Without its core, there is nothing more to see. */
    if (s->started && s->world.sig == NULL) {
      break;
    }
  }
  finish(s);
  bool failed = failing_mem_has_failed(&s->world.memory);
  free(text);
  free(s);
  return failed;
}

static int run_must_fail(const char *path)
{
  pid_t child = fork();
  if (child == 0) {
    run(path, 0, true);
    exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    return 1;
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 1) {
    return 0;
  }
  fprintf(stderr, "%s: should have failed, and did not\n", path);
  return 1;
}

int main(int argc, char **argv)
{
  if (argc == 3 && strcmp(argv[1], "--must-fail") == 0) {
    return run_must_fail(argv[2]);
  }
  if (argc != 2) {
    fprintf(stderr, "usage: signal_runner [--must-fail] FILE\n");
    return 2;
  }
  size_t n = 1, runs = 0;
  run(argv[1], 0, false);
  /* Each of the first, then fewer: the floods are all alike. */
  for (; run(argv[1], n, false); runs++) {
    n += 1 + (n < 128 ? 0 : n / 16);
  }
  printf("%s: ok, and %zu times with one of its allocations failing\n", argv[1], runs);
  return 0;
}
