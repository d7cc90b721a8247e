/* One DTLS session: its datagrams through OpenSSL, and its deadlines. */
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <openssl/err.h>

#include "base/err.h"
#include "net/dtls_private.h"

/* ---- the BIO ---- */

static int bio_write(BIO *b, const char *p, int len)
{
  struct net_dtls_io *io = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  net_udp_send(io->dtls->setup.batch, io->udp, &io->local, &io->client,
               (struct bytes){(const uint8_t *)p, (size_t)len}, 0);
  return len;
}

/* A datagram is read whole, or what does not fit is lost, as recv does. */
static int bio_read(BIO *b, char *out, int cap)
{
  struct net_dtls_io *io = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  if (io->in.len == 0) {
    BIO_set_retry_read(b);
    return -1;
  }
  size_t n = io->in.len < (size_t)cap ? io->in.len : (size_t)cap;
  memcpy(out, io->in.at, n);
  io->in = (struct bytes){NULL, 0};
  return (int)n;
}

static long bio_ctrl(BIO *b, int command, long number, void *p)
{
  (void)b;
  (void)number;
  (void)p;
  switch (command) {
  case BIO_CTRL_FLUSH:
  case BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT:
    return 1;
  case BIO_CTRL_DGRAM_QUERY_MTU:
  case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
    return NET_DTLS_MTU;
  default:
    return 0;
  }
}

static int bio_create(BIO *b)
{
  BIO_set_init(b, 1);
  return 1;
}

int net__dtls_bio_new(struct net_dtls *t)
{
  t->bio = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "net_udp");
  if (t->bio == NULL || BIO_meth_set_write(t->bio, bio_write) != 1 ||
      BIO_meth_set_read(t->bio, bio_read) != 1 || BIO_meth_set_ctrl(t->bio, bio_ctrl) != 1 ||
      BIO_meth_set_create(t->bio, bio_create) != 1)
    return -ERR_NOMEM;
  return 0;
}

/* ---- its end, and its deadlines ---- */

static void leave_half_open(struct net_dtls_full_session *s)
{
  if (list_is_empty(&s->half_open))
    return;
  list_remove(&s->half_open);
  s->io.dtls->half_open_count--;
}

void net__dtls_session_free(struct net_dtls_full_session *s, uint64_t now_ms)
{
  struct net_dtls *t = s->io.dtls;
  t->setup.events.closed(t->setup.events.arg, &s->session, now_ms);
  ERR_clear_error();
  if (s->established && !s->dead)
    (void)SSL_shutdown(s->ssl); /* close_notify */
  SSL_free(s->ssl);
  ERR_clear_error();
  wheel_cancel(t->setup.wheel, &s->retransmit);
  wheel_cancel(t->setup.wheel, &s->deadline);
  hash_table_remove(&t->by_address, &s->by_address);
  hash_table_remove(&t->by_id, &s->by_id);
  list_remove(&s->all);
  leave_half_open(s);
  free(s);
  t->counters.sessions--;
}

/* OpenSSL keeps the time of the next retransmission (RFC 6347 section 4.2.4) but has no clock that
 * wakes it. */
static void arm_retransmit(struct net_dtls_full_session *s, uint64_t now_ms)
{
  struct wheel *wheel = s->io.dtls->setup.wheel;
  struct timeval left;
  if (s->established || DTLSv1_get_timeout(s->ssl, &left) != 1)
    wheel_cancel(wheel, &s->retransmit);
  else /* a millisecond more, so that it is never found too early */
    wheel_arm(wheel, &s->retransmit,
              now_ms + (uint64_t)left.tv_sec * 1000 + (uint64_t)left.tv_usec / 1000 + 1);
}

static void retransmit(struct timer *timer, uint64_t now_ms)
{
  struct net_dtls_full_session *s = CONTAINER_OF(timer, struct net_dtls_full_session, retransmit);
  ERR_clear_error();
  long r = DTLSv1_handle_timeout(s->ssl);
  ERR_clear_error();
  if (r >= 0) {
    arm_retransmit(s, now_ms);
    return;
  }
  s->io.dtls->counters.failed++;
  net__dtls_session_free(s, now_ms);
}

