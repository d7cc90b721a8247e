/* See servers.h. */
#include "peer-demo/lab/servers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "net/clock.h"
#include "net/notify.h"
#include "net/signals.h"
#include "peer-demo/lab/namespace.h"

enum { READY_MS = 60 * 1000, STEP_MS = 100, PATH_SIZE = 256 };

/* Two addresses for RFC 5780, and peers that are nobody's: turnd denies these ranges by itself. */
static const char configuration[] = "[stund]\n"
                                    "listening-ip=198.18.0.10\n"
                                    "listening-ip=198.18.0.11\n"
                                    "listening-ip=2001:2::10\n"
                                    "listening-ip=2001:2::11\n"
                                    "[turnd]\n"
                                    "allowed-peer-ip=198.18.0.0-198.19.255.255\n"
                                    "allowed-peer-ip=2001:2::/32\n";

static int write_configuration(const char *path, struct net_error *e)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  size_t len = sizeof configuration - 1;
  bool written = fd >= 0 && write(fd, configuration, len) == (ssize_t)len;
  int error_number = errno;
  if (fd >= 0)
    close(fd);
  if (written)
    return 0;
  net_error_set(e, "cannot write %s: %s", path, strerror(error_number));
  return -ERR_IO;
}

/* The socket that `viaduct up` tells that it is ready. */
static int open_ready(const char *path, struct net_error *e)
{
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  size_t len = strlen(path);
  if (len >= sizeof at.sun_path) {
    net_error_set(e, "the path %s is too long for a socket", path);
    return -ERR_RANGE;
  }
  memcpy(at.sun_path, path, len);
  (void)unlink(path);
  if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0)
    return fd;
  net_error_set(e, "cannot listen at %s: %s", path, strerror(errno));
  if (fd >= 0)
    close(fd);
  return -ERR_IO;
}

static _Noreturn void become_up(const char *namespace, const char *dir, const char *ready)
{
  char state[PATH_SIZE], config[PATH_SIZE], log[PATH_SIZE];
  struct net_error e = {{0}};
  snprintf(state, sizeof state, "%s/state", dir);
  snprintf(config, sizeof config, "%s/up.conf", dir);
  snprintf(log, sizeof log, "%s/up.log", dir);
  const char *const argv[] = {"viaduct",     "up",          "-c",  config, "--address",
                              "198.18.0.10", "--state-dir", state, NULL};
  int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  net_signals_reset();
  if (out < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
      dup2(out, STDERR_FILENO) < 0 || setsid() < 0 || setenv("NOTIFY_SOCKET", ready, 1) != 0)
    _exit(126);
  int back = namespace_enter(namespace, &e);
  if (back >= 0)
    execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
  dprintf(STDERR_FILENO, "cannot start viaduct up: %s\n", back < 0 ? e.text : strerror(errno));
  _exit(127);
}

static bool is_ready(int fd)
{
  char state[64];
  ssize_t len = recv(fd, state, sizeof state - 1, MSG_DONTWAIT);
  state[len > 0 ? len : 0] = '\0';
  return strstr(state, NET_NOTIFY_READY) != NULL;
}

static int wait_ready(int fd, pid_t pid)
{
  uint64_t deadline = net_clock_ms() + READY_MS;
  struct pollfd p = {.fd = fd, .events = POLLIN};
  while (net_clock_ms() < deadline) {
    if (poll(&p, 1, STEP_MS) > 0 && is_ready(fd))
      return 0;
    if (waitpid(pid, NULL, WNOHANG) == pid)
      return -ERR_IO;
  }
  return -ERR_IO;
}

int servers_start(const char *namespace, const char *dir, struct net_error *e)
{
  char config[PATH_SIZE], ready[PATH_SIZE];
  snprintf(config, sizeof config, "%s/up.conf", dir);
  snprintf(ready, sizeof ready, "%s/ready", dir);
  int err = write_configuration(config, e);
  if (err != 0)
    return err;
  int fd = open_ready(ready, e);
  if (fd < 0)
    return fd;
  pid_t pid = fork();
  if (pid == 0)
    become_up(namespace, dir, ready);
  err = pid > 0 ? wait_ready(fd, pid) : -ERR_IO;
  close(fd);
  (void)unlink(ready);
  if (err != 0)
    net_error_set(e, "the servers did not start; %s/up.log says why; then viaduct lab down", dir);
  return err;
}
