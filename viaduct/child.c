/* See child.h. */
#include "viaduct/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/signals.h"

/* Between fork and exec. This process has one thread, so that all of libc may be used. */
static _Noreturn void become(const struct child *c, int output, const char *notify_path,
                             pid_t parent)
{
  char *const argv[] = {(char *)(uintptr_t)c->program, (char *)(uintptr_t) "-c",
                        (char *)(uintptr_t)c->config, NULL};
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  net_signals_reset();
  if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
      dup2(output, STDERR_FILENO) < 0)
    _exit(126);
  /* A group of its own: Ctrl-C on the terminal is for the supervisor, which stops us in order. */
  if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    _exit(126);
  /* The parent may have died before prctl: then nobody is there to die. */
  if (getppid() != parent)
    _exit(126);
  char watchdog_us[32];
  snprintf(watchdog_us, sizeof(watchdog_us), "%d", CHILD_WATCHDOG_MS * 1000);
  if (setenv("NOTIFY_SOCKET", notify_path, 1) == 0 &&
      setenv("WATCHDOG_USEC", watchdog_us, 1) == 0 && unsetenv("WATCHDOG_PID") == 0)
    execv(c->program, argv);
  dprintf(STDERR_FILENO, "cannot start %s: %s\n", c->program, strerror(errno));
  _exit(127);
}

int child_start(struct child *c, const char *notify_path, struct net_error *e)
{
  int ends[2];
  pid_t parent = getpid();
  if (pipe2(ends, O_CLOEXEC) != 0) {
    int error_number = errno;
    net_error_set(e, "cannot start %s: no pipe: %s", c->program, strerror(error_number));
    return net_error_from_errno(error_number);
  }
  pid_t pid = fork();
  if (pid == 0)
    become(c, ends[1], notify_path, parent);
  int error_number = errno;
  close(ends[1]);
  if (pid < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
    close(ends[0]);
    net_error_set(e, "cannot start %s: %s", c->program, strerror(error_number));
    return net_error_from_errno(error_number);
  }
  c->pid = pid;
  c->output = ends[0];
  c->lines = (struct lines){0};
  c->last_len = 0;
  c->held = false;
  c->ready = false;
  c->hang_up = false;
  c->start_at_ms = 0;
  return 0;
}

const char *child_reason(int wait_status, char out[CHILD_REASON_SIZE])
{
  if (WIFSIGNALED(wait_status)) {
    int number = WTERMSIG(wait_status);
    const char *name = sigabbrev_np(number);
    snprintf(out, CHILD_REASON_SIZE, "signal %d (SIG%s)%s", number, name != NULL ? name : "?",
             WCOREDUMP(wait_status) ? ", core dumped" : "");
  } else {
    snprintf(out, CHILD_REASON_SIZE, "exit status %d", WEXITSTATUS(wait_status));
  }
  return out;
}
