/* base/option*.c: files, command lines, defaults, messages, and the three texts made from a table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/option.h"

struct config {
  bool verbose, auth;
  uint64_t port, min_port, limit;
  char *realm, *secret, *config;
  struct option_list listen, user;
};

#define AT(field) offsetof(struct config, field)

static const struct option rows[] = {
    {.name = "config",
     .letter = 'c',
     .kind = OPTION_TEXT,
     .offset = AT(config),
     .metavar = "FILE",
     .group = "General",
     .help = "The configuration file."},
    {.name = "verbose",
     .letter = 'v',
     .kind = OPTION_FLAG,
     .offset = AT(verbose),
     .group = "General",
     .help = "More lines in the log."},
    {.name = "listening-port",
     .letter = 'p',
     .kind = OPTION_UINT,
     .offset = AT(port),
     .max = 65535,
     .fallback = "3478",
     .metavar = "PORT",
     .group = "Network",
     .help = "The port."},
    {.name = "min-port",
     .kind = OPTION_UINT,
     .offset = AT(min_port),
     .min = 1024,
     .max = 65535,
     .fallback = "49152",
     .group = "Network",
     .help = "The lowest relay port."},
    {.name = "limit",
     .kind = OPTION_UINT,
     .offset = AT(limit),
     .max = UINT64_MAX,
     .group = "Network",
     .help = "A limit."},
    {.name = "listening-ip",
     .letter = 'L',
     .kind = OPTION_LIST,
     .offset = AT(listen),
     .fallback = "0.0.0.0",
     .metavar = "ADDRESS",
     .group = "Network",
     .help = "Where to listen."},
    {.name = "realm",
     .letter = 'r',
     .kind = OPTION_TEXT,
     .offset = AT(realm),
     .fallback = "viaduct",
     .group = "Users",
     .help = "The realm."},
    {.name = "use-auth-secret",
     .kind = OPTION_FLAG,
     .offset = AT(auth),
     .group = "Users",
     .help = "Time-limited credentials."},
    {.name = "static-auth-secret",
     .kind = OPTION_TEXT,
     .offset = AT(secret),
     .group = "Users",
     .fallback = "changeme",
     .help = "The shared secret.",
     .secret = true},
    {.name = "user",
     .letter = 'u',
     .kind = OPTION_LIST,
     .offset = AT(user),
     .group = "Users",
     .help = "A user.",
     .secret = true},
    {.name = "cli-port",
     .kind = OPTION_NOTE,
     .metavar = "PORT",
     .help = "there is no telnet console; metrics are served over HTTP"},
    {.name = "no-cli", .kind = OPTION_NOTE, .help = "there is no telnet console"},
};

static const struct option_set set = {.program = "viaduct-test",
                                      .summary = "a program that stands in a test",
                                      .row = rows,
                                      .count = sizeof(rows) / sizeof(rows[0])};

/* Counts what is out, and fails the allocation of number `fail_at` (from 1). */
struct counted {
  size_t live, calls, fail_at;
};

static void *counted_resize(void *arg, void *p, size_t old_size, size_t new_size)
{
  struct counted *c = arg;
  if (new_size == 0) {
    c->live -= p != NULL ? old_size : 0;
    free(p);
    return NULL;
  }
  if (++c->calls == c->fail_at) {
    return NULL;
  }
  void *q = realloc(p, new_size);
  assert_non_null(q);
  c->live += new_size - (p != NULL ? old_size : 0);
  return q;
}

struct fixture {
  struct counted counted;
  struct mem mem;
  struct option_parser p;
  struct config config;
  char warning[OPTION_ERROR_SIZE];
  size_t warnings;
};

static void take_warning(void *arg, const char *text)
{
  struct fixture *f = arg;
  f->warnings++;
  snprintf(f->warning, sizeof(f->warning), "%s", text);
}

static int begin(void **state)
{
  struct fixture *f = calloc(1, sizeof(*f));
  f->mem = (struct mem){.resize = counted_resize, .arg = &f->counted};
  memset(&f->p, 0xa5, sizeof(f->p)); /* what option_begin is given may be anything */
  memset(&f->config, 0xa5, sizeof(f->config));
  assert_int_equal(option_begin(&f->p, &set, &f->mem, &f->config, sizeof(f->config)), 0);
  f->p.warn = take_warning;
  f->p.warn_arg = f;
  *state = f;
  return 0;
}

