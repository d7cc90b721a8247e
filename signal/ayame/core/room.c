/* Rooms of two: made by the first who registers, gone when one of the two leaves. */
#include <string.h>

#include "signal/ayame/core/core.h"

static const struct bytes bye_text = AYAME_LIT("{\"type\":\"bye\"}");

static struct ayame_room *find(const struct ayame *a, struct bytes name, uint64_t hash)
{
  for (struct hash_node *n = hash_table_first(&a->rooms, hash); n != NULL; n = hash_table_next(n)) {
    struct ayame_room *room = CONTAINER_OF(n, struct ayame_room, by_name);
    if (bytes_equal((struct bytes){room->name, room->name_len}, name)) {
      return room;
    }
  }
  return NULL;
}

static void room_free(struct ayame *a, struct ayame_room *room)
{
  hash_table_remove(&a->rooms, &room->by_name);
  mem_free(a->mem, room, sizeof(*room) + room->name_len);
  a->counters.rooms--;
}

static int room_new(struct ayame *a, struct bytes name, uint64_t hash, struct ayame_room **out)
{
  struct ayame_room *room = mem_new(a->mem, sizeof(*room) + name.len);
  if (room == NULL) {
    return -ERR_NOMEM;
  }
  room->name_len = (uint32_t)name.len;
  memcpy(room->name, name.at, name.len);
  if (hash_table_insert(&a->rooms, &room->by_name, hash) != 0) {
    mem_free(a->mem, room, sizeof(*room) + name.len);
    return -ERR_NOMEM;
  }
  a->counters.rooms++;
  *out = room;
  return 0;
}

int ayame__join(struct ayame *a, struct ayame_link *link, struct bytes name)
{
  uint64_t hash = hash_bytes(&a->hash_key, name.at, name.len);
  struct ayame_room *room = find(a, name, hash);
  if (room != NULL && room->link[1] != NULL) {
    return -ERR_FULL;
  }
  int err = room == NULL ? room_new(a, name, hash, &room) : 0;
  if (err != 0) {
    return err;
  }
  room->link[room->link[0] != NULL] = link;
  link->room = room;
  a->counters.clients++;
  return 0;
}

struct ayame_link *ayame__other(const struct ayame_link *link)
{
  const struct ayame_room *room = link->room;
  return room == NULL ? NULL : room->link[room->link[0] == link];
}

static void forget(struct ayame *a, struct ayame_link *link)
{
  link->room = NULL;
  sig_guest_leave(&link->guest);
  a->counters.clients--;
}

void ayame__leave(struct ayame *a, struct ayame_link *link)
{
  struct ayame_room *room = link->room;
  struct ayame_link *other = ayame__other(link);
  if (room == NULL) {
    return;
  }
  forget(a, link);
  if (other != NULL && link->standalone && link->has_connected) {
    /* Its connection to the other one stands without the server. */
    room->link[0] = other;
    room->link[1] = NULL;
    return;
  }
  room_free(a, room);
  if (other != NULL) {
    forget(a, other);
    a->counters.byes++;
    ayame__close(a, other, bye_text, SIG_CLOSE_NORMAL, "the other one has left");
  }
}
