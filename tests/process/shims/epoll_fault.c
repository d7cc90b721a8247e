/* Stands before epoll_wait in viaduct-turnd (LD_PRELOAD). A thread that finds the file of its kind
 * in the folder $VIADUCT_FAULTS, and is the one to remove it, has the fault:
 *
 *   worker-fails, main-fails   epoll_wait returns EBADF, for ever
 *   worker-hangs               it does not return
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool is_mine(const char *fault)
{
  const char *folder = getenv("VIADUCT_FAULTS");
  char path[512];
  if (folder == NULL || strcmp(program_invocation_short_name, "viaduct-turnd") != 0)
    return false;
  snprintf(path, sizeof(path), "%s/%s", folder, fault);
  return unlink(path) == 0;
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
  static _Thread_local bool broken;
  const bool is_main = gettid() == getpid();
  const int error_number = errno;
  if (!is_main && is_mine("worker-hangs"))
    for (;;)
      pause();
  broken = broken || is_mine(is_main ? "main-fails" : "worker-fails");
  errno = broken ? EBADF : error_number;
  return broken ? -1 : epoll_pwait(fd, events, most, timeout, NULL);
}
