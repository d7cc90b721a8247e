/* A datagram for each line, in the form that syslog(3) gives it (RFC 3164 section 4.1 without the
 * host): "<30>Nov 24 08:49:11 viaduct-turnd[123]: text". It goes out by its path each time, so that
 * a log daemon that was started anew gets the next one. */
#include "net/syslog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

enum { LINE_MAX_BYTES = 8192 };

static const struct sockaddr_un device = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

int net_syslog_facility(struct bytes name)
{
  static const struct {
    const char *name;
    int number;
  } known[] = {
      {"auth", LOG_AUTH},     {"authpriv", LOG_AUTHPRIV}, {"cron", LOG_CRON},
      {"daemon", LOG_DAEMON}, {"ftp", LOG_FTP},           {"kern", LOG_KERN},
      {"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1},     {"local2", LOG_LOCAL2},
      {"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4},     {"local5", LOG_LOCAL5},
      {"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7},     {"lpr", LOG_LPR},
      {"mail", LOG_MAIL},     {"news", LOG_NEWS},         {"syslog", LOG_SYSLOG},
      {"user", LOG_USER},     {"uucp", LOG_UUCP},
  };
  const char *at = (const char *)name.at;
  size_t len = name.len;
  if (len > 4 && strncasecmp(at, "LOG_", 4) == 0) {
    at += 4;
    len -= 4;
  }
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
    if (len == strlen(known[i].name) && strncasecmp(at, known[i].name, len) == 0)
      return known[i].number;
  return -ERR_BAD;
}

int net_syslog_open(void)
{
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return fd >= 0 ? fd : -ERR_IO;
}

int net_syslog_check(int fd, struct net_error *e)
{
  if (connect(fd, (const struct sockaddr *)&device, sizeof(device)) != 0) {
    int error_number = errno;
    net_error_set(e, "nobody takes the system's log at %s: %s", device.sun_path,
                  strerror(error_number));
    return net_error_from_errno(error_number);
  }
  const struct sockaddr none = {.sa_family = AF_UNSPEC};
  (void)connect(fd, &none, sizeof(none));
  return 0;
}

static int severity(enum log_level level)
{
  switch (level) {
  case LOG_LEVEL_ERROR:
    return LOG_ERR;
  case LOG_LEVEL_WARN:
    return LOG_WARNING;
  case LOG_LEVEL_INFO:
    return LOG_INFO;
  case LOG_LEVEL_DEBUG:
  default:
    return LOG_DEBUG;
  }
}

int net_syslog_send(int fd, const struct net_syslog_line *line)
{
  static const char month[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  char out[LINE_MAX_BYTES];
  struct tm local;
  const time_t s = (time_t)(line->wall_ms / 1000);
  if (localtime_r(&s, &local) == NULL)
    return -ERR_IO;
  int len = snprintf(out, sizeof(out), "<%d>%s %2d %02d:%02d:%02d viaduct-%s[%ld]: %.*s",
                     line->facility | severity(line->level), month[local.tm_mon % 12],
                     local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec, line->program,
                     (long)getpid(), (int)line->text.len, (const char *)line->text.at);
  if (len < 0)
    return -ERR_IO;
  size_t size = (size_t)len < sizeof(out) ? (size_t)len : sizeof(out) - 1;
  ssize_t n;
  do
    n = sendto(fd, out, size, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&device,
               sizeof(device));
  while (n < 0 && errno == EINTR);
  return n == (ssize_t)size ? 0 : -ERR_IO;
}
