/* The backend's requests, on the same rooms and outboxes as the messages of clients; and events,
 * which tell the backend what happens in them. */
#include "signal/core/admin.h"

#include <stdio.h>
#include <string.h>

#include "signal/core/room.h"

static void view_room(const struct sig_room *room, struct sig_room_view *out)
{
  *out = (struct sig_room_view){
      .serial = room->serial, .name = room->name, .json = room->json, .members = room->count};
}

size_t sig_admin_rooms(const struct sig *s, uint64_t after, struct sig_room_view *out, size_t max)
{
  size_t count = 0;
  for (const struct list *l = s->room_list.next; l != &s->room_list && count < max; l = l->next) {
    const struct sig_room *room = CONTAINER_OF(l, struct sig_room, in_list);
    if (room->serial > after) {
      view_room(room, &out[count++]);
    }
  }
  return count;
}

int sig_admin_room(const struct sig *s, struct bytes name, struct sig_room_view *out)
{
  const struct sig_room *room = sig__room_find(s, name);
  if (room == NULL) {
    return -ERR_MISSING;
  }
  view_room(room, out);
  return 0;
}

size_t sig_admin_members(const struct sig *s, struct bytes room, uint64_t after,
                         struct sig_member_view *out, size_t max)
{
  const struct sig_room *r = sig__room_find(s, room);
  size_t count = 0;
  if (r == NULL) {
    return 0;
  }
  for (const struct list *l = r->members.next; l != &r->members && count < max; l = l->next) {
    const struct sig_member *m = CONTAINER_OF(l, struct sig_member, in_room);
    if (m->order > after) {
      out[count++] = (struct sig_member_view){.order = m->order,
                                              .peer = SIG_ARRAY(m->session->peer),
                                              .name = m->name,
                                              .meta = m->meta,
                                              .connected = sig__session_is_there(m->session)};
    }
  }
  return count;
}

static void refuse(struct sig *s, struct sig_admin_result *out, enum sig_error error,
                   const char *prose)
{
  if (error == SIG_ERROR_SERVER_FULL) {
    s->counters.no_memory++;
  }
  out->error = error;
  (void)snprintf(out->prose, sizeof(out->prose), "%s", prose);
}

static struct sig_room *find_room(struct sig *s, struct bytes name, struct sig_admin_result *out)
{
  struct sig_room *room = sig__room_find(s, name);
  if (room == NULL) {
    refuse(s, out, SIG_ERROR_NO_SUCH_ROOM, "nobody is in this room");
  }
  return room;
}

static struct sig_member *find_member(struct sig *s, struct sig_room *room, struct bytes peer,
                                      struct sig_admin_result *out)
{
  struct sig_member *member = sig__room_peer(s, room, peer);
  if (member == NULL) {
    refuse(s, out, SIG_ERROR_NO_SUCH_PEER, "this peer is not in this room (any more)");
  }
  return member;
}

static void deliver(struct sig *s, struct sig_room *room, const struct sig_message *m,
                    struct sig_admin_result *out)
{
  struct sig_member *to = NULL;
  if (m->type == SIG_SIGNAL && (to = find_member(s, room, m->to, out)) == NULL) {
    return;
  }
  int err = to != NULL ? sig__outbox_reserve(s, to->session) : sig__room_reserve(s, room);
  struct sig_msg *body =
      err == 0 ? sig__relayed(s, room, SIG_LIT(SIG_ADMIN_FROM), m->type, m->data) : NULL;
  if (body == NULL) {
    refuse(s, out, SIG_ERROR_SERVER_FULL, "the server is out of memory; try again in a moment");
    return;
  }
  if (to == NULL) {
    sig__room_share(s, room, NULL, body, &out->count);
  } else if (sig__outbox_push(s, to->session, body)) {
    out->count++;
  } else {
    refuse(s, out, SIG_ERROR_NO_SUCH_PEER, "this peer's outbox is full: its session ends");
  }
  sig__msg_release(s, body);
  s->counters.deliveries += out->count;
}

void sig_admin_message(struct sig *s, struct bytes text, uint64_t now_ms,
                       struct sig_admin_result *out)
{
  struct sig_message m;
  struct sig_refusal refusal;
  uint32_t limit = s->config->limits.message_size;
  *out = (struct sig_admin_result){.error = SIG_ERROR_COUNT};
  if (limit != 0 && text.len > limit) {
    refuse(s, out, SIG_ERROR_TOO_LARGE, "a message may be as long as max-message-size says");
  } else if (sig__message_read(text, &s->config->limits, &m, &refusal) != 0) {
    refuse(s, out, refusal.error, refusal.prose);
  } else if (m.type != SIG_SIGNAL && m.type != SIG_BROADCAST) {
    refuse(s, out, SIG_ERROR_BAD_MESSAGE, "'type' is 'signal' or 'broadcast' here");
  } else {
    struct sig_room *room = find_room(s, m.room, out);
    if (room != NULL) {
      deliver(s, room, &m, out);
    }
  }
  sig__settle(s, now_ms);
}

