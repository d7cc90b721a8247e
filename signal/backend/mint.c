/* What the backend has made for its users: credentials for TURN. */
#include "base/err.h"
#include "base/json.h"
#include "signal/backend/backend.h"
#include "signal/core/admin.h"
#include "signal/deliver/deliver.h"

enum { DEPTH = 8, TTL_MIN = 60, TTL_MAX = 31536000 };

static int send_bad(struct conn *c, const struct http_request *r, const char *message)
{
  return http_send_error(c, r, SIG_ERROR_BAD_MESSAGE, message, 0);
}

json_t *backend_read_object(struct conn *c, const struct http_request *r, struct bytes body,
                            int *result)
{
  json_t *tree = NULL;
  int err = json_read(body, DEPTH, &tree);
  if (!err && json_is_object(tree))
    return tree;
  if (!err)
    json_decref(tree);
  *result = err == -ERR_NOMEM
                ? http_send_error(c, r, SIG_ERROR_SERVER_FULL, "the server is out of memory", 1)
            : err ? http_send_error(c, r, SIG_ERROR_BAD_JSON,
                                    "the body is not JSON, has a member twice, or is too deep", 0)
                  : send_bad(c, r, "the body is one JSON object");
  return NULL;
}

struct turn_wish {
  struct bytes name;
  uint32_t ttl_s;
};

static const char *read_turn(const json_t *tree, struct turn_wish *out)
{
  const json_t *name = json_object_get(tree, "name"), *ttl = json_object_get(tree, "ttl");
  if (name && !json_is_string(name))
    return "'name' must be a string";
  if (name)
    out->name = (struct bytes){(const uint8_t *)json_string_value(name), json_string_length(name)};
  for (size_t i = 0; i < out->name.len; i++) {
    if (out->name.at[i] < ' ' || out->name.at[i] == 0x7F)
      return "'name' has a control character in it";
  }
  if (out->name.len > SIG_ICE_NAME)
    return "'name' may have 128 bytes at most";
  if (ttl && (!json_is_integer(ttl) || json_integer_value(ttl) < TTL_MIN ||
              json_integer_value(ttl) > TTL_MAX))
    return "'ttl' is a number of seconds from 60 to 31536000";
  if (ttl)
    out->ttl_s = (uint32_t)json_integer_value(ttl);
  return NULL;
}

static int answer_turn(struct conn *c, const struct http_request *r, const struct turn_wish *wish)
{
  struct deliver_text t = {.mem = &c->s->mem};
  size_t size = sig_admin_ice_size(c->app->core, wish->name);
  uint8_t *servers = mem_new(&c->s->mem, size);
  t.failed = !servers;
  if (servers) {
    struct buf b;
    buf_init(&b, servers, size);
    sig_admin_ice_put(c->app->core, wish->name, wish->ttl_s, signald_now_ms(c->s), &b);
    deliver_put(&t, bytes_of("{\"iceServers\":"));
    deliver_put(&t, (struct bytes){b.at, b.len});
    deliver_put(&t, bytes_of(",\"iceTtl\":"));
    deliver_put_uint(&t, wish->ttl_s);
    deliver_put(&t, bytes_of("}"));
  }
  mem_free(&c->s->mem, servers, size);
  return deliver_answer(c, r, HTTP_STATUS_OK, &t, 0);
}

int backend_post_turn(struct conn *c, const struct http_request *r, struct bytes bearer,
                      struct bytes body)
{
  struct turn_wish wish = {.name = bytes_of("backend"), .ttl_s = c->app->config->turn_ttl_s};
  int result = -1;
  (void)bearer;
  json_t *tree = backend_read_object(c, r, body, &result);
  if (!tree)
    return result;
  const char *wrong = read_turn(tree, &wish);
  result = wrong ? send_bad(c, r, wrong) : answer_turn(c, r, &wish);
  json_decref(tree);
  return result;
}
