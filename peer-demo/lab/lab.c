/* See lab.h: the command line. What a laboratory is stands in core/lab.h, how it comes to be in
 * places.h. */
#include "peer-demo/lab/lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/mem.h"
#include "net/options.h"
#include "peer-demo/lab/check.h"
#include "peer-demo/lab/namespace.h"
#include "peer-demo/lab/places.h"
#include "peer-demo/lab/servers.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct lab_options {
  char *name;
  bool no_servers, help, man;
};

#define AT(field) offsetof(struct lab_options, field)
static const struct option rows[] = {
    {.name = "name",
     .kind = OPTION_TEXT,
     .offset = AT(name),
     .fallback = "lab",
     .metavar = "NAME",
     .group = "Options, before the command",
     .help = "Which laboratory, where there are several: letters and digits, at most 16."},
    {.name = "no-servers",
     .kind = OPTION_FLAG,
     .offset = AT(no_servers),
     .group = "Options, before the command",
     .help = "With up: no Viaduct on the public side."},
    {.name = "help",
     .letter = 'h',
     .kind = OPTION_FLAG,
     .offset = AT(help),
     .group = "Options, before the command",
     .help = "Print this."},
    {.name = "man",
     .kind = OPTION_FLAG,
     .offset = AT(man),
     .group = "Options, before the command",
     .help = "Print the manual page (roff)."},
};

