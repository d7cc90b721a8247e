/* Rooms: who is in them, what members tell each other, and what each is told about the others.
 * Called by sig.c. Names of rooms are never logged: often enough the name is the invitation. */
#include <string.h>

#include "base/json.h"
#include "signal/core/room.h"

const char *sig__left_text(enum sig_left why)
{
  static const char *const text[SIG_LEFT_COUNT] = {
      [SIG_LEFT_LEAVE] = "leave",
      [SIG_LEFT_BYE] = "bye",
      [SIG_LEFT_TIMEOUT] = "timeout",
      [SIG_LEFT_KICKED] = "kicked",
      [SIG_LEFT_OUTBOX_OVERFLOW] = "outbox-overflow",
  };
  return text[why];
}

/* The longest of them: a farewell is made before its reason is known. */
#define LONGEST_REASON "outbox-overflow"

struct sig_room *sig__room_find(const struct sig *s, struct bytes name)
{
  uint64_t hash = hash_bytes(&s->hash_key, name.at, name.len);
  for (struct hash_node *n = hash_table_first(&s->rooms, hash); n != NULL; n = hash_table_next(n)) {
    struct sig_room *room = CONTAINER_OF(n, struct sig_room, node);
    if (bytes_equal(room->name, name)) {
      return room;
    }
  }
  return NULL;
}

/* One block: the struct, the name, and the name as JSON. */
static struct sig_room *room_new(struct sig *s, struct bytes name)
{
  size_t json_cap = 6 * name.len + 2;
  struct sig_room *room = mem_new(s->mem, sizeof(*room) + name.len + json_cap);
  if (room == NULL) {
    return NULL;
  }
  room->size = sizeof(*room) + name.len + json_cap;
  uint8_t *at = (uint8_t *)(room + 1);
  memcpy(at, name.at, name.len);
  room->name = (struct bytes){at, name.len};
  struct buf json;
  buf_init(&json, at + name.len, json_cap);
  json_put_string(&json, name);
  room->json = (struct bytes){json.at, json.len};
  list_init(&room->members);
  room->serial = ++s->serial;
  if (hash_table_insert(&s->rooms, &room->node, hash_bytes(&s->hash_key, name.at, name.len)) != 0) {
    mem_free(s->mem, room, room->size);
    return NULL;
  }
  list_push_back(&s->room_list, &room->in_list);
  s->counters.rooms++;
  return room;
}

static void room_free_if_empty(struct sig *s, struct sig_room *room)
{
  if (room->count == 0) {
    hash_table_remove(&s->rooms, &room->node);
    list_remove(&room->in_list);
    s->counters.rooms--;
    mem_free(s->mem, room, room->size);
  }
}

static uint64_t member_hash(const struct sig *s, const struct sig_room *room,
                            const struct sig_session *session)
{
  const uint64_t key[2] = {room->serial, session->serial};
  return hash_bytes(&s->hash_key, key, sizeof(key));
}

static struct sig_member *member_find(const struct sig *s, const struct sig_room *room,
                                      const struct sig_session *session)
{
  uint64_t hash = member_hash(s, room, session);
  for (struct hash_node *n = hash_table_first(&s->members, hash); n != NULL;
       n = hash_table_next(n)) {
    struct sig_member *member = CONTAINER_OF(n, struct sig_member, node);
    if (member->room == room && member->session == session) {
      return member;
    }
  }
  return NULL;
}

static struct sig_member *next_member(struct sig_room *room, const struct sig_member *member)
{
  struct list *next = member == NULL ? room->members.next : member->in_room.next;
  return next == &room->members ? NULL : CONTAINER_OF(next, struct sig_member, in_room);
}

static struct sig_msg *make_farewell(struct sig *s, const struct sig_room *room,
                                     const struct sig_session *session)
{
  const struct bytes piece[] = {
      SIG_LIT("\"type\":\"peer-left\",\"room\":"),
      room->json,
      SIG_LIT(",\"peer\":\""),
      SIG_ARRAY(session->peer),
      SIG_LIT("\",\"reason\":\"" LONGEST_REASON "\"}"),
  };
  return sig__msg_join(s, piece, 5);
}

