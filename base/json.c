/* What jansson does not do: bound the nesting before it recurses, find a member's bytes as they
 * were sent, and write a string into a caller's buffer. */
#include "base/json.h"

#include <string.h>

#include "base/err.h"

static bool is_space(uint8_t c)
{
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_space(struct bytes text, size_t i)
{
  while (i < text.len && is_space(text.at[i]))
    i++;
  return i;
}

/* `i` stands on the opening quote; gives the place behind the closing one, or text.len. */
static size_t skip_string(struct bytes text, size_t i)
{
  for (i++; i < text.len; i++) {
    if (text.at[i] == '"')
      return i + 1;
    if (text.at[i] == '\\')
      i++;
  }
  return text.len;
}

/* The deepest nesting, strings left aside. */
static size_t nesting(struct bytes text)
{
  size_t level = 0, deepest = 0, i = 0;
  while (i < text.len) {
    uint8_t c = text.at[i];
    if (c == '"') {
      i = skip_string(text, i);
      continue;
    }
    if (c == '{' || c == '[') {
      level++;
      deepest = level > deepest ? level : deepest;
    } else if ((c == '}' || c == ']') && level > 0) {
      level--;
    }
    i++;
  }
  return deepest;
}

int json_read(struct bytes text, size_t depth, json_t **out)
{
  if (text.len == 0)
    return -ERR_BAD;
  /* Before jansson sees it: its parser recurses. */
  if (nesting(text) > depth)
    return -ERR_RANGE;
  json_error_t error;
  json_t *value = json_loadb((const char *)text.at, text.len,
                             JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  if (value != NULL) {
    *out = value;
    return 0;
  }
  enum json_error_code code = json_error_code(&error);
  if (code == json_error_out_of_memory)
    return -ERR_NOMEM;
  return code == json_error_stack_overflow ? -ERR_RANGE : -ERR_BAD;
}

static int hex_digit(uint8_t c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of a \u escape; -1 when they are none. */
static int32_t hex4(struct bytes text, size_t i)
{
  int32_t v = 0;
  if (text.len < 4 || i > text.len - 4)
    return -1;
  for (size_t k = 0; k < 4; k++) {
    int digit = hex_digit(text.at[i + k]);
    if (digit < 0)
      return -1;
    v = v * 16 + digit;
  }
  return v;
}

static void put_utf8(struct buf *b, uint32_t c)
{
  if (c < 0x80) {
    buf_put_byte(b, (uint8_t)c);
  } else if (c < 0x800) {
    buf_put_byte(b, (uint8_t)(0xc0 | c >> 6));
    buf_put_byte(b, (uint8_t)(0x80 | (c & 63)));
  } else if (c < 0x10000) {
    buf_put_byte(b, (uint8_t)(0xe0 | c >> 12));
    buf_put_byte(b, (uint8_t)(0x80 | (c >> 6 & 63)));
    buf_put_byte(b, (uint8_t)(0x80 | (c & 63)));
  } else {
    buf_put_byte(b, (uint8_t)(0xf0 | c >> 18));
    buf_put_byte(b, (uint8_t)(0x80 | (c >> 12 & 63)));
    buf_put_byte(b, (uint8_t)(0x80 | (c >> 6 & 63)));
    buf_put_byte(b, (uint8_t)(0x80 | (c & 63)));
  }
}

/* One escape, `i` on the character behind the backslash: its meaning into `b`, and the place behind
 * it. RFC 8259 section 7. */
static size_t unescape(struct bytes text, size_t i, struct buf *b)
{
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  for (size_t k = 0; k < sizeof(from) - 1; k++) {
    if (text.at[i] == (uint8_t)from[k]) {
      buf_put_byte(b, (uint8_t)to[k]);
      return i + 1;
    }
  }
  int32_t c = text.at[i] == 'u' ? hex4(text, i + 1) : -1;
  if (c < 0)
    return text.len;
  i += 5;
  /* "To escape an extended character that is not in the Basic Multilingual Plane, the character is
   * represented as a 12-character sequence, encoding the UTF-16 surrogate pair." */
  if (c >= 0xd800 && c < 0xdc00 && i + 1 < text.len && text.at[i] == '\\' &&
      text.at[i + 1] == 'u') {
    int32_t low = hex4(text, i + 2);
    if (low >= 0xdc00 && low < 0xe000) {
      c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
      i += 6;
    }
  }
  put_utf8(b, (uint32_t)c);
  return i;
}

/* Whether the string that starts at `i` (on its opening quote) and ends before `end` means `name`.
 */
static bool string_means(struct bytes text, size_t i, size_t end, struct bytes name)
{
  struct bytes inside = {text.at, end - 1}; /* without the closing quote */
  size_t matched = 0;
  i++;
  while (i < inside.len) {
    uint8_t storage[4];
    struct buf c;
    buf_init(&c, storage, sizeof(storage));
    if (text.at[i] == '\\' && i + 1 < inside.len)
      i = unescape(inside, i + 1, &c);
    else
      buf_put_byte(&c, text.at[i++]);
    if (c.len > name.len - matched || memcmp(storage, name.at + matched, c.len) != 0)
      return false;
    matched += c.len;
  }
  return matched == name.len;
}

/* The place behind the value that starts at `i`, whatever it is. */
static size_t skip_value(struct bytes text, size_t i)
{
  size_t level = 0;
  while (i < text.len) {
    uint8_t c = text.at[i];
    if (c == '"') {
      i = skip_string(text, i);
    } else if (c == '{' || c == '[') {
      level++;
      i++;
    } else if (c == '}' || c == ']' || c == ',' || is_space(c)) {
      /* Without a level this ends a number or a word; it belongs to what is around. */
      if (level == 0)
        return i;
      level -= c == '}' || c == ']' ? 1 : 0;
      i++;
    } else {
      i++;
      continue;
    }
    if (level == 0)
      return i;
  }
  return text.len;
}

int json_span(struct bytes text, const char *member, struct bytes *value)
{
  struct bytes name = bytes_of(member);
  size_t i = skip_space(text, 0);
  if (i >= text.len || text.at[i] != '{')
    return -ERR_MISSING;
  i = skip_space(text, i + 1);
  while (i < text.len && text.at[i] == '"') {
    size_t key = i, key_end = skip_string(text, i);
    i = skip_space(text, key_end);
    if (i >= text.len || text.at[i] != ':')
      return -ERR_MISSING;
    i = skip_space(text, i + 1);
    size_t end = skip_value(text, i);
    if (end == i)
      return -ERR_MISSING;
    if (string_means(text, key, key_end, name)) {
      *value = (struct bytes){text.at + i, end - i};
      return 0;
    }
    i = skip_space(text, end);
    if (i >= text.len || text.at[i] != ',')
      return -ERR_MISSING;
    i = skip_space(text, i + 1);
  }
  return -ERR_MISSING;
}

/* RFC 8259 section 7: "All Unicode characters may be placed within the quotation marks, except for
 * the characters that MUST be escaped: quotation mark, reverse solidus, and the control characters
 * (U+0000 through U+001F)." */
void json_put_string(struct buf *b, struct bytes text)
{
  static const char short_form[32] = {
      ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
  size_t plain = 0; /* where what is not yet written begins */
  buf_put_byte(b, '"');
  for (size_t i = 0; i < text.len; i++) {
    uint8_t c = text.at[i];
    if (c >= 0x20 && c != '"' && c != '\\')
      continue;
    buf_put(b, text.at + plain, i - plain);
    plain = i + 1;
    buf_put_byte(b, '\\');
    if (c >= 0x20) {
      buf_put_byte(b, c);
    } else if (short_form[c] != 0) {
      buf_put_byte(b, (uint8_t)short_form[c]);
    } else {
      buf_put_text(b, "u00");
      buf_put_hex(b, &c, 1);
    }
  }
  if (plain < text.len)
    buf_put(b, text.at + plain, text.len - plain);
  buf_put_byte(b, '"');
}
