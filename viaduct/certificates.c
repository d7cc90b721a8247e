/* See certificates.h. */
#include "viaduct/certificates.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "viaduct/install.h"
#include "viaduct/lines.h"

enum { ADDRESSES_MAX = 2, LAST_SIZE = 400 };

static pid_t run(char *const argv[], int *output)
{
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return -1;
  pid_t pid = fork();
  if (pid == 0) {
    if (dup2(ends[1], STDOUT_FILENO) < 0 || dup2(ends[1], STDERR_FILENO) < 0)
      _exit(126);
    execv(argv[0], argv);
    dprintf(STDERR_FILENO, "cannot start %s: %s\n", argv[0], strerror(errno));
    _exit(127);
  }
  close(ends[1]);
  *output = ends[0];
  if (pid < 0)
    close(ends[0]);
  return pid;
}

/* To the log, and the last one into `last`. */
static void take_line(struct merged_log *log, struct bytes line, char last[LAST_SIZE])
{
  if (line.len == 0)
    return;
  snprintf(last, LAST_SIZE, "%.*s", (int)line.len, (const char *)line.at);
  log_event(&log->log, LOG_LEVEL_INFO, "certificates", LOG_BYTES("said", line));
}

static void take_output(int output, struct merged_log *log, char last[LAST_SIZE])
{
  struct lines lines = {0};
  struct bytes line;
  uint8_t storage[1024];
  ssize_t n;
  while ((n = read(output, storage, sizeof(storage))) > 0 || (n < 0 && errno == EINTR)) {
    for (struct bytes in = {storage, n > 0 ? (size_t)n : 0}; in.len > 0;) {
      size_t used = lines_take(&lines, in, &line);
      take_line(log, line, last);
      in = (struct bytes){in.at + used, in.len - used};
    }
  }
  take_line(log, lines_rest(&lines), last);
}

int certificates_ensure(const char *dir, const struct addr *address, size_t count,
                        struct merged_log *log, struct net_error *e)
{
  char script[PATH_MAX], text[ADDRESSES_MAX][ADDR_TEXT_SIZE], last[LAST_SIZE] = "it said nothing";
  int r = install_certs_script(script, e);
  if (r != 0)
    return r;
  char *argv[2 + ADDRESSES_MAX + 1] = {script, (char *)(uintptr_t)dir};
  for (size_t i = 0; i < count && i < ADDRESSES_MAX; i++) {
    addr_format_ip(&address[i], text[i]);
    argv[2 + i] = text[i];
  }
  int output, wait_status;
  pid_t pid = run(argv, &output);
  if (pid < 0) {
    net_error_set(e, "cannot start %s: %s", script, strerror(errno));
    return -ERR_IO;
  }
  take_output(output, log, last);
  close(output);
  while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR)
    ;
  if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0)
    return 0;
  net_error_set(e, "no development certificates: %s", last);
  return -ERR_IO;
}
