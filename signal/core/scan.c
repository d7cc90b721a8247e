/* One walk over a message's JSON (RFC 8259): all of it is checked, nothing is built, and the
 * members of the outermost object are told to whoever asked (message.c). No recursion, so depth
 * costs a bit, not a stack frame. */
#include <string.h>

#include "base/err.h"
#include "signal/core/message.h"
#include "signal/core/sig.h"

struct cursor {
  const uint8_t *at, *end;
  struct bytes string; /* of the last string read: between its quotes */
  bool has_escapes;
};

/* One bit for each open container: set for an object. */
struct nest {
  uint64_t object;
  unsigned depth, max;
};

static void skip_space(struct cursor *c)
{
  while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r')) {
    c->at++;
  }
}

static bool take(struct cursor *c, uint8_t byte)
{
  if (c->at < c->end && *c->at == byte) {
    c->at++;
    return true;
  }
  return false;
}

static bool is_plain(uint8_t byte)
{
  return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* Whether any of 8 bytes is a quote, a backslash, a control character or no ASCII: an SDP is
 * thousands of bytes without one. */
static bool is_any_special(uint64_t v)
{
  const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
  uint64_t quote = v ^ (ones * '"'), slash = v ^ (ones * '\\');
  uint64_t hit = ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
  hit |= (v - ones * 0x20) & ~v;
  return ((hit | v) & high) != 0;
}

static void skip_plain(struct cursor *c)
{
  while (c->end - c->at >= 8) {
    uint64_t v;
    memcpy(&v, c->at, sizeof(v));
    if (is_any_special(v)) {
      break;
    }
    c->at += 8;
  }
  while (c->at < c->end && is_plain(*c->at)) {
    c->at++;
  }
}

static int hex_value(uint8_t c)
{
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits at `p`, or -1. */
static int32_t hex4(const uint8_t *p, const uint8_t *end)
{
  if (end - p < 4) {
    return -1;
  }
  int32_t v = 0;
  for (int i = 0; i < 4; i++) {
    int digit = hex_value(p[i]);
    if (digit < 0) {
      return -1;
    }
    v = v * 16 + digit;
  }
  return v;
}

/* RFC 8259 section 7: escape ( quote / backslash / "/" / b / f / n / r / t / u 4HEXDIG ). */
static bool skip_escape(struct cursor *c)
{
  c->at++;
  if (c->at == c->end) {
    return false;
  }
  if (*c->at == 'u') {
    if (hex4(c->at + 1, c->end) < 0) {
      return false;
    }
    c->at += 5;
    return true;
  }
  /* strchr would find the NUL that ends its set. */
  if (*c->at == 0 || strchr("\"\\/bfnrt", *c->at) == NULL) {
    return false;
  }
  c->at++;
  return true;
}

/* The opening quote was taken. */
static int skip_string(struct cursor *c)
{
  const uint8_t *start = c->at;
  bool wide = false;
  c->has_escapes = false;
  for (;;) {
    skip_plain(c);
    if (c->at == c->end || *c->at < 0x20) {
      return -ERR_BAD;
    }
    if (*c->at == '"') {
      break;
    }
    if (*c->at == '\\') {
      c->has_escapes = true;
      if (!skip_escape(c)) {
        return -ERR_BAD;
      }
      continue;
    }
    wide = true;
    c->at++;
  }
  c->string = (struct bytes){start, (size_t)(c->at - start)};
  if (wide && !utf8_is_valid(c->string)) {
    c->at = start;
    return -ERR_BAD;
  }
  c->at++;
  return 0;
}

static bool skip_digits(struct cursor *c)
{
  const uint8_t *start = c->at;
  while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
    c->at++;
  }
  return c->at > start;
}

/* RFC 8259 section 6: [ minus ] int [ frac ] [ exp ]; "Leading zeros are not allowed." */
static int skip_number(struct cursor *c)
{
  (void)take(c, '-');
  if (!take(c, '0') && !skip_digits(c)) {
    return -ERR_BAD;
  }
  if (take(c, '.') && !skip_digits(c)) {
    return -ERR_BAD;
  }
  if (take(c, 'e') || take(c, 'E')) {
    (void)(take(c, '+') || take(c, '-'));
    return skip_digits(c) ? 0 : -ERR_BAD;
  }
  return 0;
}

static int skip_word(struct cursor *c, const char *word)
{
  size_t len = strlen(word);
  if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0) {
    return -ERR_BAD;
  }
  c->at += len;
  return 0;
}

