/* See plan.h. What `up` adds stands behind the user's own lines: a later line replaces an earlier
 * one, so only what the user did not set is added, but for ports that stand on `up`'s own command
 * line or in [up]. */
#include "viaduct/plan.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

enum { ADDED_MAX = 16 * 1024 }; /* bytes that `up` adds to a section */

static const struct server_row {
  const char *name;
  enum section section;
} servers[SERVER_COUNT] = {
    {"turnd", SECTION_TURND}, {"stund", SECTION_STUND}, {"signald", SECTION_SIGNALD}};

const char *server_name(enum server s)
{
  return servers[s].name;
}

/* name=value; quoted where the parser would take a part of it for something else. */
static void put_text(struct buf *b, const char *name, const char *value)
{
  bool plain = value[0] != '"' && value[0] != '\'' && strpbrk(value, " \t#") == NULL;
  char quote = strchr(value, '"') == NULL ? '"' : '\'';
  buf_put_text(b, name);
  buf_put_byte(b, '=');
  if (!plain)
    buf_put_byte(b, (uint8_t)quote);
  buf_put_text(b, value);
  if (!plain)
    buf_put_byte(b, (uint8_t)quote);
  buf_put_byte(b, '\n');
}

static void put_number(struct buf *b, const char *name, uint64_t value)
{
  buf_put_text(b, name);
  buf_put_byte(b, '=');
  buf_put_uint(b, value);
  buf_put_byte(b, '\n');
}

/* name=ADDRESS:PORT, brackets around IPv6. */
static void put_endpoint(struct buf *b, const char *name, const struct addr *at, uint64_t port)
{
  struct addr a = *at;
  char text[ADDR_TEXT_SIZE];
  a.port = (uint16_t)port;
  put_text(b, name, addr_format(&a, text));
}

static bool is_set(const struct plan_input *in, const char *name)
{
  return option_was_set(in->parser, name);
}

/* The port that counts: `up`'s when it was set, the section's when that was, else `up`'s default.
 */
static uint64_t port_of(const struct plan_input *in, const char *option, uint64_t of_up,
                        uint64_t of_section)
{
  return is_set(in, option) || of_section == 0 ? of_up : of_section;
}

/* cert and pkey of the development certificate. */
static void put_certificate(struct buf *b, const char *certs_dir)
{
  char path[PATH_MAX + 16];
  snprintf(path, sizeof(path), "%s/server.pem", certs_dir);
  put_text(b, "cert", path);
  snprintf(path, sizeof(path), "%s/server.key", certs_dir);
  put_text(b, "pkey", path);
}

/* A relay without a certificate of its own has signald's, a real one too. */
static void add_tls(const struct plan_input *in, const struct plan *out, struct buf *b)
{
  const struct plan_turnd *t = &in->settings->turnd;
  const struct plan_signald *s = &in->settings->signald;
  if (out->turns_port == 0) {
    buf_put_text(b, "no-tls\nno-dtls\n");
    return;
  }
  put_number(b, "tls-listening-port", out->turns_port);
  if (t->cert != NULL || t->pkey != NULL)
    return;
  if (out->dev_certificate) {
    put_certificate(b, in->certs_dir);
  } else if (s->cert != NULL && s->pkey != NULL) {
    put_text(b, "cert", s->cert);
    put_text(b, "pkey", s->pkey);
  }
}

static void add_turnd(const struct plan_input *in, const struct plan *out, struct buf *b)
{
  const struct plan_turnd *t = &in->settings->turnd;
  const struct up_options *o = in->options;
  char address[ADDR_TEXT_SIZE], local[ADDR_TEXT_SIZE];
  put_number(b, "listening-port", out->turn_port);
  add_tls(in, out, b);
  if (t->min_port == NULL || is_set(in, "min-port"))
    put_number(b, "min-port", o->min_port);
  if (t->max_port == NULL || is_set(in, "max-port"))
    put_number(b, "max-port", o->max_port);
  if (t->relay_ip.count == 0 && t->external_ip.count == 0) {
    addr_format_ip(&in->local, local);
    put_text(b, "relay-ip", local);
    if (!addr_equal_ip(&in->address, &in->local))
      put_text(b, "external-ip", addr_format_ip(&in->address, address));
  }
  if (!t->no_auth && t->static_auth_secret.count == 0) {
    buf_put_text(b, "use-auth-secret\n");
    put_text(b, "static-auth-secret", in->secret);
  }
  if (!t->prometheus && o->metrics_port > 0) {
    buf_put_text(b, "prometheus\n");
    if (t->prometheus_port == 0)
      put_number(b, "prometheus-port", o->metrics_port);
  }
}

static void add_stund(const struct plan_input *in, const struct plan *out, struct buf *b)
{
  const struct addr loopback = addr_v4(127, 0, 0, 1, 0);
  put_number(b, "listening-port", out->stun_port);
  if (in->settings->stund.metrics_listen == NULL && in->options->metrics_port > 0)
    put_endpoint(b, "metrics-listen", &loopback, in->options->metrics_port + 2);
}

/* turn:ADDRESS:PORT?transport=udp and its like (RFC 7065, RFC 7064). */
static void put_uri(struct buf *b, const char *scheme, const struct addr *at, const char *query)
{
  char address[ADDR_TEXT_SIZE], uri[ADDR_TEXT_SIZE + 32];
  snprintf(uri, sizeof(uri), "%s:%s%s", scheme, addr_format(at, address), query);
  put_text(b, "turn-uri", uri);
}

