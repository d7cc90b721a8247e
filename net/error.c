/* Sentences about what failed, and errno as the project's own numbers. */
#include "net/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

void net_error_set(struct net_error *e, const char *format, ...)
{
  if (e == NULL)
    return;
  va_list ap;
  va_start(ap, format);
  vsnprintf(e->text, sizeof(e->text), format, ap);
  va_end(ap);
}

int net_error_from_errno(int error_number)
{
  switch (error_number) {
  case EADDRINUSE:
  case EBUSY:
    return -ERR_BUSY;
  case EACCES:
  case EPERM:
    return -ERR_DENIED;
  case ENOMEM:
  case ENOBUFS:
    return -ERR_NOMEM;
  case EMFILE:
  case ENFILE:
    return -ERR_DESCRIPTORS;
  case ENOENT:
  case ENOTDIR:
    return -ERR_MISSING;
  case EADDRNOTAVAIL:
  case ENETUNREACH:
  case EHOSTUNREACH:
    return -ERR_UNREACHABLE;
  case EAFNOSUPPORT:
  case EPROTONOSUPPORT:
  case ENOSYS:
    return -ERR_UNSUPPORTED;
  default:
    return -ERR_IO;
  }
}
