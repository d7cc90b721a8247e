/* viaduct-load signal: a load generator for signalling servers. See signal.h. */
#include "bench/load/signal.h"

#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "bench/load/signal_report.h"
#include "bench/load/signal_url.h"
#include "bench/load/words.h"
#include "net/mem.h"
#include "net/options.h"
#include "net/sockaddr.h"

enum { EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_USAGE = 2, EXIT_SERVER = 3, ARGUMENTS_MOST = 256 };

struct options {
#define FLAG(field, ...) bool field;
#define UINT(field, ...) uint64_t field;
#define TEXT(field, ...) char *field;
#include "bench/load/signal.def"
#undef FLAG
#undef UINT
#undef TEXT
};

static const char *check_url(struct bytes value)
{
  struct load_url url;
  return load_url_parse(value, &url);
}

/* Which of `count` names it is; -1: none. */
static int protocol_of(struct bytes text)
{
  static const char *const names[] = {"viaduct", "peerjs"};
  return load_word_of(text, names, 2);
}

static const char *check_protocol(struct bytes value)
{
  return protocol_of(value) >= 0 ? NULL : "must be viaduct or peerjs";
}

static int transport_of(struct bytes text)
{
  const char *names[LOAD_POLL + 1];
  for (int i = 0; i <= LOAD_POLL; i++)
    names[i] = load_signal_transport_name((enum load_signal_transport)i);
  return load_word_of(text, names, LOAD_POLL + 1);
}

static const char *check_transport(struct bytes value)
{
  return transport_of(value) >= 0 ? NULL : "must be websocket, sse, longpoll or poll";
}

static int work_of(struct bytes text)
{
  const char *names[LOAD_WORK_CHURN + 1];
  for (int i = 0; i <= LOAD_WORK_CHURN; i++)
    names[i] = load_work_name((enum load_work)i);
  return load_word_of(text, names, LOAD_WORK_CHURN + 1);
}

static const char *check_work(struct bytes value)
{
  return work_of(value) >= 0 ? NULL : "must be relay, idle or churn";
}

#define ROW(k, f, ...)                                                                             \
  {.kind = (k), .offset = offsetof(struct options, f), .group = GROUP, __VA_ARGS__},
#define FLAG(field, ...) ROW(OPTION_FLAG, field, __VA_ARGS__)
#define UINT(field, ...) ROW(OPTION_UINT, field, __VA_ARGS__)
#define TEXT(field, ...) ROW(OPTION_TEXT, field, __VA_ARGS__)
static const struct option rows[] = {
#include "bench/load/signal.def"
};

