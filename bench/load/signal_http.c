/* See signal_http.h. */
#include "bench/load/signal_http.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"

enum { STATUS_AT = 9, STATUS_LINE_LEAST = 12, EVENT_MOST = 1024 * 1024 };

/* The next line without its end, and what is behind it. `in` has one. */
static struct bytes take_line(struct bytes *in)
{
  const uint8_t *end = memchr(in->at, '\n', in->len);
  const size_t len = (size_t)(end - in->at);
  const struct bytes line = {in->at, len > 0 && in->at[len - 1] == '\r' ? len - 1 : len};
  *in = (struct bytes){end + 1, in->len - len - 1};
  return line;
}

/* The value where the line has this name; `name` is without the colon. */
static bool read_field(struct bytes line, const char *name, struct bytes *value)
{
  const size_t len = strlen(name);
  if (line.len <= len || line.at[len] != ':' || strncasecmp((const char *)line.at, name, len) != 0)
    return false;
  *value = (struct bytes){line.at + len + 1, line.len - len - 1};
  while (value->len > 0 && *value->at == ' ')
    *value = (struct bytes){value->at + 1, value->len - 1};
  return true;
}

static bool is_word(struct bytes value, const char *word)
{
  return value.len == strlen(word) && strncasecmp((const char *)value.at, word, value.len) == 0;
}

static int read_line(struct bytes line, struct load_http_head *out)
{
  struct bytes value;
  uint64_t length;
  if (read_field(line, "content-length", &value)) {
    if (parse_uint(value, LOAD_HTTP_BODY_MOST, &length) != 0)
      return -ERR_BAD;
    out->has_length = true;
    out->length = (size_t)length;
  } else if (read_field(line, "transfer-encoding", &value)) {
    out->is_chunked = true;
  } else if (read_field(line, "connection", &value)) {
    out->closes = is_word(value, "close");
  } else if (read_field(line, "sec-websocket-accept", &value)) {
    out->accept = value;
  }
  return 0;
}

int load_http_decode(struct bytes in, struct load_http_head *out)
{
  const size_t looked = in.len < LOAD_HTTP_HEAD_MOST ? in.len : LOAD_HTTP_HEAD_MOST;
  const uint8_t *end = looked ? memmem(in.at, looked, "\r\n\r\n", 4) : NULL;
  uint64_t status;
  if (end == NULL)
    return in.len < LOAD_HTTP_HEAD_MOST ? -ERR_MORE : -ERR_BAD;
  struct bytes rest = {in.at, (size_t)(end - in.at) + 2};
  const struct bytes first = take_line(&rest);
  if (first.len < STATUS_LINE_LEAST || memcmp(first.at, "HTTP/1.", 7) != 0 ||
      parse_uint((struct bytes){first.at + STATUS_AT, 3}, 999, &status) != 0)
    return -ERR_BAD;
  *out = (struct load_http_head){.status = (unsigned)status};
  while (rest.len > 0)
    if (read_line(take_line(&rest), out) != 0)
      return -ERR_BAD;
  return (int)(end - in.at) + 4;
}

int load_sse_decode(struct bytes in, struct bytes *data)
{
  const uint8_t *end = in.len ? memmem(in.at, in.len, "\n\n", 2) : NULL;
  if (end == NULL)
    return in.len < EVENT_MOST ? -ERR_MORE : -ERR_BAD;
  struct bytes rest = {in.at, (size_t)(end - in.at) + 1}, value;
  *data = (struct bytes){0};
  while (rest.len > 0) {
    if (!read_field(take_line(&rest), "data", &value))
      continue;
    if (data->len > 0)
      return -ERR_BAD;
    *data = value;
  }
  return (int)(end - in.at) + 2;
}