/* Nobody shares it yet. */
static void set_reason(struct sig_msg *farewell, enum sig_left why)
{
  const struct bytes tail = SIG_LIT(LONGEST_REASON "\"}");
  struct buf b;
  buf_init(&b, farewell->text + farewell->cap - tail.len, tail.len);
  buf_put_text(&b, sig__left_text(why));
  buf_put_text(&b, "\"}");
  farewell->len = farewell->cap - (uint32_t)(tail.len - b.len);
}

/* One block: the struct, the name as JSON, and meta as it came. Not in its lists yet. */
static struct sig_member *member_new(struct sig *s, struct sig_room *room,
                                     struct sig_session *session, const struct sig_message *m)
{
  struct bytes meta = m->meta.at != NULL ? m->meta : SIG_LIT("null");
  bool has_name = m->name.len > 0;
  size_t name_cap = has_name ? 6 * m->name.len + 2 : 4;
  size_t size = sizeof(struct sig_member) + name_cap + meta.len;
  struct sig_member *member = mem_new(s->mem, size);
  if (member == NULL) {
    return NULL;
  }
  member->size = size;
  member->room = room;
  member->session = session;
  list_init(&member->in_room);
  list_init(&member->in_session);
  uint8_t *at = (uint8_t *)(member + 1);
  struct buf name;
  buf_init(&name, at, name_cap);
  if (has_name) {
    json_put_string(&name, m->name);
  } else {
    buf_put_text(&name, "null");
  }
  member->name = (struct bytes){at, name.len};
  memcpy(at + name_cap, meta.at, meta.len);
  member->meta = (struct bytes){at + name_cap, meta.len};
  member->farewell = make_farewell(s, room, session);
  if (member->farewell == NULL ||
      hash_table_insert(&s->members, &member->node, member_hash(s, room, session)) != 0) {
    sig__msg_release(s, member->farewell);
    mem_free(s->mem, member, size);
    return NULL;
  }
  return member;
}

static void member_free(struct sig *s, struct sig_member *member)
{
  hash_table_remove(&s->members, &member->node);
  sig__msg_release(s, member->farewell);
  mem_free(s->mem, member, member->size);
}

static void member_attach(struct sig *s, struct sig_member *member)
{
  member->order = ++s->serial;
  list_push_back(&member->room->members, &member->in_room);
  list_push_back(&member->session->members, &member->in_session);
  member->room->count++;
  member->session->room_count++;
  s->counters.members++;
}

void sig__room_share(struct sig *s, struct sig_room *room, const struct sig_session *from,
                     struct sig_msg *m, uint64_t *count)
{
  for (struct sig_member *other = next_member(room, NULL); other != NULL;
       other = next_member(room, other)) {
    if (other->session != from && sig__outbox_push(s, other->session, m) && count != NULL) {
      (*count)++;
    }
  }
}

int sig__room_reserve(struct sig *s, struct sig_room *room)
{
  for (struct sig_member *other = next_member(room, NULL); other != NULL;
       other = next_member(room, other)) {
    int err = sig__outbox_reserve(s, other->session);
    if (err != 0) {
      return err;
    }
  }
  return 0;
}

static void member_detach(struct sig *s, struct sig_member *member)
{
  list_remove(&member->in_room);
  list_remove(&member->in_session);
  member->room->count--;
  member->session->room_count--;
  s->counters.members--;
}

void sig__member_leave(struct sig *s, struct sig_member *member, enum sig_left why)
{
  struct sig_room *room = member->room;
  member_detach(s, member);
  set_reason(member->farewell, why);
  sig__room_share(s, room, member->session, member->farewell, NULL);
  if (why == SIG_LEFT_KICKED) { /* who leaves by himself knows */
    (void)sig__outbox_push(s, member->session, member->farewell);
  }
  sig__note_left(s, member, why);
  member_free(s, member);
  room_free_if_empty(s, room);
}

/* To tell each of each other would be a message for every pair, when all of them are out. */
void sig__room_close(struct sig *s, struct sig_room *room)
{
  while (room->count > 0) {
    struct sig_member *member = next_member(room, NULL);
    member_detach(s, member);
    set_reason(member->farewell, SIG_LEFT_KICKED);
    (void)sig__outbox_push(s, member->session, member->farewell);
    sig__note_left(s, member, SIG_LEFT_KICKED);
    member_free(s, member);
  }
  room_free_if_empty(s, room);
}

