/* See signal_note.h.
 *
 *   vl: | 8 flow : | 16 sequence : | 16 made : | 16 check of these and of the length : | filling
 *
 * all as hexadecimal digits. */
#include "bench/load/signal_note.h"

#include <string.h>

#include "base/err.h"

enum { FLOW_AT = 3, SEQUENCE_AT = 12, MADE_AT = 29, CHECK_AT = 46, FILLING_AT = 63 };

static const char filling[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
enum { FILLING_LEN = sizeof(filling) - 1 };

static void put_hex(uint8_t *out, uint64_t v, unsigned digits)
{
  for (unsigned i = digits; i-- > 0; v >>= 4)
    out[i] = (uint8_t) "0123456789abcdef"[v & 15];
  out[digits] = ':';
}

static int get_hex(const uint8_t *at, unsigned digits, uint64_t *v)
{
  *v = 0;
  for (unsigned i = 0; i < digits; i++) {
    const uint8_t c = at[i];
    if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
      return -ERR_BAD;
    *v = *v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return at[digits] == ':' ? 0 : -ERR_BAD;
}

/* Not against forgers: against what servers and bugs do to bytes. */
static uint64_t check_of(const struct load_note *n, size_t len)
{
  const uint64_t words[] = {n->flow, n->sequence, n->made_ns};
  uint64_t sum = 0x9e3779b97f4a7c15u ^ len;
  for (size_t i = 0; i < 3; i++) {
    sum = (sum ^ words[i]) * 0xff51afd7ed558ccdu;
    sum ^= sum >> 33;
  }
  return sum;
}

void load_note_put(uint8_t *out, size_t len, const struct load_note *n)
{
  memcpy(out, "vl:", FLOW_AT);
  put_hex(out + FLOW_AT, n->flow, 8);
  put_hex(out + SEQUENCE_AT, n->sequence, 16);
  put_hex(out + MADE_AT, n->made_ns, 16);
  put_hex(out + CHECK_AT, check_of(n, len), 16);
  for (size_t at = FILLING_AT; at < len; at += FILLING_LEN)
    memcpy(out + at, filling, len - at < FILLING_LEN ? len - at : FILLING_LEN);
}

static bool is_filled(const uint8_t *at, size_t len)
{
  for (size_t done = 0; done < len; done += FILLING_LEN)
    if (memcmp(at + done, filling, len - done < FILLING_LEN ? len - done : FILLING_LEN) != 0)
      return false;
  return true;
}

int load_note_find(struct bytes text, struct load_note *out)
{
  const uint8_t *at = text.len ? memmem(text.at, text.len, "\"vl:", 4) : NULL;
  if (at == NULL)
    return -ERR_MISSING;
  const size_t rest = text.len - (size_t)(++at - text.at);
  const uint8_t *end = memchr(at, '"', rest);
  const size_t len = end != NULL ? (size_t)(end - at) : 0;
  uint64_t flow, check;
  struct load_note n;
  if (len < LOAD_NOTE_LEAST || len > LOAD_NOTE_MOST || get_hex(at + FLOW_AT, 8, &flow) != 0 ||
      get_hex(at + SEQUENCE_AT, 16, &n.sequence) != 0 ||
      get_hex(at + MADE_AT, 16, &n.made_ns) != 0 || get_hex(at + CHECK_AT, 16, &check) != 0)
    return -ERR_BAD;
  n.flow = (uint32_t)flow;
  if (check != check_of(&n, len) || !is_filled(at + FILLING_AT, len - FILLING_AT))
    return -ERR_BAD;
  *out = n;
  return 0;
}

/* Behind the key; NULL: it is not there. */
static const uint8_t *behind(struct bytes text, const char *key)
{
  const size_t len = strlen(key);
  const uint8_t *at = text.len ? memmem(text.at, text.len, key, len) : NULL;
  return at != NULL ? at + len : NULL;
}

bool load_json_text(struct bytes text, const char *key, struct bytes *value)
{
  const uint8_t *at = behind(text, key), *end = text.at + text.len;
  if (at == NULL || at == end || *at != '"')
    return false;
  const uint8_t *close = memchr(at + 1, '"', (size_t)(end - at - 1));
  if (close == NULL)
    return false;
  *value = (struct bytes){at + 1, (size_t)(close - at - 1)};
  return true;
}

bool load_json_uint(struct bytes text, const char *key, uint64_t *value)
{
  const uint8_t *at = behind(text, key), *end = text.at + text.len, *from = at;
  while (at != NULL && at < end && *at >= '0' && *at <= '9')
    at++;
  return at != NULL &&
         parse_uint((struct bytes){from, (size_t)(at - from)}, UINT64_MAX, value) == 0;
}

bool load_json_object(struct bytes *rest, struct bytes *object)
{
  const uint8_t *from = rest->len ? memchr(rest->at, '{', rest->len) : NULL;
  const uint8_t *end = rest->at + rest->len;
  unsigned depth = 0;
  bool quoted = false;
  for (const uint8_t *at = from; from != NULL && at < end; at++) {
    if (quoted) {
      if (*at == '\\')
        at++;
      else
        quoted = *at != '"';
    } else if (*at == '"') {
      quoted = true;
    } else if (*at == '{') {
      depth++;
    } else if (*at == '}' && --depth == 0) {
      *object = (struct bytes){from, (size_t)(at + 1 - from)};
      *rest = (struct bytes){at + 1, (size_t)(end - at - 1)};
      return true;
    }
  }
  return false;
}