static int end(void **state)
{
  struct fixture *f = *state;
  option_fini(&set, &f->mem, &f->config);
  assert_int_equal(f->counted.live, 0);
  free(f);
  return 0;
}

static int file(struct fixture *f, const char *text)
{
  return option_parse_file(&f->p, "turnserver.conf", bytes_of(text));
}

static void file_ok(struct fixture *f, const char *text)
{
  if (file(f, text) != 0) {
    fail_msg("'%s' was refused: %s", text, f->p.error.text);
  }
}

static void file_bad(struct fixture *f, const char *text, const char *message)
{
  f->p.error.text[0] = '\0';
  assert_int_equal(file(f, text), -ERR_BAD);
  assert_string_equal(f->p.error.text, message);
}

static int args(struct fixture *f, const char *const *argv)
{
  int argc = 0;
  while (argv[argc] != NULL) {
    argc++;
  }
  /* getopt's signature, which never writes */
  return option_parse_args(&f->p, argc, (char *const *)(uintptr_t)argv);
}

#define ARGS(...) ((const char *const[]){"program", __VA_ARGS__, NULL})

static void args_ok(struct fixture *f, const char *const *argv)
{
  if (args(f, argv) != 0) {
    fail_msg("%s was refused: %s", argv[1], f->p.error.text);
  }
}

static void args_bad(struct fixture *f, const char *const *argv, const char *message)
{
  f->p.error.text[0] = '\0';
  assert_int_equal(args(f, argv), -ERR_BAD);
  assert_string_equal(f->p.error.text, message);
}

static void test_defaults(void **state)
{
  struct fixture *f = *state;
  assert_int_equal(f->config.port, 3478);
  assert_int_equal(f->config.limit, 0);
  assert_false(f->config.verbose);
  assert_null(f->config.config);
  assert_string_equal(f->config.realm, "viaduct");
  assert_int_equal(f->config.listen.count, 1);
  assert_int_equal(f->config.user.count, 0);
  assert_false(option_was_set(&f->p, "listening-port"));
  assert_string_equal(f->p.error.text, "");
}

static void test_file_forms(void **state)
{
  struct fixture *f = *state;
  file_ok(f, "\xef\xbb\xbf# a comment, after the mark of UTF-8\n"
             "\n"
             "   \t \r\n"
             "  # an indented comment\n"
             "listening-port=5000\r\n"
             "min-port  =  2000   # with a comment\n"
             "realm example.org\t# the form with a space\n"
             "verbose\n"
             "use-auth-secret = Yes\n"
             "--limit=18446744073709551615");
  assert_int_equal(f->config.port, 5000);
  assert_int_equal(f->config.min_port, 2000);
  assert_string_equal(f->config.realm, "example.org");
  assert_true(f->config.verbose);
  assert_true(f->config.auth);
  assert_true(f->config.limit == UINT64_MAX);
  assert_true(option_was_set(&f->p, "verbose"));
  assert_false(option_was_set(&f->p, "user"));
  assert_false(option_was_set(&f->p, "no-such-option"));
  file_ok(f, "use-auth-secret=off\nverbose=0\n");
  assert_false(f->config.auth);
  assert_false(f->config.verbose);
}

