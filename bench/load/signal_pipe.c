/* See signal_pipe.h. */
#include "bench/load/signal_pipe.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/sockaddr.h"

enum { QUEUE_LEAST = 512, QUEUE_KEEP = 8192 };

uint8_t *load_queue_room(struct load_queue *q, size_t len)
{
  if (q->from > 0 && q->len + len > q->cap) {
    memmove(q->at, q->at + q->from, q->len - q->from);
    q->len -= q->from;
    q->from = 0;
  }
  if (q->len + len > q->cap) {
    size_t cap = q->cap > 0 ? q->cap : QUEUE_LEAST;
    while (cap < q->len + len)
      cap *= 2;
    uint8_t *at = realloc(q->at, cap);
    if (at == NULL)
      return NULL;
    q->at = at;
    q->cap = cap;
  }
  return q->at + q->len;
}

bool load_queue_put(struct load_queue *q, struct bytes bytes)
{
  uint8_t *at = load_queue_room(q, bytes.len);
  if (at == NULL)
    return false;
  if (bytes.len > 0)
    memcpy(at, bytes.at, bytes.len);
  q->len += bytes.len;
  return true;
}

void load_queue_fini(struct load_queue *q)
{
  free(q->at);
  *q = (struct load_queue){0};
}

void load_queue_drop(struct load_queue *q, size_t len)
{
  q->from += len;
  if (q->from < q->len)
    return;
  q->from = q->len = 0;
  if (q->cap > QUEUE_KEEP)
    load_queue_fini(q);
}

struct bytes load_queue_view(const struct load_queue *q)
{
  return (struct bytes){q->at != NULL ? q->at + q->from : NULL, q->len - q->from};
}

void load_pipe_init(struct load_pipe *p)
{
  *p = (struct load_pipe){.fd = -1};
}

static const char *mend_of(int error_number)
{
  switch (error_number) {
  case ECONNREFUSED:
    return ": nothing listens there";
  case EADDRNOTAVAIL:
    return ": no port is left; take more addresses by --sources";
  case EMFILE:
  case ENFILE:
    return ": raise the limit of open files (ulimit -n)";
  default:
    return "";
  }
}

static int fail(struct load_pipe *p, const struct load_pipe_setup *s, int error_number,
                struct net_error *e)
{
  char text[ADDR_TEXT_SIZE];
  net_error_set(e, "no connection to %s, %s%s", addr_format(&s->server, text),
                strerror(error_number), mend_of(error_number));
  load_pipe_close(p);
  return -1;
}

int load_pipe_open(struct load_pipe *p, const struct load_pipe_setup *s, struct net_error *e)
{
  struct sockaddr_storage name;
  const int on = 1;
  socklen_t len = net_sockaddr_put(&name, &s->server);
  load_pipe_init(p);
  p->fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (p->fd < 0)
    return fail(p, s, errno, e);
  (void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (s->receive_buffer > 0)
    (void)setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &s->receive_buffer, sizeof(s->receive_buffer));
  if (s->from != NULL) {
    struct sockaddr_storage from;
    /* The port is chosen when the server's is known: then one port may serve for several servers.
     */
    (void)setsockopt(p->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(p->fd, (struct sockaddr *)&from, net_sockaddr_put(&from, s->from)) != 0)
      return fail(p, s, errno, e);
  }
  if (connect(p->fd, (struct sockaddr *)&name, len) != 0 && errno != EINPROGRESS)
    return fail(p, s, errno, e);
  return 0;
}

int load_pipe_flush(struct load_pipe *p, struct load_wire *w)
{
  struct bytes rest;
  while (p->is_connected && (rest = load_queue_view(&p->out)).len > 0) {
    const ssize_t n = send(p->fd, rest.at, rest.len, MSG_NOSIGNAL);
    if (n < 0)
      return errno == EAGAIN || errno == EINTR ? 0 : -1;
    w->bytes_out += (uint64_t)n;
    load_queue_drop(&p->out, (size_t)n);
  }
  return 0;
}

void load_pipe_count(const struct load_pipe *p, struct load_wire *w)
{
  struct tcp_info info = {0};
  socklen_t len = sizeof(info);
  if (p->fd < 0 || getsockopt(p->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
    return;
  w->packets_out += info.tcpi_segs_out;
  w->packets_in += info.tcpi_segs_in;
}

void load_pipe_close(struct load_pipe *p)
{
  const struct linger reset = {.l_onoff = 1};
  if (p->fd >= 0) {
    (void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(p->fd);
  }
  load_queue_fini(&p->in);
  load_queue_fini(&p->out);
  load_pipe_init(p);
}
