/* The value of `iceServers`, as RTCConfiguration wants it, with time-limited TURN credentials
 * (draft-uberti-behave-turn-rest): whoever has the shared secret can check them, and nobody needs
 * to keep them. Called by reply.c. */
#include <string.h>

#include "base/digest.h"
#include "base/json.h"
#include "signal/core/core.h"

/* "stun:" and "stuns:" URIs want no credentials (RFC 7064), "turn:" and "turns:" do (RFC 7065). */
static bool is_turn(struct bytes uri)
{
  return uri.len > 4 && memcmp(uri.at, "turn", 4) == 0;
}

static bool is_wanted(const struct sig_config *c, size_t i, bool turn)
{
  return is_turn(c->turn_uri[i]) == turn && (!turn || c->turn_secret.len > 0);
}

size_t sig__ice_size(const struct sig_config *c)
{
  size_t size = 256; /* the frame, a user name, a credential */
  for (size_t i = 0; i < c->turn_uri_count; i++) {
    size += 6 * c->turn_uri[i].len + 3; /* each byte as \u00XX at worst, two quotes, a comma */
  }
  return size;
}

/* The array of URIs of one kind; false, and nothing written, when there is none. */
static bool put_urls(const struct sig_config *c, bool turn, struct buf *out)
{
  bool any = false;
  for (size_t i = 0; i < c->turn_uri_count; i++) {
    if (is_wanted(c, i, turn)) {
      buf_put_text(out, any ? "," : "{\"urls\":[");
      json_put_string(out, c->turn_uri[i]);
      any = true;
    }
  }
  if (any) {
    buf_put_text(out, "]");
  }
  return any;
}

/* username = expiry ":" name, credential = base64(HMAC-SHA1(secret, username)). */
static void put_credentials(const struct sig_config *c, struct bytes name, uint64_t wall_s,
                            struct buf *out)
{
  uint8_t text[SIG_ICE_NAME + 32], mac[SHA1_SIZE];
  struct buf user;
  buf_init(&user, text, sizeof(text));
  buf_put_uint(&user, wall_s + c->turn_ttl_s);
  buf_put_byte(&user, ':');
  buf_put(&user, name.at, name.len);
  struct bytes username = {text, user.len};
  hmac_sha1(c->turn_secret, &username, 1, mac);
  buf_put_text(out, ",\"username\":");
  json_put_string(out, username);
  buf_put_text(out, ",\"credential\":\"");
  buf_put_base64(out, mac, sizeof(mac));
  buf_put_text(out, "\"");
}

void sig__ice_put(const struct sig_config *c, struct bytes name, uint64_t wall_s, struct buf *out)
{
  buf_put_text(out, "[");
  size_t empty = out->len;
  if (put_urls(c, false, out)) {
    buf_put_text(out, "}");
  }
  size_t before = out->len;
  if (before > empty) {
    buf_put_text(out, ",");
  }
  if (put_urls(c, true, out)) {
    put_credentials(c, name, wall_s, out);
    buf_put_text(out, "}");
  } else {
    out->len = before;
  }
  buf_put_text(out, "]");
}

void sig_ice_put(const struct sig *s, struct bytes name, uint64_t now_ms, struct buf *out)
{
  sig__ice_put(s->config, name, sig__wall_s(s, now_ms), out);
}

size_t sig_ice_size(const struct sig *s)
{
  return sig__ice_size(s->config);
}