void sig_admin_kick(struct sig *s, struct bytes room, struct bytes peer, uint64_t now_ms,
                    struct sig_admin_result *out)
{
  *out = (struct sig_admin_result){.error = SIG_ERROR_COUNT};
  struct sig_room *r = find_room(s, room, out);
  struct sig_member *member = r == NULL ? NULL : find_member(s, r, peer, out);
  if (member != NULL) {
    sig__member_leave(s, member, SIG_LEFT_KICKED);
    out->count = 1;
  }
  sig__settle(s, now_ms);
}

void sig_admin_close(struct sig *s, struct bytes room, uint64_t now_ms,
                     struct sig_admin_result *out)
{
  *out = (struct sig_admin_result){.error = SIG_ERROR_COUNT};
  struct sig_room *r = find_room(s, room, out);
  if (r != NULL) {
    out->count = r->count;
    sig__room_close(s, r);
  }
  sig__settle(s, now_ms);
}

/* The configuration with another life of the credentials. */
void sig_admin_ice_put(const struct sig *s, struct bytes name, uint32_t ttl_s, uint64_t now_ms,
                       struct buf *out)
{
  struct sig_config config = *s->config;
  config.turn_ttl_s = ttl_s;
  sig__ice_put(&config, name, sig__wall_s(s, now_ms), out);
}

size_t sig_admin_ice_size(const struct sig *s, struct bytes name)
{
  return sig__ice_size(s->config) + 6 * name.len;
}

/* Events. */

static void note(struct sig *s, const struct sig_event *e)
{
  if (s->effects->event != NULL && !s->ends) {
    s->effects->event(s->effects->arg, s, e);
  }
}

void sig__note_joined(struct sig *s, const struct sig_member *member)
{
  const struct sig_room *room = member->room;
  if (room->count == 1) {
    note(s, &(struct sig_event){
                .type = SIG_EVENT_ROOM_CREATED, .room = room->json, .members = room->count});
  }
  note(s, &(struct sig_event){.type = SIG_EVENT_MEMBER_JOINED,
                              .room = room->json,
                              .peer = SIG_ARRAY(member->session->peer),
                              .name = member->name,
                              .meta = member->meta,
                              .members = room->count});
}

void sig__note_left(struct sig *s, const struct sig_member *member, enum sig_left why)
{
  struct sig_event e = {.type = SIG_EVENT_MEMBER_LEFT,
                        .room = member->room->json,
                        .peer = SIG_ARRAY(member->session->peer),
                        .reason = why,
                        .members = member->room->count};
  note(s, &e);
  if (e.members == 0) {
    note(s, &(struct sig_event){.type = SIG_EVENT_ROOM_ENDED, .room = e.room});
  }
}

static void put_member(struct buf *out, const char *name, struct bytes value)
{
  if (value.len > 0) {
    buf_put_text(out, name);
    buf_put(out, value.at, value.len);
  }
}

void sig_event_put(const struct sig_event *e, struct buf *out)
{
  static const char *const type[SIG_EVENT_COUNT] = {
      [SIG_EVENT_ROOM_CREATED] = "room-created",
      [SIG_EVENT_ROOM_ENDED] = "room-ended",
      [SIG_EVENT_MEMBER_JOINED] = "member-joined",
      [SIG_EVENT_MEMBER_LEFT] = "member-left",
  };
  buf_put_text(out, "\"type\":\"");
  buf_put_text(out, type[e->type]);
  put_member(out, "\",\"room\":", e->room);
  if (e->peer.len > 0) {
    put_member(out, ",\"peer\":\"", e->peer);
    buf_put_text(out, "\"");
  }
  put_member(out, ",\"name\":", e->name);
  put_member(out, ",\"meta\":", e->meta);
  if (e->type == SIG_EVENT_MEMBER_LEFT) {
    buf_put_text(out, ",\"reason\":\"");
    buf_put_text(out, sig__left_text(e->reason));
    buf_put_text(out, "\"");
  }
  buf_put_text(out, ",\"members\":");
  buf_put_uint(out, e->members);
}

size_t sig_event_size(const struct sig_event *e)
{
  return 192 + e->room.len + e->peer.len + e->name.len + e->meta.len;
}
