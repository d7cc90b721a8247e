/* See tls.h. OpenSSL's socket BIOs raise SIGPIPE, which main.c ignores. */
#include "bench/load/tls.h"

#include <netinet/in.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/err.h"

struct load_tls {
  SSL_CTX *context;
  struct load_tls_setup setup; /* `ca` does not count any more */
};

static const char *reason(void)
{
  const char *text = ERR_reason_error_string(ERR_peek_last_error());
  return text != NULL ? text : "no reason given";
}

static SSL_CTX *context_new(const struct load_tls_setup *s, struct net_error *e)
{
  SSL_CTX *c = SSL_CTX_new(s->dtls ? DTLS_client_method() : TLS_client_method());
  if (c == NULL) {
    net_error_set(e, "viaduct-load: OpenSSL gives no context: %s", reason());
    return NULL;
  }
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(c, 1);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF); /* each handshake is a whole one */
  if (s->ca == NULL)
    return c;
  if (SSL_CTX_load_verify_locations(c, s->ca, NULL) != 1) {
    net_error_set(e, "--ca %s holds no certificates that can be read: %s", s->ca, reason());
    SSL_CTX_free(c);
    return NULL;
  }
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
  return c;
}

struct load_tls *load_tls_new(const struct load_tls_setup *s, struct net_error *e)
{
  struct load_tls *t = calloc(1, sizeof(*t));
  if (t == NULL) {
    net_error_set(e, "viaduct-load has no memory");
    return NULL;
  }
  t->setup = *s;
  t->context = context_new(s, e);
  if (t->context != NULL)
    return t;
  free(t);
  return NULL;
}

void load_tls_free(struct load_tls *t)
{
  if (t == NULL)
    return;
  SSL_CTX_free(t->context);
  free(t);
}

/* Without it, OpenSSL would look up where each datagram goes. */
static BIO *datagrams(const struct load_tls *t, int fd)
{
  const struct addr *to = &t->setup.server;
  BIO *bio = BIO_new_dgram(fd, BIO_NOCLOSE);
  BIO_ADDR *at = BIO_ADDR_new();
  if (bio == NULL || at == NULL ||
      BIO_ADDR_rawmake(at, to->family == ADDR_V6 ? AF_INET6 : AF_INET, to->ip, addr_ip_len(to),
                       htons(to->port)) != 1) {
    BIO_free(bio);
    BIO_ADDR_free(at);
    return NULL;
  }
  BIO_ctrl_set_connected(bio, at);
  BIO_ADDR_free(at);
  return bio;
}

static bool expect_name(const struct load_tls *t, SSL *ssl)
{
  char text[ADDR_TEXT_SIZE];
  if (t->setup.name != NULL)
    return SSL_set_tlsext_host_name(ssl, t->setup.name) == 1 &&
           SSL_set1_host(ssl, t->setup.name) == 1;
  return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl),
                                       addr_format_ip(&t->setup.server, text)) == 1;
}

SSL *load_tls_open(const struct load_tls *t, int fd)
{
  SSL *ssl = SSL_new(t->context);
  BIO *bio = t->setup.dtls ? datagrams(t, fd) : BIO_new_socket(fd, BIO_NOCLOSE);
  if (ssl == NULL || bio == NULL || !expect_name(t, ssl)) {
    BIO_free(bio);
    SSL_free(ssl);
    return NULL;
  }
  SSL_set_bio(ssl, bio, bio);
  SSL_set_connect_state(ssl);
  return ssl;
}

static int verdict(SSL *ssl, int r)
{
  const int error = SSL_get_error(ssl, r);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
    return -ERR_MORE;
  return error == SSL_ERROR_ZERO_RETURN ? 0 : -ERR_IO;
}

int load_tls_handshake(SSL *ssl, bool *want_write, struct net_error *e)
{
  ERR_clear_error();
  if (SSL_is_dtls(ssl))
    (void)DTLSv1_handle_timeout(ssl);
  const int r = SSL_do_handshake(ssl);
  if (r == 1)
    return 0;
  if (verdict(ssl, r) == -ERR_MORE) {
    *want_write = SSL_want_write(ssl);
    return -ERR_MORE;
  }
  const long verified = SSL_get_verify_result(ssl);
  net_error_set(e, "the handshake with the server failed: %s",
                verified != X509_V_OK ? X509_verify_cert_error_string(verified) : reason());
  return -ERR_IO;
}

int load_tls_read(SSL *ssl, void *out, size_t cap)
{
  ERR_clear_error();
  const int n = SSL_read(ssl, out, cap > INT32_MAX ? INT32_MAX : (int)cap);
  return n > 0 ? n : verdict(ssl, n);
}

int load_tls_write(SSL *ssl, const void *p, size_t len)
{
  ERR_clear_error();
  const int n = SSL_write(ssl, p, len > INT32_MAX ? INT32_MAX : (int)len);
  if (n > 0)
    return n;
  return verdict(ssl, n) == -ERR_MORE ? -ERR_MORE : -ERR_IO;
}

bool load_tls_has_more(const SSL *ssl)
{
  return SSL_has_pending(ssl) == 1;
}

void load_tls_close(SSL *ssl)
{
  if (ssl == NULL)
    return;
  ERR_clear_error();
  if (SSL_is_init_finished(ssl))
    (void)SSL_shutdown(ssl); /* not waited for */
  ERR_clear_error();
  SSL_free(ssl);
}