static const struct option_set set = {
    .program = "viaduct lab",
    .summary =
        "a laboratory of NATs in network namespaces: up SITE... (each a NAT: none, full-cone, "
        "address-restricted, port-restricted or symmetric; behind it, each with a '+': carrier, "
        "hairpin, no-udp, only-443, v6, dual, loss=PERCENT, lifetime=SECONDS), check (measure "
        "each by RFC 5780), exec WHERE PROGRAM..., shell WHERE (WHERE: net, a, b, ...), list, "
        "down, clean (all laboratories)",
    .row = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

static int fail(int status, const char *text)
{
  fprintf(stderr, "%s: %s\n", set.program, text);
  return status;
}

static void show(const struct lab *lab, bool servers)
{
  printf("The laboratory '%s' stands.\n\n", lab->name);
  for (size_t i = 0; i < lab->count; i++)
    printf("  %c    a host behind: %s\n", (char)('a' + i), lab->word[i]);
  printf("  net  the public side, 198.18.0.10 and 2001:2::10\n");
  if (servers)
    printf("       STUN   stun:198.18.0.10:3479, with RFC 5780's other address\n"
           "       TURN   turn:198.18.0.10:3478; credentials: viaduct credentials --state-dir "
           "%s/state\n"
           "       page   https://198.18.0.10:8443\n",
           lab->dir);
  printf("\nNext: viaduct lab check, viaduct lab exec a PROGRAM..., viaduct lab down\n");
}

static int up(struct lab *lab, const struct lab_options *o, int argc, char **argv)
{
  char name[NAMESPACE_NAME_SIZE];
  struct net_error e = {{0}};
  if (argc == 0)
    return fail(EXIT_USAGE, "name the sites: viaduct lab up port-restricted symmetric");
  if (places_init(lab, o->name, (size_t)argc, argv, &e) != 0)
    return fail(EXIT_USAGE, e.text);
  if (namespace_check(&e) != 0 || places_build(lab, &e) != 0)
    return fail(EXIT_FAILED, e.text);
  places_name(lab, LAB_SITES, LAB_HOST, name);
  if (!o->no_servers && servers_start(name, lab->dir, &e) != 0)
    return fail(EXIT_FAILED, e.text);
  show(lab, !o->no_servers);
  return fflush(stdout) == 0 ? 0 : EXIT_FAILED;
}

static int down(struct lab *lab, const struct lab_options *o, int argc, char **argv)
{
  struct net_error e = {{0}};
  (void)o;
  (void)argv;
  if (argc != 0)
    return fail(EXIT_USAGE, "down takes no further word; --name says which laboratory");
  return places_remove(lab, &e) == 0 ? 0 : fail(EXIT_FAILED, e.text);
}

static int clean(struct lab *lab, const struct lab_options *o, int argc, char **argv)
{
  struct net_error e = {{0}};
  (void)lab;
  (void)o;
  (void)argv;
  if (argc != 0)
    return fail(EXIT_USAGE, "clean takes no further word: it removes every laboratory");
  return places_remove_all(&e) == 0 ? 0 : fail(EXIT_FAILED, e.text);
}

static int become(const struct lab *lab, const char *where, const char *const *argv)
{
  char name[NAMESPACE_NAME_SIZE];
  struct net_error e = {{0}};
  if (strlen(where) >= LAB_WORD_SIZE)
    return fail(EXIT_USAGE, "that is no place of a laboratory; 'viaduct lab list' has them");
  snprintf(name, sizeof name, "%s%s", lab->prefix, where);
  namespace_become(name, argv, &e);
  return fail(EXIT_FAILED, e.text);
}

static int exec_in(struct lab *lab, const struct lab_options *o, int argc, char **argv)
{
  (void)o;
  if (argc < 2)
    return fail(EXIT_USAGE, "name the place and the program: viaduct lab exec a ping 198.18.0.10");
  return become(lab, argv[0], (const char *const *)(argv + 1));
}

static int shell(struct lab *lab, const struct lab_options *o, int argc, char **argv)
{
  const char *own = getenv("SHELL");
  const char *const word[] = {own != NULL ? own : "/bin/sh", NULL};
  (void)o;
  if (argc != 1)
    return fail(EXIT_USAGE, "name the place: viaduct lab shell a");
  return become(lab, argv[0], word);
}

static int print_one(void *arg, const char *name)
{
  (void)arg;
  return printf("%s\n", name + strlen(PLACES_PREFIX)) < 0 ? -ERR_IO : 0;
}

static int list(struct lab *lab, const struct lab_options *o, int argc, char **argv)
{
  (void)lab;
  (void)o;
  (void)argv;
  if (argc != 0)
    return fail(EXIT_USAGE, "list takes no further word: it prints every laboratory's places");
  bool listed = namespace_each(PLACES_PREFIX, print_one, NULL) == 0;
  return listed && fflush(stdout) == 0 ? 0 : EXIT_FAILED;
}

static int check(struct lab *lab, const struct lab_options *o, int argc, char **argv)
{
  struct net_error e = {{0}};
  (void)o;
  (void)argv;
  if (argc != 0)
    return fail(EXIT_USAGE, "check takes no further word; --name says which laboratory");
  int err = places_load(lab, &e);
  if (err == 0)
    err = check_sites(lab, &e);
  if (err != 0 && err != -ERR_BAD)
    return fail(EXIT_FAILED, e.text);
  return err == 0 && fflush(stdout) == 0 ? 0 : EXIT_FAILED;
}

static const struct {
  const char *word;
  int (*run)(struct lab *lab, const struct lab_options *o, int argc, char **argv);
} commands[] = {{"up", up},     {"check", check}, {"exec", exec_in}, {"shell", shell},
                {"list", list}, {"down", down},   {"clean", clean}};

static int run(const struct lab_options *o, int argc, char **argv)
{
  struct lab lab;
  struct net_error e = {{0}};
  if (places_init(&lab, o->name, 0, NULL, &e) != 0)
    return fail(EXIT_USAGE, e.text);
  for (size_t i = 0; argc > 0 && i < sizeof commands / sizeof commands[0]; i++) {
    if (strcmp(argv[0], commands[i].word) == 0)
      return commands[i].run(&lab, o, argc - 1, argv + 1);
  }
  return fail(EXIT_USAGE, "say what to do: up SITE..., check, exec WHERE PROGRAM..., shell WHERE, "
                          "list, down or clean");
}

int lab_main(int argc, char **argv)
{
  struct mem mem = net_mem();
  struct lab_options o;
  struct option_parser p;
  int own = 1, status;
  while (own < argc && argv[own][0] == '-')
    own += strcmp(argv[own], "--name") == 0 && own + 1 < argc ? 2 : 1;
  if (option_begin(&p, &set, &mem, &o, sizeof o) != 0 || option_parse_args(&p, own, argv) != 0) {
    status = fail(EXIT_USAGE, p.error.text);
  } else {
    const struct net_options_asked asked = {.help = o.help, .man = o.man};
    const int printed = net_options_print(&set, &asked);
    status = printed == -ERR_MISSING ? run(&o, argc - own, argv + own) : printed != 0;
  }
  option_fini(&set, &mem, &o);
  return status;
}