static void test_values_with_spaces_and_hashes(void **state)
{
  struct fixture *f = *state;
  static const struct {
    const char *line, *value;
  } cases[] = {
      {"static-auth-secret=a#b#c", "a#b#c"},
      {"static-auth-secret=#leading", "#leading"},
      {"static-auth-secret=two words", "two words"},
      {"static-auth-secret=two words # comment", "two words"},
      {"static-auth-secret=a#b # c # d", "a#b"},
      {"static-auth-secret=\"a # b\"", "a # b"},
      {"static-auth-secret='a # b'  # comment \"x\"", "a # b"},
      {"static-auth-secret=\"a\" b\" # c", "a\" b"},
      {"static-auth-secret=a\"b", "a\"b"},
      {"static-auth-secret='it''s'", "it''s"},
      {"static-auth-secret=\"\"", ""},
      {"static-auth-secret=\"  padded  \"", "  padded  "},
      {"static-auth-secret==x=y", "=x=y"},
      {"static-auth-secret = \\n", "\\n"},
      {"static-auth-secret \"q q\"", "q q"},
      {"static-auth-secret=\xc3\xa4\xff", "\xc3\xa4\xff"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    file_ok(f, cases[i].line);
    assert_string_equal(f->config.secret, cases[i].value);
  }
}

static void test_file_errors(void **state)
{
  struct fixture *f = *state;
  file_bad(f, "verbose\nmin-prot=1\n",
           "turnserver.conf:2: unknown option 'min-prot'; did you mean 'min-port'?");
  file_bad(f, "realms=1", "turnserver.conf:1: unknown option 'realms'; did you mean 'realm'?");
  file_bad(f, "Listening_Port=1",
           "turnserver.conf:1: unknown option 'Listening_Port'; did you mean 'listening-port'?");
  file_bad(f, "static-auth=1",
           "turnserver.conf:1: unknown option 'static-auth'; did you mean 'static-auth-secret'?");
  file_bad(f, "zzzzzzzzzz=1",
           "turnserver.conf:1: unknown option 'zzzzzzzzzz'; 'viaduct-test "
           "--help' lists them all");
  file_bad(f, "\x1b[31m\n",
           "turnserver.conf:1: unknown option '?[31m'; 'viaduct-test --help' "
           "lists them all");
  file_bad(f, "min-port", "turnserver.conf:1: min-port needs a value: write 'min-port=VALUE'");
  file_bad(f, "\nlistening-port=  # none",
           "turnserver.conf:2: listening-port needs a value: write 'listening-port=PORT'");
  file_bad(f, "realm # none", "turnserver.conf:1: realm needs a value: write 'realm=VALUE'");
  file_bad(f, "=5", "turnserver.conf:1: there is no option before the '='; write NAME=VALUE");
  file_bad(f, "realm=\"open",
           "turnserver.conf:1: the quote that opens the value is not closed; close it at the "
           "value's end");
  static const uint8_t nul[] = "verbose\nrealm=a\0b\n";
  assert_int_equal(option_parse_file(&f->p, "nul", (struct bytes){nul, sizeof(nul) - 1}), -ERR_BAD);
  assert_string_equal(f->p.error.text,
                      "nul:2: there is a NUL byte in this line; save the file as plain text "
                      "(UTF-8)");
}

static void test_numbers(void **state)
{
  struct fixture *f = *state;
  static const char *const wrong[] = {"1023",   "65536", "99999999999999999999999",
                                      "-1",     "+5000", "5000x",
                                      "0x1388", "5 000", "\"\""};
  for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
    char line[64], message[128];
    snprintf(line, sizeof(line), "min-port=%s", wrong[i]);
    snprintf(message, sizeof(message),
             "turnserver.conf:1: min-port must be a number from 1024 to 65535, not '%s'",
             strcmp(wrong[i], "\"\"") == 0 ? "" : wrong[i]);
    file_bad(f, line, message);
  }
  file_bad(f, "verbose=maybe",
           "turnserver.conf:1: verbose is on or off: write it bare, or with yes or no, not "
           "'maybe'");
  file_bad(f, "verbose=",
           "turnserver.conf:1: verbose is on or off: write it bare, or with yes or "
           "no, not ''");
  assert_int_equal(f->config.min_port, 49152);
  assert_false(option_was_set(&f->p, "min-port"));
}

static void test_huge_lines(void **state)
{
  struct fixture *f = *state;
  size_t size = 1 << 20;
  char *text = malloc(size + 1);
  assert_non_null(text);
  memset(text, 'a', size);
  text[size] = '\0';
  file_bad(f, text, "turnserver.conf:1: this line is longer than 65536 bytes; shorten it");
  text[100] = '\n'; /* a long unknown name is shown short */
  file_bad(f, text,
           "turnserver.conf:1: unknown option "
           "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'; 'viaduct-test "
           "--help' lists them all");
  memset(text, '"', size); /* quotes that could be tried again and again */
  memcpy(text, "realm=", 6);
  text[OPTION_LINE_MAX] = '\0';
  file_ok(f, text);
  assert_int_equal(strlen(f->config.realm), OPTION_LINE_MAX - 8);
  memset(text + 6, ' ', OPTION_LINE_MAX - 6);
  file_bad(f, text, "turnserver.conf:1: realm needs a value: write 'realm=VALUE'");
  free(text);

  char path[1000];
  memset(path, 'p', sizeof(path));
  path[sizeof(path) - 1] = '\0';
  assert_int_equal(option_parse_file(&f->p, path, bytes_of("min-prot=1")), -ERR_BAD);
  assert_non_null(strstr(f->p.error.text, "p:1: unknown option 'min-prot'; did you mean"));
}

