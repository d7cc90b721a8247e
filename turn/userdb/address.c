/* Words of KEY=VALUE with blanks between them. */
#include "turn/userdb/address.h"

#include <string.h>

#include "base/err.h"

enum field { HOST, DATABASE, USER, PASSWORD, PORT, TIMEOUT };

static const struct {
  const char *key;
  enum field field;
} names[] = {
    {"host", HOST},         {"ip", HOST},
    {"addr", HOST},         {"ipaddr", HOST},
    {"hostaddr", HOST},     {"dbname", DATABASE},
    {"db", DATABASE},       {"database", DATABASE},
    {"user", USER},         {"uname", USER},
    {"name", USER},         {"username", USER},
    {"password", PASSWORD}, {"pwd", PASSWORD},
    {"passwd", PASSWORD},   {"secret", PASSWORD},
    {"port", PORT},         {"p", PORT},
    {"timeout", TIMEOUT},   {"connect_timeout", TIMEOUT},
};

static int set_text(char out[USERDB_REDIS_TEXT], struct bytes value)
{
  if (value.len >= USERDB_REDIS_TEXT || (value.len && memchr(value.at, 0, value.len)))
    return -ERR_BAD;
  if (value.len)
    memcpy(out, value.at, value.len);
  out[value.len] = 0;
  return 0;
}

static int set_number(struct bytes value, uint64_t least, uint64_t most, uint64_t *out)
{
  return parse_uint(value, most, out) != 0 || *out < least ? -ERR_BAD : 0;
}

static int set(struct userdb_address *a, enum field field, struct bytes value)
{
  uint64_t n = 0;
  int r = 0;
  switch (field) {
  case HOST:
    return value.len == 0 ? -ERR_BAD : set_text(a->host, value);
  case USER:
    return set_text(a->user, value);
  case PASSWORD:
    return set_text(a->password, value);
  case DATABASE:
    r = set_number(value, 0, INT32_MAX, &n);
    a->database = (uint32_t)n;
    return r;
  case PORT:
    r = set_number(value, 1, UINT16_MAX, &n);
    a->port = (uint16_t)n;
    return r;
  case TIMEOUT:
  default:
    r = set_number(value, 1, 86400, &n);
    a->connect_s = (uint32_t)(n < USERDB_CONNECT_MAX_S ? n : USERDB_CONNECT_MAX_S);
    return r;
  }
}

static int set_word(struct userdb_address *a, struct bytes word)
{
  const uint8_t *equals = memchr(word.at, '=', word.len);
  if (!equals)
    return -ERR_BAD;
  const struct bytes key = {word.at, (size_t)(equals - word.at)};
  const struct bytes value = {equals + 1, word.len - key.len - 1};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    if (bytes_equal(bytes_of(names[i].key), key))
      return set(a, names[i].field, value);
  return -ERR_BAD;
}

int userdb_address_parse(struct bytes text, struct userdb_address *out)
{
  struct userdb_address a = {
      .host = "127.0.0.1", .port = USERDB_REDIS_PORT, .connect_s = USERDB_CONNECT_MAX_S};
  for (size_t at = 0, end; at < text.len; at = end + 1) {
    for (end = at; end < text.len && text.at[end] != ' ' && text.at[end] != '\t';)
      end++;
    if (end > at && set_word(&a, (struct bytes){text.at + at, end - at}) != 0) {
      bytes_wipe(&a, sizeof(a));
      return -ERR_BAD;
    }
  }
  *out = a;
  bytes_wipe(&a, sizeof(a));
  return 0;
}
