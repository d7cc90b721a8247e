/* See readiness.h. */
#include "viaduct/readiness.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"

static const char socket_name[] = "notify";

int readiness_open(struct readiness *r, const struct state *state, struct net_error *e)
{
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  *r = (struct readiness){.state = state, .fd = -1};
  (void)state_path(state, socket_name, r->path);
  size_t len = strlen(r->path);
  if (len >= sizeof(un.sun_path)) { /* unix(7): 108 bytes */
    net_error_set(e,
                  "the path of the state folder is longer than %d bytes, which is too long for a "
                  "socket in it; name a shorter one with --state-dir",
                  (int)(sizeof(un.sun_path) - sizeof(socket_name) - 1));
    return -ERR_RANGE;
  }
  memcpy(un.sun_path, r->path, len + 1);
  /* Left over from a run that was killed: we have the lock. */
  int on = 1;
  if (unlink(r->path) == 0 || errno == ENOENT) {
    r->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (r->fd >= 0 && setsockopt(r->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0 &&
        bind(r->fd, (const struct sockaddr *)&un, sizeof(un)) == 0)
      return 0;
  }
  int error_number = errno;
  if (r->fd >= 0)
    close(r->fd);
  net_error_set(e, "cannot make the socket %s: %s", r->path, strerror(error_number));
  return net_error_from_errno(error_number);
}

void readiness_close(struct readiness *r)
{
  close(r->fd);
  (void)unlinkat(r->state->dir_fd, socket_name, 0); /* the next start removes it as well */
}

/* Assignments, one a line. */
static bool says(struct bytes text, const char *what)
{
  struct bytes ready = bytes_of(what);
  while (text.len > 0) {
    const uint8_t *end = memchr(text.at, '\n', text.len);
    struct bytes line = {text.at, end != NULL ? (size_t)(end - text.at) : text.len};
    if (bytes_equal(line, ready))
      return true;
    size_t used = line.len + (end != NULL ? 1 : 0);
    text = (struct bytes){text.at + used, text.len - used};
  }
  return false;
}

static pid_t sender(struct msghdr *m)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
      continue;
    struct ucred who;
    memcpy(&who, CMSG_DATA(c), sizeof(who));
    return who.pid;
  }
  return 0;
}

pid_t readiness_next(struct readiness *r, bool *well)
{
  for (;;) {
    uint8_t text[1024];
    union {
      struct cmsghdr align;
      char space[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    /* Descriptors that somebody sends along do not fit into `control`, and the kernel closes them.
     */
    ssize_t n = recvmsg(r->fd, &m, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return 0;
    pid_t pid = sender(&m);
    const struct bytes said = {text, (size_t)n};
    *well = says(said, "WATCHDOG=1");
    if (pid > 0 && (*well || says(said, "READY=1")))
      return pid;
  }
}
