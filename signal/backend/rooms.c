/* Rooms for the application's backend: lists, messages, kick, close. Rooms and peers are named in
 * the query, not in the path: libwebsockets decodes a path and takes "." and ".." out of it before
 * anybody sees it, so that a room called "a/../b" would name the room "b". */
#include <string.h>

#include "base/err.h"
#include "signal/backend/backend.h"
#include "signal/core/admin.h"
#include "signal/deliver/deliver.h"

enum { NAME_SIZE = 4096, PAGE_DEFAULT = 100, PAGE_MAX = 1000 };

/* What a list request asks for. */
struct page {
  uint64_t after, limit;
};

static int send_bad(struct conn *c, const struct http_request *r, const char *message)
{
  return http_send_error(c, r, SIG_ERROR_BAD_MESSAGE, message, 0);
}

/* The name that the query has; at is NULL where it has none. false: it was answered. */
static bool read_name(struct conn *c, const struct http_request *r, const char *key,
                      char out[NAME_SIZE], struct bytes *name, int *result)
{
  if (!deliver_query(c->wsi, key, out, NAME_SIZE, name)) {
    *result = send_bad(c, r, "a part of the query is too long");
    return false;
  }
  return true;
}

/* The same of one that has to be there. */
static bool need_name(struct conn *c, const struct http_request *r, const char *key,
                      char out[NAME_SIZE], struct bytes *name, int *result)
{
  if (!read_name(c, r, key, out, name, result))
    return false;
  if (name->len > 0)
    return true;
  *result = send_bad(c, r,
                     strcmp(key, "room=") == 0 ? "name the room in the query: ?room=NAME"
                                               : "name the member in the query: &peer=ID");
  return false;
}

static bool read_page(struct conn *c, const struct http_request *r, struct page *out, int *result)
{
  if (!deliver_query_uint(c->wsi, "after=", &out->after) ||
      !deliver_query_uint(c->wsi, "limit=", &out->limit) || out->limit > PAGE_MAX) {
    *result = send_bad(c, r, "'limit' is a number of up to 1000, 'after' the 'next' of a list");
    return false;
  }
  if (out->limit == 0)
    out->limit = PAGE_DEFAULT;
  return true;
}

static void put_text(struct deliver_text *t, const char *text)
{
  deliver_put(t, bytes_of(text));
}

/* "next" is where the list goes on; null: it does not. */
static void put_next(struct deliver_text *t, bool has_more, uint64_t last)
{
  put_text(t, "],\"next\":");
  if (has_more)
    deliver_put_uint(t, last);
  else
    put_text(t, "null");
  put_text(t, "}");
}

static void put_room(struct deliver_text *t, const struct sig_room_view *room)
{
  put_text(t, "{\"room\":");
  deliver_put(t, room->json);
  put_text(t, ",\"members\":");
  deliver_put_uint(t, room->members);
  put_text(t, "}");
}

static int list_rooms(struct conn *c, const struct http_request *r)
{
  struct deliver_text t = {.mem = &c->s->mem};
  struct page page;
  int result;
  if (!read_page(c, r, &page, &result))
    return result;
  size_t max = (size_t)page.limit + 1, size = max * sizeof(struct sig_room_view);
  struct sig_room_view *view = mem_new(&c->s->mem, size);
  size_t count = view ? sig_admin_rooms(c->app->core, page.after, view, max) : 0;
  t.failed = !view;
  put_text(&t, "{\"rooms\":[");
  for (size_t i = 0; i < count && i < page.limit; i++) {
    put_text(&t, i ? "," : "");
    put_room(&t, &view[i]);
  }
  put_next(&t, count == max, count == max ? view[max - 2].serial : 0);
  mem_free(&c->s->mem, view, size);
  return deliver_answer(c, r, HTTP_STATUS_OK, &t, 0);
}

static int send_no_room(struct conn *c, const struct http_request *r)
{
  return http_send_error(c, r, SIG_ERROR_NO_SUCH_ROOM, "nobody is in this room", 0);
}