static void test_secrets_are_not_repeated(void **state)
{
  struct fixture *f = *state;
  static const struct option secret_rows[] = {{.name = "pin",
                                               .kind = OPTION_UINT,
                                               .max = 9999,
                                               .offset = AT(port),
                                               .help = "A PIN.",
                                               .secret = true}};
  static const struct option_set secret_set = {
      .program = "p", .summary = "s", .row = secret_rows, .count = 1};
  struct option_parser p;
  struct config config;
  assert_int_equal(option_begin(&p, &secret_set, &f->mem, &config, sizeof(config)), 0);
  assert_int_equal(option_set_value(&p, "there:5", "pin", "123456"), -ERR_BAD);
  assert_string_equal(p.error.text, "there:5: pin must be a number from 0 to 9999");
  args_bad(f, ARGS("--static-auth-secret", "=", "tiger"),
           "'(a secret)' is not an option; options start with '--', and a value with spaces needs "
           "quotes");
  args_bad(f, ARGS("--use-auth-secret", "tiger"),
           "--use-auth-secret takes no value; to turn it off, write '--use-auth-secret=off'");
}

static void test_arguments(void **state)
{
  struct fixture *f = *state;
  args_ok(f, ARGS("--listening-port=1", "--min-port", "2000", "-vr", "a realm", "--limit=3",
                  "-Lone", "-L", "two", "--listening-ip=three", "--"));
  assert_int_equal(f->config.port, 1);
  assert_int_equal(f->config.min_port, 2000);
  assert_int_equal(f->config.limit, 3);
  assert_true(f->config.verbose);
  assert_string_equal(f->config.realm, "a realm");
  assert_int_equal(f->config.listen.count, 3);
  assert_string_equal(f->config.listen.item[0], "one");
  assert_string_equal(f->config.listen.item[2], "three");
  args_ok(f, ARGS("--verbose=off", "-r", "--limit", "-c-", "-p0"));
  assert_false(f->config.verbose);
  assert_string_equal(f->config.realm, "--limit"); /* as getopt: the next one, whatever it is */
  assert_string_equal(f->config.config, "-");
  assert_int_equal(f->config.port, 0);
  assert_int_equal(option_parse_args(&f->p, 0, NULL), 0);
}

static void test_argument_errors(void **state)
{
  struct fixture *f = *state;
  args_bad(f, ARGS("--min-prot=1"), "unknown option '--min-prot'; did you mean '--min-port'?");
  args_bad(f, ARGS("-x"), "unknown option '-x'; 'viaduct-test --help' lists them all");
  args_bad(f, ARGS("-vx"), "unknown option '-x'; 'viaduct-test --help' lists them all");
  args_bad(f, ARGS("--realm"), "--realm needs a value: write '--realm=VALUE'");
  args_bad(f, ARGS("--realm="), "--realm needs a value: write '--realm=VALUE'");
  args_bad(f, ARGS("-p"), "--listening-port needs a value: write '--listening-port=PORT'");
  args_bad(f, ARGS("stray"),
           "'stray' is not an option; options start with '--', and a value with "
           "spaces needs quotes");
  args_bad(f, ARGS("-"),
           "'-' is not an option; options start with '--', and a value with spaces "
           "needs quotes");
  args_bad(f, ARGS("--", "--verbose"),
           "'--verbose' is not an option; options start with '--', and "
           "a value with spaces needs quotes");
  args_bad(f, ARGS("-p", "70000"),
           "--listening-port must be a number from 0 to 65535, not '70000'");
  args_bad(f, ARGS("--=5"), "unknown option '--'; 'viaduct-test --help' lists them all");
}

static void test_arguments_replace_the_file(void **state)
{
  struct fixture *f = *state;
  const char *const *argv = ARGS("-L", "c", "-L", "d", "-r", "two");
  args_ok(f, argv);
  file_ok(f, "listening-ip=a\nlistening-ip=b\nuser=x\nuser=y\nrealm=one\nrealm=three\n");
  args_ok(f, argv);
  assert_int_equal(f->config.listen.count, 2);
  assert_string_equal(f->config.listen.item[0], "c");
  assert_string_equal(f->config.listen.item[1], "d");
  assert_int_equal(f->config.user.count, 2);
  assert_string_equal(f->config.realm, "two");
}

