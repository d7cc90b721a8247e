/* `viaduct-peer doctor URI...`: what works from this network, and the cause and the mend of what
 * does not. Each way is tried by a thread of its own. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/err.h"
#include "net/clock.h"
#include "net/file.h"
#include "net/mem.h"
#include "net/options.h"
#include "peer-demo/doctor/core/report.h"
#include "peer-demo/doctor/probe.h"
#include "peer-demo/native/command.h"

enum {
  EXIT_FAILED = 1,
  EXIT_USAGE = 2,
  CREDENTIAL_S = 3600,
  NAME_SIZE = 512,
  PASSWORD_SIZE = 64,
  SECRET_SIZE = 512
};

struct doctor_options {
  char *username, *password, *secret_file, *ca, *html;
  bool ipv4, ipv6, json, help, man;
};

#define ROW(option_kind, field, ...)                                                               \
  {.kind = (option_kind),                                                                          \
   .offset = offsetof(struct doctor_options, field),                                               \
   .group = GROUP,                                                                                 \
   __VA_ARGS__},
#define FLAG(field, ...) ROW(OPTION_FLAG, field, __VA_ARGS__)
#define TEXT(field, ...) ROW(OPTION_TEXT, field, __VA_ARGS__)
static const struct option rows[] = {
#include "peer-demo/doctor/doctor.def"
};

static const struct option_set set = {
    .program = "viaduct-peer doctor",
    .summary = "what works from this network, and the cause and the mend of what does not: "
               "viaduct-peer doctor [OPTION...] relay.example.org, or turn: and stun: URIs",
    .row = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

static int fail(int status, const char *text)
{
  fprintf(stderr, "%s: %s\n", set.program, text);
  return status;
}

/* ---- what is tried ---- */

static int add_way(struct doctor_facts *f, const struct uri *uri, uint8_t family)
{
  if (f->count == DOCTOR_PROBES)
    return -ERR_FULL;
  f->probe[f->count++] = (struct doctor_probe){.uri = *uri, .family = family};
  return 0;
}

static int add_uri(struct doctor_facts *f, const struct doctor_options *o, const char *text,
                   struct net_error *e)
{
  struct addr literal;
  struct uri uri;
  const char *why;
  if (uri_parse(bytes_of(text), &uri, &why) != 0) {
    net_error_set(e, "'%.200s' is no STUN or TURN URI: one %s", text, why);
    return -ERR_BAD;
  }
  int known = addr_parse(bytes_of(uri.host), &literal) == 0 ? literal.family : ADDR_NONE;
  int err = 0;
  if (!o->ipv6 && known != ADDR_V6)
    err = add_way(f, &uri, ADDR_V4);
  if (err == 0 && !o->ipv4 && known != ADDR_V4)
    err = add_way(f, &uri, ADDR_V6);
  if (err != 0)
    net_error_set(e, "at most %d ways at a time; name fewer", DOCTOR_PROBES);
  return err;
}

/* All that a server usually offers, 443 included, which is what strict networks leave open. */
static int add_host(struct doctor_facts *f, const struct doctor_options *o, const char *host,
                    struct net_error *e)
{
  static const char *const ways[] = {"stun:%s",
                                     "turn:%s?transport=udp",
                                     "turn:%s?transport=tcp",
                                     "turns:%s?transport=tcp",
                                     "turns:%s?transport=udp",
                                     "turns:%s:443?transport=tcp"};
  char text[URI_TEXT_SIZE];
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int len = snprintf(text, sizeof text, ways[i], host);
#pragma GCC diagnostic pop
    int err = len < URI_TEXT_SIZE ? add_uri(f, o, text, e) : -ERR_BAD;
    if (err != 0)
      return err;
  }
  return 0;
}

static int add_all(struct doctor_facts *f, const struct doctor_options *o, int count, char **text,
                   struct net_error *e)
{
  int err = 0;
  for (int i = 0; i < count && err == 0; i++) {
    struct addr literal;
    bool is_host = strchr(text[i], ':') == NULL || addr_parse(bytes_of(text[i]), &literal) == 0;
    err = (is_host ? add_host : add_uri)(f, o, text[i], e);
  }
  return err;
}

