/* The header may come in pieces, and what is behind it belongs to TLS: so it is looked at where the
 * kernel holds it, and of the socket no byte is taken that is not the header's. */
#include "net/proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/proxy.h"

/* The part of a header that has come. Only a header in pieces costs memory. */
struct piece {
  size_t len;
  uint8_t bytes[PROXY_HEADER_MAX];
};

static ssize_t receive(const struct net_conn *c, uint8_t *out, size_t cap, int flags)
{
  ssize_t n;
  do
    n = recv(c->watch.fd, out, cap, flags | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  return n;
}

static int keep(struct net_conn *c, const uint8_t *bytes, size_t len)
{
  struct piece *piece = c->stream_state;
  if (piece == NULL && (piece = malloc(sizeof(*piece))) == NULL)
    return -ERR_NOMEM;
  memcpy(piece->bytes, bytes, len);
  piece->len = len;
  c->stream_state = piece;
  return -ERR_MORE;
}

static int go_on(struct net_conn *c, const struct proxy_header *h)
{
  free(c->stream_state);
  c->stream_state = NULL;
  if (h->has_addresses) {
    c->peer = h->client;
    c->local = h->server;
  }
  c->stream = &net_stream_tls_or_plain;
  return c->stream->handshake(c);
}

static int take_header(struct net_conn *c)
{
  const struct piece *piece = c->stream_state;
  struct proxy_header h;
  uint8_t bytes[PROXY_HEADER_MAX];
  size_t had = piece != NULL ? piece->len : 0;
  if (had > 0)
    memcpy(bytes, piece->bytes, had);
  ssize_t n = receive(c, bytes + had, sizeof(bytes) - had, MSG_PEEK);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return -ERR_MORE;
  if (n <= 0)
    return -ERR_IO;
  int r = proxy_parse((struct bytes){bytes, had + (size_t)n}, &h);
  if (r != 0 && r != -ERR_MORE)
    return r;
  /* A byte that were left there would wake us up again and again. */
  size_t take = r == 0 ? h.len - had : (size_t)n;
  if (receive(c, bytes + had, take, 0) != (ssize_t)take)
    return -ERR_IO;
  return r == 0 ? go_on(c, &h) : keep(c, bytes, had + take);
}

static int no_read(struct net_conn *c, void *out, size_t cap)
{
  (void)c;
  (void)out;
  (void)cap;
  return -ERR_IO; /* nothing is read or written before the header */
}

static int no_write(struct net_conn *c, const void *p, size_t len)
{
  (void)c;
  (void)p;
  (void)len;
  return -ERR_IO;
}

static void proxied_shutdown(struct net_conn *c)
{
  free(c->stream_state);
  c->stream_state = NULL;
  net_stream_plain.shutdown(c);
}

const struct net_stream net_stream_proxied = {
    .handshake = take_header,
    .read = no_read,
    .write = no_write,
    .shutdown = proxied_shutdown,
};
