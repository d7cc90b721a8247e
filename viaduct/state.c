/* See state.h. Every file with a secret is made with mode 0600 from its first moment, and is whole
 * or not there. */
#include "viaduct/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "net/file.h"
#include "net/mem.h"
#include "net/random.h"

enum {
  SECRET_MAX = 512,
  NAME_ROOM = 64, /* for the longest name of ours behind the folder */
};

static int fail(struct net_error *e, const char *what, const char *path)
{
  int error_number = errno;
  net_error_set(e, "cannot %s %s: %s", what, path, strerror(error_number));
  return net_error_from_errno(error_number);
}

int state_default_dir(char out[STATE_PATH_SIZE], struct net_error *e)
{
  const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  int len;
  if (geteuid() == 0) {
    len = snprintf(out, STATE_PATH_SIZE, "/var/lib/viaduct");
  } else if (xdg != NULL && xdg[0] == '/') { /* "all paths must be absolute": XDG Base Directory */
    len = snprintf(out, STATE_PATH_SIZE, "%s/viaduct", xdg);
  } else if (home != NULL && home[0] == '/') {
    len = snprintf(out, STATE_PATH_SIZE, "%s/.local/state/viaduct", home);
  } else {
    net_error_set(e, "there is no home folder ($HOME) to keep the state in; name one with "
                     "--state-dir");
    return -ERR_MISSING;
  }
  return len < STATE_PATH_SIZE ? 0 : -ERR_RANGE;
}

/* The folders above the last one, as `mkdir -p` makes them. */
static int make_parents(const char *dir, struct net_error *e)
{
  char path[STATE_PATH_SIZE];
  size_t len = strlen(dir);
  memcpy(path, dir, len + 1);
  for (size_t i = 1; i < len; i++) {
    if (path[i] != '/')
      continue;
    path[i] = '\0';
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
      return fail(e, "make the folder", path);
    path[i] = '/';
  }
  return 0;
}

/* A folder that was there before may be anybody's: only one that is ours alone will do, since a
 * secret goes there. Its mode is not changed here: it may be another folder than was meant. */
static int check_dir(int fd, const char *dir, struct net_error *e)
{
  struct stat st;
  if (fstat(fd, &st) != 0)
    return fail(e, "look at the folder", dir);
  if (st.st_uid != geteuid()) {
    net_error_set(e,
                  "the state folder %s belongs to another user; name another one with "
                  "--state-dir",
                  dir);
    return -ERR_DENIED;
  }
  if ((st.st_mode & 077) != 0) {
    net_error_set(e,
                  "the state folder %s is open to others (mode %04o); chmod 700 it, or name "
                  "another one with --state-dir",
                  dir, (unsigned)(st.st_mode & 07777));
    return -ERR_DENIED;
  }
  return 0;
}

static int open_dir(const char *dir, struct net_error *e)
{
  int r = make_parents(dir, e);
  if (r != 0)
    return r;
  if (mkdir(dir, 0700) != 0 && errno != EEXIST)
    return fail(e, "make the state folder", dir);
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return fail(e, "open the state folder", dir);
  r = check_dir(fd, dir, e);
  if (r != 0) {
    close(fd);
    return r;
  }
  return fd;
}

/* Who has the lock wrote its process id into it. */
static int fail_busy(int fd, const char *dir, struct net_error *e)
{
  char pid[16] = "";
  ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);
  uint64_t number = 0;
  if (n > 1 && parse_uint((struct bytes){(uint8_t *)pid, (size_t)n - 1}, INT32_MAX, &number) != 0)
    number = 0;
  char who[32] = "";
  if (number > 0)
    snprintf(who, sizeof(who), " (pid %d)", (int)number);
  net_error_set(e,
                "another 'viaduct up'%s runs in %s; stop it, or give this one a folder of its "
                "own with --state-dir and other ports",
                who, dir);
  return -ERR_BUSY;
}

static int take_lock(int dir_fd, const char *dir, struct net_error *e)
{
  int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return fail(e, "open the lock in", dir);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    int r = errno == EWOULDBLOCK ? fail_busy(fd, dir, e) : fail(e, "lock", dir);
    close(fd);
    return r;
  }
  char pid[16];
  int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
  /* The process id is for the message above alone. */
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len) {
    int r = fail(e, "write the lock in", dir);
    close(fd);
    return r;
  }
  return fd;
}

