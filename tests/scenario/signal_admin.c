/* The application's backend in the signalling scenarios: the words API and WATCH. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "signal/core/admin.h"
#include "tests/scenario/signal_script.h"

enum { PAGE_MAX = 64 };

static struct buf text_of(struct script *s)
{
  struct buf b;
  buf_init(&b, s->text, sizeof(s->text));
  return b;
}

static void tell(struct script *s, const struct buf *b)
{
  world_tell(world_client(&s->world, "api"), (struct bytes){b->at, b->len});
}

static void tell_result(struct script *s, const struct sig_admin_result *r)
{
  struct buf b = text_of(s);
  if (r->error == SIG_ERROR_COUNT) {
    buf_put_text(&b, "{\"count\":");
    buf_put_uint(&b, r->count);
  } else {
    buf_put_text(&b, "{\"code\":");
    json_put_string(&b, bytes_of(sig_error_code(r->error)));
    buf_put_text(&b, ",\"message\":");
    json_put_string(&b, bytes_of(r->prose));
  }
  buf_put_text(&b, "}");
  tell(s, &b);
}

/* API rooms after max */
static void list_rooms(struct script *s, char *rest)
{
  struct sig_room_view view[PAGE_MAX];
  char *after = script_word(&rest), *max = script_word(&rest);
  size_t count = sig_admin_rooms(s->world.sig, after == NULL ? 0 : script_uint(s, after), view,
                                 max == NULL ? PAGE_MAX : script_uint(s, max));
  struct buf b = text_of(s);
  buf_put_text(&b, "{\"rooms\":[");
  for (size_t i = 0; i < count; i++) {
    buf_put_text(&b, i == 0 ? "[" : ",[");
    buf_put(&b, view[i].json.at, view[i].json.len);
    buf_put_text(&b, ",");
    buf_put_uint(&b, view[i].members);
    buf_put_text(&b, "]");
  }
  buf_put_text(&b, "],\"last\":\"");
  buf_put_uint(&b, count == 0 ? 0 : view[count - 1].serial);
  buf_put_text(&b, "\"}");
  tell(s, &b);
}

/* API members room after max */
static void list_members(struct script *s, char *rest)
{
  struct sig_member_view view[PAGE_MAX];
  char *room = script_word(&rest), *after = script_word(&rest), *max = script_word(&rest);
  size_t count = sig_admin_members(s->world.sig, bytes_of(room == NULL ? "" : room),
                                   after == NULL ? 0 : script_uint(s, after), view,
                                   max == NULL ? PAGE_MAX : script_uint(s, max));
  struct buf b = text_of(s);
  buf_put_text(&b, "{\"members\":[");
  for (size_t i = 0; i < count; i++) {
    buf_put_text(&b, i == 0 ? "{\"peer\":\"" : ",{\"peer\":\"");
    buf_put(&b, view[i].peer.at, view[i].peer.len);
    buf_put_text(&b, "\",\"name\":");
    buf_put(&b, view[i].name.at, view[i].name.len);
    buf_put_text(&b, ",\"meta\":");
    buf_put(&b, view[i].meta.at, view[i].meta.len);
    buf_put_text(&b, view[i].connected ? ",\"connected\":true}" : ",\"connected\":false}");
  }
  buf_put_text(&b, "],\"last\":\"");
  buf_put_uint(&b, count == 0 ? 0 : view[count - 1].order);
  buf_put_text(&b, "\"}");
  tell(s, &b);
}

/* API kick room peer, API close room; anything else is a message. */
static void act(struct script *s, const char *what, char *rest)
{
  struct sig_admin_result r;
  struct sig *sig = s->world.sig;
  char *room = script_word(&rest), *peer = script_word(&rest);
  struct bytes room_name = bytes_of(room == NULL ? "" : room);
  if (strcmp(what, "kick") == 0) {
    sig_admin_kick(sig, room_name, bytes_of(peer == NULL ? "" : peer), s->world.now_ms, &r);
  } else {
    sig_admin_close(sig, room_name, s->world.now_ms, &r);
  }
  world_settle(&s->world);
  tell_result(s, &r);
}

static void say(struct script *s, const char *text, size_t len)
{
  struct sig_admin_result r;
  sig_admin_message(s->world.sig, (struct bytes){(const uint8_t *)text, len}, s->world.now_ms, &r);
  world_settle(&s->world);
  tell_result(s, &r);
}

/* API rooms|members|kick|close …, or a message; what comes of it the client "api" gets. */
void script_api(struct script *s, char *rest)
{
  static char line[SCRIPT_TEXT];
  size_t len;
  const char *text = script_expand(s, rest, 0, true, &len);
  if (text == NULL) {
    return;
  }
  memcpy(line, text, len + 1);
  if (line[0] == '{' || line[0] == '[' || line[0] == 0) {
    say(s, line, len);
    return;
  }
  char *at = line, *word = script_word(&at);
  if (strcmp(word, "rooms") == 0) {
    list_rooms(s, at);
  } else if (strcmp(word, "members") == 0) {
    list_members(s, at);
  } else if (strcmp(word, "kick") == 0 || strcmp(word, "close") == 0) {
    act(s, word, at);
  } else {
    script_fail(s, "API knows no '%s'", word);
  }
}

/* WATCH: the client "hook" gets the events. */
void script_watch(struct script *s, char *rest)
{
  (void)rest;
  world_watch(&s->world);
}