static int skip_scalar(struct cursor *c)
{
  if (take(c, '"')) {
    return skip_string(c);
  }
  switch (*c->at) {
  case 't':
    return skip_word(c, "true");
  case 'f':
    return skip_word(c, "false");
  case 'n':
    return skip_word(c, "null");
  default:
    return skip_number(c);
  }
}

static bool is_in_object(const struct nest *n)
{
  return (n->object >> (n->depth - 1)) & 1;
}

/* A member's name and its colon. */
static int skip_name(struct cursor *c)
{
  skip_space(c);
  if (!take(c, '"')) {
    return -ERR_BAD;
  }
  int err = skip_string(c);
  if (err != 0) {
    return err;
  }
  skip_space(c);
  return take(c, ':') ? 0 : -ERR_BAD;
}

/* 1: a container was opened and its first value comes next; 0: it was empty; else an error. */
static int open_container(struct cursor *c, struct nest *n)
{
  if (n->depth == n->max) {
    return -ERR_RANGE;
  }
  bool object = *c->at == '{';
  c->at++;
  skip_space(c);
  if (take(c, object ? '}' : ']')) {
    return 0;
  }
  uint64_t bit = (uint64_t)1 << n->depth;
  n->object = object ? n->object | bit : n->object & ~bit;
  n->depth++;
  int err = object ? skip_name(c) : 0;
  return err != 0 ? err : 1;
}

/* Behind a value. 1: another value comes next; 0: everything is closed; else an error. */
static int after_value(struct cursor *c, struct nest *n)
{
  while (n->depth > 0) {
    skip_space(c);
    if (take(c, ',')) {
      int err = is_in_object(n) ? skip_name(c) : 0;
      return err != 0 ? err : 1;
    }
    if (!take(c, is_in_object(n) ? '}' : ']')) {
      return -ERR_BAD;
    }
    n->depth--;
  }
  return 0;
}

/* One value of any kind, with at most `max` levels in it. */
static int skip_value(struct cursor *c, unsigned max)
{
  struct nest n = {.max = max};
  for (;;) {
    skip_space(c);
    if (c->at == c->end) {
      return -ERR_BAD;
    }
    int more = 0;
    if (*c->at == '{' || *c->at == '[') {
      more = open_container(c, &n);
    } else {
      more = skip_scalar(c);
    }
    if (more == 0) {
      more = after_value(c, &n);
    }
    if (more <= 0) {
      return more;
    }
  }
}

static enum sig_kind kind_of(uint8_t first)
{
  switch (first) {
  case '{':
    return SIG_KIND_OBJECT;
  case '[':
    return SIG_KIND_ARRAY;
  case '"':
    return SIG_KIND_STRING;
  case 't':
  case 'f':
    return SIG_KIND_BOOL;
  case 'n':
    return SIG_KIND_NULL;
  default:
    return SIG_KIND_NUMBER;
  }
}

static int read_member(struct sig_scan *scan, struct cursor *c, unsigned max)
{
  int err = skip_name(c);
  if (err != 0) {
    return err;
  }
  struct sig_found found = {.name = c->string, .name_has_escapes = c->has_escapes};
  skip_space(c);
  const uint8_t *start = c->at;
  err = skip_value(c, max);
  if (err != 0) {
    return err;
  }
  found.value = (struct bytes){start, (size_t)(c->at - start)};
  found.kind = kind_of(*start);
  scan->member(scan->arg, &found);
  return 0;
}

static int read_members(struct sig_scan *scan, struct cursor *c, unsigned max)
{
  skip_space(c);
  if (take(c, '}')) {
    return 0;
  }
  for (;;) {
    int err = read_member(scan, c, max);
    if (err != 0) {
      return err;
    }
    skip_space(c);
    if (take(c, '}')) {
      return 0;
    }
    if (!take(c, ',')) {
      return -ERR_BAD;
    }
  }
}

