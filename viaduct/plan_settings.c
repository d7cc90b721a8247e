/* Reads the sections through base/option with small tables of the options that concern `up` itself,
 * so that quotes, comments and forms are those of the servers. */
#include <string.h>

#include "base/err.h"
#include "viaduct/plan.h"

#define AT(type, field) offsetof(struct type, field)

static const struct option turnd_rows[] = {
    {.name = "listening-port",
     .kind = OPTION_UINT,
     .max = 65535,
     .offset = AT(plan_turnd, listening_port)},
    {.name = "tls-listening-port",
     .kind = OPTION_UINT,
     .max = 65535,
     .offset = AT(plan_turnd, tls_listening_port)},
    {.name = "cert", .kind = OPTION_TEXT, .offset = AT(plan_turnd, cert)},
    {.name = "pkey", .kind = OPTION_TEXT, .offset = AT(plan_turnd, pkey)},
    {.name = "no-tls", .kind = OPTION_FLAG, .offset = AT(plan_turnd, no_tls)},
    {.name = "no-dtls", .kind = OPTION_FLAG, .offset = AT(plan_turnd, no_dtls)},
    {.name = "min-port", .kind = OPTION_TEXT, .offset = AT(plan_turnd, min_port)},
    {.name = "max-port", .kind = OPTION_TEXT, .offset = AT(plan_turnd, max_port)},
    {.name = "no-udp", .kind = OPTION_FLAG, .offset = AT(plan_turnd, no_udp)},
    {.name = "no-tcp", .kind = OPTION_FLAG, .offset = AT(plan_turnd, no_tcp)},
    {.name = "no-auth", .kind = OPTION_FLAG, .offset = AT(plan_turnd, no_auth)},
    {.name = "prometheus", .kind = OPTION_FLAG, .offset = AT(plan_turnd, prometheus)},
    {.name = "prometheus-port",
     .kind = OPTION_UINT,
     .max = 65535,
     .offset = AT(plan_turnd, prometheus_port)},
    {.name = "listening-ip", .kind = OPTION_LIST, .offset = AT(plan_turnd, listening_ip)},
    {.name = "relay-ip", .kind = OPTION_LIST, .offset = AT(plan_turnd, relay_ip)},
    {.name = "external-ip", .kind = OPTION_LIST, .offset = AT(plan_turnd, external_ip)},
    {.name = "static-auth-secret",
     .kind = OPTION_LIST,
     .secret = true,
     .offset = AT(plan_turnd, static_auth_secret)},
};

static const struct option stund_rows[] = {
    {.name = "listening-port",
     .kind = OPTION_UINT,
     .max = 65535,
     .offset = AT(plan_stund, listening_port)},
    {.name = "metrics-listen", .kind = OPTION_TEXT, .offset = AT(plan_stund, metrics_listen)},
};

static const struct option signald_rows[] = {
    {.name = "cert", .kind = OPTION_TEXT, .offset = AT(plan_signald, cert)},
    {.name = "pkey", .kind = OPTION_TEXT, .offset = AT(plan_signald, pkey)},
    {.name = "turn-secret",
     .kind = OPTION_TEXT,
     .secret = true,
     .offset = AT(plan_signald, turn_secret)},
    {.name = "auth", .kind = OPTION_TEXT, .offset = AT(plan_signald, auth)},
    {.name = "admin-listen", .kind = OPTION_TEXT, .offset = AT(plan_signald, admin_listen)},
    {.name = "listen", .kind = OPTION_LIST, .offset = AT(plan_signald, listen)},
    {.name = "tls-listen", .kind = OPTION_LIST, .offset = AT(plan_signald, tls_listen)},
    {.name = "turn-uri", .kind = OPTION_LIST, .offset = AT(plan_signald, turn_uri)},
};

#define SET(rows)                                                                                  \
  {                                                                                                \
    .program = "", .summary = "", .row = (rows), .count = sizeof(rows) / sizeof((rows)[0])         \
  }
static const struct option_set turnd_set = SET(turnd_rows);
static const struct option_set stund_set = SET(stund_rows);
static const struct option_set signald_set = SET(signald_rows);

/* Line by line, since an error ends a file: the options of the server that are not in the table are
 * unknown here, and what is wrong is the server's to say, which knows better. */
static int read_section(const struct option_set *set, const struct buf *section, struct mem *mem,
                        void *config, size_t config_size)
{
  struct option_parser p;
  int r = option_begin(&p, set, mem, config, config_size);
  struct bytes rest = {section->at, section->len};
  while (r == 0 && rest.len > 0) {
    const uint8_t *end = memchr(rest.at, '\n', rest.len);
    size_t len = end != NULL ? (size_t)(end - rest.at) : rest.len;
    if (option_parse_file(&p, "", (struct bytes){rest.at, len}) == -ERR_NOMEM)
      r = -ERR_NOMEM;
    len += end != NULL ? 1 : 0;
    rest = (struct bytes){rest.at + len, rest.len - len};
  }
  return r;
}

int plan_settings_read(struct plan_settings *p, const struct sections *s, struct mem *mem)
{
  memset(p, 0, sizeof(*p));
  int r = read_section(&turnd_set, &s->text[SECTION_TURND], mem, &p->turnd, sizeof(p->turnd));
  if (r == 0)
    r = read_section(&stund_set, &s->text[SECTION_STUND], mem, &p->stund, sizeof(p->stund));
  if (r == 0)
    r = read_section(&signald_set, &s->text[SECTION_SIGNALD], mem, &p->signald, sizeof(p->signald));
  if (r != 0)
    plan_settings_free(p, mem);
  return r;
}

void plan_settings_free(struct plan_settings *p, struct mem *mem)
{
  option_fini(&turnd_set, mem, &p->turnd);
  option_fini(&stund_set, mem, &p->stund);
  option_fini(&signald_set, mem, &p->signald);
}

const char *plan_own_secret(const struct plan_settings *p)
{
  if (p->turnd.static_auth_secret.count > 0)
    return p->turnd.static_auth_secret.item[0];
  return p->signald.turn_secret;
}

/* A certificate without its key (or the other way round) is signald's to refuse, by its line. */
bool plan_needs_certificate(const struct plan_settings *p)
{
  return p->signald.cert == NULL && p->signald.pkey == NULL;
}

/* The address before the '/', when it is one that clients can be told. */
static struct addr told(const struct option_list *list)
{
  for (size_t i = 0; i < list->count; i++) {
    struct addr a;
    struct bytes text = bytes_of(list->item[i]);
    const uint8_t *slash = text.len > 0 ? memchr(text.at, '/', text.len) : NULL;
    if (slash != NULL)
      text.len = (size_t)(slash - text.at);
    if (addr_parse(text, &a) == 0 && !addr_is_unspecified(&a))
      return a;
  }
  return (struct addr){.family = ADDR_NONE};
}

struct addr plan_own_address(const struct plan_settings *p)
{
  struct addr external = told(&p->turnd.external_ip);
  return external.family != ADDR_NONE ? external : told(&p->turnd.listening_ip);
}
