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
#include "net/syslog.h"

static bool write_line(int fd, const uint8_t *line, size_t len)
{
  ssize_t n;
  do
    n = write(fd, line, len);
  while (n < 0 && errno == EINTR);
  return n == (ssize_t)len;
}

/* The system's log has the time, the level and the program itself. */
static bool to_syslog(const struct net_log *l, uint64_t wall_ms, const struct log_record *record)
{
  uint8_t line[NET_LOG_LINE_SIZE];
  struct buf b;
  buf_init(&b, line, sizeof(line));
  if (l->json)
    log_format_json(&b, wall_ms, l->program, record);
  else
    log_format_message(&b, record);
  const struct net_syslog_line s = {.facility = l->facility,
                                    .level = record->level,
                                    .program = l->program,
                                    .wall_ms = wall_ms,
                                    .text = {b.at, b.len}};
  return net_syslog_send(l->syslog, &s) == 0;
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
  /* What stands on stderr stands everywhere. */
  bool written = true;
  if (l->file >= 0)
    written = write_line(l->file, line, b.len);
  if (l->syslog >= 0)
    written = to_syslog(l, wall_ms, record) && written;
  if (l->to_stderr)
    written = write_line(STDERR_FILENO, line, b.len) && written;
  if (!written)
    __atomic_fetch_add(&l->lost, 1, __ATOMIC_RELAXED);
}

static int open_file(const char *path, struct net_error *e)
{
  int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
  if (fd >= 0)
    return fd;
  int error_number = errno;
  net_error_set(e, "cannot open the log file %s: %s; make its folder writable or name another",
                path, strerror(error_number));
  return net_error_from_errno(error_number);
}

int net_log_open(struct net_log *l, const struct net_log_setup *s, struct net_error *e)
{
  int file = s->path != NULL ? open_file(s->path, e) : -1;
  if (s->path != NULL && file < 0)
    return file;
  int syslog = s->syslog ? net_syslog_open() : -1;
  *l = (struct net_log){
      .program = s->program,
      .path = s->path,
      .file = file,
      .syslog = syslog,
      .facility = s->facility,
      .to_stderr = (file < 0 && syslog < 0) || !s->no_stderr,
      .json = s->json,
  };
  l->log = (struct log){.level = s->level, .anonymous = s->anonymous, .take = take, .arg = l};
  /* coturn's file from Debian asks for it where there may be none, in a container say. */
  struct net_error why = {{0}};
  if (syslog >= 0 && net_syslog_check(syslog, &why) != 0) {
    l->to_stderr = true;
    log_event(&l->log, LOG_LEVEL_WARN, "syslog-silent", LOG_TEXT("why", why.text),
              LOG_TEXT("now", "lines go to standard error too"),
              LOG_TEXT("mend", "start a log daemon, or leave syslog out"));
  }
  return 0;
}

int net_log_reopen(struct net_log *l, struct net_error *e)
{
  if (l->file < 0)
    return 0;
  int fd = open_file(l->path, e);
  if (fd < 0)
    return fd;
  /* Under the same number and at once: no thread writes into nothing meanwhile. */
  int r = dup3(fd, l->file, O_CLOEXEC) < 0 ? net_error_from_errno(errno) : 0;
  if (r != 0)
    net_error_set(e, "cannot open the log file %s again: %s", l->path, err_text(r));
  close(fd);
  return r;
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
  if (l->syslog >= 0)
    close(l->syslog);
  l->file = l->syslog = -1;
}
