/* OpenSSL reads and writes through a BIO over net_stream_plain: OpenSSL's own socket BIO would
 * raise SIGPIPE. */
#include "net/tls.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>

#include "base/err.h"
#include "base/first.h"

/* ---- the BIO ---- */

static int bio_write(BIO *b, const char *p, int len)
{
  struct net_conn *c = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  int n = net_stream_plain.write(c, p, (size_t)len);
  if (n == -ERR_MORE)
    BIO_set_retry_write(b);
  return n > 0 ? n : -1;
}

static int bio_read(BIO *b, char *out, int cap)
{
  struct net_conn *c = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  int n = net_stream_plain.read(c, out, (size_t)cap);
  if (n == -ERR_MORE)
    BIO_set_retry_read(b);
  if (n == 0)
    BIO_set_flags(b, BIO_FLAGS_IN_EOF);
  return n >= 0 ? n : -1;
}

static long bio_ctrl(BIO *b, int command, long number, void *p)
{
  (void)number;
  (void)p;
  if (command == BIO_CTRL_FLUSH)
    return 1;
  return command == BIO_CTRL_EOF ? BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0 : 0;
}

static int bio_create(BIO *b)
{
  BIO_set_init(b, 1);
  return 1;
}

int net_tls_init(struct net_tls *t, struct net_tls_context *context)
{
  *t = (struct net_tls){0};
  t->bio = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "net_conn");
  if (t->bio == NULL || BIO_meth_set_write(t->bio, bio_write) != 1 ||
      BIO_meth_set_read(t->bio, bio_read) != 1 || BIO_meth_set_ctrl(t->bio, bio_ctrl) != 1 ||
      BIO_meth_set_create(t->bio, bio_create) != 1) {
    net_tls_fini(t);
    return -ERR_NOMEM;
  }
  net_tls_context_share(context);
  t->context = context;
  return 0;
}

void net_tls_fini(struct net_tls *t)
{
  net_tls_context_leave(t->context);
  BIO_meth_free(t->bio);
  *t = (struct net_tls){0};
}

void net_tls_change(struct net_tls *t, struct net_tls_context *context)
{
  net_tls_context_share(context);
  net_tls_context_leave(t->context);
  t->context = context;
}

/* ---- the stream ---- */

static int open_ssl(struct net_conn *c)
{
  struct net_tls *t = c->stream_config;
  SSL *ssl = t->context != NULL ? SSL_new(net_tls_context_tls(t->context)) : NULL;
  BIO *bio = ssl != NULL ? BIO_new(t->bio) : NULL;
  if (bio == NULL) {
    SSL_free(ssl);
    return -ERR_IO;
  }
  BIO_set_data(bio, c);
  SSL_set_bio(ssl, bio, bio);
  SSL_set_accept_state(ssl);
  c->stream_state = ssl;
  return 0;
}

/* What `r`, which OpenSSL just returned, means for the connection. */
static int verdict(struct net_conn *c, int r)
{
  int error = SSL_get_error(c->stream_state, r);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_WRITE)
    c->want_write = true;
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
    return -ERR_MORE;
  return error == SSL_ERROR_ZERO_RETURN ? 0 : -ERR_IO;
}

static int tls_handshake(struct net_conn *c)
{
  /* Only bytes of the client's make memory be spent on it. */
  if (c->stream_state == NULL && open_ssl(c) != 0)
    return -ERR_IO;
  ERR_clear_error();
  int r = SSL_do_handshake(c->stream_state);
  if (r == 1)
    return 0;
  return verdict(c, r) == -ERR_MORE ? -ERR_MORE : -ERR_IO;
}

static int tls_read(struct net_conn *c, void *out, size_t cap)
{
  ERR_clear_error();
  int n = SSL_read(c->stream_state, out, cap > INT32_MAX ? INT32_MAX : (int)cap);
  return n > 0 ? n : verdict(c, n);
}

static int tls_write(struct net_conn *c, const void *p, size_t len)
{
  ERR_clear_error();
  int n = SSL_write(c->stream_state, p, len > INT32_MAX ? INT32_MAX : (int)len);
  if (n > 0)
    return n;
  /* A write that waits for the other side to end a message of the handshake protocol (a KeyUpdate
   * in pieces) would wake up for nothing until then: no client does that. */
  int error = SSL_get_error(c->stream_state, n);
  ERR_clear_error();
  return error == SSL_ERROR_WANT_WRITE ? -ERR_MORE : -ERR_IO;
}

static bool tls_pending(struct net_conn *c)
{
  return SSL_has_pending(c->stream_state) == 1;
}

static void tls_shutdown(struct net_conn *c)
{
  SSL *ssl = c->stream_state;
  if (ssl != NULL) {
    ERR_clear_error();
    if (SSL_is_init_finished(ssl))
      (void)SSL_shutdown(ssl); /* close_notify; its answer is not waited for */
    SSL_free(ssl);
    ERR_clear_error();
    c->stream_state = NULL;
  }
  net_stream_plain.shutdown(c);
}

/* close_notify; what the other side still sends can be read. */
static int tls_finish(struct net_conn *c)
{
  ERR_clear_error();
  int r = SSL_shutdown(c->stream_state);
  if (r >= 0)
    return 0;
  r = verdict(c, r);
  return r == -ERR_MORE ? r : -ERR_IO;
}

const struct net_stream net_stream_tls = {
    .handshake = tls_handshake,
    .read = tls_read,
    .write = tls_write,
    .pending = tls_pending,
    .shutdown = tls_shutdown,
    .finish = tls_finish,
};

/* ---- TLS or plain ---- */

static int choose(struct net_conn *c)
{
  const struct net_tls *t = c->stream_config;
  uint8_t first;
  ssize_t n;
  do
    n = recv(c->watch.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return -ERR_MORE;
  if (n <= 0)
    return -ERR_IO;
  bool tls = first == FIRST_TLS_HANDSHAKE && t->context != NULL;
  if (!tls && t->no_plain)
    return -ERR_IO;
  c->stream = tls ? &net_stream_tls : &net_stream_plain;
  return c->stream->handshake != NULL ? c->stream->handshake(c) : 0;
}

static int choosing_io(struct net_conn *c, void *out, size_t cap)
{
  (void)c;
  (void)out;
  (void)cap;
  return -ERR_IO; /* nothing is read or written before the choice */
}

static int choosing_write(struct net_conn *c, const void *p, size_t len)
{
  (void)c;
  (void)p;
  (void)len;
  return -ERR_IO;
}

static void choosing_shutdown(struct net_conn *c)
{
  net_stream_plain.shutdown(c);
}

const struct net_stream net_stream_tls_or_plain = {
    .handshake = choose,
    .read = choosing_io,
    .write = choosing_write,
    .shutdown = choosing_shutdown,
};

bool net_tls_is(const struct net_conn *c)
{
  return c->stream == &net_stream_tls;
}
