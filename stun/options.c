/* From config.def's rows to a configuration, or to the one line that says what is wrong. */
#include "stun/options.h"

#include <string.h>

#include "base/err.h"
#include "net/check.h"
#include "net/options.h"

static const char *stund_check_address(struct bytes value)
{
  struct addr a;
  if (addr_parse(value, &a) == 0 && a.port == 0)
    return NULL;
  return "must be an IP address without a port, like 192.0.2.1 or 2001:db8::1";
}

/* Whether the text has a port; addr_parse takes a missing one as 0. */
static bool has_port(struct bytes value, const struct addr *a)
{
  const char *before_port = a->family == ADDR_V4 ? ":" : "]:";
  size_t len = strlen(before_port);
  for (size_t i = 0; i + len <= value.len; i++) {
    if (memcmp(value.at + i, before_port, len) == 0)
      return true;
  }
  return false;
}

static const char *stund_check_endpoint(struct bytes value)
{
  struct addr a;
  if (addr_parse(value, &a) == 0 && has_port(value, &a))
    return NULL;
  return "must be an IP address and a port, like 127.0.0.1:9643 or [::1]:9643";
}

static const char *stund_check_log_format(struct bytes value)
{
  if (bytes_equal(value, bytes_of("text")) || bytes_equal(value, bytes_of("json")))
    return NULL;
  return "must be text or json";
}

static const struct option rows[] = {
#define AT(field) .offset = offsetof(struct stund_options, field), .group = GROUP
#define FLAG(field, ...) {.kind = OPTION_FLAG, AT(field), __VA_ARGS__},
#define UINT(field, ...) {.kind = OPTION_UINT, AT(field), __VA_ARGS__},
#define TEXT(field, ...) {.kind = OPTION_TEXT, AT(field), __VA_ARGS__},
#define LIST(field, ...) {.kind = OPTION_LIST, AT(field), __VA_ARGS__},
#include "stun/config.def"
};

static const struct option_set set = {
    .program = "viaduct-stund",
    .summary = "tells clients the address that the internet sees them at (STUN, RFC 8489)",
    .row = rows,
    .count = sizeof rows / sizeof rows[0],
};

int stund_options_read(struct stund_options *o, struct mem *mem, int argc, char *const *argv,
                       struct option_error *e)
{
  const struct net_options from = {.set = &set, .argc = argc, .argv = argv};
  return net_options_read(&from, mem, o, sizeof(*o), e);
}

void stund_options_fini(struct stund_options *o, struct mem *mem)
{
  option_fini(&set, mem, o);
}

int stund_options_print(const struct stund_options *o)
{
  const struct net_options_asked asked = {
      .help = o->help,
      .example_config = o->example_config,
      .man = o->man,
      .version = o->version ? "viaduct-stund " VIADUCT_VERSION "\n" : NULL,
  };
  return net_options_print(&set, &asked);
}

/* The text was checked when it was read. */
static struct addr to_addr(const char *text)
{
  struct addr a = {.family = ADDR_NONE};
  (void)addr_parse(bytes_of(text), &a);
  return a;
}

static int add_listen(struct stund_config *c, struct addr at, struct net_error *e)
{
  char text[ADDR_TEXT_SIZE];
  for (size_t i = 0; i < c->listen_count; i++) {
    if (addr_equal(&c->listen[i], &at)) {
      net_error_set(e, "listening-ip %s stands twice; leave one out", addr_format_ip(&at, text));
      return -ERR_BAD;
    }
  }
  if (c->listen_count == STUND_LISTEN_MAX) {
    net_error_set(e, "more than %d addresses at listening-ip; listen at 0.0.0.0 or :: instead",
                  STUND_LISTEN_MAX);
    return -ERR_BAD;
  }
  c->listen[c->listen_count++] = at;
  return 0;
}

