/* net/options.c: which file a program reads its options from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/mem.h"
#include "net/options.h"

struct config {
  bool none, help;
  char *config, *realm;
};

#define AT(field) offsetof(struct config, field)

static const struct option rows[] = {
    {.name = "config", .letter = 'c', .kind = OPTION_TEXT, .offset = AT(config), .help = "File."},
    {.name = "no-config", .letter = 'n', .kind = OPTION_FLAG, .offset = AT(none), .help = "None."},
    {.name = "help", .letter = 'h', .kind = OPTION_FLAG, .offset = AT(help), .help = "Help."},
    {.name = "realm", .letter = 'r', .kind = OPTION_TEXT, .offset = AT(realm), .help = "Realm."},
};

static const struct option_set set = {
    .program = "test", .row = rows, .count = sizeof(rows) / sizeof(rows[0])};

struct fixture {
  char folder[32], first[64], second[64];
  const char *usual[3];
};

static int begin(void **state)
{
  struct fixture *f = calloc(1, sizeof(*f));
  snprintf(f->folder, sizeof(f->folder), "/tmp/viaduct-options-XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  snprintf(f->first, sizeof(f->first), "%s/first", f->folder);
  snprintf(f->second, sizeof(f->second), "%s/second", f->folder);
  f->usual[0] = f->first;
  f->usual[1] = f->second;
  *state = f;
  return 0;
}

static int end(void **state)
{
  struct fixture *f = *state;
  (void)unlink(f->first);
  (void)unlink(f->second);
  assert_int_equal(rmdir(f->folder), 0);
  free(f);
  return 0;
}

static void write_file(const char *path, const char *text)
{
  FILE *file = fopen(path, "we");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

/* What realm is, read with these arguments ("" stands for none). */
static void assert_realm(struct fixture *f, const char *realm, int argc, char **argv)
{
  struct mem mem = net_mem();
  struct config config;
  struct option_error error = {{0}};
  const struct net_options o = {.set = &set, .argc = argc, .argv = argv, .usual = f->usual};
  assert_int_equal(net_options_read(&o, &mem, &config, sizeof(config), &error), 0);
  assert_string_equal(config.realm != NULL ? config.realm : "", realm);
  option_fini(&set, &mem, &config);
}

static char program[] = "test";

#define ASSERT_REALM(f, realm, ...)                                                                \
  do {                                                                                             \
    char *argv_[] = {program, __VA_ARGS__};                                                        \
    assert_realm(f, realm, (int)(sizeof(argv_) / sizeof(argv_[0])), argv_);                        \
  } while (0)

static void test_usual_files(void **state)
{
  struct fixture *f = *state;
  char realm[] = "--realm=x", none[] = "-n", help[] = "-h", named[96];
  ASSERT_REALM(f, "x", realm); /* none of them is there */
  write_file(f->second, "realm=second\n");
  ASSERT_REALM(f, "x", realm);
  char *alone[] = {program, NULL};
  assert_realm(f, "second", 1, alone);
  write_file(f->first, "realm=first\n");
  assert_realm(f, "first", 1, alone);
  ASSERT_REALM(f, "", none);
  ASSERT_REALM(f, "", help);
  snprintf(named, sizeof(named), "--config=%s", f->second);
  ASSERT_REALM(f, "second", named);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_usual_files, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