void sig__leave_all(struct sig *s, struct sig_session *session, enum sig_left why)
{
  while (!list_is_empty(&session->members)) {
    struct list *first = session->members.next;
    sig__member_leave(s, CONTAINER_OF(first, struct sig_member, in_session), why);
  }
}

/* {"peer":..,"name":..,"meta":..,"polite":..} without its braces, as pieces. */
enum { CARD_PIECES = 8 };

static void put_card(const struct sig_member *member, bool polite, struct bytes piece[CARD_PIECES])
{
  piece[0] = SIG_LIT("\"peer\":\"");
  piece[1] = SIG_ARRAY(member->session->peer);
  piece[2] = SIG_LIT("\",\"name\":");
  piece[3] = member->name;
  piece[4] = SIG_LIT(",\"meta\":");
  piece[5] = member->meta;
  piece[6] = SIG_LIT(",\"polite\":");
  piece[7] = polite ? SIG_LIT("true") : SIG_LIT("false");
}

static size_t total(const struct bytes *piece, size_t count)
{
  size_t len = 0;
  for (size_t i = 0; i < count; i++) {
    len += piece[i].len;
  }
  return len;
}

/* What the joining member sees: everyone else. Of two members, the later one is polite. */
static struct sig_msg *make_joined(struct sig *s, struct sig_room *room,
                                   const struct sig_member *self)
{
  const struct bytes open = SIG_LIT("\"type\":\"joined\",\"room\":"),
                     peers = SIG_LIT(",\"peers\":[");
  struct bytes card[CARD_PIECES];
  size_t len = open.len + room->json.len + peers.len + 2;
  for (struct sig_member *o = next_member(room, NULL); o != NULL; o = next_member(room, o)) {
    put_card(o, false, card);
    len += total(card, CARD_PIECES) + 3;
  }
  struct sig_msg *m = sig__msg_new(s, len);
  if (m == NULL) {
    return NULL;
  }
  struct buf b;
  buf_init(&b, m->text, len);
  buf_put(&b, open.at, open.len);
  buf_put(&b, room->json.at, room->json.len);
  buf_put(&b, peers.at, peers.len);
  bool any = false;
  for (struct sig_member *o = next_member(room, NULL); o != NULL; o = next_member(room, o)) {
    if (o == self) {
      continue;
    }
    buf_put_text(&b, any ? ",{" : "{");
    put_card(o, self->order > o->order, card);
    for (size_t i = 0; i < CARD_PIECES; i++) {
      buf_put(&b, card[i].at, card[i].len);
    }
    buf_put_byte(&b, '}');
    any = true;
  }
  buf_put_text(&b, "]}");
  m->len = (uint32_t)b.len;
  return m;
}

static struct sig_msg *make_peer_joined(struct sig *s, const struct sig_room *room,
                                        const struct sig_member *member)
{
  struct bytes piece[3 + CARD_PIECES + 1] = {SIG_LIT("\"type\":\"peer-joined\",\"room\":"),
                                             room->json, SIG_LIT(",")};
  put_card(member, false, piece + 3);
  piece[3 + CARD_PIECES] = SIG_LIT("}");
  return sig__msg_join(s, piece, 3 + CARD_PIECES + 1);
}

static bool is_name_taken(const struct sig *s, struct sig_room *room, const struct sig_member *self)
{
  if (!s->config->unique_names || self->name.at[0] != '"') {
    return false;
  }
  for (struct sig_member *o = next_member(room, NULL); o != NULL; o = next_member(room, o)) {
    if (o != self && sig__session_is_there(o->session) && bytes_equal(o->name, self->name)) {
      return true;
    }
  }
  return false;
}

/* The room of a message, its sender's membership in it, or an answer that says why not. */
static struct sig_member *sender_in_room(struct sig *s, struct sig_link *link,
                                         const struct sig_message *m)
{
  struct sig_room *room = sig__room_find(s, m->room);
  if (room == NULL) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_NO_SUCH_ROOM, .id = m->id},
                     "nobody is in this room: 'join' it first");
    return NULL;
  }
  struct sig_member *member = member_find(s, room, link->session);
  if (member == NULL) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_NOT_IN_ROOM, .id = m->id},
                     "you are not in this room: 'join' it first");
  }
  return member;
}