int sig__scan(struct sig_scan *scan, struct bytes text, unsigned depth)
{
  struct cursor c = {.at = text.at, .end = text.at == NULL ? NULL : text.at + text.len};
  skip_space(&c);
  bool object = take(&c, '{');
  int err = -ERR_BAD;
  if (object) {
    err = read_members(scan, &c, depth - 1);
  } else if (c.at < c.end) {
    err = skip_value(&c, depth);
  }
  if (err == 0) {
    skip_space(&c);
    err = c.at == c.end ? 0 : -ERR_BAD;
  }
  scan->stop = text.at == NULL ? 0 : (size_t)(c.at - text.at);
  return err == 0 && !object ? -ERR_MISSING : err;
}

/* One message of the array, and what is behind it: 1 another one, 0 the end. */
static int read_item(struct cursor *c, struct sig_batch *out)
{
  if (out->count == SIG_BATCH) {
    return -ERR_FULL;
  }
  skip_space(c);
  const uint8_t *start = c->at;
  int err = skip_value(c, SIG_DEPTH);
  if (err != 0) {
    return err;
  }
  out->message[out->count++] = (struct bytes){start, (size_t)(c->at - start)};
  skip_space(c);
  return take(c, ',') ? 1 : take(c, ']') ? 0 : -ERR_BAD;
}

int sig_batch_cut(struct bytes body, struct sig_batch *out)
{
  struct cursor c = {.at = body.at, .end = body.at == NULL ? NULL : body.at + body.len};
  out->count = 0;
  skip_space(&c);
  out->is_array = take(&c, '[');
  if (!out->is_array) {
    out->message[out->count++] = body;
    return 0;
  }
  skip_space(&c);
  int more = take(&c, ']') ? 0 : 1;
  while (more > 0) {
    more = read_item(&c, out);
  }
  skip_space(&c);
  return more == 0 && c.at != c.end ? -ERR_BAD : more;
}

static void put_utf8(struct buf *out, uint32_t v)
{
  uint8_t b[4];
  size_t len = 0;
  if (v < 0x80) {
    b[len++] = (uint8_t)v;
  } else if (v < 0x800) {
    b[len++] = (uint8_t)(0xC0 | (v >> 6));
    b[len++] = (uint8_t)(0x80 | (v & 0x3F));
  } else if (v < 0x10000) {
    b[len++] = (uint8_t)(0xE0 | (v >> 12));
    b[len++] = (uint8_t)(0x80 | ((v >> 6) & 0x3F));
    b[len++] = (uint8_t)(0x80 | (v & 0x3F));
  } else {
    b[len++] = (uint8_t)(0xF0 | (v >> 18));
    b[len++] = (uint8_t)(0x80 | ((v >> 12) & 0x3F));
    b[len++] = (uint8_t)(0x80 | ((v >> 6) & 0x3F));
    b[len++] = (uint8_t)(0x80 | (v & 0x3F));
  }
  buf_put(out, b, len);
}

/* `p` stands behind "\u"; gives how many bytes were used, or 0 for half a pair. RFC 8259 section 7:
 * "a 12-character sequence, encoding the UTF-16 surrogate pair". */
static size_t put_unicode(const uint8_t *p, const uint8_t *end, struct buf *out)
{
  int32_t v = hex4(p, end);
  if (v < 0 || (v >= 0xDC00 && v <= 0xDFFF)) {
    return 0;
  }
  if (v < 0xD800 || v > 0xDBFF) {
    put_utf8(out, (uint32_t)v);
    return 4;
  }
  if (end - p < 10 || p[4] != '\\' || p[5] != 'u') {
    return 0;
  }
  int32_t low = hex4(p + 6, end);
  if (low < 0xDC00 || low > 0xDFFF) {
    return 0;
  }
  put_utf8(out, 0x10000u + (((uint32_t)v - 0xD800u) << 10) + ((uint32_t)low - 0xDC00u));
  return 10;
}

int sig__unescape(struct bytes between, struct buf *out)
{
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  const uint8_t *p = between.at, *end = between.at + between.len;
  while (p < end) {
    if (*p != '\\') {
      buf_put_byte(out, *p++);
      continue;
    }
    if (++p == end) {
      return -ERR_BAD;
    }
    if (*p == 'u') {
      size_t used = put_unicode(p + 1, end, out);
      if (used == 0) {
        return -ERR_BAD;
      }
      p += 1 + used;
      continue;
    }
    const char *which = *p == 0 ? NULL : strchr(from, *p);
    if (which == NULL) {
      return -ERR_BAD;
    }
    buf_put_byte(out, (uint8_t)to[which - from]);
    p++;
  }
  return out->overflow ? -ERR_FULL : 0;
}
