/* The codes of errors, from their table. Used by reply.c, and by the edge for HTTP. */
#include "signal/core/sig.h"

struct error_row {
  const char *code;
  int http_status;
};

static const struct error_row row[SIG_ERROR_COUNT] = {
#define SIG_ERROR(name, code_, http_status_) {code_, http_status_},
#include "signal/core/error.def"
#undef SIG_ERROR
};

const char *sig_error_code(enum sig_error error)
{
  return row[error].code;
}

int sig_error_http_status(enum sig_error error)
{
  return row[error].http_status;
}
