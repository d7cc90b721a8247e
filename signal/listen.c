/* Listening sockets. They are ours, not libwebsockets': so a port in use has a sentence, a port 0
 * is known, and descriptors that run out do not make a busy loop. Called by server.c. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "net/sockaddr.h"
#include "signal/server.h"

enum { BACKLOG = 1024, ACCEPT_BATCH = 32, PAUSE_MS = 200 };

static const char *const transport_names[FACE_COUNT] = {"http", "https", "metrics", "api",
                                                        "api-tls"};
static const char *const option_names[FACE_COUNT] = {"listen", "tls-listen", "admin-listen",
                                                     "api-listen", "api-listen"};

static void pause_accept(struct signald *s, int error_number)
{
  log_event(s->log, LOG_LEVEL_WARN, "accept-paused", LOG_UINT("errno", (uint64_t)error_number),
            LOG_TEXT("mend", "raise the limit of descriptors, or lower max-connections"));
  for (size_t i = 0; i < s->listener_count; i++)
    uv_poll_stop(&s->listener[i].poll);
  uv_timer_start(&s->resume_accept, signald_resume_accept, PAUSE_MS, 0);
}

static bool is_exhausted(int error_number)
{
  return error_number == EMFILE || error_number == ENFILE || error_number == ENOBUFS ||
         error_number == ENOMEM;
}

/* false: nothing more for now. */
static bool accept_one(struct listener *l)
{
  struct signald *s = l->s;
  struct sockaddr_storage from = {0};
  socklen_t len = sizeof from;
  int one = 1;
  int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (is_exhausted(errno))
      pause_accept(s, errno);
    return errno == EINTR || errno == ECONNABORTED;
  }
  size_t limit = s->config->max_connections;
  if (limit != 0 && s->conn_count >= limit) {
    s->counters.refused_connections++;
    close(fd);
    return true;
  }
  /* A signalling message is small and somebody waits for it. */
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  s->counters.accepted[l->face]++;
  conn_adopt(s, fd, addr_unmap(net_sockaddr_get(&from)), l->face);
  return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
  struct listener *l = poll->data;
  (void)events;
  for (int i = 0; i < ACCEPT_BATCH && status == 0 && l->fd >= 0; i++) {
    if (!accept_one(l))
      break;
  }
}

int signald_listen(struct signald *s, struct addr at, enum face face, struct net_error *e)
{
  struct listener *l = &s->listener[s->listener_count];
  const struct net_bind bind = {
      .type = SOCK_STREAM, .at = &at, .program = "viaduct-signald", .mend = option_names[face]};
  int fd = net_bind(&bind, e);
  if (fd < 0)
    return fd;
  if (listen(fd, BACKLOG) != 0) {
    int err = net_error_from_errno(errno);
    net_bind_explain(&bind, errno, e);
    close(fd);
    return err;
  }
  *l = (struct listener){.s = s, .fd = fd, .face = face, .local = net_sockaddr_local(fd)};
  if (uv_poll_init(&s->loop, &l->poll, fd) != 0) {
    close(fd);
    net_error_set(e, "cannot watch a listening socket");
    return -ERR_IO;
  }
  l->poll.data = l;
  s->listener_count++;
  uv_poll_start(&l->poll, UV_READABLE, on_readable);
  log_event(s->log, LOG_LEVEL_INFO, "listening", LOG_TEXT("transport", transport_names[face]),
            LOG_ADDR("address", &l->local));
  return 0;
}

void signald_resume_accept(uv_timer_t *timer)
{
  struct signald *s = timer->data;
  for (size_t i = 0; i < s->listener_count; i++) {
    if (s->listener[i].fd >= 0)
      uv_poll_start(&s->listener[i].poll, UV_READABLE, on_readable);
  }
}

void signald_stop_listening(struct signald *s)
{
  for (size_t i = 0; i < s->listener_count; i++) {
    struct listener *l = &s->listener[i];
    if (l->fd < 0)
      continue;
    uv_close((uv_handle_t *)&l->poll, NULL);
    close(l->fd);
    l->fd = -1;
  }
}