/* ---- credentials ---- */

struct credentials {
  char name[NAME_SIZE], password[PASSWORD_SIZE];
};

static int read_secret(const char *path, char out[SECRET_SIZE], struct net_error *e)
{
  FILE *file = fopen(path, "re");
  char *line = file ? fgets(out, SECRET_SIZE, file) : NULL;
  if (file)
    fclose(file);
  if (line)
    out[strcspn(out, "\r\n")] = '\0';
  if (line && out[0])
    return 0;
  net_error_set(e, "--secret-file %s cannot be read or is empty; it has one line, the secret",
                path);
  return -ERR_MISSING;
}

/* The form that turnd and coturn take: expiry, colon, name; base64(HMAC-SHA1(secret, name)). */
static int make_credentials(const struct doctor_options *o, struct doctor_facts *f,
                            struct credentials *c, struct net_error *e)
{
  char secret[SECRET_SIZE];
  uint8_t mac[SHA1_SIZE];
  struct buf b;
  int err = read_secret(o->secret_file, secret, e);
  if (err != 0)
    return err;
  snprintf(c->name, sizeof c->name, "%llu:%.256s", (unsigned long long)(f->now_s + CREDENTIAL_S),
           o->username ? o->username : "doctor");
  const struct bytes piece = bytes_of(c->name);
  hmac_sha1(bytes_of(secret), &piece, 1, mac);
  buf_init(&b, c->password, sizeof c->password - 1);
  buf_put_base64(&b, mac, sizeof mac);
  c->password[b.len] = '\0';
  bytes_wipe(secret, sizeof secret);
  f->has_secret = true;
  f->expires_s = f->now_s + CREDENTIAL_S;
  return 0;
}

/* ---- side by side ---- */

struct work {
  pthread_t thread;
  const struct probe_setup *setup;
  struct doctor_probe *p;
  bool started;
};

static void *work_run(void *arg)
{
  struct work *w = arg;
  probe_run(w->setup, w->p);
  return NULL;
}

static void try_all(const struct probe_setup *setup, struct doctor_facts *f)
{
  struct work work[DOCTOR_PROBES];
  for (size_t i = 0; i < f->count; i++) {
    work[i] = (struct work){.setup = setup, .p = &f->probe[i]};
    work[i].started = pthread_create(&work[i].thread, NULL, work_run, &work[i]) == 0;
  }
  for (size_t i = 0; i < f->count; i++) {
    if (work[i].started)
      pthread_join(work[i].thread, NULL);
    else
      work_run(&work[i]);
  }
}

/* A host without an IPv6 address lacks nothing, if it has an IPv4 one. */
static void drop_families_that_are_not_there(struct doctor_facts *f)
{
  size_t kept = 0;
  for (size_t i = 0; i < f->count; i++) {
    const struct doctor_probe *p = &f->probe[i];
    bool has_twin = false;
    for (size_t j = 0; j < f->count && !has_twin; j++)
      has_twin = f->probe[j].family != p->family && f->probe[j].step > DOCTOR_RESOLVE &&
                 strcmp(f->probe[j].uri.host, p->uri.host) == 0;
    if (p->step == DOCTOR_RESOLVE && has_twin)
      continue;
    f->probe[kept++] = *p;
  }
  f->count = kept;
}

/* ---- what is said ---- */

static int write_html(const char *path, const struct doctor_facts *f,
                      const struct doctor_verdict *v, struct buf *out)
{
  char text[512];
  out->len = 0;
  report_put_html(f, v, out);
  FILE *file = fopen(path, "we");
  bool written = file && fwrite(out->at, 1, out->len, file) == out->len;
  if (file && fclose(file) == 0 && written)
    return 0;
  snprintf(text, sizeof text, "--html %.200s cannot be written", path);
  return fail(EXIT_FAILED, text);
}

