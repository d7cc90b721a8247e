/* Fuzz target: signal/core as a sequence of events of several links. The input is lines: a letter
 * that says who, one that says what, and the rest. What must hold: every message is JSON, the seqs
 * of a stream have no gaps, wakes and closes keep their rules, jansson agrees about every input,
 * and all memory comes back. */
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "signal/core/admin.h"
#include "signal/core/message.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/signal_world.h"

enum { LINKS = 4, TEXT_MAX = 1 << 16, SESSIONS = 8, SEQS = 256 };

/* What one client learned and may say again: "$0k" is the key of client 0, s its session, p its
 * peer id. */
struct learned {
  char session[64], key[64], peer[64];
};

/* What was said under each seq of a session: whoever reads it, over whatever, and however often,
 * gets the same. */
struct stream {
  char session[64];
  uint64_t hash[SEQS]; /* 0: not seen yet */
};

static struct sig_world world;
static struct learned learned[LINKS];
static struct stream stream[SESSIONS];
static size_t stream_count;
static struct stream *reads[LINKS]; /* whose messages a client gets; NULL: not known */
static uint64_t told[4];            /* events, of each type */

static struct stream *stream_of(const char *session)
{
  for (size_t i = 0; i < SESSIONS; i++) {
    if (strcmp(stream[i].session, session) == 0) {
      return &stream[i];
    }
  }
  struct stream *s = &stream[stream_count++ % SESSIONS];
  for (size_t i = 0; i < LINKS; i++) {
    reads[i] = reads[i] == s ? NULL : reads[i];
  }
  memset(s, 0, sizeof(*s));
  memcpy(s->session, session, strlen(session) + 1);
  return s;
}

/* FNV-1a. */
static uint64_t hash_of(const char *text)
{
  uint64_t hash = 14695981039346656037u;
  for (; *text != 0; text++) {
    hash = (hash ^ (uint8_t)*text) * 1099511628211u;
  }
  return hash == 0 ? 1 : hash;
}

static void check_stream(struct stream *s, const char *text)
{
  static const char head[] = "{\"seq\":";
  uint64_t seq = 0;
  if (s == NULL || strncmp(text, head, sizeof(head) - 1) != 0) {
    return;
  }
  for (const char *at = text + sizeof(head) - 1; *at >= '0' && *at <= '9'; at++) {
    seq = seq * 10 + (uint64_t)(*at - '0');
  }
  REQUIRE(seq > 0);
  if (seq < SEQS) {
    uint64_t hash = hash_of(text);
    REQUIRE(s->hash[seq] == 0 || s->hash[seq] == hash);
    s->hash[seq] = hash;
  }
}

static void learn(char *out, size_t cap, const char *text, const char *member)
{
  const char *at = strstr(text, member);
  REQUIRE(at != NULL);
  at += strlen(member);
  size_t len = strcspn(at, "\"");
  REQUIRE(len < cap);
  memcpy(out, at, len);
  out[len] = 0;
}

static void ignore_member(void *arg, const struct sig_found *found)
{
  (void)arg;
  (void)found;
}

static int scan(struct bytes text, unsigned depth)
{
  struct sig_scan s = {.member = ignore_member};
  return sig__scan(&s, text, depth);
}

/* jansson reads what is the server's own; what it passes on may hold half surrogates and the like,
 * which are JSON all the same. */
static void check_welcome(struct learned *l, const char *text)
{
  json_t *tree;
  REQUIRE(json_read(bytes_of(text), 8, &tree) == 0);
  json_decref(tree);
  learn(l->session, sizeof(l->session), text, "\"session\":\"");
  learn(l->key, sizeof(l->key), text, "\"key\":\"");
  learn(l->peer, sizeof(l->peer), text, "\"peer\":\"");
}

/* Every text that a client got is one whole JSON object, with at most the levels around what is
 * passed on. */
static void check_output(void)
{
  for (size_t i = 0; i < LINKS; i++) {
    const char *text;
    while ((text = world_next(&world.client[i])) != NULL) {
      REQUIRE(utf8_is_valid(bytes_of(text)));
      REQUIRE(scan(bytes_of(text), 64) == 0 || strstr(text, "\"meta\":") != NULL);
      REQUIRE(strstr(text, "\"type\":\"") != NULL);
      if (strncmp(text, "{\"type\":\"welcome\"", 17) == 0) {
        check_welcome(&learned[i], text);
        reads[i] = stream_of(learned[i].session);
      }
      check_stream(reads[i], text);
    }
  }
}

