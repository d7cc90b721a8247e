/* See merged_log.h. */
#include "viaduct/merged_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/clock.h"
#include "viaduct/lines.h"

static const char log_name[] = "viaduct.log", old_name[] = "viaduct.log.1";

static int open_file(struct merged_log *l)
{
  struct stat st;
  int fd = openat(l->state->dir_fd, log_name,
                  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
  if (fd >= 0)
    l->file_len = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
  l->file = fd;
  return fd;
}

/* One writev, so that the line is whole. A line that is lost (a full disk) is lost: the servers go
 * on. */
static void write_line(int fd, struct bytes line)
{
  static char newline[] = "\n";
  struct iovec piece[2] = {{.iov_base = (void *)(uintptr_t)line.at, .iov_len = line.len},
                           {.iov_base = newline, .iov_len = 1}};
  ssize_t n;
  do
    n = writev(fd, piece, 2);
  while (n < 0 && errno == EINTR);
}

void merged_log_file(struct merged_log *l, struct bytes line)
{
  if (l->file < 0 && open_file(l) < 0)
    return; /* tried again with the next line */
  write_line(l->file, line);
  l->file_len += line.len + 1;
  if (l->file_len < MERGED_LOG_FILE_MAX)
    return;
  close(l->file);
  l->file = -1;
  l->file_len = 0;
  if (renameat(l->state->dir_fd, log_name, l->state->dir_fd, old_name) != 0)
    (void)unlinkat(l->state->dir_fd, log_name, 0); /* bounded, whatever happens */
}

/* A terminal that is stopped (Ctrl-S) or a pipe that nobody reads must not stop the supervisor. */
static bool stderr_has_room(void)
{
  struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
  return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

void merged_log_line(struct merged_log *l, struct bytes line, enum log_level level)
{
  merged_log_file(l, line);
  bool shown = l->verbose || !l->on_terminal || level <= LOG_LEVEL_WARN;
  if (shown && stderr_has_room())
    write_line(STDERR_FILENO, line);
}

static void take(void *arg, const struct log_record *record)
{
  struct merged_log *l = arg;
  uint8_t line[2 * LINES_MAX]; /* a server's last line is in some */
  struct buf b;
  buf_init(&b, line, sizeof(line));
  log_format_text(&b, net_clock_wall_ms(), "up", record);
  merged_log_line(l, (struct bytes){b.at, b.len}, record->level);
}

int merged_log_open(struct merged_log *l, const struct state *state, bool verbose,
                    struct net_error *e)
{
  *l = (struct merged_log){
      .state = state, .file = -1, .on_terminal = isatty(STDERR_FILENO) == 1, .verbose = verbose};
  l->log = (struct log){.level = LOG_LEVEL_INFO, .take = take, .arg = l};
  if (open_file(l) >= 0)
    return 0;
  int error_number = errno;
  char path[STATE_PATH_SIZE];
  net_error_set(e, "cannot open the log %s: %s", state_path(state, log_name, path),
                strerror(error_number));
  return net_error_from_errno(error_number);
}

void merged_log_close(struct merged_log *l)
{
  if (l->file >= 0)
    close(l->file);
  l->file = -1;
}
