/* See link.h. */
#include "bench/load/link.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "bench/load/proc.h"
#include "bench/load/tls.h"
#include "net/clock.h"
#include "net/sockaddr.h"

enum {
  INPUT = 128 * 1024,
  RECORD = 17 * 1024, /* room for one record of TLS; more than a datagram */
  STEP_MS = 50,       /* DTLS looks as often whether to send again */
  CONNECT_MS = 10 * 1000
};

const char *load_transport_name(enum load_transport t)
{
  static const char *const names[] = {"udp", "tcp", "tls", "dtls"};
  return names[t];
}

bool load_transport_is_stream(enum load_transport t)
{
  return t == LOAD_TCP || t == LOAD_TLS;
}

/* ---- opening ---- */

static int out_of_memory(struct net_error *e)
{
  net_error_set(e, "viaduct-load has no memory for another connection");
  return -ERR_IO;
}

static int connect_stream(struct load_link *l, struct net_error *e)
{
  const struct net_bind bind = {
      .type = SOCK_STREAM, .at = &l->way->client, .program = "viaduct-load"};
  const int on = 1;
  struct sockaddr_storage name;
  l->stream = calloc(1, sizeof(*l->stream));
  if (l->stream == NULL || (l->stream->out = malloc(LOAD_OUT_MAX)) == NULL)
    return out_of_memory(e);
  l->fd = net_bind(&bind, e);
  if (l->fd < 0)
    return -ERR_IO;
  /* What is gathered leaves at once, as from a browser. */
  (void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(l->fd, (struct sockaddr *)&name, net_sockaddr_put(&name, &l->way->server)) != 0 &&
      errno != EINPROGRESS) {
    net_error_set(e, "the server cannot be reached over TCP: %s", strerror(errno));
    return -ERR_IO;
  }
  l->state = LOAD_LINK_CONNECTING;
  return 0;
}

static int begin_handshake(struct load_link *l, struct net_error *e)
{
  l->ssl = load_tls_open(l->way->tls, l->fd);
  if (l->ssl == NULL)
    return out_of_memory(e);
  l->state = LOAD_LINK_HANDSHAKE;
  l->blocked = true;
  return 0;
}

static int open_link(struct load_link *l, struct net_error *e)
{
  if (load_transport_is_stream(l->way->transport))
    return connect_stream(l, e);
  l->fd = load_open(&l->way->client, &l->way->server,
                    l->way->aggregate && l->way->transport == LOAD_UDP, e);
  if (l->fd < 0)
    return -ERR_IO;
  l->state = LOAD_LINK_OPEN;
  return l->way->transport == LOAD_DTLS ? begin_handshake(l, e) : 0;
}

int load_link_open(struct load_link *l, const struct load_way *way, struct net_error *e)
{
  *l = (struct load_link){.way = way, .fd = -1, .state = LOAD_LINK_CLOSED};
  if (open_link(l, e) == 0)
    return 0;
  load_link_close(l);
  return -ERR_IO;
}

static int finish_connect(struct load_link *l, struct net_error *e)
{
  struct pollfd p = {.fd = l->fd, .events = POLLOUT};
  int error_number = 0;
  socklen_t len = sizeof(error_number);
  if (poll(&p, 1, 0) == 0)
    return -ERR_MORE;
  if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error_number, &len) != 0 || error_number != 0) {
    net_error_set(e, "the server cannot be reached over TCP: %s", strerror(error_number));
    return -ERR_IO;
  }
  l->state = LOAD_LINK_OPEN;
  return l->way->transport == LOAD_TLS ? begin_handshake(l, e) : 0;
}

int load_link_go_on(struct load_link *l, struct net_error *e)
{
  if (l->state == LOAD_LINK_CONNECTING) {
    const int status = finish_connect(l, e);
    if (status != 0)
      return status;
  }
  if (l->state == LOAD_LINK_HANDSHAKE) {
    l->blocked = false;
    const int status = load_tls_handshake(l->ssl, &l->blocked, e);
    if (status != 0)
      return status;
    l->state = LOAD_LINK_OPEN;
  }
  return 0;
}

uint32_t load_link_events(const struct load_link *l)
{
  return l->blocked || l->state == LOAD_LINK_CONNECTING ? EPOLLIN | EPOLLOUT : EPOLLIN;
}

int load_link_connect(struct load_link *l, const struct load_way *way, struct net_error *e)
{
  const uint64_t end_ms = net_clock_ms() + CONNECT_MS;
  int status = load_link_open(l, way, e);
  if (status != 0)
    return status;
  while ((status = load_link_go_on(l, e)) == -ERR_MORE && net_clock_ms() < end_ms) {
    const bool out = load_link_events(l) & EPOLLOUT;
    struct pollfd p = {.fd = l->fd, .events = out ? POLLIN | POLLOUT : POLLIN};
    (void)poll(&p, 1, STEP_MS);
  }
  if (status == 0)
    return 0;
  if (status == -ERR_MORE)
    net_error_set(e, "the server does not take a connection over %s",
                  load_transport_name(way->transport));
  load_link_close(l);
  return -ERR_IO;
}

/* ---- out ---- */

static size_t send_dtls(struct load_link *l, const struct load_burst *b)
{
  size_t sent = 0;
  while (sent < b->count && load_tls_write(l->ssl, b->at + sent * b->len, b->len) > 0)
    sent++;
  return sent;
}