static void test_peek(void **state)
{
  (void)state;
  const char *const argv[] = {"p",     "--unknown", "-r",  "-cno",   "--config",
                              "first", "x",         "-vc", "second", "-c"};
  assert_string_equal(option_peek(&set, 6, (char *const *)(uintptr_t)argv, "config"), "first");
  assert_string_equal(option_peek(&set, 10, (char *const *)(uintptr_t)argv, "config"), "second");
  assert_null(option_peek(&set, 4, (char *const *)(uintptr_t)argv, "config"));
}

static void test_asked(void **state)
{
  (void)state;
  char *const argv[] = {(char[]){"t"}, (char[]){"-vp"}, (char[]){"7"}, (char[]){"--realm"},
                        (char[]){"--listening-ip"}};
  assert_true(option_is_asked(&set, 5, argv, "verbose"));
  assert_true(option_is_asked(&set, 5, argv, "listening-port"));
  assert_true(option_is_asked(&set, 5, argv, "realm"));
  assert_false(option_is_asked(&set, 5, argv, "listening-ip")); /* the value of realm */
  assert_false(option_is_asked(&set, 5, argv, "config"));
}

static void test_options_without_effect(void **state)
{
  struct fixture *f = *state;
  file_ok(f, "cli-port=5766\nverbose");
  assert_string_equal(f->warning, "turnserver.conf:1: cli-port has no effect here: there is no "
                                  "telnet console; metrics are served over HTTP");
  args_ok(f, ARGS("--cli-port", "5766", "--no-cli", "--cli-port=1"));
  assert_int_equal(f->warnings, 4);
  assert_string_equal(f->p.error.text, "");
  assert_false(option_was_set(&f->p, "cli-port"));
  f->p.warn = NULL;
  file_ok(f, "no-cli");
}

static void test_nearest(void **state)
{
  (void)state;
  static const struct {
    const char *name, *near;
  } cases[] = {{"user", "user"}, {"usre", "user"},       {"us", NULL},
               {"v", NULL},      {"verbos", "verbose"},  {"listenin", "listening-ip"},
               {"", NULL},       {"port", NULL},         {"LISTENING_IP", "listening-ip"},
               {"xyzzy", NULL},  {"lis", "listening-ip"}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    const char *near = option_nearest(&set, bytes_of(cases[i].name));
    if (cases[i].near == NULL ? near != NULL : near == NULL || strcmp(near, cases[i].near) != 0) {
      fail_msg("'%s' is near '%s', they say", cases[i].name, near != NULL ? near : "nothing");
    }
  }
}

static void test_nearest_counts_a_swap_once(void **state)
{
  (void)state;
  static const struct option one[] = {{.name = "tcp"}};
  static const struct option_set tiny = {.program = "p", .summary = "s", .row = one, .count = 1};
  assert_string_equal(option_nearest(&tiny, bytes_of("tpc")), "tcp");
  assert_null(option_nearest(&tiny, bytes_of("ptc")));
}

/* Every allocation fails in turn; what is there afterwards is sound and can be freed. */
static void test_out_of_memory(void **state)
{
  (void)state;
  size_t failures = 0;
  for (size_t n = 1;; n++) {
    struct counted counted = {.fail_at = n};
    struct mem mem = {.resize = counted_resize, .arg = &counted};
    struct option_parser p;
    struct config config;
    int rc = option_begin(&p, &set, &mem, &config, sizeof(config));
    if (rc == 0) {
      rc = option_parse_file(&p, "f", bytes_of("realm=x\nuser=a\nuser=b\nlistening-ip=::1\n"));
    }
    if (rc == 0) {
      option_fini(&set, &mem, &config);
      break;
    }
    failures++;
    assert_int_equal(rc, -ERR_NOMEM);
    assert_non_null(strstr(p.error.text, "out of memory"));
    option_fini(&set, &mem, &config);
    assert_int_equal(counted.live, 0);
  }
  assert_true(failures >= 8);
}

static void test_wrong_tables(void **state)
{
  struct fixture *f = *state;
  static const struct option bad_row[] = {{.name = "n",
                                           .kind = OPTION_UINT,
                                           .max = 5,
                                           .fallback = "6",
                                           .offset = AT(port),
                                           .help = "N."}};
  struct option_set bad = {.program = "p", .summary = "s", .row = bad_row, .count = 1};
  struct option_parser p;
  struct config config;
  assert_int_equal(option_begin(&p, &bad, &f->mem, &config, sizeof(config)), -ERR_BAD);
  assert_string_equal(p.error.text, "p: n must be a number from 0 to 5, not '6'");
  bad.count = OPTION_ROWS_MAX + 1;
  assert_int_equal(option_begin(&p, &bad, &f->mem, &config, sizeof(config)), -ERR_FULL);
}

