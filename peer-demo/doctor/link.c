/* See link.h. */
#include "peer-demo/doctor/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/err.h"
#include "net/clock.h"
#include "net/sockaddr.h"
#include "stun/core/frame.h"

enum { DTLS_STEP_MS = 200 };

static bool is_datagram(const struct link *l)
{
  return l->transport == URI_UDP || l->transport == URI_DTLS;
}

static bool is_secure(const struct link *l)
{
  return l->transport == URI_TLS || l->transport == URI_DTLS;
}

static enum doctor_fault fault_of(int error_number)
{
  switch (error_number) {
  case ECONNREFUSED:
    return DOCTOR_REFUSED;
  case ENETUNREACH:
  case EHOSTUNREACH:
  case EADDRNOTAVAIL:
  case EACCES:
  case EPERM:
    return DOCTOR_UNREACHABLE;
  case ETIMEDOUT:
    return DOCTOR_TIMEOUT;
  default:
    return DOCTOR_BROKEN;
  }
}

/* 1: ready; 0: the deadline has come. */
static int wait_for(int fd, short events, uint64_t deadline_ms)
{
  struct pollfd p = {.fd = fd, .events = events};
  uint64_t now = net_clock_ms();
  return poll(&p, 1, deadline_ms > now ? (int)(deadline_ms - now) : 0) > 0;
}

static enum doctor_fault connect_socket(struct link *l, const struct link_setup *s)
{
  struct sockaddr_storage to;
  socklen_t len = net_sockaddr_put(&to, &s->server);
  int type = (is_datagram(l) ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
  l->fd = socket(to.ss_family, type, 0);
  if (l->fd < 0)
    return fault_of(errno == EAFNOSUPPORT ? ENETUNREACH : errno);
  if (connect(l->fd, (struct sockaddr *)&to, len) == 0)
    return DOCTOR_NO_FAULT;
  if (errno != EINPROGRESS)
    return fault_of(errno);
  if (!wait_for(l->fd, POLLOUT, s->deadline_ms))
    return DOCTOR_TIMEOUT;
  int error_number = 0;
  socklen_t size = sizeof error_number;
  if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error_number, &size) != 0)
    return DOCTOR_BROKEN;
  return error_number == 0 ? DOCTOR_NO_FAULT : fault_of(error_number);
}

/* ---- TLS and DTLS ---- */

static BIO *datagrams(const struct link *l, const struct addr *to)
{
  BIO *bio = BIO_new_dgram(l->fd, BIO_NOCLOSE);
  BIO_ADDR *at = BIO_ADDR_new();
  bool good = bio && at &&
              BIO_ADDR_rawmake(at, to->family == ADDR_V6 ? AF_INET6 : AF_INET, to->ip,
                               addr_ip_len(to), htons(to->port)) == 1;
  if (good) {
    BIO_ctrl_set_connected(bio, at);
  } else {
    BIO_free(bio);
    bio = NULL;
  }
  BIO_ADDR_free(at);
  return bio;
}

/* A certificate is judged behind the handshake, so that what stands behind a bad one is seen too.
 */
static bool make_ssl(struct link *l, const struct link_setup *s)
{
  struct addr literal;
  bool dtls = l->transport == URI_DTLS;
  l->context = SSL_CTX_new(dtls ? DTLS_client_method() : TLS_client_method());
  if (!l->context)
    return false;
  if ((s->ca ? SSL_CTX_load_verify_locations(l->context, s->ca, NULL)
             : SSL_CTX_set_default_verify_paths(l->context)) != 1)
    return false;
  SSL_CTX_set_verify(l->context, SSL_VERIFY_NONE, NULL);
  l->ssl = SSL_new(l->context);
  BIO *bio = !l->ssl ? NULL : dtls ? datagrams(l, &s->server) : BIO_new_socket(l->fd, BIO_NOCLOSE);
  if (!bio)
    return false;
  SSL_set_bio(l->ssl, bio, bio);
  SSL_set_connect_state(l->ssl);
  /* RFC 6066 section 3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName"." */
  return addr_parse(bytes_of(s->uri->host), &literal) == 0 ||
         SSL_set_tlsext_host_name(l->ssl, s->uri->host) == 1;
}

static bool is_named(X509 *certificate, const char *host)
{
  struct addr literal;
  if (addr_parse(bytes_of(host), &literal) == 0)
    return X509_check_ip(certificate, literal.ip, addr_ip_len(&literal), 0) == 1;
  return X509_check_host(certificate, host, 0, 0, NULL) == 1;
}

static void look_at_certificate(const struct link *l, const struct link_setup *s,
                                struct doctor_certificate *out, char *said)
{
  int days = 0, seconds = 0;
  X509 *certificate = SSL_get1_peer_certificate(l->ssl);
  if (!certificate)
    return;
  long result = SSL_get_verify_result(l->ssl);
  out->seen = true;
  /* That it has expired is told by itself. */
  out->trusted = result == X509_V_OK || result == X509_V_ERR_CERT_HAS_EXPIRED;
  out->named = is_named(certificate, s->uri->host);
  if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) == 1)
    out->left_s = (int64_t)days * 86400 + seconds;
  if (result != X509_V_OK)
    snprintf(said, DOCTOR_SAID_SIZE, "%s", X509_verify_cert_error_string(result));
  X509_free(certificate);
}