static void deadline(struct timer *timer, uint64_t now_ms)
{
  struct net_dtls_full_session *s = CONTAINER_OF(timer, struct net_dtls_full_session, deadline);
  struct net_dtls *t = s->io.dtls;
  const struct net_dtls_limits *limits = &t->setup.limits;
  uint64_t due_ms = s->input_ms + limits->idle_ms;
  uint64_t unused_ms = s->session.unused_ms + limits->unused_ms;
  if (limits->unused_ms > 0 && s->session.keep == 0 && unused_ms < due_ms)
    due_ms = unused_ms;
  bool idle = due_ms <= now_ms && s->session.keep == 0;
  if (s->dead || !s->established || idle) {
    t->counters.closed_timeout += !s->dead;
    net__dtls_session_free(s, now_ms);
    return;
  }
  /* Kept by its owner: look again later. */
  wheel_arm(t->setup.wheel, &s->deadline,
            due_ms > now_ms ? due_ms : now_ms + t->setup.limits.idle_ms);
}

void net__dtls_session_init(struct net_dtls_full_session *s)
{
  list_init(&s->all);
  list_init(&s->half_open);
  timer_init(&s->retransmit, retransmit);
  timer_init(&s->deadline, deadline);
}

/* ---- in ---- */

/* Whether a session goes on after OpenSSL returned `r`: it wants the next datagram. */
static bool goes_on(const struct net_dtls_full_session *s, int r)
{
  int error = SSL_get_error(s->ssl, r);
  ERR_clear_error();
  return error == SSL_ERROR_WANT_READ;
}

static void handshake(struct net_dtls_full_session *s, uint64_t now_ms)
{
  struct net_dtls *t = s->io.dtls;
  ERR_clear_error();
  int r = SSL_do_handshake(s->ssl);
  if (r != 1) {
    s->dead = !goes_on(s, r);
    t->counters.failed += s->dead;
    arm_retransmit(s, now_ms);
    return;
  }
  s->established = true;
  s->input_ms = s->session.unused_ms = now_ms;
  t->counters.established++;
  leave_half_open(s);
  arm_retransmit(s, now_ms);
  wheel_arm(t->setup.wheel, &s->deadline, now_ms + t->setup.limits.idle_ms);
}

/* The datagram has been copied into OpenSSL's buffer when the first message comes out of it, so the
 * message takes its place. */
static void read_messages(struct net_dtls_full_session *s, const struct dgram *place,
                          uint64_t now_ms)
{
  const struct net_dtls_events *events = &s->io.dtls->setup.events;
  size_t cap = place->cap - dgram_headroom(place) - DGRAM_TAILROOM;
  for (;;) {
    ERR_clear_error();
    int n = SSL_read(s->ssl, place->at, (int)cap);
    if (n <= 0) {
      s->dead = !goes_on(s, n);
      return;
    }
    struct dgram d = *place;
    d.len = (size_t)n;
    s->input_ms = now_ms;
    events->message(events->arg, &s->session, &d, now_ms);
    if (s->dead || SSL_has_pending(s->ssl) != 1)
      return;
    events->batch_end(events->arg); /* the next message of this datagram takes its place again */
  }
}

void net__dtls_session_input(struct net_dtls_full_session *s, const struct dgram *d,
                             uint64_t now_ms)
{
  if (!s->established)
    handshake(s, now_ms);
  if (s->established && !s->dead)
    read_messages(s, d, now_ms);
  s->io.in = (struct bytes){NULL, 0};
  if (s->dead)
    net__dtls_session_free(s, now_ms);
}

/* ---- out ---- */

void net_dtls_send(struct net_dtls *t, struct net_dtls_session *session, struct bytes message)
{
  struct net_dtls_full_session *s = CONTAINER_OF(session, struct net_dtls_full_session, session);
  if (!s->established || s->dead || message.len == 0 || message.len > NET_DTLS_MESSAGE) {
    t->counters.dropped++;
    return;
  }
  ERR_clear_error();
  if (SSL_write(s->ssl, message.at, (int)message.len) > 0)
    return;
  ERR_clear_error();
  t->counters.dropped++;
  s->dead = true;
  wheel_arm(t->setup.wheel, &s->deadline, 0); /* not here: its owner holds it */
}
