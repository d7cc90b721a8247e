/* The client's side of sd_notify(3), without libsystemd. */
#include "net/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"

int net_notify(const char *state)
{
  const char *name = getenv("NOTIFY_SOCKET");
  if (name == NULL || name[0] == 0)
    return 0;
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  size_t len = strlen(name);
  if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(un.sun_path))
    return -ERR_BAD;
  memcpy(un.sun_path, name, len);
  socklen_t un_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
  if (name[0] == '@')
    un.sun_path[0] = 0; /* abstract: unix(7) */
  else
    un_len++; /* the NUL counts */
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -ERR_IO;
  size_t state_len = strlen(state);
  ssize_t n = sendto(fd, state, state_len, MSG_NOSIGNAL, (const struct sockaddr *)&un, un_len);
  close(fd);
  return n == (ssize_t)state_len ? 0 : -ERR_IO;
}