static const struct option_set set = {
    .program = "viaduct-load signal",
    .summary = "load for a signalling server: viaduct-signald, PeerServer and their like",
    .row = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

static int fail(int status, const char *text)
{
  fprintf(stderr, "viaduct-load signal: %s\n", text);
  return status;
}

static int resolve(const struct load_url *url, struct addr *out, struct net_error *e)
{
  char host[LOAD_PATH_SIZE];
  struct addrinfo *found = NULL;
  const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
  snprintf(host, sizeof(host), "%.*s", (int)url->host.len, (const char *)url->host.at);
  const int status = getaddrinfo(host, NULL, &wanted, &found);
  if (status != 0) {
    net_error_set(e, "no address of %s is known (%s): name the server by its address", host,
                  gai_strerror(status));
    return -1;
  }
  struct sockaddr_storage name = {0};
  memcpy(&name, found->ai_addr, found->ai_addrlen);
  *out = net_sockaddr_get(&name);
  out->port = url->port;
  freeaddrinfo(found);
  return 0;
}

/* One sentence: why these options make no sense together; NULL: they do. */
static const char *contradiction(const struct options *o, const struct load_signal_setup *s)
{
  if (s->protocol == LOAD_PEERJS && s->transport != LOAD_WEBSOCKET)
    return "PeerJS clients have one transport: --transport websocket";
  if (o->sources > 0 && !(s->server.family == ADDR_V4 && addr_is_loopback(&s->server)))
    return "--sources is for a server on 127.0.0.1";
  if (o->slow > 0 && work_of(bytes_of(o->work)) != LOAD_WORK_RELAY)
    return "--slow goes beside --work relay";
  if (o->slow > 0 && s->transport != LOAD_WEBSOCKET)
    return "--slow is measured over --transport websocket";
  return s->clients > LOAD_CLIENTS_MAX ? "more than 30000 pairs, slow ones included" : NULL;
}

static int setup_of(const struct options *o, struct load_signal_setup *s, struct net_error *e)
{
  struct load_url url;
  const enum load_work work = (enum load_work)work_of(bytes_of(o->work));
  const uint64_t clients =
      work == LOAD_WORK_CHURN ? (o->at_a_time + 1) / 2 * 2 : 2 * (o->pairs + o->slow);
  (void)load_url_parse(bytes_of(o->url), &url); /* checked by the table */
  *s = (struct load_signal_setup){
      .protocol = (enum load_protocol)protocol_of(bytes_of(o->protocol)),
      .transport = (enum load_signal_transport)transport_of(bytes_of(o->transport)),
      .key = o->key,
      .token = o->token,
      .clients = (uint32_t)clients,
      .slow = (uint32_t)o->slow,
      .sources = (uint32_t)o->sources,
      .at_a_time = (uint32_t)o->at_a_time,
      .poll_ms = (uint32_t)o->poll_ms,
      .wait_s = (uint32_t)o->wait_s,
      .pid = (int)o->pid,
  };
  snprintf(s->host, sizeof(s->host), "%.*s", (int)url.authority.len,
           (const char *)url.authority.at);
  snprintf(s->path, sizeof(s->path), "%.*s", (int)url.path.len, (const char *)url.path.at);
  return resolve(&url, &s->server, e);
}

static int work(const struct options *o)
{
  static struct load_signal_result r; /* large */
  struct load_signal_setup s;
  struct net_error e = {{0}};
  const struct load_signal_trial t = {
      .work = (enum load_work)work_of(bytes_of(o->work)),
      .rate = o->rate,
      .window = (uint32_t)o->window,
      .size = (uint32_t)o->size,
      .call = o->call,
      .ms = (uint32_t)o->seconds * 1000,
      .heartbeat_ms = (uint32_t)o->heartbeat_ms,
      .slow_rate = o->slow_rate,
  };
  if (setup_of(o, &s, &e) != 0)
    return fail(EXIT_SERVER, e.text);
  const char *wrong = contradiction(o, &s);
  if (wrong != NULL)
    return fail(EXIT_USAGE, wrong);
  (void)signal(SIGPIPE, SIG_IGN); /* a connection that the server has closed */
  if (load_signal_work(&s, &t, &r, &e) != 0)
    return fail(EXIT_SERVER, e.text);
  const bool printed = load_signal_report(&s, &t, &r, o->json);
  return printed && load_signal_wrong(&s, &t, &r) == NULL ? EXIT_GOOD : EXIT_BAD;
}

static int run(const struct options *o)
{
  const struct net_options_asked asked = {
      .help = o->help,
      .man = o->man,
      .version = o->version ? "viaduct-load " VIADUCT_VERSION "\n" : NULL,
  };
  const int printed = net_options_print(&set, &asked);
  if (printed != -ERR_MISSING)
    return printed == 0 ? EXIT_GOOD : EXIT_BAD;
  return work(o);
}

/* The URL may stand last by itself. */
static bool is_bare_url(int argc, char *const *argv)
{
  return argc > 1 && argv[argc - 1][0] != '-' && strstr(argv[argc - 1], "://") != NULL &&
         (argc == 2 || (strcmp(argv[argc - 2], "--url") != 0 && strcmp(argv[argc - 2], "-s") != 0));
}

int load_signal_main(int argc, char **argv)
{
  struct mem mem = net_mem();
  struct options options;
  struct option_parser p;
  char *arguments[ARGUMENTS_MOST], url[] = "--url";
  int status = EXIT_USAGE;
  if (argc + 1 > ARGUMENTS_MOST)
    return fail(EXIT_USAGE, "too many arguments");
  memcpy(arguments, argv, (size_t)argc * sizeof(*argv));
  if (is_bare_url(argc, argv)) {
    arguments[argc] = arguments[argc - 1];
    arguments[argc++ - 1] = url;
  }
  if (option_begin(&p, &set, &mem, &options, sizeof(options)) != 0 ||
      option_parse_args(&p, argc, arguments) != 0)
    (void)fail(EXIT_USAGE, p.error.text);
  else
    status = run(&options);
  option_fini(&set, &mem, &options);
  return status;
}
