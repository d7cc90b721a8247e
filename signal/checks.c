/* What a single value of an option may be; the rows of config.def name these. */
#include <string.h>

#include "signal/options.h"

static bool is(struct bytes value, const char *text)
{
  return bytes_equal(value, bytes_of(text));
}

/* Whether the text ends in ":port"; addr_parse takes a missing one as 0. */
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

const char *signald_check_endpoint(struct bytes value)
{
  struct addr a;
  if (addr_parse(value, &a) == 0 && has_port(value, &a))
    return NULL;
  return "must be an IP address and a port, like 127.0.0.1:8080 or [::1]:8080";
}

const char *signald_check_listen(struct bytes value)
{
  return is(value, "none") ? NULL : signald_check_endpoint(value);
}

const char *signald_check_node(struct bytes value)
{
  if (value.len >= 1 && value.len <= 64 && utf8_is_valid(value))
    return NULL;
  return "must be a name of 1 to 64 bytes of UTF-8";
}

const char *signald_check_secret(struct bytes value)
{
  return value.len > 0 ? NULL : "must not be empty; turnd has the same as static-auth-secret";
}

const char *signald_check_auth(struct bytes value)
{
  return is(value, "none") || is(value, "jwt") || is(value, "webhook")
             ? NULL
             : "must be none, which lets everybody in, jwt, which asks for tokens, or webhook, "
               "which asks your backend";
}

const char *signald_check_auth_secret(struct bytes value)
{
  if (value.len < AUTH_SECRET_MIN)
    return "must have 32 bytes or more, like what openssl rand -hex 32 prints";
  if (value.len > 10 && memcmp(value.at, "-----BEGIN", 10) == 0)
    return "must be a secret and no key in PEM: whoever has a public key could sign with it; keys "
           "go into auth-jwks";
  return NULL;
}

const char *signald_check_log_format(struct bytes value)
{
  return is(value, "text") || is(value, "json") ? NULL : "must be text or json";
}

static bool is_name_char(uint8_t c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}

/* RFC 3986 section 3.3: unreserved characters, and the slashes between them. */
const char *signald_check_path(struct bytes value)
{
  static const char wrong[] =
      "must be a path like /signaling, of letters, digits, - . _ ~ and /, or "
      "none";
  if (is(value, "none"))
    return NULL;
  if (value.len == 0 || value.len > 256 || value.at[0] != '/')
    return wrong;
  for (size_t i = 0; i < value.len; i++) {
    bool is_empty_part = i > 0 && value.at[i] == '/' && value.at[i - 1] == '/';
    if (is_empty_part || (!is_name_char(value.at[i]) && value.at[i] != '/' && value.at[i] != '~'))
      return wrong;
  }
  return NULL;
}

const char *signald_check_ayame_key(struct bytes value)
{
  return value.len == 0 || value.len > AYAME_KEY_SIZE || !utf8_is_valid(value)
             ? "must be 1 to 256 bytes of text"
             : NULL;
}

const char *signald_check_peerjs_key(struct bytes value)
{
  bool is_bad = value.len == 0 || value.len > PEERJS_KEY_SIZE;
  for (size_t i = 0; i < value.len; i++)
    is_bad |= !is_name_char(value.at[i]) && value.at[i] != '~';
  return is_bad ? "must be 1 to 128 letters, digits, - . _ and ~: it is a part of the URL" : NULL;
}

static bool is_host_name(struct bytes host)
{
  for (size_t i = 0; i < host.len; i++) {
    if (!is_name_char(host.at[i]))
      return false;
  }
  return host.len > 0 && host.len <= 255;
}

/* "host", "host:port", "[v6]", "[v6]:port"; host a name or an IPv4 address. */
static bool is_host_and_port(struct bytes text)
{
  size_t end = 0;
  uint64_t port;
  if (text.len > 0 && text.at[0] == '[') {
    struct addr a;
    return addr_parse(text, &a) == 0 && a.family == ADDR_V6;
  }
  while (end < text.len && text.at[end] != ':')
    end++;
  if (!is_host_name((struct bytes){text.at, end}))
    return false;
  if (end == text.len)
    return true;
  struct bytes digits = {text.at + end + 1, text.len - end - 1};
  return parse_uint(digits, 65535, &port) == 0 && port > 0;
}

static bool take_prefix(struct bytes *text, const char *prefix)
{
  size_t len = strlen(prefix);
  if (text->len < len || memcmp(text->at, prefix, len) != 0)
    return false;
  text->at += len;
  text->len -= len;
  return true;
}

/* RFC 7064 section 3.1: stunURI = scheme ":" host [ ":" port ]
 * RFC 7065 section 3.1: turnURI = scheme ":" host [ ":" port ] [ "?transport=" transport ] */
const char *signald_check_turn_uri(struct bytes value)
{
  static const char wrong[] = "must be like turn:192.0.2.1:3478?transport=udp, "
                              "turns:turn.example.org or stun:[2001:db8::1]";
  bool turn = take_prefix(&value, "turn:") || take_prefix(&value, "turns:");
  if (!turn && !take_prefix(&value, "stun:") && !take_prefix(&value, "stuns:"))
    return wrong;
  size_t end = 0;
  while (end < value.len && value.at[end] != '?')
    end++;
  struct bytes query = {value.at + end, value.len - end};
  value.len = end;
  bool query_fits =
      query.len == 0 || (turn && (is(query, "?transport=udp") || is(query, "?transport=tcp")));
  return is_host_and_port(value) && query_fits ? NULL : wrong;
}

/* RFC 6454 section 6.2: scheme "://" host [ ":" port ], nothing behind it. */
const char *signald_check_origin(struct bytes value)
{
  static const char wrong[] = "must be like https://call.example.org, https://*.example.org, "
                              "http://localhost:8080 or *, without a path";
  size_t colon = 0;
  if (is(value, "*"))
    return NULL;
  while (colon < value.len && value.at[colon] != ':' && is_name_char(value.at[colon]))
    colon++;
  struct bytes rest = {value.at + colon, value.len - colon};
  if (colon == 0 || !take_prefix(&rest, "://"))
    return wrong;
  (void)take_prefix(&rest, "*.");
  return is_host_and_port(rest) ? NULL : wrong;
}

/* RFC 9110 section 4.2: scheme "://" authority path; no user, which would be told to everybody. */
const char *signald_check_url(struct bytes value)
{
  static const char wrong[] = "must be like https://other.example.org/, of at most 1024 bytes";
  size_t end = 0;
  if (value.len > 1024 || !utf8_is_valid(value) ||
      (!take_prefix(&value, "https://") && !take_prefix(&value, "http://")))
    return wrong;
  while (end < value.len && !strchr("/?#", value.at[end]))
    end++;
  for (size_t i = 0; i < value.len; i++) {
    if (value.at[i] <= ' ' || value.at[i] == 0x7F)
      return wrong;
  }
  return is_host_and_port((struct bytes){value.at, end}) ? NULL : wrong;
}