static int add_all_listen(const struct stund_options *o, struct stund_config *c,
                          struct net_error *e)
{
  static char v4[] = "0.0.0.0", v6[] = "::";
  char *all[] = {v4, v6};
  c->listen_default = o->listening_ip.count == 0;
  char **item = c->listen_default ? all : o->listening_ip.item;
  size_t count = c->listen_default ? 2 : o->listening_ip.count;
  for (size_t i = 0; i < count; i++) {
    struct addr at = to_addr(item[i]);
    at.port = (uint16_t)o->listening_port;
    int err = add_listen(c, at, e);
    if (err)
      return err;
  }
  return 0;
}

/* The first two addresses of that family, if there are two. */
static void add_quad(struct stund_config *c, enum addr_family family, uint16_t alternate)
{
  struct stun_quad q = {.port = {0, alternate}};
  size_t count = 0;
  for (size_t i = 0; i < c->listen_count && count < 2; i++) {
    if (c->listen[i].family != family || addr_is_unspecified(&c->listen[i]))
      continue;
    q.port[0] = c->listen[i].port;
    q.ip[count++] = c->listen[i];
  }
  if (count == 2)
    c->quad[c->quad_count++] = q;
}

/* RFC 5780 needs two addresses and two ports. */
static int add_quads(const struct stund_options *o, struct stund_config *c, struct net_error *e)
{
  uint64_t port = o->listening_port, alternate = o->alt_listening_port;
  if (!o->rfc5780 || o->no_rfc5780) {
    c->no_quad = "it is switched off by rfc5780 or no-rfc5780";
    return 0;
  }
  if (alternate == 0 && port != 0)
    alternate = port + 1;
  add_quad(c, ADDR_V4, (uint16_t)alternate);
  add_quad(c, ADDR_V6, (uint16_t)alternate);
  if (c->quad_count == 0) {
    c->no_quad = "it needs two listening-ip of one family, each with its address";
    return 0;
  }
  if (alternate > UINT16_MAX || (alternate == port && port != 0)) {
    net_error_set(e,
                  "alt-listening-port has to be another port than listening-port=%u, up to 65535; "
                  "choose one, or say no-rfc5780",
                  (unsigned)port);
    return -ERR_BAD;
  }
  return 0;
}

int stund_config_make(const struct stund_options *o, struct stund_config *out, struct net_error *e)
{
  *out = (struct stund_config){
      .udp = !o->no_udp,
      .tcp = !o->no_tcp,
      .respond = {.software = o->software_attribute ? "viaduct-stund" : NULL,
                  .fingerprint = o->fingerprint,
                  .classic = !o->no_stun_backward_compatibility},
      .workers = (uint32_t)o->workers,
      .max_connections = (uint32_t)o->max_connections,
      .idle_ms = (uint32_t)o->idle_timeout * 1000,
      .json_log = strcmp(o->log_format, "json") == 0,
      .verbose = o->verbose,
  };
  if (o->metrics_listen)
    out->metrics = to_addr(o->metrics_listen);
  if (!out->udp && !out->tcp) {
    net_error_set(e, "no-udp and no-tcp together leave nothing to listen at; leave one out");
    return -ERR_BAD;
  }
  if (net_privileges_find(o->proc_user, o->proc_group, &out->privileges, e) != 0)
    return -ERR_BAD;
  if (out->max_connections < out->workers) {
    net_error_set(e, "max-connections=%u is less than workers=%u; each worker needs one at least",
                  out->max_connections, out->workers);
    return -ERR_BAD;
  }
  int err = add_all_listen(o, out, e);
  return err ? err : add_quads(o, out, e);
}

/* -ERR_BAD and one sentence where a start with these arguments would fail. */
static int try_start(int argc, char **argv, struct mem *mem, struct option_error *wrong)
{
  struct stund_options options;
  struct stund_config config;
  struct net_error e = {0};
  int err = stund_options_read(&options, mem, argc, argv, wrong);
  if (!err && stund_config_make(&options, &config, &e) != 0) {
    err = net_options_fail(wrong, "%s", e.text);
  }
  stund_options_fini(&options, mem);
  return err;
}

int stund_options_check(int argc, char *const *argv)
{
  const struct net_check what = {
      .set = &set, .config_size = sizeof(struct stund_options), .try_start = try_start};
  return net_check_asked(&what, argc, argv);
}