/* What the backend was told adds up to what is there. */
static void check_events(void)
{
  static const char *const head[] = {"{\"type\":\"room-created\"", "{\"type\":\"room-ended\"",
                                     "{\"type\":\"member-joined\"", "{\"type\":\"member-left\""};
  const struct sig_counters *n = sig_counters(world.sig);
  const char *text;
  while ((text = world_next(world_client(&world, "hook"))) != NULL) {
    size_t which = 0;
    while (which < 4 && strncmp(text, head[which], strlen(head[which])) != 0) {
      which++;
    }
    REQUIRE(which < 4 && utf8_is_valid(bytes_of(text)));
    REQUIRE(scan(bytes_of(text), 64) == 0 || strstr(text, "\"meta\":") != NULL);
    told[which]++;
  }
  REQUIRE(told[0] - told[1] == n->rooms && told[2] - told[3] == n->members);
}

static size_t expand(const char *from, size_t len, char *out)
{
  size_t n = 0;
  for (size_t i = 0; i < len && n < TEXT_MAX - 64; i++) {
    if (from[i] == '$' && i + 2 < len && from[i + 1] >= '0' && from[i + 1] < '0' + LINKS) {
      const struct learned *l = &learned[from[i + 1] - '0'];
      const char *what = from[i + 2] == 'k' ? l->key : from[i + 2] == 's' ? l->session : l->peer;
      memcpy(out + n, what, strlen(what));
      n += strlen(what);
      i += 2;
      continue;
    }
    out[n++] = from[i];
  }
  return n;
}

/* Whatever jansson reads as an object is one for us too. (Not the other way round: it also refuses
 * numbers too large for C, half surrogates, and members that stand twice.) */
static void check_scan(struct bytes text)
{
  json_t *tree;
  if (json_read(text, SIG_DEPTH, &tree) != 0) {
    return;
  }
  REQUIRE(scan(text, SIG_DEPTH) == (json_is_object(tree) ? 0 : -ERR_MISSING));
  json_decref(tree);
}

static void send(struct sig_client *c, const char *at, size_t len)
{
  static char text[TEXT_MAX];
  struct bytes bytes = {(const uint8_t *)text, expand(at, len, text)};
  check_scan(bytes);
  world_send(c, bytes);
}

static void connect_link(struct sig_client *c, const char *at, size_t len)
{
  struct sig_link_setup setup = {
      .client = addr_v4(192, 0, 2, len > 0 ? (uint8_t)(at[0] & 1) : 0, 1),
      .transport = len > 0 ? (enum sig_transport)((at[0] >> 1) & 3) : SIG_WEBSOCKET,
  };
  reads[c - world.client] = NULL;
  (void)world_connect(c, &setup);
}

/* "0gXKN": a link as of "0+X" reads the session of client K behind seq N, a character. */
static void read_link(struct sig_client *c, const char *at, size_t len)
{
  if (len < 3 || at[1] < '0' || at[1] >= '0' + LINKS) {
    return;
  }
  const struct learned *of = &learned[at[1] - '0'];
  connect_link(c, at, 1);
  if (c->link != NULL && world_read(c, bytes_of(of->key), (uint64_t)(uint8_t)at[2] - '0')) {
    reads[c - world.client] = stream_of(of->session);
  }
}

/* "0pXK...": a link as of "0+X" brings a body to the session of client K. */
static void post_link(struct sig_client *c, const char *at, size_t len)
{
  static char text[TEXT_MAX];
  if (len < 2 || at[1] < '0' || at[1] >= '0' + LINKS) {
    return;
  }
  struct bytes body = {(const uint8_t *)text, expand(at + 2, len - 2, text)};
  connect_link(c, at, 1);
  if (c->link != NULL) {
    (void)world_post(c, bytes_of(learned[at[1] - '0'].key), body);
  }
}

/* "0a{...}": the backend says something. "0kROOM", "0cROOM": it puts the client, or everybody, out
 * of a room. Its lists are looked at too. */
static void backend(const char *line, size_t len)
{
  static char text[TEXT_MAX];
  struct sig_admin_result r;
  struct sig_room_view room[2];
  struct sig_member_view member[2];
  struct bytes bytes = {(const uint8_t *)text, expand(line + 2, len - 2, text)};
  if (line[1] == 'a') {
    sig_admin_message(world.sig, bytes, world.now_ms, &r);
  } else if (line[1] == 'k') {
    sig_admin_kick(world.sig, bytes, bytes_of(learned[line[0] - '0'].peer), world.now_ms, &r);
  } else {
    sig_admin_close(world.sig, bytes, world.now_ms, &r);
  }
  world_settle(&world);
  REQUIRE((r.error == SIG_ERROR_COUNT) == (r.prose[0] == 0));
  for (size_t i = 0, n = sig_admin_rooms(world.sig, 0, room, 2); i < n; i++) {
    size_t members = sig_admin_members(world.sig, room[i].name, 0, member, 2);
    REQUIRE(members == (room[i].members < 2 ? room[i].members : 2));
  }
}