typedef void (*render_fn)(const struct option_set *, struct buf *);

static const char *rendered(render_fn render, char *storage, size_t size)
{
  struct buf b;
  buf_init(&b, storage, size - 1);
  render(&set, &b);
  assert_false(b.overflow);
  storage[b.len] = '\0';
  return storage;
}

static void assert_has(const char *text, const char *piece)
{
  if (strstr(text, piece) == NULL) {
    fail_msg("'%s' is not in:\n%s", piece, text);
  }
}

struct told {
  size_t number, count;
  const char *name[8];
  int result[8];
  bool again[8];
  size_t at[8];
  char value[8][32];
};

static void tell(void *arg, const struct option_line *line)
{
  struct told *t = arg;
  assert_true(t->count < 8);
  t->at[t->count] = line->number;
  t->name[t->count] = line->row != NULL ? line->row->name : NULL;
  t->result[t->count] = line->result;
  t->again[t->count] = line->again;
  snprintf(t->value[t->count], 32, "%.*s", (int)line->value.len,
           line->value.len ? (const char *)line->value.at : "");
  t->count++;
}

/* Every line is told of, wrong ones too, and the good ones behind them count. */
static void test_checked_file(void **state)
{
  struct fixture *f = *state;
  struct told t = {0};
  const char text[] = "# comment\nverbose\n\nlistening-port = 70000\nmin-prot=5\n"
                      "realm='a b'\nrealm=c # why\nlistening-ip=::1\nlistening-ip=::2\n";
  assert_int_equal(option_check_file(&f->p, "f", bytes_of(text), tell, &t), -ERR_BAD);
  assert_int_equal(t.count, 7);
  static const size_t at[] = {2, 4, 5, 6, 7, 8, 9};
  static const char *const name[] = {"verbose", "listening-port", NULL,          "realm",
                                     "realm",   "listening-ip",   "listening-ip"};
  static const char *const value[] = {"", "70000", "", "a b", "c", "::1", "::2"};
  for (size_t i = 0; i < 7; i++) {
    assert_int_equal(t.at[i], at[i]);
    assert_true((t.name[i] == NULL) == (name[i] == NULL));
    if (name[i] != NULL)
      assert_string_equal(t.name[i], name[i]);
    assert_string_equal(t.value[i], value[i]);
    assert_int_equal(t.result[i], i == 1 || i == 2 ? -ERR_BAD : 0);
    assert_int_equal(t.again[i], i == 4);
  }
  assert_true(f->config.verbose);
  assert_string_equal(f->config.realm, "c");
  assert_int_equal(f->config.listen.count, 2);
}

static void test_help(void **state)
{
  (void)state;
  char storage[8192];
  const char *text = rendered(option_render_help, storage, sizeof(storage));
  assert_has(text, "viaduct-test: a program that stands in a test\n\nUsage: viaduct-test ");
  assert_has(text, "\nGeneral:\n  -c, --config FILE\n          The configuration file.\n"
                   "  -v, --verbose\n");
  assert_has(text,
             "  -p, --listening-port PORT\n          The port. (default: 3478; 0 to 65535)\n");
  assert_has(text, "Where to listen. (default: 0.0.0.0; may stand several times)");
  assert_has(text, "\nAccepted, without effect here:\n      --cli-port PORT\n");
  assert_null(strstr(text, "changeme"));
}

/* The example is a file that the parser takes as it is, and each of its lines too once the '#' is
 * off, but for those that show the form of a value. */
static void test_example(void **state)
{
  struct fixture *f = *state;
  char storage[8192];
  rendered(option_render_example, storage, sizeof(storage));
  assert_null(strstr(storage, "changeme"));
  assert_null(strstr(storage, "cli-port"));
  file_ok(f, storage);
  assert_false(option_was_set(&f->p, "listening-port"));
  size_t lines = 0;
  for (char *line = strstr(storage, "\n#"); line != NULL; line = strstr(line + 1, "\n#")) {
    if (line[2] != ' ' && strncmp(line + 2, "limit=NUMBER", 12) != 0) {
      line[1] = ' ';
      lines++;
    }
  }
  assert_int_equal(lines, 9);
  file_ok(f, storage);
  assert_true(option_was_set(&f->p, "listening-port"));
  assert_int_equal(f->config.port, 3478);
  assert_string_equal(f->config.listen.item[0], "0.0.0.0");
}

