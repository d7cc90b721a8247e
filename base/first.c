/* HTTP's methods, as prefixes. */
#include "base/first.h"

#include <string.h>

#include "base/err.h"

int first_is_http(struct bytes stream)
{
  /* RFC 9110 section 9.3, PATCH of RFC 5789, and the preface of RFC 9113 section 3.4. */
  static const char *const method[] = {
      "GET ",     "HEAD ",    "POST ",  "PUT ",   "DELETE ",
      "CONNECT ", "OPTIONS ", "TRACE ", "PATCH ", "PRI ",
  };
  int r = 0;
  for (size_t i = 0; i < sizeof(method) / sizeof(method[0]); i++) {
    size_t len = strlen(method[i]);
    size_t have = stream.len < len ? stream.len : len;
    if (have > 0 && memcmp(stream.at, method[i], have) != 0)
      continue;
    if (have == len)
      return 1;
    r = -ERR_MORE;
  }
  return r;
}
