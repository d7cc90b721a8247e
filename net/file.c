/* Reads a whole file, growing as it goes: the size that stat tells is only a hint, and a pipe has
 * none. */
#include "net/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

static int refuse(struct net_error *e, const char *path, int error_number)
{
  net_error_set(e, "cannot read %s: %s", path, strerror(error_number));
  return net_error_from_errno(error_number);
}

static int check_kind(int fd, const char *path, struct net_error *e)
{
  struct stat st;
  if (fstat(fd, &st) != 0)
    return refuse(e, path, errno);
  if (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
    return 0;
  net_error_set(e, "cannot read %s: it is not a file", path);
  return -ERR_IO;
}

/* Room for one more byte than is there, up to `max` + 1: so a file that is too large shows. */
static int grow(struct mem *mem, uint8_t **at, size_t *cap, size_t max)
{
  size_t larger = *cap == 0 ? 4096 : *cap * 2;
  if (larger > max + 2)
    larger = max + 2;
  uint8_t *p = mem_resize(mem, *at, *cap, larger);
  if (p == NULL)
    return -ERR_NOMEM;
  *at = p;
  *cap = larger;
  return 0;
}

static int read_all(int fd, size_t max, struct mem *mem, struct net_file *out)
{
  uint8_t *at = NULL;
  size_t len = 0, cap = 0;
  int r = 0;
  for (;;) {
    /* One byte stays free for the NUL. */
    if (len + 1 >= cap && (r = grow(mem, &at, &cap, max)) != 0)
      break;
    ssize_t n = read(fd, at + len, cap - 1 - len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      r = net_error_from_errno(errno);
      break;
    }
    if (n == 0)
      break;
    len += (size_t)n;
    if (len > max) {
      r = -ERR_RANGE;
      break;
    }
  }
  if (r != 0) {
    if (at != NULL)
      bytes_wipe(at, cap);
    mem_free(mem, at, cap);
    return r;
  }
  at[len] = 0;
  *out = (struct net_file){.bytes = {at, len}, .cap = cap};
  return 0;
}

int net_file_read(const char *path, size_t max, struct mem *mem, struct net_file *out,
                  struct net_error *e)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0)
    return refuse(e, path, errno);
  int r = check_kind(fd, path, e);
  if (r == 0) {
    r = read_all(fd, max, mem, out);
    if (r == -ERR_RANGE)
      net_error_set(e, "cannot read %s: it is larger than %zu bytes", path, max);
    else if (r != 0)
      net_error_set(e, "cannot read %s: %s", path, err_text(r));
  }
  close(fd);
  return r;
}

void net_file_free(struct net_file *f, struct mem *mem)
{
  if (f->cap == 0)
    return;
  uint8_t *at = (uint8_t *)f->bytes.at;
  bytes_wipe(at, f->cap);
  mem_free(mem, at, f->cap);
  *f = (struct net_file){0};
}
