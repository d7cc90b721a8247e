/* Fuzz target: signal/peerjs/core, its codec and its state, as a sequence of events of several
 * sockets. The input is lines: a digit that says which socket, a letter that says what, and the
 * rest. What must hold: what goes out is JSON with the sender's own id as src, nobody hears what
 * was not for him, wakes and closes keep their rules, the counters agree, all memory comes back. */
#include <string.h>

#include "base/json.h"
#include "signal/core/message.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/peerjs_world.h"

static struct peerjs_world world;
static const char *const names[] = {"a", "b", "c", "\"d\"\n", "e"};

enum { NAMES = sizeof(names) / sizeof(names[0]) };

static int name_of[PEERS]; /* the id that a socket asked for */

static bool is_word(struct bytes json, const char *word)
{
  return json.len == strlen(word) + 2 && memcmp(json.at + 1, word, json.len - 2) == 0;
}

struct seen {
  struct bytes type, src, dst;
  size_t members;
};

static void on_member(void *arg, const struct sig_found *found)
{
  struct seen *s = arg;
  s->members++;
  if (bytes_equal(found->name, bytes_of("type"))) {
    s->type = found->value;
  } else if (bytes_equal(found->name, bytes_of("src"))) {
    s->src = found->value;
  } else if (bytes_equal(found->name, bytes_of("dst"))) {
    s->dst = found->value;
  }
}

/* Whether this JSON string means the id number `name`. */
static bool means(struct bytes json, int name)
{
  uint8_t storage[PEERJS_ID_SIZE];
  struct buf b;
  buf_init(&b, storage, sizeof(storage));
  return json.len >= 2 && sig__unescape((struct bytes){json.at + 1, json.len - 2}, &b) == 0 &&
         bytes_equal((struct bytes){b.at, b.len}, bytes_of(names[name]));
}

static bool is_known(struct bytes json)
{
  for (int i = 0; i < NAMES; i++) {
    if (means(json, i)) {
      return true;
    }
  }
  return false;
}

static void check_text(int socket, const char *text)
{
  struct seen s = {0};
  struct sig_scan scan = {.arg = &s, .member = on_member};
  REQUIRE(utf8_is_valid(bytes_of(text)));
  REQUIRE(sig__scan(&scan, bytes_of(text), SIG_DEPTH) == 0);
  if (is_word(s.type, "OPEN")) {
    REQUIRE(s.members == 1);
  } else if (is_word(s.type, "ERROR") || is_word(s.type, "ID-TAKEN")) {
    REQUIRE(s.members == 2 && world.peer[socket].closed);
  } else {
    REQUIRE(s.members == 3 || s.members == 4);
    REQUIRE(means(s.dst, name_of[socket]));
    REQUIRE(is_known(s.src) || is_word(s.type, "EXPIRE"));
  }
}

static void check(void)
{
  uint64_t links = 0;
  for (int i = 0; i < PEERS; i++) {
    const char *text;
    while ((text = peer_next(&world.peer[i])) != NULL) {
      check_text(i, text);
    }
    links += world.peer[i].link != NULL;
  }
  const struct peerjs_counters *n = peerjs_counters(world.peerjs);
  REQUIRE(n->links == links);
  REQUIRE(n->clients <= n->links && n->clients <= world.config.limit);
  REQUIRE(n->outbox_messages <= n->links * (world.config.outbox_messages + 1));
  REQUIRE((n->outbox_messages == 0) == (n->outbox_bytes == 0));
  REQUIRE((n->waiting_messages == 0) == (n->waiting_bytes == 0));
  REQUIRE(n->waiting_bytes <= world.config.waiting_bytes);
}

/* "0+NT": socket 0 asks for the id number N with the token T; without a T: none. "0+NTx": with a
 * wrong key. */
static void open_socket(int socket, const char *at, size_t len)
{
  int name = len > 0 ? (uint8_t)at[0] % NAMES : 0;
  struct peerjs_hello hello = {
      .client = addr_v4(192, 0, 2, (uint8_t)(socket & 1), 1),
      .id = bytes_of(names[name]),
      .token = {(const uint8_t *)at + 1, len > 1},
      .key = bytes_of(len > 2 ? "wrong" : "peerjs"),
  };
  name_of[socket] = name;
  (void)peer_open(&world.peer[socket], &hello);
}

/* "0 {...}" says, "0-" drops, "0h" reads no more, "0r" reads again, "0tN": N times 100 ms pass,
 * "0i" asks for an id and the list. */
static void event(const char *line, size_t len)
{
  if (len < 2 || line[0] < '0' || line[0] >= '0' + PEERS) {
    return;
  }
  int socket = line[0] - '0';
  struct peer *p = &world.peer[socket];
  char id[PEERJS_UUID], list[4096];
  struct buf out;
  switch (line[1]) {
  case '+':
    open_socket(socket, line + 2, len - 2);
    break;
  case ' ':
    peer_say(p, (struct bytes){(const uint8_t *)line + 2, len - 2});
    break;
  case '-':
    peer_drop(p);
    break;
  case 'h':
    p->held = true;
    break;
  case 'r':
    peer_hold(p, false);
    break;
  case 't':
    peerjs_world_elapse(&world, 100 * (uint64_t)(len > 2 ? line[2] & 0x7F : 1));
    break;
  case 'i':
    peerjs_make_id(world.peerjs, id);
    buf_init(&out, list, sizeof(list));
    peerjs_put_ids(world.peerjs, &out);
    REQUIRE(!out.overflow && out.len <= peerjs_ids_size(world.peerjs));
    break;
  default:
    break;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const char *at = (const char *)data, *end = at + size;
  peerjs_world_init(&world);
  memset(name_of, 0, sizeof(name_of));
  world.config.limit = 4;
  world.config.outbox_messages = 6;
  world.config.outbox_bytes = 2048;
  world.config.waiting_bytes = 4096;
  world.sig_config.limits.message_rate = 20;
  world.sig_config.limits.links_per_address = 4;
  world.sig_config.limits.sessions_per_address = 3;
  /* The first byte is the allocation that fails; a newline: none. */
  if (size > 0) {
    failing_mem_fail_at(&world.memory, at[0] == '\n' ? 0 : (uint8_t)at[0]);
    at++;
  }
  if (peerjs_world_start(&world) == 0) {
    while (at < end) {
      const char *stop = memchr(at, '\n', (size_t)(end - at));
      stop = stop == NULL ? end : stop;
      /* The core wants UTF-8, as frames.c gives it. */
      if (utf8_is_valid((struct bytes){(const uint8_t *)at, (size_t)(stop - at)})) {
        event(at, (size_t)(stop - at));
      }
      check();
      at = stop + (stop < end);
    }
  }
  REQUIRE(peerjs_world_fini(&world));
  return 0;
}