static void add_uris(const struct plan_input *in, const struct plan *out, struct buf *b)
{
  const struct plan_turnd *t = &in->settings->turnd;
  struct addr turn = out->address, turns = out->address, stun = out->address;
  turn.port = out->turn_port;
  turns.port = out->turns_port;
  stun.port = out->stun_port;
  if (!t->no_udp)
    put_uri(b, "turn", &turn, "?transport=udp");
  if (!t->no_tcp)
    put_uri(b, "turn", &turn, "?transport=tcp");
  /* A certificate that somebody was given names a host and not an address: that URI is theirs to
   * set. Ours names this address. */
  if (out->turns_port != 0 && !t->no_tls && out->dev_certificate && t->cert == NULL)
    put_uri(b, "turns", &turns, "?transport=tcp");
  put_uri(b, "stun", &stun, "");
}

static void add_signald(const struct plan_input *in, const struct plan *out, struct buf *b)
{
  const struct plan_signald *s = &in->settings->signald;
  const struct addr loopback = addr_v4(127, 0, 0, 1, 0), any4 = addr_v4(0, 0, 0, 0, 0);
  static const uint8_t zero[16];
  const struct addr any6 = addr_from_ip(zero, sizeof(zero), 0);
  if (s->listen.count == 0)
    put_endpoint(b, "listen", &loopback, in->options->http_port);
  if (s->tls_listen.count == 0) {
    put_endpoint(b, "tls-listen", &any4, in->options->https_port);
    if (in->has_ipv6)
      put_endpoint(b, "tls-listen", &any6, in->options->https_port);
  }
  if (out->dev_certificate)
    put_certificate(b, in->certs_dir);
  if (s->turn_uri.count == 0)
    add_uris(in, out, b);
  if (s->turn_secret == NULL)
    put_text(b, "turn-secret", in->secret);
  if (s->auth == NULL)
    put_text(b, "auth", "none");
  if (s->admin_listen == NULL && in->options->metrics_port > 0)
    put_endpoint(b, "admin-listen", &loopback, in->options->metrics_port + 1);
}

/* The URL of a listener: at `host` when it listens everywhere, at its own address otherwise; ""
 * when there is none. */
static void put_url(char url[PLAN_URL_SIZE], const char *scheme, const struct option_list *own,
                    const char *host, uint64_t port)
{
  struct addr a;
  char text[ADDR_TEXT_SIZE];
  url[0] = '\0';
  if (own->count > 0 && strcmp(own->item[0], "none") == 0)
    return;
  if (own->count > 0 && addr_parse(bytes_of(own->item[0]), &a) == 0 && a.port != 0) {
    port = a.port;
    a.port = 0;
    if (!addr_is_unspecified(&a) && !addr_is_loopback(&a)) {
      addr_format(&a, text);
      snprintf(url, PLAN_URL_SIZE, a.family == ADDR_V6 ? "%s://[%s]:%u/" : "%s://%s:%u/", scheme,
               text, (unsigned)port);
      return;
    }
    host = addr_is_loopback(&a) ? "localhost" : host;
  }
  snprintf(url, PLAN_URL_SIZE, "%s://%s:%u/", scheme, host, (unsigned)port);
}

static void put_urls(const struct plan_input *in, struct plan *out)
{
  const struct plan_signald *s = &in->settings->signald;
  char text[ADDR_TEXT_SIZE], host[ADDR_TEXT_SIZE + 2];
  addr_format_ip(&out->address, text);
  snprintf(host, sizeof(host), out->address.family == ADDR_V6 ? "[%s]" : "%s", text);
  put_url(out->local_url, "http", &s->listen, "localhost", in->options->http_port);
  if (out->local_url[0] == '\0')
    put_url(out->local_url, "https", &s->tls_listen, "localhost", in->options->https_port);
  put_url(out->remote_url, "https", &s->tls_listen, host, in->options->https_port);
}

static int make_config(const struct plan_input *in, enum server server, struct mem *mem,
                       struct plan *out)
{
  static void (*const add[SERVER_COUNT])(const struct plan_input *, const struct plan *,
                                         struct buf *) = {add_turnd, add_stund, add_signald};
  const struct buf *section = &in->sections->text[servers[server].section];
  size_t cap = section->len + ADDED_MAX;
  void *storage = mem_new(mem, cap);
  if (storage == NULL)
    return -ERR_NOMEM;
  struct buf *b = &out->config[server];
  buf_init(b, storage, cap);
  buf_put(b, section->at, section->len);
  buf_put_text(b, "\n# What 'viaduct up' adds. It writes this file anew at each start.\n");
  add[server](in, out, b);
  return b->overflow ? -ERR_FULL : 0;
}

int plan_make(const struct plan_input *in, struct mem *mem, struct plan *out)
{
  const struct up_options *o = in->options;
  const struct plan_turnd *t = &in->settings->turnd;
  uint64_t turns = port_of(in, "turns-port", o->turns_port, t->tls_listening_port);
  *out = (struct plan){
      .turn_port = (uint16_t)port_of(in, "turn-port", o->turn_port, t->listening_port),
      .turns_port = t->no_tls && t->no_dtls ? 0 : (uint16_t)turns,
      .stun_port =
          (uint16_t)port_of(in, "stun-port", o->stun_port, in->settings->stund.listening_port),
      .address = in->address,
      .dev_certificate = plan_needs_certificate(in->settings),
  };
  put_urls(in, out);
  int r = 0;
  for (int s = 0; s < SERVER_COUNT && r == 0; s++)
    r = make_config(in, (enum server)s, mem, out);
  if (r != 0)
    plan_free(out, mem);
  return r;
}

void plan_free(struct plan *p, struct mem *mem)
{
  for (size_t i = 0; i < SERVER_COUNT; i++) {
    struct buf *b = &p->config[i];
    if (b->at == NULL)
      continue;
    bytes_wipe(b->at, b->cap);
    mem_free(mem, b->at, b->cap);
    *b = (struct buf){0};
  }
}
