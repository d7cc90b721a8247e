/* A client's message, looked into without building anything; and the one answer that is not always
 * the same. Offers, answers and candidates are for the other client: the server reads their type.
 */
#include <string.h>

#include "base/json.h"
#include "signal/ayame/core/core.h"
#include "signal/core/message.h"

enum { NAME_SIZE = 16 }; /* longer than any name or type that means something here */

static const struct bytes type_name[AYAME_TYPE_COUNT] = {
    [AYAME_REGISTER] = AYAME_LIT("register"),   [AYAME_OFFER] = AYAME_LIT("offer"),
    [AYAME_ANSWER] = AYAME_LIT("answer"),       [AYAME_CANDIDATE] = AYAME_LIT("candidate"),
    [AYAME_PONG] = AYAME_LIT("pong"),           [AYAME_BYE] = AYAME_LIT("bye"),
    [AYAME_CONNECTED] = AYAME_LIT("connected"),
};

/* The last of several with one name counts, as for encoding/json, on which Ayame stands. */
struct members {
  struct sig_found type, room, client, signaling_key, key, standalone; /* value.at NULL: absent */
};

static struct bytes between_quotes(struct bytes string)
{
  return (struct bytes){string.at + 1, string.len - 2};
}

/* `at` is NULL where it does not fit into `out`, or has half a surrogate pair. */
static struct bytes unfold(struct bytes between, struct buf *out)
{
  if (between.len == 0 || memchr(between.at, '\\', between.len) == NULL) {
    return between;
  }
  size_t before = out->len;
  if (sig__unescape(between, out) != 0) {
    return (struct bytes){0};
  }
  return (struct bytes){out->at + before, out->len - before};
}

static void on_member(void *arg, const struct sig_found *found)
{
  struct members *m = arg;
  const struct {
    struct bytes name;
    struct sig_found *slot;
  } known[] = {
      {AYAME_LIT("type"), &m->type},       {AYAME_LIT("roomId"), &m->room},
      {AYAME_LIT("clientId"), &m->client}, {AYAME_LIT("signalingKey"), &m->signaling_key},
      {AYAME_LIT("key"), &m->key},         {AYAME_LIT("standalone"), &m->standalone},
  };
  uint8_t storage[NAME_SIZE];
  struct buf b;
  buf_init(&b, storage, sizeof(storage));
  struct bytes name = unfold(found->name, &b);
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    if (bytes_equal(name, known[i].name)) {
      *known[i].slot = *found;
    }
  }
}

static int read_type(const struct sig_found *found, enum ayame_type *out)
{
  uint8_t storage[NAME_SIZE];
  struct buf b;
  if (found->value.at == NULL || found->kind != SIG_KIND_STRING) {
    return -ERR_BAD;
  }
  buf_init(&b, storage, sizeof(storage));
  struct bytes text = unfold(between_quotes(found->value), &b);
  for (int i = 0; i < AYAME_TYPE_COUNT; i++) {
    if (bytes_equal(text, type_name[i])) {
      *out = (enum ayame_type)i;
      return 0;
    }
  }
  return -ERR_BAD;
}

/* null is the same as none. */
static bool is_there(const struct sig_found *found)
{
  return found->value.at != NULL && found->kind != SIG_KIND_NULL;
}

static int read_text(const struct sig_found *found, size_t limit, struct buf *scratch,
                     struct bytes *out)
{
  *out = (struct bytes){0};
  if (!is_there(found)) {
    return 0;
  }
  if (found->kind != SIG_KIND_STRING) {
    return -ERR_BAD;
  }
  *out = unfold(between_quotes(found->value), scratch);
  return out->at == NULL || out->len > limit ? -ERR_BAD : 0;
}

static int read_register(const struct members *m, struct ayame_message *out)
{
  struct bytes client;
  struct buf scratch;
  buf_init(&scratch, out->scratch, sizeof(out->scratch));
  /* Ayame's specification: where both are there, signalingKey counts. */
  const struct sig_found *key = is_there(&m->signaling_key) ? &m->signaling_key : &m->key;
  if (read_text(&m->room, AYAME_ROOM_SIZE, &scratch, &out->room) != 0 || out->room.len == 0 ||
      read_text(&m->client, AYAME_CLIENT_SIZE, &scratch, &client) != 0 ||
      read_text(key, AYAME_KEY_SIZE, &scratch, &out->key) != 0) {
    return -ERR_BAD;
  }
  if (is_there(&m->standalone)) {
    if (m->standalone.kind != SIG_KIND_BOOL) {
      return -ERR_BAD;
    }
    out->standalone = m->standalone.value.at[0] == 't';
  }
  return 0;
}

enum ayame_refusal ayame__read(struct bytes text, struct ayame_message *out)
{
  struct members m = {0};
  struct sig_scan scan = {.arg = &m, .member = on_member};
  if (sig__scan(&scan, text, SIG_DEPTH) != 0) {
    return AYAME_BAD_JSON;
  }
  out->room = out->key = (struct bytes){0};
  out->standalone = false;
  if (read_type(&m.type, &out->type) != 0) {
    return AYAME_UNKNOWN_TYPE;
  }
  if (out->type == AYAME_REGISTER && read_register(&m, out) != 0) {
    return AYAME_BAD_REGISTER;
  }
  return AYAME_REFUSAL_COUNT;
}

struct ayame_msg *ayame__msg_new(struct ayame *a, size_t cap)
{
  if (cap > UINT32_MAX - sizeof(struct ayame_msg)) {
    return NULL;
  }
  struct ayame_msg *m = mem_new(a->mem, sizeof(*m) + cap);
  if (m != NULL) {
    m->cap = (uint32_t)cap;
    list_init(&m->node);
  }
  return m;
}

void ayame__msg_free(struct ayame *a, struct ayame_msg *m)
{
  if (m != NULL) {
    mem_free(a->mem, m, sizeof(*m) + m->cap);
  }
}

struct ayame_msg *ayame__accept_new(struct ayame *a)
{
  enum { FRAME = 160 }; /* what is not iceServers */
  return ayame__msg_new(a, FRAME + sig_ice_size(a->sig));
}

/* isExistUser is what it was called before; the Web SDK looks at that one. */
void ayame__accept_write(struct ayame *a, struct ayame_msg *m, bool has_other, uint64_t now_ms)
{
  uint8_t bits[AYAME_CONNECTION * 3 / 4], name[AYAME_CONNECTION];
  struct buf id, b;
  a->random->fill(a->random->arg, bits, sizeof(bits));
  buf_init(&id, name, sizeof(name));
  buf_put_base64url(&id, bits, sizeof(bits));
  const struct bytes connection = {name, id.len};
  buf_init(&b, m->text, m->cap);
  buf_put_text(&b, "{\"type\":\"accept\",\"connectionId\":");
  json_put_string(&b, connection);
  buf_put_text(&b, ",\"isExistClient\":");
  buf_put_text(&b, has_other ? "true" : "false");
  buf_put_text(&b, ",\"isExistUser\":");
  buf_put_text(&b, has_other ? "true" : "false");
  buf_put_text(&b, ",\"iceServers\":");
  sig_ice_put(a->sig, connection, now_ms, &b);
  buf_put_text(&b, "}");
  m->len = (uint32_t)b.len;
}