int state_open(struct state *s, const char *dir, struct net_error *e)
{
  char cwd[STATE_PATH_SIZE] = "";
  if (dir[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL)
    return fail(e, "tell the folder of", dir);
  int len = snprintf(s->dir, sizeof(s->dir), "%s%s%s", cwd, cwd[0] != '\0' ? "/" : "", dir);
  if (len < 0 || len + NAME_ROOM >= STATE_PATH_SIZE) {
    net_error_set(e, "the path of the state folder is too long; name a shorter one with "
                     "--state-dir");
    return -ERR_RANGE;
  }
  while (len > 1 && s->dir[len - 1] == '/')
    s->dir[--len] = '\0';
  s->dir_fd = open_dir(s->dir, e);
  if (s->dir_fd < 0)
    return s->dir_fd;
  s->lock_fd = take_lock(s->dir_fd, s->dir, e);
  if (s->lock_fd < 0) {
    close(s->dir_fd);
    return s->lock_fd;
  }
  return 0;
}

void state_close(struct state *s)
{
  close(s->lock_fd);
  close(s->dir_fd);
}

const char *state_path(const struct state *s, const char *name, char out[STATE_PATH_SIZE])
{
  size_t dir_len = strlen(s->dir), name_len = strlen(name);
  out[0] = '\0';
  if (dir_len + 1 + name_len < STATE_PATH_SIZE) {
    memcpy(out, s->dir, dir_len);
    out[dir_len] = '/';
    memcpy(out + dir_len + 1, name, name_len + 1);
  }
  return out;
}

static bool write_all(int fd, struct bytes content)
{
  while (content.len > 0) {
    ssize_t n = write(fd, content.at, content.len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return false;
    content = (struct bytes){content.at + n, content.len - (size_t)n};
  }
  return true;
}

int state_write(const struct state *s, const char *name, struct bytes content, struct net_error *e)
{
  char new_name[NAME_ROOM], path[STATE_PATH_SIZE];
  snprintf(new_name, sizeof(new_name), "%s.new", name);
  (void)state_path(s, name, path);
  /* Left over from a crash: nobody else writes here, we have the lock. */
  if (unlinkat(s->dir_fd, new_name, 0) != 0 && errno != ENOENT)
    return fail(e, "replace", path);
  int fd = openat(s->dir_fd, new_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return fail(e, "write", path);
  bool written = write_all(fd, content) && fsync(fd) == 0;
  int error_number = errno;
  close(fd);
  if (written && renameat(s->dir_fd, new_name, s->dir_fd, name) == 0 && fsync(s->dir_fd) == 0)
    return 0;
  if (written)
    error_number = errno;
  (void)unlinkat(s->dir_fd, new_name, 0); /* the error that counts is the one before */
  errno = error_number;
  return fail(e, "write", path);
}

static int check_secret(struct bytes text, const char *path, struct net_error *e)
{
  bool good = text.len > 0 && text.len <= SECRET_MAX;
  for (size_t i = 0; good && i < text.len; i++)
    good = text.at[i] >= ' ' && text.at[i] != 0x7f;
  if (good)
    return 0;
  net_error_set(e,
                "%s is no secret: it wants one line of 1 to %d characters; remove the file to "
                "get a new one",
                path, SECRET_MAX);
  return -ERR_BAD;
}

int state_read_secret(const char *path, char out[STATE_SECRET_SIZE], struct net_error *e)
{
  struct mem mem = net_mem();
  struct net_file file;
  int r = net_file_read(path, SECRET_MAX + 2, &mem, &file, e);
  if (r != 0)
    return r;
  struct bytes text = file.bytes;
  while (text.len > 0 && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
    text.len--;
  r = check_secret(text, path, e);
  if (r == 0) {
    memcpy(out, text.at, text.len);
    out[text.len] = '\0';
  }
  net_file_free(&file, &mem);
  return r;
}

static int make_secret(const struct state *s, char out[STATE_SECRET_SIZE], struct net_error *e)
{
  struct net_random random;
  uint8_t bits[32];
  if (net_random_init(&random) != 0) {
    net_error_set(e, "the kernel gives no randomness to make a secret from");
    return -ERR_IO;
  }
  random.random.fill(random.random.arg, bits, sizeof(bits));
  net_random_fini(&random);
  struct buf b;
  buf_init(&b, out, STATE_SECRET_SIZE - 1);
  buf_put_base64url(&b, bits, sizeof(bits));
  bytes_wipe(bits, sizeof(bits));
  out[b.len] = '\0';
  buf_put_byte(&b, '\n');
  int r = state_write(s, "secret", (struct bytes){b.at, b.len}, e);
  out[b.len - 1] = '\0';
  return r;
}

int state_keep_secret(const struct state *s, const char *secret, struct net_error *e)
{
  char line[STATE_SECRET_SIZE + 1];
  int len = snprintf(line, sizeof(line), "%s\n", secret);
  if (len > SECRET_MAX + 1) {
    net_error_set(e, "the shared secret is longer than %d characters; shorten it", SECRET_MAX);
    return -ERR_RANGE;
  }
  int r = state_write(s, "secret", (struct bytes){(const uint8_t *)line, (size_t)len}, e);
  bytes_wipe(line, sizeof(line));
  return r;
}

int state_secret(const struct state *s, char out[STATE_SECRET_SIZE], struct net_error *e)
{
  char path[STATE_PATH_SIZE];
  int r = state_read_secret(state_path(s, "secret", path), out, e);
  return r == -ERR_MISSING ? make_secret(s, out, e) : r;
}
