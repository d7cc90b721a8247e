/* viaduct-load: a load generator for any STUN, TURN or signalling server. Exit status: 0 the result
 * is good, 1 it is not (loss, damage, ...), 2 wrong usage, 3 the server did not play along. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "bench/load/binding.h"
#include "bench/load/flood.h"
#include "bench/load/report.h"
#include "bench/load/signal.h"
#include "bench/load/tls.h"
#include "bench/load/words.h"
#include "net/mem.h"
#include "net/options.h"
#include "net/sockaddr.h"

enum { EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_USAGE = 2, EXIT_SERVER = 3 };
enum { FIRST_RATE = 10000, HIGHEST_RATE = 20000000, BISECTIONS = 5 };
/* Up to 16 trials and what drains behind them: within the 300 s of a permission (RFC 8656 9). */
enum { TRIAL_SECONDS_MAX = 15, FLOOD_SECONDS_MAX = 120 };

struct options {
#define FLAG(field, ...) bool field;
#define UINT(field, ...) uint64_t field;
#define TEXT(field, ...) char *field;
#include "bench/load/load.def"
#undef FLAG
#undef UINT
#undef TEXT
};

static const char *check_place(struct bytes value)
{
  struct addr a;
  return addr_parse(value, &a) == 0 && a.port != 0 ? NULL
                                                   : "must be ADDRESS:PORT, like 192.0.2.1:3478";
}

static const char *check_ip(struct bytes value)
{
  struct addr a;
  return addr_parse(value, &a) == 0 && a.port == 0 ? NULL : "must be an address without a port";
}

/* Which of `count` names it is; -1: none. */
static int direction_of(struct bytes text)
{
  static const char *const names[] = {"up", "down", "call"};
  return load_word_of(text, names, 3);
}

static int transport_of(struct bytes text)
{
  const char *names[LOAD_DTLS + 1];
  for (int i = 0; i <= LOAD_DTLS; i++)
    names[i] = load_transport_name((enum load_transport)i);
  return load_word_of(text, names, LOAD_DTLS + 1);
}

static const char *check_direction(struct bytes value)
{
  return direction_of(value) >= 0 ? NULL : "must be up, down or call";
}

static int flood_of(struct bytes text)
{
  const char *names[LOAD_FLOOD_BINDINGS + 1];
  for (int i = 0; i <= LOAD_FLOOD_BINDINGS; i++)
    names[i] = load_flood_name((enum load_flood_kind)i);
  return load_word_of(text, names, LOAD_FLOOD_BINDINGS + 1);
}

static const char *check_flood(struct bytes value)
{
  return flood_of(value) > LOAD_FLOOD_NONE ? NULL
                                           : "must be channels, strangers, peers or bindings";
}

static const char *check_transport(struct bytes value)
{
  return transport_of(value) >= 0 ? NULL : "must be udp, tcp, tls or dtls";
}

#define ROW(k, f, ...)                                                                             \
  {.kind = (k), .offset = offsetof(struct options, f), .group = GROUP, __VA_ARGS__},
#define FLAG(field, ...) ROW(OPTION_FLAG, field, __VA_ARGS__)
#define UINT(field, ...) ROW(OPTION_UINT, field, __VA_ARGS__)
#define TEXT(field, ...) ROW(OPTION_TEXT, field, __VA_ARGS__)
static const struct option rows[] = {
#include "bench/load/load.def"
};

