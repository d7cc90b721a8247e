/* See signal_url.h. */
#include "bench/load/signal_url.h"

#include <string.h>

enum { HTTP_PORT = 80, LENGTH_MOST = 150 };

static bool take_prefix(struct bytes *text, const char *prefix)
{
  const size_t len = strlen(prefix);
  if (text->len < len || memcmp(text->at, prefix, len) != 0)
    return false;
  *text = (struct bytes){text->at + len, text->len - len};
  return true;
}

static bool is_plain(struct bytes text)
{
  for (size_t i = 0; i < text.len; i++)
    if (text.at[i] <= ' ' || text.at[i] >= 0x7f || strchr("?#\"\\", text.at[i]) != NULL)
      return false;
  return true;
}

static bool read_authority(struct bytes text, struct load_url *out)
{
  uint64_t port = HTTP_PORT;
  const uint8_t *colon = text.len ? memrchr(text.at, ':', text.len) : NULL;
  const uint8_t *bracket = text.len ? memrchr(text.at, ']', text.len) : NULL;
  out->authority = out->host = text;
  if (colon != NULL && (bracket == NULL || colon > bracket)) {
    const size_t len = (size_t)(colon - text.at);
    if (parse_uint((struct bytes){colon + 1, text.len - len - 1}, UINT16_MAX, &port) != 0)
      return false;
    out->host.len = len;
  }
  if (bracket != NULL) {
    if (out->host.at[0] != '[' || bracket != out->host.at + out->host.len - 1)
      return false;
    out->host = (struct bytes){out->host.at + 1, out->host.len - 2};
  }
  out->port = (uint16_t)port;
  return out->host.len > 0 && port != 0;
}

const char *load_url_parse(struct bytes text, struct load_url *out)
{
  if (take_prefix(&text, "https://") || take_prefix(&text, "wss://"))
    return "must begin with http:// or ws://: TLS is not spoken here, so name the server behind "
           "the proxy";
  if (!take_prefix(&text, "http://") && !take_prefix(&text, "ws://"))
    return "must begin with http:// or ws://, as in http://127.0.0.1:8080";
  if (text.len > LENGTH_MOST || !is_plain(text))
    return "must be shorter than 150 bytes and have no spaces, no query and no fragment";
  const uint8_t *slash = text.len ? memchr(text.at, '/', text.len) : NULL;
  const size_t len = slash != NULL ? (size_t)(slash - text.at) : text.len;
  if (!read_authority((struct bytes){text.at, len}, out))
    return "must name a host and a port, as in http://127.0.0.1:8080";
  out->path = (struct bytes){text.at + len, text.len - len};
  while (out->path.len > 0 && out->path.at[out->path.len - 1] == '/')
    out->path.len--;
  return NULL;
}