/* "0q": from here on hellos are judged outside, or again not. "0vX": the last question about this
 * client is answered, however late: no, nobody knows, or yes. */
static void judge(struct sig_client *c, const char *at, size_t len)
{
  struct sig_verdict v = {.claims = {.can = SIG_CAN_ALL, .any_room = true},
                          .message_rate = SIG_AS_CONFIGURED,
                          .byte_rate = SIG_AS_CONFIGURED,
                          .rooms_per_session = 1};
  char how = len > 0 ? at[0] : 'y';
  v.why = "no";
  v.err = how == 'n' ? -ERR_DENIED : how == 'u' ? -ERR_UNREACHABLE : 0;
  if (how == 'i') {
    v.ice = bytes_of("[]");
  }
  world_answer(c, &v);
}

/* "0+" connects, "0g" and "0p" are requests, "0 {...}" says, "0-" drops, "0h" reads no more, "0r"
 * reads again, "0b" and "0l" are bad frames, "0d" and "0du" drain (who says it does
 * not matter), "0tNN" lets NN times 100 ms pass. */
static void event(const char *line, size_t len)
{
  if (len < 2 || line[0] < '0' || line[0] >= '0' + LINKS) {
    return;
  }
  struct sig_client *c = &world.client[line[0] - '0'];
  switch (line[1]) {
  case '+':
    connect_link(c, line + 2, len - 2);
    break;
  case 'g':
    read_link(c, line + 2, len - 2);
    break;
  case 'p':
    post_link(c, line + 2, len - 2);
    break;
  case ' ':
    send(c, line + 2, len - 2);
    break;
  case '-':
    world_drop(c);
    break;
  case 'h':
    c->held = true;
    break;
  case 'r':
    c->held = false;
    world_settle(&world);
    break;
  case 'b':
    world_send_bad(c, SIG_ERROR_BAD_JSON);
    break;
  case 'l':
    world_send_bad(c, SIG_ERROR_TOO_LARGE);
    break;
  case 'a':
  case 'k':
  case 'c':
    backend(line, len);
    break;
  case 'd':
    sig_drain(world.sig, bytes_of(len > 2 ? "https://other.example" : ""), 30, world.now_ms);
    world_settle(&world);
    break;
  case 'q':
    world.config.asks = !world.config.asks;
    break;
  case 'v':
    judge(c, line + 2, len - 2);
    break;
  case 't':
    world_elapse(&world, 100 * (uint64_t)(len > 2 ? line[2] & 0x7F : 1));
    break;
  default:
    break;
  }
}

static void check_counters(void)
{
  const struct sig_counters *n = sig_counters(world.sig);
  uint64_t linked = 0;
  for (size_t i = 0; i < LINKS; i++) {
    linked += world.client[i].link != NULL;
  }
  REQUIRE(n->links == linked);
  REQUIRE(n->sessions_linked <= n->links && n->sessions_linked <= n->sessions);
  REQUIRE(n->rooms <= n->members && n->outbox_messages <= n->sessions * 12);
  REQUIRE((n->outbox_messages == 0) == (n->outbox_bytes == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const name[LINKS] = {"0", "1", "2", "3"};
  const char *at = (const char *)data, *end = at + size;
  world_init(&world);
  memset(learned, 0, sizeof(learned));
  memset(stream, 0, sizeof(stream));
  memset(reads, 0, sizeof(reads));
  memset(told, 0, sizeof(told));
  world_watch(&world);
  stream_count = 0;
  world.log.level = LOG_LEVEL_ERROR;
  world.config.limits.outbox_messages = 12;
  world.config.limits.outbox_bytes = 4096;
  world.config.limits.members_per_room = 3;
  world.config.limits.rooms_per_session = 2;
  world.config.limits.sessions = 4;
  world.config.limits.asking = 2;
  for (size_t i = 0; i < LINKS; i++) {
    (void)world_client(&world, name[i]);
  }
  /* The first byte is the allocation that fails; a newline: none. */
  if (size > 0) {
    failing_mem_fail_at(&world.memory, at[0] == '\n' ? 0 : (uint8_t)at[0]);
    at++;
  }
  if (world_start(&world) == 0) {
    while (at < end) {
      const char *stop = memchr(at, '\n', (size_t)(end - at));
      stop = stop == NULL ? end : stop;
      event(at, (size_t)(stop - at));
      check_output();
      check_counters();
      check_events();
      at = stop + (stop < end);
    }
  }
  REQUIRE(world_fini(&world));
  return 0;
}
