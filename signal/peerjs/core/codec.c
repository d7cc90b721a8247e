/* A client's message, taken apart without building anything, and put together again for its
 * receiver. The payload goes through as it came, byte for byte. */
#include <string.h>

#include "signal/core/message.h"
#include "signal/peerjs/core/core.h"

enum { NAME_SIZE = 16 }; /* longer than any name or type that means something here */

static const struct bytes type_name[PEERJS_TYPE_COUNT] = {
    [PEERJS_OFFER] = PEERJS_LIT("OFFER"),         [PEERJS_ANSWER] = PEERJS_LIT("ANSWER"),
    [PEERJS_CANDIDATE] = PEERJS_LIT("CANDIDATE"), [PEERJS_LEAVE] = PEERJS_LIT("LEAVE"),
    [PEERJS_EXPIRE] = PEERJS_LIT("EXPIRE"),       [PEERJS_HEARTBEAT] = PEERJS_LIT("HEARTBEAT"),
};

/* The members as JavaScript would find them: the last of several with one name. */
struct members {
  struct sig_found type, dst, payload; /* value.at is NULL: absent */
};

/* What is between the quotes, unfolded if it has to be; empty where it is too long for `storage`,
 * or half a surrogate pair. */
static struct bytes unfolded(struct bytes between, bool has_escapes, void *storage, size_t size)
{
  struct buf b;
  if (!has_escapes) {
    return between;
  }
  buf_init(&b, storage, size);
  if (sig__unescape(between, &b) != 0) {
    return (struct bytes){0};
  }
  return (struct bytes){b.at, b.len};
}

static struct bytes between_quotes(struct bytes string)
{
  return (struct bytes){string.at + 1, string.len - 2};
}

static bool has_escapes(struct bytes text)
{
  return text.len > 0 && memchr(text.at, '\\', text.len) != NULL;
}

static void on_member(void *arg, const struct sig_found *found)
{
  struct members *m = arg;
  uint8_t storage[NAME_SIZE];
  struct bytes name = unfolded(found->name, found->name_has_escapes, storage, sizeof(storage));
  if (bytes_equal(name, PEERJS_LIT("type"))) {
    m->type = *found;
  } else if (bytes_equal(name, PEERJS_LIT("dst"))) {
    m->dst = *found;
  } else if (bytes_equal(name, PEERJS_LIT("payload"))) {
    m->payload = *found;
  }
}

static int read_type(const struct sig_found *found, enum peerjs_type *out)
{
  uint8_t storage[NAME_SIZE];
  if (found->value.at == NULL || found->kind != SIG_KIND_STRING) {
    return -ERR_BAD;
  }
  struct bytes text = between_quotes(found->value);
  text = unfolded(text, has_escapes(text), storage, sizeof(storage));
  for (int i = 0; i < PEERJS_TYPE_COUNT; i++) {
    if (bytes_equal(text, type_name[i])) {
      *out = (enum peerjs_type)i;
      return 0;
    }
  }
  return -ERR_BAD;
}

static bool is_zero(struct bytes number)
{
  for (size_t i = 0; i < number.len && (number.at[i] | 0x20) != 'e'; i++) {
    if (number.at[i] >= '1' && number.at[i] <= '9') {
      return false;
    }
  }
  return true;
}

/* ECMAScript, ToBoolean: what counts as no dst at all. */
static bool is_true(const struct sig_found *found)
{
  switch (found->kind) {
  case SIG_KIND_NULL:
    return false;
  case SIG_KIND_BOOL:
    return found->value.at[0] == 't';
  case SIG_KIND_NUMBER:
    return !is_zero(found->value);
  case SIG_KIND_STRING:
    return found->value.len > 2;
  case SIG_KIND_OBJECT:
  case SIG_KIND_ARRAY:
  default:
    return true;
  }
}

static void read_dst(const struct sig_found *found, struct peerjs_message *out)
{
  if (found->value.at == NULL || !is_true(found)) {
    return;
  }
  out->has_dst = true;
  if (found->kind != SIG_KIND_STRING) {
    return;
  }
  struct bytes text = between_quotes(found->value);
  out->dst_is_string = true;
  out->dst_json = found->value;
  out->dst = unfolded(text, has_escapes(text), out->scratch, sizeof(out->scratch));
}

int peerjs__read(struct bytes text, struct peerjs_message *out)
{
  struct members m = {0};
  struct sig_scan scan = {.arg = &m, .member = on_member};
  if (sig__scan(&scan, text, SIG_DEPTH) != 0 || read_type(&m.type, &out->type) != 0) {
    return -ERR_BAD;
  }
  out->has_dst = out->dst_is_string = false;
  out->dst = out->dst_json = (struct bytes){0};
  out->payload = m.payload.value;
  read_dst(&m.dst, out);
  return 0;
}

struct peerjs_msg *peerjs__msg_new(struct peerjs *p, enum peerjs_type type, struct bytes src,
                                   struct bytes dst, struct bytes payload)
{
  const struct bytes piece[] = {
      PEERJS_LIT("{\"type\":\""),
      type_name[type],
      PEERJS_LIT("\",\"src\":"),
      src,
      PEERJS_LIT(",\"dst\":"),
      dst,
      PEERJS_LIT(",\"payload\":"),
      payload,
      PEERJS_LIT("}"),
  };
  enum { COUNT = sizeof(piece) / sizeof(piece[0]), PAYLOAD = COUNT - 3 };
  size_t len = 0;
  bool has_payload = payload.at != NULL;
  for (size_t i = 0; i < COUNT; i++) {
    len += has_payload || i < PAYLOAD || i == COUNT - 1 ? piece[i].len : 0;
  }
  struct peerjs_msg *m = mem_new(p->mem, sizeof(*m) + len);
  if (m == NULL) {
    return NULL;
  }
  uint8_t *at = m->text;
  for (size_t i = 0; i < COUNT; i++) {
    if (has_payload || i < PAYLOAD || i == COUNT - 1) {
      memcpy(at, piece[i].at, piece[i].len);
      at += piece[i].len;
    }
  }
  m->len = (uint32_t)len;
  list_init(&m->node);
  list_init(&m->in_pair);
  return m;
}

void peerjs__msg_free(struct peerjs *p, struct peerjs_msg *m)
{
  if (m != NULL) {
    mem_free(p->mem, m, sizeof(*m) + m->len);
  }
}