static const struct option_set set = {
    .program = "viaduct-load relay|binding",
    .summary = "load for a TURN relay, or Binding requests for a STUN server; for signalling "
               "servers: viaduct-load signal --help",
    .row = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

static int fail(int status, const char *text)
{
  fprintf(stderr, "viaduct-load: %s\n", text);
  return status;
}

static struct load_setup setup_of(const struct options *o)
{
  struct load_setup s = {
      .username = o->username != NULL ? o->username : "",
      .password = o->password != NULL ? o->password : "",
      .allocations = (uint32_t)o->allocations,
      .direction = (enum load_direction)direction_of(bytes_of(o->direction)),
      .indications = o->indications,
      .pid = (int)o->pid,
  };
  struct load_way *w = &s.way;
  w->transport = (enum load_transport)transport_of(bytes_of(o->transport));
  w->aggregate = o->segment;
  (void)addr_parse(bytes_of(o->server), &w->server); /* checked by the table */
  w->client = net_sockaddr_toward(&w->server);
  if (o->local != NULL)
    (void)addr_parse(bytes_of(o->local), &w->client);
  s.peer = w->client;
  if (o->peer != NULL)
    (void)addr_parse(bytes_of(o->peer), &s.peer);
  s.flood = o->flood != NULL ? (enum load_flood_kind)flood_of(bytes_of(o->flood)) : LOAD_FLOOD_NONE;
  s.flood_rate = o->flood_rate;
  if (o->flood_from != NULL)
    (void)addr_parse(bytes_of(o->flood_from), &s.flood_from);
  else if (s.peer.family == ADDR_V4 && addr_is_loopback(&s.peer))
    s.flood_from = addr_v4(127, 1, 1, 1, 0);
  return s;
}

static struct load_trial trial_of(const struct options *o)
{
  return (struct load_trial){.size = (uint32_t)o->size,
                             .burst = (uint32_t)o->burst,
                             .segment = o->segment,
                             .rate = o->rate,
                             .ms = (uint32_t)o->seconds * 1000};
}

/* Doubles until a trial fails, then halves the distance. The result is that of the last good one.
 */
static void find_rate(struct load_engine *g, struct load_trial *t, struct load_result *best)
{
  struct load_result r;
  uint64_t good = 0, bad = 0;
  const char *wrong, *bound = NULL;
  *best = (struct load_result){0};
  for (t->rate = FIRST_RATE; t->rate < HIGHEST_RATE && !bad; t->rate *= 2) {
    load_engine_run(g, t, &r);
    if ((wrong = load_wrong(&r)) != NULL) {
      bad = t->rate;
      bound = wrong;
    } else {
      *best = r;
    }
    good = bad ? good : t->rate;
  }
  for (int i = 0; i < BISECTIONS && bad; i++) {
    t->rate = (good + bad) / 2;
    load_engine_run(g, t, &r);
    if ((wrong = load_wrong(&r)) != NULL) {
      bad = t->rate;
      bound = wrong;
    } else {
      good = t->rate;
      *best = r;
    }
  }
  t->rate = good;
  best->bound = bound;
}

/* The rate is the server's highest only if a faster trial found more than it could carry. */
static bool is_highest(const struct load_result *r)
{
  return r->bound != NULL && (strcmp(r->bound, "loss") == 0 || strcmp(r->bound, "queued") == 0);
}

/* One sentence: why these options make no sense together; NULL: they do. */
static const char *contradiction(const struct options *o, const struct load_setup *s)
{
  if (s->direction == LOAD_CALL && s->allocations % 2)
    return "a call has two ends: --allocations has to be even";
  if (o->find_rate && o->seconds > TRIAL_SECONDS_MAX)
    return "permissions outlast no longer trials: --find-rate takes --seconds of at most 15";
  if (s->flood != LOAD_FLOOD_NONE && o->find_rate)
    return "--find-rate searches the rate of what goes alone, without --flood";
  if (s->flood != LOAD_FLOOD_NONE && o->seconds > FLOOD_SECONDS_MAX)
    return "permissions outlast no longer trials: --flood takes --seconds of at most 120";
  if (s->flood != LOAD_FLOOD_PEERS)
    return NULL;
  if (s->flood_from.family != s->peer.family)
    return "--flood peers needs --flood-from: an address of this machine without a permission";
  return addr_equal_ip(&s->flood_from, &s->peer)
             ? "--flood-from must not be the address of --peer, "
               "which has a permission"
             : NULL;
}

static int relay(const struct options *o, const struct load_setup *s)
{
  struct load_trial t = trial_of(o);
  struct load_birth birth;
  struct net_error e = {{0}};
  static struct load_result r, alone; /* large */
  const bool flooded = s->flood != LOAD_FLOOD_NONE;
  const char *wrong = contradiction(o, s);
  if (wrong != NULL)
    return fail(EXIT_USAGE, wrong);
  struct load_engine *g = load_engine_new(s, &birth, &e);
  if (g == NULL)
    return fail(EXIT_SERVER, e.text);
  if (flooded)
    load_engine_run(g, &t, &alone);
  t.flooded = flooded;
  if (o->find_rate)
    find_rate(g, &t, &r);
  else
    load_engine_run(g, &t, &r);
  load_engine_free(g);
  const struct load_facts facts = {
      .trial = &t, .birth = &birth, .setup = s, .alone = flooded ? &alone : NULL};
  const bool printed = load_report(&facts, &r, o->json);
  const bool good = load_wrong(&r) == NULL && (!o->find_rate || is_highest(&r));
  return printed && good ? EXIT_GOOD : EXIT_BAD;
}

static int binding(const struct options *o, const struct load_setup *s)
{
  const struct load_trial t = trial_of(o);
  struct net_error e = {{0}};
  static struct load_result r; /* large */
  if (s->flood != LOAD_FLOOD_NONE)
    return fail(EXIT_USAGE, "--flood goes beside a relay");
  if (load_binding(s, &t, &r, &e) != 0)
    return fail(EXIT_SERVER, e.text);
  const struct load_facts facts = {.trial = &t, .setup = s};
  return load_report(&facts, &r, o->json) && load_wrong(&r) == NULL ? EXIT_GOOD : EXIT_BAD;
}

typedef int (*command_fn)(const struct options *o, const struct load_setup *s);

static int with_tls(const struct options *o, command_fn command)
{
  struct load_setup s = setup_of(o);
  const enum load_transport t = s.way.transport;
  const struct load_tls_setup tls = {
      .dtls = t == LOAD_DTLS, .ca = o->ca, .name = o->tls_name, .server = s.way.server};
  struct net_error e = {{0}};
  if ((t == LOAD_TLS || t == LOAD_DTLS) && (s.way.tls = load_tls_new(&tls, &e)) == NULL)
    return fail(EXIT_USAGE, e.text);
  const int status = command(o, &s);
  load_tls_free(s.way.tls);
  return status;
}

static int run(const char *command, const struct options *o)
{
  const struct net_options_asked asked = {
      .help = o->help,
      .man = o->man,
      .version = o->version ? "viaduct-load " VIADUCT_VERSION "\n" : NULL,
  };
  const int printed = net_options_print(&set, &asked);
  if (printed != -ERR_MISSING)
    return printed == 0 ? EXIT_GOOD : EXIT_BAD;
  (void)signal(SIGPIPE, SIG_IGN); /* a connection that the server has closed */
  if (strcmp(command, "relay") == 0)
    return with_tls(o, relay);
  if (strcmp(command, "binding") == 0)
    return with_tls(o, binding);
  return fail(EXIT_USAGE,
              "say what to do: viaduct-load relay, viaduct-load binding or viaduct-load signal");
}

int main(int argc, char **argv)
{
  struct mem mem = net_mem();
  struct options options;
  struct option_parser p;
  /* The command stands first; --help may stand alone. */
  const bool commanded = argc > 1 && argv[1][0] != '-';
  int status = EXIT_USAGE;
  if (commanded && strcmp(argv[1], "signal") == 0)
    return load_signal_main(argc - 1, argv + 1);
  if (option_begin(&p, &set, &mem, &options, sizeof(options)) != 0 ||
      option_parse_args(&p, commanded ? argc - 1 : argc, commanded ? argv + 1 : argv) != 0)
    (void)fail(EXIT_USAGE, p.error.text);
  else
    status = run(commanded ? argv[1] : "", &options);
  option_fini(&set, &mem, &options);
  return status;
}
