/* The option table and the checks of single values, which can name the line. */
#include "turn/options.h"

#include <string.h>

#include "base/err.h"
#include "net/syslog.h"
#include "turn/userdb/address.h"
#include "turn/userdb/database.h"

/* An address without a port. */
static int parse_ip(struct bytes text, struct addr *out)
{
  struct addr a;
  if (addr_parse(text, &a) != 0 || a.port != 0)
    return -ERR_BAD;
  *out = a;
  return 0;
}

int turnd_parse_external(struct bytes text, struct turnd_external *out)
{
  struct turnd_external e = {.private = {.family = ADDR_NONE}};
  const uint8_t *slash = text.len > 0 ? memchr(text.at, '/', text.len) : NULL;
  struct bytes public = {text.at, slash != NULL ? (size_t)(slash - text.at) : text.len};
  if (parse_ip(public, &e.public) != 0)
    return -ERR_BAD;
  if (slash != NULL) {
    struct bytes private = {slash + 1, text.len - public.len - 1};
    if (parse_ip(private, &e.private) != 0 || e.private.family != e.public.family)
      return -ERR_BAD;
  }
  *out = e;
  return 0;
}

int turnd_parse_user(struct bytes text, struct turn_user *out)
{
  const uint8_t *colon = text.len > 0 ? memchr(text.at, ':', text.len) : NULL;
  if (colon == NULL || colon == text.at)
    return -ERR_BAD;
  struct turn_user u = {.name = {text.at, (size_t)(colon - text.at)}};
  struct bytes rest = {colon + 1, text.len - u.name.len - 1};
  if (rest.len == 0 || u.name.len > 513) /* as in coturn; RFC 8489 14.3: fewer than 509 */
    return -ERR_BAD;
  u.has_key = rest.len > 2 && rest.at[0] == '0' && (rest.at[1] == 'x' || rest.at[1] == 'X');
  if (u.has_key) {
    if (userdb_key_parse((struct bytes){rest.at + 2, rest.len - 2}, u.key) != 0)
      return -ERR_BAD;
  } else {
    u.password = rest;
  }
  *out = u;
  return 0;
}

/* coturn's names, and those of RFC 7635's AEADs. 0: none of them. */
static uint8_t key_len_of(struct bytes algorithm)
{
  static const struct {
    const char *name;
    uint8_t key_len;
  } known[] = {
      {"A256GCM", 32}, {"A128GCM", 16}, {"AEAD_AES_256_GCM", 32}, {"AEAD_AES_128_GCM", 16}};
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
    if (bytes_equal(algorithm, bytes_of(known[i].name)))
      return known[i].key_len;
  return 0;
}

/* What stands before the colon, which is cut off `text` with it; nothing without a colon. */
static struct bytes next_part(struct bytes *text)
{
  const uint8_t *colon = text->len > 0 ? memchr(text->at, ':', text->len) : NULL;
  if (colon == NULL)
    return (struct bytes){NULL, 0};
  struct bytes part = {text->at, (size_t)(colon - text->at)};
  *text = (struct bytes){colon + 1, text->len - part.len - 1};
  return part;
}

int turnd_parse_oauth_key(struct bytes text, struct turn_oauth_key *out)
{
  struct turn_oauth_key key = {.kid = next_part(&text)};
  uint8_t bytes[64]; /* of a longer key the first count, as in coturn */
  key.key_len = key_len_of(next_part(&text));
  int len = base64_decode(text, bytes, sizeof(bytes));
  bool right = key.kid.len > 0 && key.kid.len <= 513 && key.key_len > 0 && len >= key.key_len;
  if (right) {
    memcpy(key.key, bytes, key.key_len);
    *out = key;
  }
  bytes_wipe(&key, sizeof(key));
  bytes_wipe(bytes, sizeof(bytes));
  return right ? 0 : -ERR_BAD;
}

/* The next word, which is cut off `text`; empty at the end. */
static struct bytes next_word(struct bytes *text)
{
  while (text->len > 0 && (text->at[0] == ' ' || text->at[0] == '\t'))
    *text = (struct bytes){text->at + 1, text->len - 1};
  struct bytes word = {text->at, 0};
  while (word.len < text->len && text->at[word.len] != ' ' && text->at[word.len] != '\t')
    word.len++;
  *text = (struct bytes){text->at + word.len, text->len - word.len};
  return word;
}

/* The value of "key=value" into *out, which was empty; false when the word is another. */
static bool take_named(struct bytes word, struct bytes key, struct bytes *out)
{
  if (out->len > 0 || word.len <= key.len || memcmp(word.at, key.at, key.len) != 0)
    return false;
  *out = (struct bytes){word.at + key.len, word.len - key.len};
  return true;
}

int turnd_parse_rule(struct bytes text, struct turn_peer_rule *out)
{
  struct turn_peer_rule rule = {.allowed = false};
  if (addr_range_parse(next_word(&text), &rule.range) != 0)
    return -ERR_BAD;
  for (struct bytes word = next_word(&text); word.len > 0; word = next_word(&text))
    if (!take_named(word, bytes_of("realm="), &rule.realm) &&
        !take_named(word, bytes_of("user="), &rule.user))
      return -ERR_BAD;
  *out = rule;
  return 0;
}

