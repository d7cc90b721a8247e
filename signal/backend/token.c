/* Tokens for members, made with the secret that checks them. A wish is looked at strictly: a
 * member that is misspelt must not open more than was meant. */
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "net/clock.h"
#include "signal/auth/auth.h"
#include "signal/backend/backend.h"
#include "signal/deliver/deliver.h"

enum { SUB_MAX = 128, ROOM_MAX = 128, TTL_DEFAULT = 3600, TTL_MAX = 31536000 };

struct wish {
  const json_t *sub, *rooms, *can; /* `sub` and `can` may be NULL; borrowed */
  uint64_t ttl_s;
};

/* Without control characters, which no name of a room has. */
static bool is_text(const json_t *value, size_t max)
{
  const char *at = json_string_value(value);
  size_t len = json_string_length(value);
  for (size_t i = 0; i < len; i++) {
    if ((unsigned char)at[i] < ' ' || at[i] == 0x7F)
      return false;
  }
  return at && len > 0 && len <= max;
}

static bool is_verb(const json_t *value)
{
  static const char *const verbs[] = {"join", "signal", "broadcast", "kick"};
  const char *text = json_string_value(value);
  for (size_t i = 0; text && i < sizeof verbs / sizeof verbs[0]; i++) {
    if (strcmp(text, verbs[i]) == 0)
      return true;
  }
  return false;
}

static const char *check_lists(const struct wish *w, uint32_t room_max)
{
  size_t i;
  const json_t *item;
  if (!json_is_array(w->rooms) || json_array_size(w->rooms) > SIG_CLAIM_ROOMS)
    return "'rooms' must be an array of up to 32 names; [\"*\"] is every room";
  json_array_foreach(w->rooms, i, item)
  {
    if (!is_text(item, room_max))
      return "'rooms' has something that is no name of a room";
  }
  if (w->can && !json_is_array(w->can))
    return "'can' must be an array";
  json_array_foreach(w->can, i, item)
  {
    if (!is_verb(item))
      return "'can' may have join, signal, broadcast and kick";
  }
  return NULL;
}

static const char *read_wish(json_t *tree, uint32_t room_max, struct wish *out)
{
  const json_t *ttl = json_object_get(tree, "ttl");
  const char *name;
  json_t *value;
  json_object_foreach(tree, name, value)
  {
    if (strcmp(name, "sub") != 0 && strcmp(name, "rooms") != 0 && strcmp(name, "can") != 0 &&
        strcmp(name, "ttl") != 0)
      return "there are 'rooms', 'can', 'sub' and 'ttl' here, and nothing else";
  }
  *out = (struct wish){.sub = json_object_get(tree, "sub"),
                       .rooms = json_object_get(tree, "rooms"),
                       .can = json_object_get(tree, "can"),
                       .ttl_s = TTL_DEFAULT};
  if (ttl &&
      (!json_is_integer(ttl) || json_integer_value(ttl) < 1 || json_integer_value(ttl) > TTL_MAX))
    return "'ttl' is a number of seconds from 1 to 31536000";
  if (ttl)
    out->ttl_s = (uint64_t)json_integer_value(ttl);
  if (out->sub && !is_text(out->sub, SUB_MAX))
    return "'sub' must be a text of 1 to 128 bytes without control characters";
  return check_lists(out, room_max);
}

static void put_list(struct buf *b, const char *name, const json_t *list)
{
  size_t i;
  const json_t *item;
  if (!list)
    return;
  buf_put_text(b, ",\"");
  buf_put_text(b, name);
  buf_put_text(b, "\":[");
  json_array_foreach(list, i, item)
  {
    buf_put_text(b, i ? "," : "");
    json_put_string(
        b, (struct bytes){(const uint8_t *)json_string_value(item), json_string_length(item)});
  }
  buf_put_text(b, "]");
}

static void put_text(struct buf *b, const char *name, const char *text)
{
  if (!text)
    return;
  buf_put_text(b, ",\"");
  buf_put_text(b, name);
  buf_put_text(b, "\":");
  json_put_string(b, bytes_of(text));
}

/* 0; -ERR_MISSING: no secret; -ERR_FULL: it is too long. */
static int make_token(struct conn *c, const struct wish *w, uint64_t now_s, struct buf *out)
{
  const struct sig_config *config = c->app->config;
  const struct auth *auth = config->auth == auth_check ? config->auth_arg : NULL;
  uint8_t text[SIG_TOKEN_SIZE];
  struct buf b;
  if (!auth)
    return -ERR_MISSING;
  buf_init(&b, text, sizeof text);
  buf_put_text(&b, "{\"iat\":");
  buf_put_uint(&b, now_s);
  buf_put_text(&b, ",\"exp\":");
  buf_put_uint(&b, now_s + w->ttl_s);
  put_text(&b, "sub", json_string_value(w->sub));
  put_text(&b, "iss", auth_issuer(auth));
  put_text(&b, "aud", auth_audience(auth));
  put_list(&b, "rooms", w->rooms);
  put_list(&b, "can", w->can);
  buf_put_text(&b, "}");
  int err = b.overflow ? -ERR_FULL : auth_sign(auth, (struct bytes){b.at, b.len}, out);
  return !err && out->overflow ? -ERR_FULL : err;
}

static int answer_token(struct conn *c, const struct http_request *r, const struct wish *w)
{
  struct deliver_text t = {.mem = &c->s->mem};
  uint64_t now_s = net_clock_wall_ms() / 1000;
  uint8_t token[SIG_TOKEN_SIZE];
  struct buf b;
  buf_init(&b, token, sizeof token);
  int err = make_token(c, w, now_s, &b);
  if (err == -ERR_MISSING)
    return http_send_error(c, r, SIG_ERROR_FORBIDDEN,
                           "this server has no auth-secret to sign tokens with", 0);
  if (err)
    return http_send_error(c, r, SIG_ERROR_BAD_MESSAGE,
                           "the token would be longer than a client may send: leave rooms out", 0);
  deliver_put(&t, bytes_of("{\"token\":\""));
  deliver_put(&t, (struct bytes){b.at, b.len});
  deliver_put(&t, bytes_of("\",\"expires\":"));
  deliver_put_uint(&t, now_s + w->ttl_s);
  deliver_put(&t, bytes_of("}"));
  bytes_wipe(token, sizeof token);
  return deliver_answer(c, r, HTTP_CREATED, &t, 0);
}

int backend_post_token(struct conn *c, const struct http_request *r, struct bytes bearer,
                       struct bytes body)
{
  struct wish wish;
  uint32_t room_max = c->app->config->limits.room_length;
  int result = -1;
  (void)bearer;
  json_t *tree = backend_read_object(c, r, body, &result);
  if (!tree)
    return result;
  const char *wrong = read_wish(tree, room_max ? room_max : ROOM_MAX, &wish);
  result =
      wrong ? http_send_error(c, r, SIG_ERROR_BAD_MESSAGE, wrong, 0) : answer_token(c, r, &wish);
  json_decref(tree);
  return result;
}