static int show_room(struct conn *c, const struct http_request *r, struct bytes name)
{
  struct deliver_text t = {.mem = &c->s->mem};
  struct sig_room_view view;
  if (sig_admin_room(c->app->core, name, &view) != 0)
    return send_no_room(c, r);
  put_room(&t, &view);
  return deliver_answer(c, r, HTTP_STATUS_OK, &t, 0);
}

/* The answer of something that was to be done. */
static int answer(struct conn *c, const struct http_request *r, unsigned status, const char *name,
                  const struct sig_admin_result *result)
{
  struct deliver_text t = {.mem = &c->s->mem};
  signald_settle(c->s);
  if (result->error != SIG_ERROR_COUNT)
    return http_send_error(c, r, result->error, result->prose,
                           result->error == SIG_ERROR_SERVER_FULL ? 1 : 0);
  put_text(&t, "{\"");
  put_text(&t, name);
  put_text(&t, "\":");
  deliver_put_uint(&t, result->count);
  put_text(&t, "}");
  return deliver_answer(c, r, status, &t, 0);
}

int backend_rooms(struct conn *c, const struct http_request *r)
{
  char text[NAME_SIZE];
  struct bytes room;
  struct sig_admin_result done;
  int result;
  if (r->method == HTTP_DELETE) {
    if (!need_name(c, r, "room=", text, &room, &result))
      return result;
    sig_admin_close(c->app->core, room, signald_now_ms(c->s), &done);
    return answer(c, r, HTTP_STATUS_OK, "removed", &done);
  }
  if (!read_name(c, r, "room=", text, &room, &result))
    return result;
  return room.at ? show_room(c, r, room) : list_rooms(c, r);
}

static void put_member(struct deliver_text *t, const struct sig_member_view *m)
{
  put_text(t, "{\"peer\":\"");
  deliver_put(t, m->peer);
  put_text(t, "\",\"name\":");
  deliver_put(t, m->name);
  put_text(t, ",\"meta\":");
  deliver_put(t, m->meta);
  put_text(t, m->connected ? ",\"connected\":true}" : ",\"connected\":false}");
}

static int list_members(struct conn *c, const struct http_request *r, struct bytes room)
{
  struct deliver_text t = {.mem = &c->s->mem};
  struct sig_room_view of;
  struct page page;
  int result;
  if (!read_page(c, r, &page, &result))
    return result;
  if (sig_admin_room(c->app->core, room, &of) != 0)
    return send_no_room(c, r);
  size_t max = (size_t)page.limit + 1, size = max * sizeof(struct sig_member_view);
  struct sig_member_view *view = mem_new(&c->s->mem, size);
  size_t count = view ? sig_admin_members(c->app->core, room, page.after, view, max) : 0;
  t.failed = !view;
  put_text(&t, "{\"room\":");
  deliver_put(&t, of.json);
  put_text(&t, ",\"members\":[");
  for (size_t i = 0; i < count && i < page.limit; i++) {
    put_text(&t, i ? "," : "");
    put_member(&t, &view[i]);
  }
  put_next(&t, count == max, count == max ? view[max - 2].order : 0);
  mem_free(&c->s->mem, view, size);
  return deliver_answer(c, r, HTTP_STATUS_OK, &t, 0);
}

int backend_members(struct conn *c, const struct http_request *r)
{
  char text[NAME_SIZE], peer_text[NAME_SIZE];
  struct bytes room, peer;
  struct sig_admin_result done;
  int result;
  if (!need_name(c, r, "room=", text, &room, &result))
    return result;
  if (r->method != HTTP_DELETE)
    return list_members(c, r, room);
  if (!need_name(c, r, "peer=", peer_text, &peer, &result))
    return result;
  sig_admin_kick(c->app->core, room, peer, signald_now_ms(c->s), &done);
  return answer(c, r, HTTP_STATUS_OK, "removed", &done);
}

int backend_post_message(struct conn *c, const struct http_request *r, struct bytes bearer,
                         struct bytes body)
{
  struct sig_admin_result done;
  (void)bearer;
  sig_admin_message(c->app->core, body, signald_now_ms(c->s), &done);
  return answer(c, r, HTTP_ACCEPTED, "delivered", &done);
}
