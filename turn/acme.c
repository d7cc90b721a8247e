/* GET /.well-known/acme-challenge/TOKEN becomes a redirection to URL and TOKEN. */
#include "turn/acme.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

enum { TOKEN_MAX = 128 };

static const char path[] = "GET /.well-known/acme-challenge/";

/* "This value ... MUST NOT contain any characters outside the base64url alphabet" (RFC 8555 8.3):
 * nothing that could end the header it is copied into. */
static bool is_token(uint8_t c)
{
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

int turnd_acme_answer(struct bytes stream, const char *url, char out[TURND_ACME_MAX])
{
  const size_t prefix = sizeof(path) - 1;
  const size_t known = stream.len < prefix ? stream.len : prefix;
  if (memcmp(stream.at, path, known) != 0)
    return 0;
  size_t len = 0;
  while (prefix + len < stream.len && len <= TOKEN_MAX && is_token(stream.at[prefix + len]))
    len++;
  if (stream.len <= prefix + len && len <= TOKEN_MAX)
    return -ERR_MORE;
  if (len == 0 || len > TOKEN_MAX || stream.at[prefix + len] != ' ')
    return 0;
  const int n = snprintf(out, TURND_ACME_MAX,
                         "HTTP/1.1 301 Moved Permanently\r\n"
                         "Location: %s%.*s\r\n"
                         "Content-Length: 0\r\n"
                         "Connection: close\r\n"
                         "\r\n",
                         url, (int)len, (const char *)stream.at + prefix);
  return n > 0 && n < TURND_ACME_MAX ? n : 0;
}
