/* `viaduct control PATH COMMAND`: one line to the control socket of viaduct-turnd, and its answer
 * to standard output. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "net/control.h"
#include "net/mem.h"
#include "net/options.h"
#include "viaduct/command.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_ADDRESS = 3, PATIENCE_S = 15 };

struct control_options {
  bool help, man;
};

static const struct option rows[] = {
    {.name = "help",
     .letter = 'h',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct control_options, help),
     .group = "Options, before PATH",
     .help = "Print this."},
    {.name = "man",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct control_options, man),
     .group = "Options, before PATH",
     .help = "Print the manual page (roff)."},
};

static const struct option_set set = {
    .program = "viaduct control",
    .summary =
        "viaduct control PATH COMMAND: PATH is the control-socket of viaduct-turnd, COMMAND is "
        "status, sessions [N], close ID or USER, log-level LEVEL, drain, reload or help",
    .row = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

static int fail(int status, const char *what, const char *path)
{
  char text[512];
  snprintf(text, sizeof(text), "%s %.200s: %s", what, path, strerror(errno));
  return command_fail(&set, status, text);
}

/* A descriptor, or -1 with errno. */
static int dial(const char *path)
{
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  const struct timeval patience = {.tv_sec = PATIENCE_S};
  if (strlen(path) >= sizeof(un.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(un.sun_path, path, strlen(path));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
      connect(fd, (const struct sockaddr *)&un, sizeof(un)) == 0)
    return fd;
  int error_number = errno;
  if (fd >= 0)
    close(fd);
  errno = error_number;
  return -1;
}

/* The words as one line; false when they are too long or hold an end of line. */
static bool join(char *const *word, int count, struct buf *line)
{
  for (int i = 0; i < count; i++) {
    if (i > 0)
      buf_put_byte(line, ' ');
    buf_put_text(line, word[i]);
  }
  bool one = line->len > 0 && memchr(line->at, '\n', line->len) == NULL;
  buf_put_byte(line, '\n');
  return one && !line->overflow;
}

/* Until the other side has said all. */
static int show_answer(int fd, const char *path)
{
  static const char refused[] = "{\"error\"";
  char data[4096];
  size_t had = 0;
  bool error = false;
  for (;;) {
    ssize_t n = recv(fd, data, sizeof(data), 0);
    if (n < 0)
      return fail(EXIT_FAILED, "no answer from", path);
    if (n == 0)
      break;
    if (had == 0)
      error = (size_t)n >= sizeof(refused) - 1 && memcmp(data, refused, sizeof(refused) - 1) == 0;
    had += (size_t)n;
    if (fwrite(data, 1, (size_t)n, stdout) != (size_t)n)
      return EXIT_FAILED;
  }
  return fflush(stdout) == 0 && had > 0 && !error ? 0 : EXIT_FAILED;
}

static int run(const char *path, char *const *word, int count)
{
  uint8_t storage[NET_CONTROL_LINE_MAX];
  struct buf line;
  buf_init(&line, storage, sizeof(storage));
  if (!join(word, count, &line))
    return command_fail(&set, EXIT_USAGE, "a command is one line of at most 1023 bytes");
  int fd = dial(path);
  if (fd < 0)
    return fail(EXIT_ADDRESS, "cannot reach", path);
  int status = send(fd, line.at, line.len, MSG_NOSIGNAL) == (ssize_t)line.len
                   ? show_answer(fd, path)
                   : fail(EXIT_FAILED, "cannot write to", path);
  close(fd);
  return status;
}

int control_main(int argc, char **argv)
{
  struct mem mem = net_mem();
  struct control_options o;
  struct option_parser p;
  int own = 1;
  while (own < argc && argv[own][0] == '-')
    own++;
  int status;
  if (option_begin(&p, &set, &mem, &o, sizeof(o)) != 0 || option_parse_args(&p, own, argv) != 0) {
    status = command_fail(&set, EXIT_USAGE, p.error.text);
  } else {
    const struct net_options_asked asked = {.help = o.help, .man = o.man};
    const int printed = net_options_print(&set, &asked);
    status = printed == 0 ? 0 : EXIT_FAILED;
    if (printed == -ERR_MISSING)
      status = argc - own >= 2 ? run(argv[own], argv + own + 1, argc - own - 1)
                               : command_fail(&set, EXIT_USAGE,
                                              "name the socket and the command: viaduct control "
                                              "/run/viaduct/control status");
  }
  option_fini(&set, &mem, &o);
  return status;
}
