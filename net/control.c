/* The connections are those of net/tcp, with its bounds and deadlines; only the address is another.
 */
#include "net/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"

enum { PATIENCE_MS = 10 * 1000 };

/* ---- a line ---- */

static int frame(void *arg, struct bytes stream, size_t *len, size_t *padded)
{
  (void)arg;
  const uint8_t *end = memchr(stream.at, '\n', stream.len);
  if (end == NULL)
    return -ERR_MORE;
  *len = *padded = (size_t)(end - stream.at) + 1;
  return 0;
}

static void message(void *arg, struct net_conn *conn, struct dgram *d, uint64_t now_ms)
{
  (void)now_ms;
  const struct net_control *c = arg;
  struct bytes line = {d->at, d->len - 1};
  struct buf out;
  uint8_t *storage = malloc(NET_CONTROL_ANSWER_MAX);
  if (line.len > 0 && line.at[line.len - 1] == '\r')
    line.len--;
  if (storage != NULL) {
    buf_init(&out, storage, NET_CONTROL_ANSWER_MAX);
    c->setup.command(c->setup.arg, line, &out);
    (void)net_conn_send(conn, (struct bytes){out.at, out.len}, false);
  }
  free(storage);
  net_conn_end(conn);
}

static void batch_end(void *arg)
{
  const struct net_control *c = arg;
  net_tcp_flush(c->tcp, c->setup.loop->now_ms);
}

/* ---- the file ---- */

static int refuse(struct net_error *e, const char *path, int error_number)
{
  net_error_set(e,
                "cannot listen at control-socket %s: %s; name a file in a folder that is there "
                "and writable",
                path, strerror(error_number));
  return net_error_from_errno(error_number);
}

/* What an earlier run left behind goes away; what is anything else stays, and stops the start. */
static int clear_path(const struct sockaddr_un *un, struct net_error *e)
{
  struct stat st;
  if (lstat(un->sun_path, &st) != 0)
    return errno == ENOENT ? 0 : refuse(e, un->sun_path, errno);
  if (!S_ISSOCK(st.st_mode)) {
    net_error_set(e, "control-socket %s is there and no socket; name another file", un->sun_path);
    return -ERR_BUSY;
  }
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return refuse(e, un->sun_path, errno);
  int error_number = connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 ? 0 : errno;
  close(fd);
  if (error_number != ECONNREFUSED) {
    net_error_set(e, "another process listens at control-socket %s; name another file",
                  un->sun_path);
    return -ERR_BUSY;
  }
  return unlink(un->sun_path) == 0 ? 0 : refuse(e, un->sun_path, errno);
}

/* A descriptor of a socket that is its owner's alone from the first moment. */
static int bind_path(const struct net_control_setup *s, struct net_error *e)
{
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  if (strlen(s->path) >= sizeof(un.sun_path)) {
    net_error_set(e, "control-socket %s is too long a path: at most %zu bytes", s->path,
                  sizeof(un.sun_path) - 1);
    return -ERR_RANGE;
  }
  memcpy(un.sun_path, s->path, strlen(s->path));
  int r = clear_path(&un, e);
  if (r != 0)
    return r;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return refuse(e, s->path, errno);
  mode_t before = umask(S_IXUSR | S_IRWXG | S_IRWXO);
  bool bound = bind(fd, (const struct sockaddr *)&un, sizeof(un)) == 0;
  int error_number = errno;
  (void)umask(before);
  if (bound && geteuid() == 0 && lchown(s->path, s->uid, s->gid) != 0) {
    error_number = errno;
    bound = false;
    (void)unlink(s->path);
  }
  if (bound)
    return fd;
  close(fd);
  return refuse(e, s->path, error_number);
}

int net_control_open(struct net_control *c, const struct net_control_setup *s, struct net_error *e)
{
  *c = (struct net_control){.setup = *s};
  const struct net_tcp_setup tcp = {
      .loop = s->loop,
      .wheel = s->wheel,
      .limits = {.connections = NET_CONTROL_CONNECTIONS,
                 .handshake_ms = PATIENCE_MS,
                 .idle_ms = PATIENCE_MS,
                 .stall_ms = PATIENCE_MS,
                 .first_max = NET_CONTROL_LINE_MAX,
                 .message_max = NET_CONTROL_LINE_MAX,
                 .output_max = NET_CONTROL_ANSWER_MAX},
      .events = {.arg = c, .frame = frame, .message = message, .batch_end = batch_end},
      .hash_key = s->hash_key,
  };
  int fd = bind_path(s, e);
  if (fd < 0)
    return fd;
  int r = net_tcp_new(&tcp, &c->tcp);
  if (r != 0) {
    close(fd);
    (void)unlink(s->path);
    return refuse(e, s->path, ENOMEM);
  }
  const struct net_listen listen = {.tag = 0};
  r = net_tcp_listen_at(c->tcp, &listen, fd, &c->listener);
  if (r == 0)
    return 0;
  net_tcp_free(c->tcp);
  c->tcp = NULL;
  (void)unlink(s->path);
  return refuse(e, s->path, EIO);
}

void net_control_close(struct net_control *c)
{
  if (c->tcp == NULL)
    return;
  net_listener_close(&c->listener);
  net_tcp_free(c->tcp);
  c->tcp = NULL;
  (void)unlink(c->setup.path);
}
