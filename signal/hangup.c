/* Who hangs up while he waits for an answer. libwebsockets reads nothing more of a connection whose
 * request is not answered yet, its end included; so the kernel tells us, by an epoll of our own in
 * the loop. Called by the transports that let clients wait. */
#include <sys/epoll.h>
#include <unistd.h>

#include "base/err.h"
#include "signal/server.h"

enum { EVENTS = 64 };

static void on_hangups(uv_poll_t *poll, int status, int events)
{
  struct signald *s = poll->data;
  struct epoll_event event[EVENTS];
  (void)events;
  int count = status == 0 ? epoll_wait(s->hangups, event, EVENTS, 0) : 0;
  for (int i = 0; i < count; i++) {
    struct conn *c = event[i].data.ptr;
    hangup_forget(c);
    conn_cut(c);
  }
}

int hangup_open(struct signald *s)
{
  s->hangups = epoll_create1(EPOLL_CLOEXEC);
  if (s->hangups < 0 || uv_poll_init(&s->loop, &s->hangup_poll, s->hangups) != 0)
    return -ERR_IO;
  s->hangup_poll.data = s;
  return uv_poll_start(&s->hangup_poll, UV_READABLE, on_hangups) == 0 ? 0 : -ERR_IO;
}

void hangup_close(struct signald *s)
{
  if (s->hangups >= 0)
    close(s->hangups);
  s->hangups = -1;
}

/* Where the kernel has no memory for it, the end is seen when something is written. */
void hangup_watch(struct conn *c)
{
  int fd = lws_get_socket_fd(c->wsi);
  struct epoll_event event = {.events = EPOLLRDHUP, .data.ptr = c};
  if (fd >= 0 && epoll_ctl(c->s->hangups, EPOLL_CTL_ADD, fd, &event) == 0) {
    c->watched_fd = fd;
    c->watched = true;
  }
}

/* Before the descriptor is closed, or at any time behind: the kernel forgets closed ones by itself.
 */
void hangup_forget(struct conn *c)
{
  if (c->watched)
    (void)epoll_ctl(c->s->hangups, EPOLL_CTL_DEL, c->watched_fd, NULL);
  c->watched = false;
}
