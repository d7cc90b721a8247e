/* See daemon.h. */
#include "net/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

/* The one that was started: it has nothing to clean up that is not the other one's now. */
static void wait_and_end(int fd, pid_t child)
{
  char byte;
  ssize_t n;
  int status = 0;
  do
    n = read(fd, &byte, 1);
  while (n < 0 && errno == EINTR);
  if (n == 1)
    _exit(EXIT_SUCCESS);
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    ;
  _exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : EXIT_FAILURE);
}

int net_daemon_begin(int *fd, struct net_error *e)
{
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    net_error_set(e, "cannot go into the background: %s", strerror(errno));
    return -ERR_IO;
  }
  const pid_t child = fork();
  if (child < 0) {
    net_error_set(e, "cannot go into the background: %s", strerror(errno));
    close(ends[0]);
    close(ends[1]);
    return -ERR_IO;
  }
  if (child > 0) {
    close(ends[1]);
    wait_and_end(ends[0], child);
  }
  close(ends[0]);
  (void)setsid(); /* a process that was just forked leads no group, so it works */
  *fd = ends[1];
  return 0;
}

void net_daemon_ready(int fd)
{
  if (fd < 0)
    return;
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int i = 0; null >= 0 && i <= STDERR_FILENO; i++)
    (void)dup2(null, i);
  if (null > STDERR_FILENO)
    close(null);
  while (write(fd, "", 1) < 0 && errno == EINTR)
    ;
  close(fd);
}