static int say(const struct doctor_options *o, const struct doctor_facts *f,
               const struct doctor_verdict *v)
{
  uint8_t *storage = malloc(REPORT_SIZE);
  struct buf out;
  if (!storage)
    return fail(EXIT_FAILED, "no memory");
  buf_init(&out, storage, REPORT_SIZE);
  if (o->json)
    report_put_json(f, v, &out);
  else
    report_put_text(f, v, isatty(STDOUT_FILENO) != 0, &out);
  fwrite(out.at, 1, out.len, stdout);
  int status = fflush(stdout) == 0 && v->works ? 0 : EXIT_FAILED;
  if (o->html && write_html(o->html, f, v, &out) != 0)
    status = EXIT_FAILED;
  free(storage);
  return status;
}

static int run(const struct doctor_options *o, int count, char **text)
{
  static struct doctor_facts facts;
  static struct doctor_verdict verdict;
  struct credentials c;
  struct net_error e = {{0}};
  memset(&c, 0, sizeof c);
  facts.now_s = net_clock_wall_ms() / 1000;
  if (add_all(&facts, o, count, text, &e) != 0)
    return fail(EXIT_USAGE, e.text);
  if (o->secret_file && make_credentials(o, &facts, &c, &e) != 0)
    return fail(EXIT_USAGE, e.text);
  if (!o->secret_file && o->username)
    facts.expires_s = doctor_expiry(bytes_of(o->username));
  const struct probe_setup setup = {.username = o->secret_file ? c.name
                                                : o->username  ? o->username
                                                               : "",
                                    .password = o->secret_file ? c.password
                                                : o->password  ? o->password
                                                               : "",
                                    .ca = o->ca};
  try_all(&setup, &facts);
  bytes_wipe(&c, sizeof c);
  drop_families_that_are_not_there(&facts);
  doctor_judge(&facts, &verdict);
  return say(o, &facts, &verdict);
}

static const char *contradiction(const struct doctor_options *o)
{
  if (o->ipv4 && o->ipv6)
    return "--ipv4 and --ipv6 exclude each other";
  if (o->password && o->secret_file)
    return "--password and --secret-file exclude each other";
  if (o->password && !o->username)
    return "--password needs --username";
  if (o->ca && access(o->ca, R_OK) != 0)
    return "--ca cannot be read; it names a PEM file of certificates";
  return NULL;
}

/* The options come first, each with its value where it has one. */
static int options_end(int argc, char **argv)
{
  int i = 1;
  while (i < argc && argv[i][0] == '-') {
    const struct option *row = option_find(&set, bytes_of(argv[i] + strspn(argv[i], "-")));
    bool is_letter = argv[i][1] != '-' && strlen(argv[i]) == 2;
    for (size_t r = 0; is_letter && r < set.count; r++) {
      if (rows[r].letter == argv[i][1])
        row = &rows[r];
    }
    i += row && row->kind == OPTION_TEXT ? 2 : 1;
  }
  return i < argc ? i : argc;
}

int doctor_main(int argc, char **argv)
{
  struct mem mem = net_mem();
  struct option_parser p;
  struct doctor_options o;
  int own = options_end(argc, argv), status;
  (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
  if (option_begin(&p, &set, &mem, &o, sizeof(o)) != 0 || option_parse_args(&p, own, argv) != 0) {
    status = fail(EXIT_USAGE, p.error.text);
  } else {
    const struct net_options_asked asked = {.help = o.help, .man = o.man};
    const int printed = net_options_print(&set, &asked);
    const char *wrong = contradiction(&o);
    status = printed == 0 ? 0 : EXIT_FAILED;
    if (printed == -ERR_MISSING && wrong)
      status = fail(EXIT_USAGE, wrong);
    else if (printed == -ERR_MISSING && own == argc)
      status = fail(EXIT_USAGE, "name a server: viaduct-peer doctor relay.example.org, or "
                                "turn:relay.example.org:3478?transport=tcp");
    else if (printed == -ERR_MISSING)
      status = run(&o, argc - own, argv + own);
  }
  option_fini(&set, &mem, &o);
  return status;
}