static enum doctor_fault shake_hands(struct link *l, const struct link_setup *s, char *said)
{
  for (;;) {
    ERR_clear_error();
    if (l->transport == URI_DTLS)
      (void)DTLSv1_handle_timeout(l->ssl);
    int r = SSL_do_handshake(l->ssl), error = SSL_get_error(l->ssl, r), error_number = errno;
    if (r == 1)
      return DOCTOR_NO_FAULT;
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
      const char *reason = ERR_reason_error_string(ERR_peek_last_error());
      snprintf(said, DOCTOR_SAID_SIZE, "%s", reason ? reason : "the connection ended");
      return error == SSL_ERROR_SYSCALL && error_number == ECONNREFUSED ? DOCTOR_REFUSED
                                                                        : DOCTOR_BROKEN;
    }
    uint64_t now = net_clock_ms(), until = s->deadline_ms;
    if (now >= until)
      return DOCTOR_TIMEOUT;
    if (l->transport == URI_DTLS && until > now + DTLS_STEP_MS)
      until = now + DTLS_STEP_MS;
    (void)wait_for(l->fd, error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN, until);
  }
}

enum doctor_fault link_open(struct link *l, const struct link_setup *setup,
                            struct doctor_certificate *certificate, enum doctor_step *step,
                            char *said)
{
  *l = (struct link){.transport = setup->uri->transport, .fd = -1};
  *step = DOCTOR_CONNECT;
  enum doctor_fault fault = connect_socket(l, setup);
  if (fault != DOCTOR_NO_FAULT || !is_secure(l))
    return fault;
  *step = DOCTOR_SECURE;
  if (!make_ssl(l, setup))
    return DOCTOR_BROKEN;
  fault = shake_hands(l, setup, said);
  if (fault == DOCTOR_NO_FAULT)
    look_at_certificate(l, setup, certificate, said);
  return fault;
}

void link_close(struct link *l)
{
  if (l->ssl && SSL_is_init_finished(l->ssl))
    (void)SSL_shutdown(l->ssl);
  ERR_clear_error();
  SSL_free(l->ssl);
  SSL_CTX_free(l->context);
  if (l->fd >= 0)
    close(l->fd);
  l->fd = -1;
  l->ssl = NULL;
  l->context = NULL;
}

/* ---- messages ---- */

enum doctor_fault link_send(struct link *l, struct bytes message)
{
  ssize_t sent;
  if (l->ssl) {
    ERR_clear_error();
    sent = SSL_write(l->ssl, message.at, (int)message.len);
  } else {
    sent = send(l->fd, message.at, message.len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
      return fault_of(errno);
  }
  /* A datagram that was not taken is one that was lost. A stream takes these few bytes, or its
   * server has stopped reading. */
  return sent == (ssize_t)message.len || is_datagram(l) ? DOCTOR_NO_FAULT : DOCTOR_BROKEN;
}

/* Bytes, or 0: none for now; -1 and *fault. */
static ssize_t read_some(struct link *l, uint8_t *out, size_t cap, enum doctor_fault *fault)
{
  *fault = DOCTOR_BROKEN;
  if (l->ssl) {
    ERR_clear_error();
    int n = SSL_read(l->ssl, out, (int)cap), error = SSL_get_error(l->ssl, n);
    if (n > 0)
      return n;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
  }
  ssize_t n = recv(l->fd, out, cap, MSG_DONTWAIT);
  if (n > 0 || (n < 0 && errno == EAGAIN))
    return n > 0 ? n : 0;
  *fault = n < 0 ? fault_of(errno) : DOCTOR_BROKEN;
  return n == 0 && is_datagram(l) ? 0 : -1;
}

/* The first whole message in `rest`: DOCTOR_TIMEOUT where there is none yet. */
static enum doctor_fault cut(struct link *l, uint8_t *out, size_t *len)
{
  struct stun_frame frame;
  int r = stun_frame_next((struct bytes){l->rest, l->rest_len}, true, &frame);
  if (r == -ERR_MORE)
    return l->rest_len < sizeof l->rest ? DOCTOR_TIMEOUT : DOCTOR_BROKEN;
  if (r != 0)
    return DOCTOR_BROKEN;
  memcpy(out, l->rest, frame.len);
  *len = frame.len;
  l->rest_len -= frame.padded;
  memmove(l->rest, l->rest + frame.padded, l->rest_len);
  return DOCTOR_NO_FAULT;
}

bool link_has_more(const struct link *l)
{
  struct stun_frame frame;
  return (l->ssl && SSL_has_pending(l->ssl) == 1) ||
         (!is_datagram(l) &&
          stun_frame_next((struct bytes){l->rest, l->rest_len}, true, &frame) == 0);
}

enum doctor_fault link_receive(struct link *l, uint8_t *out, size_t *len, uint64_t deadline_ms)
{
  for (;;) {
    enum doctor_fault fault = is_datagram(l) ? DOCTOR_TIMEOUT : cut(l, out, len);
    if (fault != DOCTOR_TIMEOUT)
      return fault;
    ssize_t n = is_datagram(l)
                    ? read_some(l, out, LINK_MESSAGE_MAX, &fault)
                    : read_some(l, l->rest + l->rest_len, sizeof l->rest - l->rest_len, &fault);
    if (n < 0)
      return fault;
    if (n > 0 && is_datagram(l)) {
      *len = (size_t)n;
      return DOCTOR_NO_FAULT;
    }
    l->rest_len += (size_t)n;
    if (n == 0 && (net_clock_ms() >= deadline_ms || !wait_for(l->fd, POLLIN, deadline_ms)))
      return DOCTOR_TIMEOUT;
  }
}