enum log_level turnd_log_level(const struct turnd_options *o)
{
  return o->verbose || o->extra_verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

/* ---- checks of the table ---- */

static const char *turnd_check_address(struct bytes value)
{
  struct addr a;
  return parse_ip(value, &a) == 0
             ? NULL
             : "must be an IPv4 or IPv6 address without a port, like 192.0.2.1";
}

static const char *turnd_check_server(struct bytes value)
{
  struct addr a;
  return addr_parse(value, &a) == 0 && !addr_is_unspecified(&a)
             ? NULL
             : "must be an address, with its port or without, like 192.0.2.1:3478 or [2001:db8::1]";
}

static const char *turnd_check_listener(struct bytes value)
{
  struct addr a;
  return addr_parse(value, &a) == 0 && a.port != 0
             ? NULL
             : "must be an address with a port, like 192.0.2.1:5555 or [2001:db8::1]:5555";
}

static const char *turnd_check_family(struct bytes value)
{
  return bytes_equal(value, bytes_of("ipv4")) || bytes_equal(value, bytes_of("ipv6")) ||
                 bytes_equal(value, bytes_of("keep"))
             ? NULL
             : "must be ipv4, ipv6 or keep";
}

static const char *turnd_check_relay_mode(struct bytes value)
{
  return bytes_equal(value, bytes_of("socket")) || bytes_equal(value, bytes_of("virtual"))
             ? NULL
             : "must be socket or virtual";
}

/* It goes into a header of HTTP as it is. */
static const char *turnd_check_url(struct bytes value)
{
  for (size_t i = 0; i < value.len; i++)
    if (value.at[i] <= ' ' || value.at[i] > '~')
      return "must be a URL without spaces";
  return value.len <= 512 ? NULL : "must have 512 characters at most";
}

static const char *turnd_check_external(struct bytes value)
{
  struct turnd_external e;
  return turnd_parse_external(value, &e) == 0
             ? NULL
             : "must be PUBLIC or PUBLIC/PRIVATE, two addresses of one family without ports";
}

static const char *turnd_check_user(struct bytes value)
{
  struct turn_user u;
  const char *wrong = turnd_parse_user(value, &u) == 0
                          ? NULL
                          : "must be NAME:PASSWORD, or NAME:0x and 32 hexadecimal digits";
  bytes_wipe(&u, sizeof(u));
  return wrong;
}

static const char *turnd_check_oauth_key(struct bytes value)
{
  struct turn_oauth_key key = {.key_len = 0};
  const char *wrong = turnd_parse_oauth_key(value, &key) == 0
                          ? NULL
                          : "must be KID:A256GCM:KEY or KID:A128GCM:KEY, the key 32 or 16 bytes "
                            "in base64 (openssl rand -base64 32 makes one)";
  bytes_wipe(&key, sizeof(key));
  return wrong;
}

static const char *turnd_check_rule(struct bytes value)
{
  struct turn_peer_rule rule;
  return turnd_parse_rule(value, &rule) == 0
             ? NULL
             : "must be an address, FIRST-LAST or ADDRESS/BITS, like 10.0.0.0/8; realm=NAME and "
               "user=NAME may stand behind it";
}

static const char *turnd_check_redis(struct bytes value)
{
  struct userdb_address a;
  const char *wrong = userdb_address_parse(value, &a) == 0
                          ? NULL
                          : "must be words like ip=127.0.0.1 port=6379 dbname=0 password=TEXT "
                            "connect_timeout=5";
  bytes_wipe(&a, sizeof(a));
  return wrong;
}

static const char *turnd_check_threads(struct bytes value)
{
  uint64_t count;
  return bytes_equal(value, bytes_of("auto")) || parse_uint(value, TURND_THREADS_MAX, &count) == 0
             ? NULL
             : "must be a number from 0 to 64, or auto";
}

static const char *turnd_check_character(struct bytes value)
{
  return value.len == 1 ? NULL : "must be one character";
}

static const char *turnd_check_interfaces(struct bytes value)
{
  bool good = value.len > 0 && value.len < 512;
  for (size_t i = 0; good && i < value.len; i++)
    good = value.at[i] > ' ' && value.at[i] < 0x7f && value.at[i] != '/';
  return good ? NULL : "must be off, auto, or names of interfaces like eth0,eth1";
}

static const char *turnd_check_facility(struct bytes value)
{
  return net_syslog_facility(value) >= 0
             ? NULL
             : "must be a facility of syslog(3), like daemon, auth or local0";
}

static const char *turnd_check_path(struct bytes value)
{
  bool good = value.len > 1 && value.len < 128 && value.at[0] == '/';
  for (size_t i = 0; good && i < value.len; i++)
    good = value.at[i] > ' ' && value.at[i] < 0x7f && strchr("?#%", value.at[i]) == NULL;
  return good ? NULL : "must be a path like /metrics";
}

static const char *turnd_check_realm(struct bytes value)
{
  return value.len > 0 && value.len <= TURN_REALM_MAX && utf8_is_valid(value)
             ? NULL
             : "must be 1 to 64 bytes of text (UTF-8): a longer one would make 401s that amplify";
}

#define ROW(k, f, ...)                                                                             \
  {.kind = (k), .offset = offsetof(struct turnd_options, f), .group = GROUP, __VA_ARGS__},
#define FLAG(field, ...) ROW(OPTION_FLAG, field, __VA_ARGS__)
#define UINT(field, ...) ROW(OPTION_UINT, field, __VA_ARGS__)
#define TEXT(field, ...) ROW(OPTION_TEXT, field, __VA_ARGS__)
#define LIST(field, ...) ROW(OPTION_LIST, field, __VA_ARGS__)
#define NOTE(...) {.kind = OPTION_NOTE, .group = GROUP, __VA_ARGS__},
static const struct option rows[] = {
#include "turn/config.def"
};

const struct option_set turnd_option_set = {
    .program = "viaduct-turnd",
    .summary = "A TURN relay and STUN responder; takes coturn's options.",
    .row = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};
