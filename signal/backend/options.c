/* Where the backend's requests come in and with which keys: from options to a configuration. */
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/err.h"
#include "signal/options.h"
#include "signal/webclient.h"

enum { KEY_MIN = 16, KEY_MAX = 512, FILE_MAX = 64 * 1024 };

static bool is_name_char(uint8_t c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

/* RFC 6750 section 2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=" */
static bool is_key_char(uint8_t c)
{
  return is_name_char(c) || c == '~' || c == '+' || c == '/' || c == '=';
}

static size_t name_len(struct bytes value)
{
  size_t len = 0;
  while (len < value.len && is_name_char(value.at[len]))
    len++;
  return len < value.len && value.at[len] == ':' ? len : 0;
}

const char *signald_check_api_key(struct bytes value)
{
  size_t name = name_len(value);
  if (name == 0 || name >= SIGNALD_KEY_NAME)
    return "must be NAME:KEY, the name of 1 to 31 letters, digits, '-', '_' and '.'";
  struct bytes key = {value.at + name + 1, value.len - name - 1};
  if (key.len < KEY_MIN || key.len > KEY_MAX)
    return "must have a key of 16 to 512 characters behind its name, as openssl rand -hex 32 makes "
           "them";
  for (size_t i = 0; i < key.len; i++) {
    if (!is_key_char(key.at[i]))
      return "must have a key of letters, digits and any of -._~+/= alone";
  }
  return NULL;
}

/* The text is good. Its digest is what is kept and compared. */
static int add_key(struct signald_config *c, struct bytes text, struct net_error *e)
{
  struct signald_api_key key = {.name = ""};
  size_t len = name_len(text);
  memcpy(key.name, text.at, len);
  const struct bytes secret = {text.at + len + 1, text.len - len - 1};
  digest_sha256(&secret, 1, key.digest);
  if (c->api_key_count == SIGNALD_API_KEYS) {
    net_error_set(e, "more than %d keys of the server API; take the oldest out", SIGNALD_API_KEYS);
    return -ERR_BAD;
  }
  for (size_t i = 0; i < c->api_key_count; i++) {
    if (strcmp(c->api_key[i].name, key.name) == 0) {
      net_error_set(e, "two keys of the server API are called %s; give each a name of its own",
                    key.name);
      return -ERR_BAD;
    }
  }
  c->api_key[c->api_key_count++] = key;
  return 0;
}

/* One key a line; empty lines, and those that begin with #, are nothing. */
static int add_lines(struct signald_config *c, const char *path, struct bytes text,
                     struct net_error *e)
{
  const uint8_t *at = text.at, *end = text.at + text.len;
  int err = 0;
  for (unsigned number = 1; at < end && !err; number++) {
    const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
    struct bytes line = {at, (size_t)((stop ? stop : end) - at)};
    at = stop ? stop + 1 : end;
    while (line.len > 0 && (line.at[line.len - 1] == '\r' || line.at[line.len - 1] == ' '))
      line.len--;
    if (line.len == 0 || line.at[0] == '#')
      continue;
    const char *wrong = signald_check_api_key(line);
    if (wrong) {
      net_error_set(e, "api-key-file %s line %u %s", path, number, wrong);
      return -ERR_BAD;
    }
    err = add_key(c, line, e);
  }
  return err;
}

static int add_file(struct signald_config *c, const char *path, struct net_error *e)
{
  static const char mend[] = "name a file of NAME:KEY lines that this user may read";
  uint8_t text[FILE_MAX];
  FILE *file = fopen(path, "re");
  if (!file) {
    net_error_set(e, "api-key-file %s cannot be opened; %s", path, mend);
    return -ERR_BAD;
  }
  size_t len = fread(text, 1, sizeof text, file);
  bool whole = !ferror(file) && len < sizeof text;
  fclose(file);
  int err = whole ? add_lines(c, path, (struct bytes){text, len}, e) : -ERR_BAD;
  if (!whole)
    net_error_set(e, "api-key-file %s cannot be read, or is longer than 64 KB; %s", path, mend);
  bytes_wipe(text, sizeof text);
  return err;
}

static int make_keys(const struct signald_options *o, struct signald_config *c, struct net_error *e)
{
  int err = 0;
  for (size_t i = 0; i < o->api_key.count && !err; i++)
    err = add_key(c, bytes_of(o->api_key.item[i]), e);
  if (!err && o->api_key_file)
    err = add_file(c, o->api_key_file, e);
  return err;
}

/* Keys go over the network with each request: beyond this machine that wants TLS. */
static int check_listeners(const struct signald_options *o, const struct signald_config *c,
                           struct net_error *e)
{
  for (size_t i = 0; i < c->api_listen_count; i++) {
    if (!addr_is_loopback(&c->api_listen[i]) && !o->cert && !o->api_plain) {
      net_error_set(e, "api-listen is not on loopback: add cert and pkey for TLS, or say api-plain "
                       "where something in front of it has TLS");
      return -ERR_BAD;
    }
  }
  if (c->api_listen_count > 0 && c->api_key_count == 0) {
    net_error_set(e, "api-listen needs a key: add api-key=NAME:KEY or api-key-file");
    return -ERR_BAD;
  }
  if (c->api_listen_count == 0 && c->api_key_count > 0) {
    net_error_set(e, "there is an api-key, but nothing listens for it: add "
                     "api-listen=127.0.0.1:8081, or take the key out");
    return -ERR_BAD;
  }
  return 0;
}

bool signald_api_has_tls(const struct signald_config *c, size_t i)
{
  return c->cert_path && !c->api_plain && !addr_is_loopback(&c->api_listen[i]);
}

const char *signald_check_webhook_url(struct bytes value)
{
  return webclient_check_url(value);
}

/* The bytes of a secret; 0: it is none. */
static size_t read_secret(struct bytes text, uint8_t out[SIGNALD_WEBHOOK_SECRET])
{
  static const char prefix[] = "whsec_";
  size_t len = sizeof prefix - 1;
  if (text.len >= len && memcmp(text.at, prefix, len) == 0) {
    int decoded =
        base64_decode((struct bytes){text.at + len, text.len - len}, out, SIGNALD_WEBHOOK_SECRET);
    return decoded >= KEY_MIN ? (size_t)decoded : 0;
  }
  if (text.len < KEY_MIN || text.len > SIGNALD_WEBHOOK_SECRET)
    return 0;
  memcpy(out, text.at, text.len);
  return text.len;
}

size_t signald_webhook_secret(struct bytes text, uint8_t out[SIGNALD_WEBHOOK_SECRET])
{
  return read_secret(text, out);
}

const char *signald_check_webhook_secret(struct bytes value)
{
  uint8_t secret[SIGNALD_WEBHOOK_SECRET];
  size_t len = read_secret(value, secret);
  bytes_wipe(secret, sizeof secret);
  return len ? NULL
             : "must be a text of 16 to 512 bytes, or whsec_ and so many in base64, as openssl "
               "rand "
               "-hex 32 makes one";
}

static int make_webhook(const struct signald_options *o, struct signald_config *c,
                        struct net_error *e)
{
  struct signald_webhook *w = &c->webhook;
  *w = (struct signald_webhook){.url = o->webhook_url,
                                .ca_path = o->webhook_ca,
                                .timeout_s = (uint32_t)o->webhook_timeout,
                                .queue = (uint32_t)o->webhook_queue,
                                .give_up_s = (uint32_t)o->webhook_give_up};
  if (o->webhook_secret)
    w->secret_len = read_secret(bytes_of(o->webhook_secret), w->secret);
  if (o->webhook_url && !o->webhook_secret) {
    net_error_set(e, "webhook-url needs a webhook-secret, by which the backend knows that it is "
                     "this server that tells it");
    return -ERR_BAD;
  }
  if (!o->webhook_url && (o->webhook_secret || o->webhook_ca)) {
    net_error_set(e, "%s is for webhook-url, which is missing",
                  o->webhook_secret ? "webhook-secret" : "webhook-ca");
    return -ERR_BAD;
  }
  return o->webhook_ca ? webclient_check_ca("webhook-ca", o->webhook_ca, e) : 0;
}

int signald_make_backend(const struct signald_options *o, struct signald_config *c,
                         struct net_error *e)
{
  c->api_plain = o->api_plain;
  int err = make_keys(o, c, e);
  if (!err)
    err = check_listeners(o, c, e);
  return err ? err : make_webhook(o, c, e);
}
