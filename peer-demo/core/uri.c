/* See uri.h. */
#include "peer-demo/core/uri.h"

#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/err.h"

static bool take(struct bytes *text, const char *prefix)
{
  size_t len = strlen(prefix);
  if (text->len < len || memcmp(text->at, prefix, len) != 0)
    return false;
  *text = (struct bytes){text->at + len, text->len - len};
  return true;
}

/* RFC 7065 section 3.1: schemes and "transport" are compared without regard to case by a general
 * parser; what browsers take, and what everybody writes, is lower case. */
static int take_scheme(struct bytes *text, struct uri *out, bool *secure, const char **why)
{
  *secure = false;
  if (take(text, "turns:"))
    *secure = out->is_turn = true;
  else if (take(text, "turn:"))
    out->is_turn = true;
  else if (take(text, "stuns:"))
    *secure = true;
  else if (!take(text, "stun:")) {
    *why = "begins with stun:, stuns:, turn: or turns:";
    return -ERR_BAD;
  }
  if (text->len >= 2 && text->at[0] == '/' && text->at[1] == '/') {
    *why = "has no // behind its scheme (RFC 7065): turn:relay.example.org:3478";
    return -ERR_BAD;
  }
  return 0;
}

static bool is_host_byte(uint8_t c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

static int keep_host(struct bytes host, struct uri *out, const char **why)
{
  if (host.len == 0 || host.len >= URI_HOST_SIZE) {
    *why = "has a host of 1 to 255 characters";
    return -ERR_BAD;
  }
  memcpy(out->host, host.at, host.len);
  out->host[host.len] = '\0';
  return 0;
}

/* "[2001:db8::1]". */
static int take_literal(struct bytes *text, struct uri *out, const char **why)
{
  const uint8_t *end = memchr(text->at, ']', text->len);
  struct addr a;
  struct bytes host = {text->at + 1, end ? (size_t)(end - text->at) - 1 : 0};
  if (!end || addr_parse(host, &a) != 0 || a.family != ADDR_V6 || a.port != 0) {
    *why = "has an IPv6 address in its brackets: turn:[2001:db8::1]:3478";
    return -ERR_BAD;
  }
  *text = (struct bytes){end + 1, text->len - host.len - 2};
  return keep_host(host, out, why);
}

static int take_host(struct bytes *text, struct uri *out, const char **why)
{
  if (text->len > 0 && text->at[0] == '[')
    return take_literal(text, out, why);
  struct bytes host = {text->at, 0};
  while (host.len < text->len && is_host_byte(text->at[host.len]))
    host.len++;
  *text = (struct bytes){text->at + host.len, text->len - host.len};
  return keep_host(host, out, why);
}

static int take_port(struct bytes *text, bool secure, struct uri *out, const char **why)
{
  uint64_t port = secure ? URI_TLS_PORT : URI_PORT;
  if (take(text, ":")) {
    struct bytes digits = {text->at, 0};
    while (digits.len < text->len && text->at[digits.len] != '?')
      digits.len++;
    if (parse_uint(digits, 65535, &port) != 0 || port == 0) {
      *why = "has a port from 1 to 65535 (an IPv6 address stands in brackets)";
      return -ERR_BAD;
    }
    *text = (struct bytes){text->at + digits.len, text->len - digits.len};
  }
  out->port = (uint16_t)port;
  return 0;
}

static int take_transport(struct bytes *text, bool secure, struct uri *out, const char **why)
{
  bool udp = !secure;
  if (text->len > 0) {
    const bool known = out->is_turn && take(text, "?transport=");
    const bool says_udp = known && take(text, "udp"),
               says_tcp = known && !says_udp && take(text, "tcp");
    if ((!says_udp && !says_tcp) || text->len > 0) {
      *why = out->is_turn ? "ends behind its port or with ?transport=udp or ?transport=tcp"
                          : "ends behind its port (a stun: URI has no transport, RFC 7064)";
      return -ERR_BAD;
    }
    udp = says_udp;
  }
  if (secure)
    out->transport = udp ? URI_DTLS : URI_TLS;
  else
    out->transport = udp ? URI_UDP : URI_TCP;
  return 0;
}

int uri_parse(struct bytes text, struct uri *out, const char **why)
{
  struct uri uri = {0};
  bool secure;
  int err = take_scheme(&text, &uri, &secure, why);
  if (err == 0)
    err = take_host(&text, &uri, why);
  if (err == 0)
    err = take_port(&text, secure, &uri, why);
  if (err == 0)
    err = take_transport(&text, secure, &uri, why);
  if (err == 0)
    *out = uri;
  return err;
}

const char *uri_format(const struct uri *uri, char out[URI_TEXT_SIZE])
{
  bool secure = uri->transport == URI_TLS || uri->transport == URI_DTLS;
  bool udp = uri->transport == URI_UDP || uri->transport == URI_DTLS;
  bool literal = strchr(uri->host, ':') != NULL;
  snprintf(out, URI_TEXT_SIZE, "%s%s:%s%s%s:%u%s", uri->is_turn ? "turn" : "stun",
           secure ? "s" : "", literal ? "[" : "", uri->host, literal ? "]" : "", uri->port,
           !uri->is_turn ? ""
           : udp         ? "?transport=udp"
                         : "?transport=tcp");
  return out;
}

const char *uri_transport_name(enum uri_transport transport)
{
  static const char *const name[URI_TRANSPORT_COUNT] = {
      [URI_UDP] = "UDP", [URI_TCP] = "TCP", [URI_TLS] = "TLS", [URI_DTLS] = "DTLS"};
  return name[transport];
}
