/* Fuzz target: signal/ayame/core as a sequence of events of several sockets. The input is lines: a
 * letter that says who, one that says what, and the rest. What must hold: at most two hear each
 * other and hear exactly what was said, wakes and closes keep their rules, whoever goes leaves no
 * room behind, and all memory comes back. */
#include <string.h>

#include "base/err.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/ayame_world.h"

static struct ayame_world world;

static void say(struct ayame_peer *p, struct bytes text)
{
  uint64_t before = ayame_counters(world.ayame)->relayed;
  size_t got[AYAME_WORLD_PEERS];
  for (size_t i = 0; i < AYAME_WORLD_PEERS; i++) {
    got[i] = world.peer[i].got_count;
  }
  ayame_world_send(p, text);
  bool is_relayed = ayame_counters(world.ayame)->relayed > before;
  size_t heard = 0;
  for (size_t i = 0; i < AYAME_WORLD_PEERS; i++) {
    const struct ayame_peer *other = &world.peer[i];
    for (size_t n = got[i]; n < other->got_count && is_relayed && !other->held; n++) {
      if (strlen(other->got[n]) >= text.len && memcmp(other->got[n], text.at, text.len) == 0) {
        REQUIRE(other != p);
        heard++;
      }
    }
  }
  REQUIRE(heard <= 1);
}

static void play(struct bytes line)
{
  if (line.len < 2) {
    return;
  }
  struct ayame_peer *p = &world.peer[line.at[0] % AYAME_WORLD_PEERS];
  struct bytes rest = {line.at + 2, line.len - 2};
  switch (line.at[1]) {
  case '+':
    ayame_world_drop(p);
    ayame_world_settle(&world);
    (void)ayame_world_connect(p, line.at[0] & 0x40 ? "192.0.2.1" : "2001:db8::1");
    break;
  case '-':
    ayame_world_drop(p);
    ayame_world_settle(&world);
    break;
  case 'h':
    p->held = true;
    break;
  case 'r':
    p->held = false;
    p->woken |= p->link != NULL;
    ayame_world_settle(&world);
    break;
  case 't':
    ayame_world_elapse(&world, rest.len * 997);
    break;
  case 'm':
    failing_mem_fail_at(&world.sig.memory, rest.len);
    break;
  default:
    say(p, (struct bytes){line.at + 1, line.len - 1});
  }
}

static void check(void)
{
  const struct ayame_counters *n = ayame_counters(world.ayame);
  uint64_t links = 0;
  for (size_t i = 0; i < AYAME_WORLD_PEERS; i++) {
    links += world.peer[i].link != NULL;
  }
  REQUIRE(n->links == links);
  REQUIRE(n->clients <= links && n->rooms <= n->clients && n->clients <= 2 * n->rooms);
  REQUIRE(world.sig.broken == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  ayame_world_init(&world);
  world.config.outbox_messages = 8;
  world.config.outbox_bytes = 512;
  world.config.limit = 5;
  world.sig.config.limits.message_rate = 50;
  if (size > 0 && data[0] & 1) {
    world.config.key = bytes_of("k");
  }
  if (ayame_world_start(&world) != 0) {
    abort();
  }
  for (size_t at = 0; at < size;) {
    const uint8_t *end = memchr(data + at, '\n', size - at);
    size_t len = end != NULL ? (size_t)(end - data) - at : size - at;
    play((struct bytes){data + at, len});
    check();
    at += len + 1;
  }
  failing_mem_fail_at(&world.sig.memory, 0);
  REQUIRE(ayame_world_fini(&world));
  return 0;
}
