/* `viaduct-peer nat URI`: which NAT stands between this machine and a STUN server (RFC 5780), and
 * what that means for calls. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "net/mem.h"
#include "net/options.h"
#include "peer-demo/native/command.h"
#include "peer-demo/native/measure.h"
#include "peer-demo/native/resolve.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, OUTPUT_SIZE = 2048 };

struct nat_options {
  bool ipv4, ipv6, json, help, man;
};

#define FLAG(option_name, short_name, field, text)                                                 \
  {                                                                                                \
    .name = (option_name), .letter = (short_name), .kind = OPTION_FLAG,                            \
    .offset = offsetof(struct nat_options, field), .group = "Options, before URI", .help = (text)  \
  }
static const struct option rows[] = {
    FLAG("ipv4", '4', ipv4, "By IPv4."),
    FLAG("ipv6", '6', ipv6, "By IPv6."),
    FLAG("json", 0, json, "As a JSON object."),
    FLAG("help", 'h', help, "Print this."),
    FLAG("man", 0, man, "Print the manual page (roff)."),
};

static const struct option_set set = {
    .program = "viaduct-peer nat",
    .summary =
        "which NAT stands between this machine and a STUN server with two addresses (RFC 5780): "
        "viaduct-peer nat stun:stun.example.org",
    .row = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

static int fail(int status, const char *text)
{
  fprintf(stderr, "%s: %s\n", set.program, text);
  return status;
}

/* One sentence for people, from RFC 4787's two words. */
static const char *meaning(const struct behaviour_found *f)
{
  if (!f->answers)
    return "UDP to this server does not pass, or there is no server: calls from here need a relay "
           "over TCP or TLS.";
  if (f->mapping == BEHAVIOUR_UNKNOWN)
    return "The server has no second address (RFC 5780), so that nothing more can be said; "
           "viaduct-stund has one with two --listening-ip.";
  if (f->mapping == BEHAVIOUR_ADDRESS_DEPENDENT ||
      f->mapping == BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT)
    return "A symmetric NAT: a direct call works only with a peer that lets any port in; with "
           "others it needs a relay.";
  if (f->mapping == BEHAVIOUR_NONE)
    return f->filtering == BEHAVIOUR_ENDPOINT_INDEPENDENT
               ? "No NAT and no filter: direct calls work with everybody."
               : "No NAT, but a firewall: direct calls work with everybody but those behind a "
                 "symmetric NAT or a firewall that takes the port into account.";
  if (f->filtering == BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT)
    return "A port-restricted NAT: direct calls work by hole punching, but not with a peer behind "
           "a "
           "symmetric NAT.";
  return "A cone NAT: direct calls work by hole punching with every kind of NAT.";
}

static const char *hairpin_name(enum behaviour_hairpin hairpin)
{
  static const char *const name[] = {[BEHAVIOUR_HAIRPIN_UNKNOWN] = "unknown",
                                     [BEHAVIOUR_HAIRPIN_NO] = "no",
                                     [BEHAVIOUR_HAIRPIN_YES] = "yes"};
  return name[hairpin];
}

static void put_address(struct buf *b, const char *name, const struct addr *a)
{
  char text[ADDR_TEXT_SIZE];
  buf_put_text(b, ",\"");
  buf_put_text(b, name);
  buf_put_text(b, "\":");
  if (a->family == ADDR_NONE)
    buf_put_text(b, "null");
  else
    json_put_string(b, bytes_of(addr_format(a, text)));
}

static void put_word(struct buf *b, const char *name, const char *word)
{
  buf_put_text(b, ",\"");
  buf_put_text(b, name);
  buf_put_text(b, "\":");
  json_put_string(b, bytes_of(word));
}

static void put_json(const struct behaviour_found *f, const struct addr *local, struct buf *b)
{
  buf_put_text(b, f->answers ? "{\"answers\":true" : "{\"answers\":false");
  put_address(b, "local", local);
  put_address(b, "mapped", &f->mapped);
  put_word(b, "mapping", behaviour_name(f->mapping));
  put_word(b, "filtering", behaviour_name(f->filtering));
  put_word(b, "hairpinning", hairpin_name(f->hairpin));
  put_word(b, "meaning", meaning(f));
  buf_put_text(b, "}\n");
}

static void put_text(const struct behaviour_found *f, const struct addr *local, struct buf *b)
{
  char text[ADDR_TEXT_SIZE];
  if (f->answers) {
    buf_put_text(b, "here         ");
    buf_put_text(b, addr_format(local, text));
    buf_put_text(b, "\nseen as      ");
    buf_put_text(b, addr_format(&f->mapped, text));
    buf_put_text(b, "\nmapping      ");
    buf_put_text(b, behaviour_name(f->mapping));
    buf_put_text(b, "\nfiltering    ");
    buf_put_text(b, behaviour_name(f->filtering));
    buf_put_text(b, "\nhairpinning  ");
    buf_put_text(b, hairpin_name(f->hairpin));
    buf_put_text(b, "\n\n");
  }
  buf_put_text(b, meaning(f));
  buf_put_text(b, "\n");
}

static int run(const struct nat_options *o, const char *text)
{
  const int family = o->ipv4 ? ADDR_V4 : o->ipv6 ? ADDR_V6 : ADDR_NONE;
  uint8_t storage[OUTPUT_SIZE];
  struct measure m;
  struct addr server;
  struct net_error e = {{0}};
  struct uri uri;
  struct buf out;
  const char *why;
  char sentence[512];
  if (uri_parse(bytes_of(text), &uri, &why) != 0) {
    snprintf(sentence, sizeof(sentence), "'%.200s' is no STUN URI: one %s", text, why);
    return fail(EXIT_USAGE, sentence);
  }
  if (uri.transport != URI_UDP)
    return fail(EXIT_USAGE, "a NAT is measured over UDP: stun:HOST:PORT");
  if (resolve_uri(&uri, family, &server, &e) != 0)
    return fail(EXIT_FAILED, e.text);
  int err = measure_open(&m, &server, &e);
  if (err == 0)
    measure_run(&m, 1);
  measure_close(&m);
  if (err != 0)
    return fail(EXIT_FAILED, e.text);
  buf_init(&out, storage, sizeof(storage));
  (o->json ? put_json : put_text)(&m.found, &m.setup.local[0], &out);
  fwrite(out.at, 1, out.len, stdout);
  return fflush(stdout) == 0 && m.found.answers ? 0 : EXIT_FAILED;
}

int nat_main(int argc, char **argv)
{
  struct mem mem = net_mem();
  struct option_parser p;
  struct nat_options o;
  int own = 1, status;
  while (own < argc && argv[own][0] == '-')
    own++;
  if (option_begin(&p, &set, &mem, &o, sizeof(o)) != 0 || option_parse_args(&p, own, argv) != 0) {
    status = fail(EXIT_USAGE, p.error.text);
  } else {
    const struct net_options_asked asked = {.help = o.help, .man = o.man};
    const int printed = net_options_print(&set, &asked);
    status = printed == 0 ? 0 : EXIT_FAILED;
    if (printed == -ERR_MISSING && (argc - own != 1 || (o.ipv4 && o.ipv6)))
      status = fail(EXIT_USAGE, o.ipv4 && o.ipv6
                                    ? "--ipv4 and --ipv6 exclude each other"
                                    : "name one server: viaduct-peer nat stun:stun.example.org");
    else if (printed == -ERR_MISSING)
      status = run(&o, argv[own]);
  }
  option_fini(&set, &mem, &o);
  return status;
}