static bool is_granted(struct sig *s, struct sig_link *link, enum sig_can can,
                       const struct sig_message *m)
{
  if (link->session->grant.can & can) {
    return true;
  }
  sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_FORBIDDEN, .id = m->id},
                   "your token does not allow this (its claim 'can' leaves it out)");
  return false;
}

/* Whether this session may enter one more room, and this one (NULL: it would be new). */
static bool may_enter(struct sig *s, struct sig_link *link, const struct sig_room *room,
                      struct bytes name)
{
  const struct sig_limits *limits = &s->config->limits;
  if (!sig__grant_has_room(&link->session->grant, name)) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_FORBIDDEN},
                     "your token is not for this room (its claim 'rooms' leaves it out)");
    return false;
  }
  if (!sig__has_room_left(s, link->session)) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_FORBIDDEN},
                     "you are in %u rooms, as many as you may: 'leave' one first",
                     link->session->room_count);
    return false;
  }
  if (room != NULL && limits->members_per_room != 0 && room->count >= limits->members_per_room) {
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_ROOM_FULL},
                     "the room has %u members, as many as it may", room->count);
    return false;
  }
  return true;
}

/* Tells the newcomer and everybody else, or nobody. */
static int announce(struct sig *s, struct sig_member *self)
{
  struct sig_room *room = self->room;
  struct sig_msg *joined = make_joined(s, room, self);
  struct sig_msg *peer_joined = make_peer_joined(s, room, self);
  int err = joined == NULL || peer_joined == NULL ? -ERR_NOMEM : sig__room_reserve(s, room);
  if (err == 0) {
    (void)sig__outbox_push(s, self->session, joined);
    sig__room_share(s, room, self->session, peer_joined, NULL);
  }
  sig__msg_release(s, joined);
  sig__msg_release(s, peer_joined);
  return err;
}

static void member_undo(struct sig *s, struct sig_member *member)
{
  member_detach(s, member);
  member_free(s, member);
}

/* Takes nothing: on failure the room is as it was, and the client has its answer. */
static void enter(struct sig *s, struct sig_link *link, struct sig_room *room,
                  const struct sig_message *m)
{
  struct sig_member *member = member_new(s, room, link->session, m);
  if (member == NULL) {
    sig__reply_no_memory(s, link, (struct bytes){NULL, 0});
    return;
  }
  member_attach(s, member);
  if (is_name_taken(s, room, member)) {
    member_undo(s, member);
    sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_NAME_TAKEN},
                     "another member of the room has this name: take another, or none");
    return;
  }
  if (announce(s, member) != 0) {
    member_undo(s, member);
    sig__reply_no_memory(s, link, (struct bytes){NULL, 0});
    return;
  }
  sig__note_joined(s, member);
}

/* A repeated join (a retry, a page that does not remember) is answered as the first one was. */
static void rejoin(struct sig *s, struct sig_link *link, struct sig_member *member)
{
  struct sig_msg *joined = make_joined(s, member->room, member);
  if (joined == NULL) {
    sig__reply_no_memory(s, link, (struct bytes){NULL, 0});
    return;
  }
  (void)sig__outbox_push(s, link->session, joined);
  sig__msg_release(s, joined);
}

void sig__join(struct sig *s, struct sig_link *link, const struct sig_message *m)
{
  if (!is_granted(s, link, SIG_CAN_JOIN, m)) {
    return;
  }
  struct sig_room *room = sig__room_find(s, m->room);
  struct sig_member *member = room == NULL ? NULL : member_find(s, room, link->session);
  if (member != NULL) {
    rejoin(s, link, member);
    return;
  }
  if (!may_enter(s, link, room, m->room)) {
    return;
  }
  if (room == NULL) {
    room = room_new(s, m->room);
  }
  if (room == NULL) {
    sig__reply_no_memory(s, link, (struct bytes){NULL, 0});
    return;
  }
  enter(s, link, room, m);
  room_free_if_empty(s, room);
}

void sig__leave(struct sig *s, struct sig_link *link, const struct sig_message *m)
{
  struct sig_member *member = sender_in_room(s, link, m);
  if (member != NULL) {
    sig__member_leave(s, member, SIG_LEFT_LEAVE);
  }
}

/* Whether this id was used before: then it is answered as it was, and nothing else happens. */
static bool is_repeated(struct sig *s, struct sig_link *link, struct bytes id)
{
  if (id.at == NULL || !sig__seen(s, link->session, id)) {
    return false;
  }
  s->counters.duplicates++;
  sig__reply_delivered(s, link, id);
  return true;
}