static void test_man(void **state)
{
  (void)state;
  char storage[8192];
  const char *text = rendered(option_render_man, storage, sizeof(storage));
  assert_has(text, ".TH \"viaduct\\-test\" 8 ");
  assert_has(text, ".SH NAME\nviaduct\\-test \\- a program that stands in a test\n");
  assert_has(text, ".SS General\n.TP\n\\fB\\-c\\fR, \\fB\\-\\-config\\fR \\fIFILE\\fR\nThe ");
}

/* Whatever the room, nothing is written beyond it, and too little room is told. */
static void test_rendering_into_too_little(void **state)
{
  (void)state;
  static const render_fn renders[] = {option_render_help, option_render_example, option_render_man};
  for (size_t r = 0; r < 3; r++) {
    char storage[8192];
    size_t whole = strlen(rendered(renders[r], storage, sizeof(storage)));
    for (size_t cap = 0; cap < whole; cap += 97) {
      memset(storage, 0x7e, sizeof(storage));
      struct buf b;
      buf_init(&b, storage, cap);
      renders[r](&set, &b);
      assert_true(b.overflow);
      assert_int_equal(storage[cap], 0x7e);
    }
  }
}

/* Any bytes at all: an answer, and a message that ends. */
static void test_noise(void **state)
{
  struct fixture *f = *state;
  static const char alphabet[] = "\0\n\r\t =#\"'-aelrmuvs0159\xff\xc3";
  uint32_t seed = 1;
  for (size_t round = 0; round < 20000; round++) {
    uint8_t text[48];
    size_t len = round % sizeof(text);
    for (size_t i = 0; i < len; i++) {
      seed = seed * 1664525u + 1013904223u;
      text[i] = (uint8_t)alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
    }
    int rc = option_parse_file(&f->p, "noise", (struct bytes){text, len});
    assert_true(rc == 0 || rc == -ERR_BAD);
    assert_non_null(memchr(f->p.error.text, '\0', sizeof(f->p.error.text)));
  }
}

static const struct option *row_of(const char *name)
{
  return option_find(&set, bytes_of(name));
}

static void test_same_values(void **state)
{
  (void)state;
  char ours[] = "example.org", copy[] = "example.org", other[] = "example.net";
  char *item[] = {ours}, *same_item[] = {copy}, *other_item[] = {other};
  struct config a = {.port = 1, .realm = ours, .listen = {item, 1}}, b = a;
  b.realm = copy;
  b.listen.item = same_item;
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    assert_true(option_is_same(&rows[i], &a, &b));
  b = (struct config){.port = 2, .verbose = true, .realm = other, .listen = {other_item, 1}};
  assert_false(option_is_same(row_of("listening-port"), &a, &b));
  assert_false(option_is_same(row_of("verbose"), &a, &b));
  assert_false(option_is_same(row_of("realm"), &a, &b));
  assert_false(option_is_same(row_of("listening-ip"), &a, &b));
  b.realm = NULL;
  b.listen.count = 0;
  assert_false(option_is_same(row_of("realm"), &a, &b));
  assert_false(option_is_same(row_of("realm"), &b, &a));
  assert_false(option_is_same(row_of("listening-ip"), &a, &b));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
  const struct CMUnitTest tests[] = {
      TEST(test_defaults),
      TEST(test_file_forms),
      TEST(test_values_with_spaces_and_hashes),
      TEST(test_file_errors),
      TEST(test_numbers),
      TEST(test_huge_lines),
      TEST(test_secrets_are_not_repeated),
      TEST(test_arguments),
      TEST(test_argument_errors),
      TEST(test_arguments_replace_the_file),
      TEST(test_peek),
      TEST(test_asked),
      TEST(test_options_without_effect),
      TEST(test_nearest),
      TEST(test_nearest_counts_a_swap_once),
      TEST(test_out_of_memory),
      TEST(test_wrong_tables),
      TEST(test_checked_file),
      TEST(test_help),
      TEST(test_example),
      TEST(test_man),
      TEST(test_rendering_into_too_little),
      TEST(test_noise),
      TEST(test_same_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