size_t load_link_send(struct load_link *l, const struct load_burst *b)
{
  if (l->state != LOAD_LINK_OPEN)
    return 0;
  if (l->way->transport == LOAD_UDP) {
    struct load_burst here = *b;
    here.fd = l->fd;
    here.to = NULL;
    return load_send(&here);
  }
  if (l->way->transport == LOAD_DTLS)
    return send_dtls(l, b);
  size_t put = 0;
  while (put < b->count && l->state == LOAD_LINK_OPEN) {
    if (load_stream_put(l->stream, (struct bytes){b->at + put * b->len, b->len})) {
      put++;
      continue;
    }
    const size_t before = load_stream_waiting(l->stream).len;
    if (!l->blocked)
      load_link_flush(l);
    if (load_stream_waiting(l->stream).len == before)
      break;
  }
  return put;
}

static int write_some(struct load_link *l, struct bytes p)
{
  if (l->ssl != NULL)
    return load_tls_write(l->ssl, p.at, p.len);
  const ssize_t n = send(l->fd, p.at, p.len, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n >= 0)
    return (int)n;
  return errno == EAGAIN || errno == EINTR ? -ERR_MORE : -ERR_IO;
}

void load_link_flush(struct load_link *l)
{
  if (l->stream == NULL || l->state != LOAD_LINK_OPEN)
    return;
  struct bytes p;
  l->blocked = false;
  while ((p = load_stream_waiting(l->stream)).len > 0) {
    const int n = write_some(l, p);
    if (n > 0) {
      load_stream_wrote(l->stream, (size_t)n);
      continue;
    }
    l->blocked = n == -ERR_MORE;
    if (!l->blocked)
      l->state = LOAD_LINK_CLOSED;
    return;
  }
}

size_t load_link_queued(const struct load_link *l)
{
  int unsent = 0;
  if (l->stream == NULL)
    return 0;
  if (ioctl(l->fd, SIOCOUTQNSD, &unsent) != 0 || unsent < 0)
    unsent = 0;
  return load_stream_waiting(l->stream).len + (size_t)unsent;
}

/* ---- in ---- */

/* As of a stream's read: bytes, 0 at the end, -ERR_*. */
static int read_some(struct load_link *l, uint8_t *out, size_t cap)
{
  if (l->ssl != NULL)
    return load_tls_read(l->ssl, out, cap);
  const ssize_t n = recv(l->fd, out, cap, MSG_DONTWAIT);
  if (n >= 0)
    return (int)n;
  return errno == EAGAIN || errno == EINTR ? -ERR_MORE : -ERR_IO;
}

static size_t receive_dtls(struct load_link *l, unsigned most, load_receive_fn each, void *arg)
{
  static uint8_t in[RECORD]; /* one thread */
  size_t count = 0;
  int n = 0;
  while (count < (size_t)most * LOAD_BURST_MAX && (n = read_some(l, in, sizeof(in))) > 0) {
    each(arg, (struct bytes){in, (size_t)n}, load_now_ns());
    count++;
  }
  if (n == 0 && count == 0)
    l->state = LOAD_LINK_CLOSED;
  return count;
}

/* Records of TLS are read until the buffer is full, for epoll does not know of those that OpenSSL
 * holds. False: that was the end of the connection. */
static bool fill(struct load_link *l, uint8_t *in, size_t *len)
{
  int n;
  do {
    n = read_some(l, in + *len, INPUT - *len);
    if (n > 0)
      *len += (size_t)n;
  } while (n > 0 && l->ssl != NULL && load_tls_has_more(l->ssl) && INPUT - *len >= RECORD);
  return n > 0 || n == -ERR_MORE;
}

static size_t receive_stream(struct load_link *l, load_receive_fn each, void *arg)
{
  static uint8_t in[INPUT]; /* one thread */
  struct load_stream *s = l->stream;
  size_t total = 0, len;
  bool lives;
  do {
    const size_t rest = len = s->rest_len;
    memcpy(in, s->rest, rest);
    lives = fill(l, in, &len);
    const int count = load_stream_cut(s, (struct bytes){in, len}, each, arg, load_now_ns());
    total += count > 0 ? (size_t)count : 0;
    lives = lives && count >= 0;
    if (len == rest)
      break;
  } while (lives && l->ssl != NULL && load_tls_has_more(l->ssl));
  if (!lives)
    l->state = LOAD_LINK_CLOSED;
  return total;
}

size_t load_link_receive(struct load_link *l, unsigned most, load_receive_fn each, void *arg)
{
  if (l->state != LOAD_LINK_OPEN)
    return 0;
  switch (l->way->transport) {
  case LOAD_TCP:
  case LOAD_TLS:
    return receive_stream(l, each, arg);
  case LOAD_DTLS:
    return receive_dtls(l, most, each, arg);
  case LOAD_UDP:
    break;
  }
  return load_receive(l->fd, most, each, arg);
}

void load_link_close(struct load_link *l)
{
  load_tls_close(l->ssl);
  l->ssl = NULL;
  if (l->fd >= 0)
    close(l->fd);
  l->fd = -1;
  if (l->stream != NULL)
    free(l->stream->out);
  free(l->stream);
  l->stream = NULL;
  l->state = LOAD_LINK_CLOSED;
  l->blocked = false;
}
