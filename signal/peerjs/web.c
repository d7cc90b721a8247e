/* What a PeerJS client asks over HTTP: an id, and who else is there. Called by http.c. */
#include <string.h>

#include "signal/peerjs/edge.h"

static const char json[] = "application/json; charset=utf-8";

/* Behind P: one part, a slash, a name, and perhaps a slash, as in PeerServer. */
static enum peerjs_place place_behind_key(const char *rest)
{
  static const struct {
    const char *name;
    enum peerjs_place place;
  } names[] = {{"id", PEERJS_ID}, {"peers", PEERJS_PEERS}};
  const char *slash = strchr(rest, '/');
  if (!slash || slash == rest)
    return PEERJS_NOWHERE;
  size_t len = strcspn(slash + 1, "/");
  if (slash[1 + len] != 0 && slash[2 + len] != 0)
    return PEERJS_NOWHERE;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (strlen(names[i].name) == len && memcmp(slash + 1, names[i].name, len) == 0)
      return names[i].place;
  }
  return PEERJS_NOWHERE;
}

enum peerjs_place peerjs_place(const struct signald_config *config, const char *path)
{
  struct bytes prefix = config->peerjs_path; /* without a slash behind it */
  if (!prefix.at || strncmp(path, (const char *)prefix.at, prefix.len) != 0)
    return PEERJS_NOWHERE;
  const char *rest = path + prefix.len;
  if (rest[0] == 0)
    return PEERJS_ABOUT;
  if (*rest++ != '/')
    return PEERJS_NOWHERE;
  if (rest[0] == 0)
    return PEERJS_ABOUT;
  return strcmp(rest, "peerjs") == 0 ? PEERJS_SOCKET : place_behind_key(rest);
}

bool peerjs_origin_is_allowed(const struct signald_config *config, const char *origin,
                              const char *host)
{
  return config->peerjs_origin_count == 0 ||
         sig_origin_is_allowed(config->peerjs_origin, config->peerjs_origin_count, bytes_of(origin),
                               bytes_of(host));
}

static int send_text(struct conn *c, const struct http_request *r, unsigned status,
                     const char *type, struct bytes body)
{
  const struct http_answer a = {.status = status, .type = type, .body = body};
  return http_send(c, r, &a) ? -1 : http_done(c);
}

int peerjs_about(struct conn *c, const struct http_request *r)
{
  return send_text(c, r, HTTP_STATUS_OK, json,
                   bytes_of("{\"name\":\"PeerJS Server\",\"description\":\"Brokers connections "
                            "between PeerJS clients; this one is viaduct-signald.\","
                            "\"website\":\"https://peerjs.com/\"}"));
}

/* The key in the path is not looked at, as in PeerServer: an id is worth nothing without it. */
int peerjs_id(struct conn *c, const struct http_request *r)
{
  char id[PEERJS_UUID];
  peerjs_make_id(c->s->peerjs, id);
  return send_text(c, r, HTTP_STATUS_OK, "text/html; charset=utf-8",
                   (struct bytes){(const uint8_t *)id, sizeof id});
}

static bool has_right_key(const struct conn *c, const struct http_request *r)
{
  const struct signald_config *config = c->s->config;
  struct bytes key = config->peerjs.key;
  const char *given = r->path + config->peerjs_path.len + 1;
  return strcspn(given, "/") == key.len && bytes_equal_ct(given, key.at, key.len);
}

int peerjs_peers(struct conn *c, const struct http_request *r)
{
  if (!c->s->config->peerjs_discovery || !has_right_key(c, r))
    return send_text(c, r, HTTP_STATUS_UNAUTHORIZED, "text/plain; charset=utf-8",
                     bytes_of("Unauthorized"));
  size_t size = peerjs_ids_size(c->s->peerjs);
  uint8_t *text = mem_new(&c->s->mem, size);
  struct buf b;
  if (!text)
    return http_send_error(c, r, SIG_ERROR_SERVER_FULL, "no memory", 5);
  buf_init(&b, text, size);
  peerjs_put_ids(c->s->peerjs, &b);
  int result = send_text(c, r, HTTP_STATUS_OK, json, (struct bytes){b.at, b.len});
  mem_free(&c->s->mem, text, size);
  return result;
}
