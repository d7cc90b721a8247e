/* See namespace.h. */
#include "peer-demo/lab/namespace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "net/signals.h"

#define FOLDER "/run/netns"

enum { PATH_SIZE = 320, SAID_SIZE = 400, PATIENCE_MS = 2000, STEP_MS = 20 };

/* The input of a program is written before it is waited for: as much as a pipe takes at once would
 * not do, so it goes through a file without a name. */
static int file_of(struct bytes input)
{
  int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0)
    return -ERR_IO;
  if (write(fd, input.at, input.len) != (ssize_t)input.len || lseek(fd, 0, SEEK_SET) != 0) {
    close(fd);
    return -ERR_IO;
  }
  return fd;
}

static _Noreturn void become_fed(const char *const *argv, int input, int said)
{
  int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  net_signals_reset();
  if (null >= 0 && dup2(input, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 &&
      dup2(said, STDERR_FILENO) >= 0)
    execvp(argv[0], (char *const *)(uintptr_t)argv);
  dprintf(STDERR_FILENO, "cannot start %s: %s\n", argv[0], strerror(errno));
  _exit(127);
}

/* The first line that stands in the file, without its end. */
static void read_said(int fd, char out[SAID_SIZE])
{
  ssize_t len = pread(fd, out, SAID_SIZE - 1, 0);
  out[len > 0 ? len : 0] = '\0';
  out[strcspn(out, "\n")] = '\0';
}

static int wait_for(pid_t pid)
{
  int status;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR)
      return -ERR_IO;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ERR_IO;
}

static int run(const char *const *argv, struct bytes input, struct net_error *e)
{
  char text[SAID_SIZE];
  int in = file_of(input), said = file_of((struct bytes){NULL, 0});
  pid_t pid = in >= 0 && said >= 0 ? fork() : -1;
  if (pid == 0)
    become_fed(argv, in, said);
  int err = pid > 0 ? wait_for(pid) : -ERR_IO;
  if (pid < 0) {
    net_error_set(e, "cannot start %s: %s", argv[0], strerror(errno));
  } else if (err != 0) {
    read_said(said, text);
    net_error_set(e, "%s: %s", argv[0], text[0] ? text : "failed and said nothing");
  }
  if (in >= 0)
    close(in);
  if (said >= 0)
    close(said);
  return err;
}

int namespace_check(struct net_error *e)
{
  static const char *const ip[] = {"ip", "-V", NULL}, *const nft[] = {"nft", "--version", NULL};
  const struct bytes nothing = {NULL, 0};
  if (geteuid() != 0) {
    net_error_set(e, "making network namespaces needs root; start it with sudo");
    return -ERR_DENIED;
  }
  if (run(ip, nothing, NULL) != 0) {
    net_error_set(e, "the program ip is missing; install the package iproute2");
    return -ERR_MISSING;
  }
  if (run(nft, nothing, NULL) != 0) {
    net_error_set(e, "the program nft is missing; install the package nftables");
    return -ERR_MISSING;
  }
  int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (own < 0) {
    net_error_set(e, "this kernel has no network namespaces (CONFIG_NET_NS)");
    return -ERR_MISSING;
  }
  close(own);
  return 0;
}

static void path_of(const char *name, char out[PATH_SIZE])
{
  snprintf(out, PATH_SIZE, FOLDER "/%s", name);
}

int namespace_add(const char *name, struct net_error *e)
{
  char path[PATH_SIZE];
  path_of(name, path);
  if (access(path, F_OK) == 0) {
    net_error_set(e, "there is a namespace %s already; 'viaduct lab down' removes it", name);
    return -ERR_EXISTS;
  }
  const char *const argv[] = {"ip", "netns", "add", name, NULL};
  return run(argv, (struct bytes){NULL, 0}, e);
}

int namespace_enter(const char *name, struct net_error *e)
{
  char path[PATH_SIZE];
  path_of(name, path);
  int back = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  int err = back >= 0 && fd >= 0 && setns(fd, CLONE_NEWNET) == 0 ? 0 : errno;
  if (fd >= 0)
    close(fd);
  if (err == 0)
    return back;
  if (back >= 0)
    close(back);
  net_error_set(e, "cannot enter %s: %s", name, strerror(err));
  return -ERR_MISSING;
}

void namespace_leave(int back)
{
  /* A process that cannot come home would do the rest of its work in the wrong place. */
  if (setns(back, CLONE_NEWNET) != 0)
    abort();
  close(back);
}

