/* Lines to stderr and to a file. A line that cannot be written whole at once is lost and counted:
 * no daemon waits for its log. */
#include "net/log_out.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "net/clock.h"

static bool write_line(int fd, const uint8_t *line, size_t len)
{
  ssize_t n;
  do
    n = write(fd, line, len);
  while (n < 0 && errno == EINTR);
  return n == (ssize_t)len;
}

static void take(void *arg, const struct log_record *record)
{
  struct net_log *l = arg;
  uint8_t line[NET_LOG_LINE_SIZE];
  struct buf b;
  buf_init(&b, line, sizeof(line) - 1);
  uint64_t wall_ms = net_clock_wall_ms();
  if (l->json)
    log_format_json(&b, wall_ms, l->program, record);
  else
    log_format_text(&b, wall_ms, l->program, record);
  line[b.len++] = '\n';
  bool written = true;
  if (l->to_stderr)
    written = write_line(STDERR_FILENO, line, b.len);
  if (l->file >= 0)
    written = write_line(l->file, line, b.len) && written;
  if (!written)
    __atomic_fetch_add(&l->lost, 1, __ATOMIC_RELAXED);
}

int net_log_open(struct net_log *l, const struct net_log_setup *s, struct net_error *e)
{
  int file = -1;
  if (s->path != NULL) {
    file = open(s->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (file < 0) {
      int error_number = errno;
      net_error_set(e, "cannot open the log file %s: %s; make its folder writable or name another",
                    s->path, strerror(error_number));
      return net_error_from_errno(error_number);
    }
  }
  *l = (struct net_log){
      .program = s->program,
      .file = file,
      .to_stderr = file < 0 || !s->no_stderr,
      .json = s->json,
  };
  l->log = (struct log){.level = s->level, .take = take, .arg = l};
  return 0;
}

void net_log_give(struct net_log *l, uid_t user, gid_t group)
{
  struct stat st;
  if (l->file >= 0 && geteuid() == 0 && fstat(l->file, &st) == 0 && S_ISREG(st.st_mode) &&
      st.st_uid == 0 && user != 0 && fchown(l->file, user, group) != 0)
    log_event(&l->log, LOG_LEVEL_WARN, "log-file-kept",
              LOG_TEXT("why", "it cannot be given to proc-user, who cannot open it again then"));
}

void net_log_close(struct net_log *l)
{
  if (l->file >= 0)
    close(l->file);
  l->file = -1;
}