struct sig_msg *sig__relayed(struct sig *s, const struct sig_room *room, struct bytes from,
                             enum sig_type type, struct bytes data)
{
  const struct bytes piece[] = {
      type == SIG_SIGNAL ? SIG_LIT("\"type\":\"signal\",\"room\":")
                         : SIG_LIT("\"type\":\"broadcast\",\"room\":"),
      room->json,
      SIG_LIT(",\"from\":\""),
      from,
      SIG_LIT("\",\"data\":"),
      data,
      SIG_LIT("}"),
  };
  return sig__msg_join(s, piece, 7);
}

static struct sig_msg *make_relayed(struct sig *s, const struct sig_member *from,
                                    const struct sig_message *m)
{
  return sig__relayed(s, from->room, SIG_ARRAY(from->session->peer), m->type, m->data);
}

/* In the outbox, and never again under this id. */
static void confirm(struct sig *s, struct sig_link *link, struct bytes id)
{
  if (id.at != NULL) {
    sig__seen_add(s, link->session, id);
    sig__reply_delivered(s, link, id);
  }
}

struct sig_member *sig__room_peer(const struct sig *s, const struct sig_room *room,
                                  struct bytes peer)
{
  struct sig_session *session = sig__session_of_peer(s, peer);
  return session == NULL ? NULL : member_find(s, room, session);
}

static void no_such_peer(struct sig *s, struct sig_link *link, struct bytes id)
{
  sig__reply_error(s, link, &(struct sig_problem){.error = SIG_ERROR_NO_SUCH_PEER, .id = id},
                   "'to' is nobody in this room (any more)");
}

void sig__signal(struct sig *s, struct sig_link *link, const struct sig_message *m)
{
  if (!is_granted(s, link, SIG_CAN_SIGNAL, m) || is_repeated(s, link, m->id)) {
    return;
  }
  struct sig_member *from = sender_in_room(s, link, m);
  if (from == NULL) {
    return;
  }
  struct sig_member *to = sig__room_peer(s, from->room, m->to);
  if (to == NULL) {
    no_such_peer(s, link, m->id);
    return;
  }
  bool ready = (m->id.at == NULL || sig__seen_reserve(s, link->session) == 0) &&
               sig__outbox_reserve(s, to->session) == 0;
  struct sig_msg *body = ready ? make_relayed(s, from, m) : NULL;
  if (body == NULL) {
    sig__reply_no_memory(s, link, m->id);
    return;
  }
  bool pushed = sig__outbox_push(s, to->session, body);
  sig__msg_release(s, body);
  if (!pushed) {
    no_such_peer(s, link, m->id);
    return;
  }
  s->counters.deliveries++;
  confirm(s, link, m->id);
}

void sig__broadcast(struct sig *s, struct sig_link *link, const struct sig_message *m)
{
  if (!is_granted(s, link, SIG_CAN_BROADCAST, m) || is_repeated(s, link, m->id)) {
    return;
  }
  struct sig_member *from = sender_in_room(s, link, m);
  if (from == NULL) {
    return;
  }
  bool ready = (m->id.at == NULL || sig__seen_reserve(s, link->session) == 0) &&
               sig__room_reserve(s, from->room) == 0;
  struct sig_msg *body = ready ? make_relayed(s, from, m) : NULL;
  if (body == NULL) {
    sig__reply_no_memory(s, link, m->id);
    return;
  }
  sig__room_share(s, from->room, link->session, body, &s->counters.deliveries);
  sig__msg_release(s, body);
  confirm(s, link, m->id);
}

/* Out of the room; its session goes on. Nothing keeps it from joining again but its token, which is
 * the application's affair. */
void sig__kick(struct sig *s, struct sig_link *link, const struct sig_message *m)
{
  if (!is_granted(s, link, SIG_CAN_KICK, m)) {
    return;
  }
  struct sig_member *from = sender_in_room(s, link, m);
  if (from == NULL) {
    return;
  }
  struct sig_member *member = sig__room_peer(s, from->room, m->to);
  if (member == NULL) {
    no_such_peer(s, link, m->id);
    return;
  }
  sig__member_leave(s, member, SIG_LEFT_KICKED);
}