/* Sends a signal to each process in there, and tells how many there are. */
static unsigned signal_all(const struct stat *home, int number)
{
  unsigned count = 0;
  DIR *processes = opendir("/proc");
  struct dirent *entry;
  while (processes != NULL && (entry = readdir(processes)) != NULL) {
    char path[PATH_SIZE];
    struct stat at;
    char *end;
    long pid = strtol(entry->d_name, &end, 10);
    if (*end != '\0' || pid <= 0 || pid == (long)getpid())
      continue;
    snprintf(path, sizeof path, "/proc/%ld/ns/net", pid);
    if (stat(path, &at) != 0 || at.st_ino != home->st_ino || at.st_dev != home->st_dev)
      continue;
    count++;
    (void)kill((pid_t)pid, number);
  }
  if (processes != NULL)
    closedir(processes);
  return count;
}

static void empty(const struct stat *home)
{
  const struct timespec step = {.tv_nsec = STEP_MS * 1000 * 1000};
  unsigned left = signal_all(home, SIGTERM);
  for (int ms = 0; left > 0 && ms < PATIENCE_MS; ms += STEP_MS) {
    nanosleep(&step, NULL);
    left = signal_all(home, 0);
  }
  if (left > 0)
    (void)signal_all(home, SIGKILL);
}

int namespace_remove(const char *name, struct net_error *e)
{
  char path[PATH_SIZE];
  struct stat home, own;
  path_of(name, path);
  if (stat(path, &home) != 0)
    return errno == ENOENT ? 0 : -ERR_IO;
  /* A name without a namespace behind it, as a crash of ip(8) leaves one, is a plain file; and
   * where this very process lives in it, nobody is to be ended. */
  if (stat("/proc/self/ns/net", &own) == 0 && own.st_dev == home.st_dev &&
      own.st_ino != home.st_ino)
    empty(&home);
  const char *const argv[] = {"ip", "netns", "delete", name, NULL};
  return run(argv, (struct bytes){NULL, 0}, e);
}

static int is_name(const struct dirent *entry)
{
  return entry->d_name[0] != '.' && strlen(entry->d_name) < NAMESPACE_NAME_SIZE;
}

int namespace_each(const char *prefix, int (*each)(void *arg, const char *name), void *arg)
{
  struct dirent **found;
  int count = scandir(FOLDER, &found, is_name, alphasort), err = 0;
  if (count < 0)
    return errno == ENOENT ? 0 : -ERR_IO;
  for (int i = 0; i < count; i++) {
    if (err == 0 && strncmp(found[i]->d_name, prefix, strlen(prefix)) == 0)
      err = each(arg, found[i]->d_name);
    free(found[i]);
  }
  free(found);
  return err;
}

int namespace_feed(const char *name, const char *const *argv, struct bytes input,
                   struct net_error *e)
{
  int back = namespace_enter(name, e);
  if (back < 0)
    return back;
  int err = run(argv, input, e);
  namespace_leave(back);
  return err;
}

static int write_sysctl(const char *setting, struct net_error *e)
{
  char path[PATH_SIZE];
  const char *equals = strchr(setting, '=');
  if (equals == NULL)
    return -ERR_BAD;
  snprintf(path, sizeof path, "/proc/sys/%.*s", (int)(equals - setting), setting);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  size_t len = strlen(equals + 1);
  bool written = fd >= 0 && write(fd, equals + 1, len) == (ssize_t)len;
  int error_number = errno;
  if (fd >= 0)
    close(fd);
  if (written)
    return 0;
  net_error_set(e, "cannot write %s: %s", path, strerror(error_number));
  return -ERR_IO;
}

int namespace_sysctl(const char *name, struct bytes lines, struct net_error *e)
{
  int back = namespace_enter(name, e), err = 0;
  if (back < 0)
    return back;
  while (err == 0 && lines.len > 0) {
    char line[PATH_SIZE];
    const uint8_t *end = memchr(lines.at, '\n', lines.len);
    size_t len = end != NULL ? (size_t)(end - lines.at) : lines.len;
    snprintf(line, sizeof line, "%.*s", (int)len, (const char *)lines.at);
    err = write_sysctl(line, e);
    len += end != NULL ? 1 : 0;
    lines = (struct bytes){lines.at + len, lines.len - len};
  }
  namespace_leave(back);
  return err;
}

void namespace_become(const char *name, const char *const *argv, struct net_error *e)
{
  int back = namespace_enter(name, e);
  if (back < 0)
    return;
  execvp(argv[0], (char *const *)(uintptr_t)argv);
  net_error_set(e, "cannot start %s: %s", argv[0], strerror(errno));
  namespace_leave(back);
}
