/* signalfd. */
#include "net/signals.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/err.h"

int net_signals_open(const int *signal_number, size_t count)
{
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < count; i++)
    sigaddset(&set, signal_number[i]);
  if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
    return -ERR_IO;
  /* A connection that is gone is an EPIPE of its write, not the end of the process. */
  if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
    return -ERR_IO;
  int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  return fd < 0 ? -ERR_IO : fd;
}

void net_signals_close(int fd)
{
  if (fd >= 0)
    close(fd);
}

int net_signals_next(int fd)
{
  struct signalfd_siginfo info;
  ssize_t n = read(fd, &info, sizeof(info));
  return n == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

void net_signals_reset(void)
{
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
}
