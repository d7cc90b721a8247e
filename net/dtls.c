/* The set of sessions: which one a datagram is for, and who may open a new one. */
#include "net/dtls.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "base/digest.h"
#include "base/err.h"
#include "net/dtls_private.h"
#include "net/mem.h"

/* ---- look-up ---- */

static uint64_t hash_address(const struct net_dtls *t, const struct addr *client,
                             const struct addr *local)
{
  struct addr pair[2] = {*client, *local};
  return hash_bytes(&t->setup.hash_key, pair, sizeof(pair));
}

static struct net_dtls_full_session *find_address(struct net_dtls *t, const struct addr *client,
                                                  const struct addr *local)
{
  for (struct hash_node *n = hash_table_first(&t->by_address, hash_address(t, client, local));
       n != NULL; n = hash_table_next(n)) {
    struct net_dtls_full_session *s = CONTAINER_OF(n, struct net_dtls_full_session, by_address);
    if (addr_equal(&s->io.client, client) && addr_equal(&s->io.local, local))
      return s;
  }
  return NULL;
}

struct net_dtls_session *net_dtls_find(struct net_dtls *t, uint64_t id)
{
  uint64_t hash = hash_bytes(&t->setup.hash_key, &id, sizeof(id));
  for (struct hash_node *n = hash_table_first(&t->by_id, hash); n != NULL; n = hash_table_next(n)) {
    struct net_dtls_full_session *s = CONTAINER_OF(n, struct net_dtls_full_session, by_id);
    if (s->session.id == id)
      return &s->session;
  }
  return NULL;
}

/* ---- cookies ---- */

/* RFC 6347 section 4.2.1: "Cookie = HMAC(Secret, Client-IP, Client-Parameters)". */
static void cookie_of(const struct net_dtls_io *io, size_t which, uint8_t out[SHA256_SIZE])
{
  const struct bytes piece[] = {
      {(const uint8_t *)&io->client, sizeof(io->client)},
      {(const uint8_t *)&io->local, sizeof(io->local)},
  };
  hmac_sha256((struct bytes){io->dtls->secret[which], NET_DTLS_SECRET}, piece, 2, out);
}

int net__dtls_make_cookie(SSL *ssl, unsigned char *out, unsigned int *len)
{
  cookie_of(SSL_get_app_data(ssl), 0, out);
  *len = SHA256_SIZE;
  return 1;
}

int net__dtls_check_cookie(SSL *ssl, const unsigned char *cookie, unsigned int len)
{
  for (size_t i = 0; len == SHA256_SIZE && i < 2; i++) {
    uint8_t ours[SHA256_SIZE];
    cookie_of(SSL_get_app_data(ssl), i, ours);
    if (bytes_equal_ct(cookie, ours, sizeof(ours)))
      return 1;
  }
  return 0;
}

/* "The server SHOULD ... change secrets frequently", or else an attacker could gather cookies over
 * many addresses and come back with all of them at once. */
static void renew_secret(struct net_dtls *t, uint64_t now_ms)
{
  if (t->secret_ms != 0 && now_ms - t->secret_ms < NET_DTLS_SECRET_MS)
    return;
  struct random *random = t->setup.random;
  bool long_ago = t->secret_ms == 0 || now_ms - t->secret_ms >= 2 * NET_DTLS_SECRET_MS;
  if (long_ago)
    random->fill(random->arg, t->secret[1], NET_DTLS_SECRET);
  else
    memcpy(t->secret[1], t->secret[0], NET_DTLS_SECRET);
  random->fill(random->arg, t->secret[0], NET_DTLS_SECRET);
  t->secret_ms = now_ms != 0 ? now_ms : 1;
}

/* ---- new sessions ---- */

static int open_listening(struct net_dtls *t)
{
  if (t->listening != NULL)
    return 0;
  SSL *ssl = t->context != NULL ? SSL_new(net_tls_context_dtls(t->context)) : NULL;
  BIO *bio = ssl != NULL ? BIO_new(t->bio) : NULL;
  if (bio == NULL) {
    SSL_free(ssl);
    return -ERR_NOMEM;
  }
  BIO_set_data(bio, &t->listening_io);
  SSL_set_app_data(ssl, &t->listening_io);
  SSL_set_bio(ssl, bio, bio);
  SSL_set_accept_state(ssl);
  SSL_set_mtu(ssl, NET_DTLS_MTU);
  t->listening = ssl;
  return 0;
}

static int attach(struct net_dtls *t, struct net_dtls_full_session *s)
{
  int r = hash_table_insert(&t->by_address, &s->by_address,
                            hash_address(t, &s->io.client, &s->io.local));
  if (r != 0)
    return r;
  r = hash_table_insert(&t->by_id, &s->by_id,
                        hash_bytes(&t->setup.hash_key, &s->session.id, sizeof(s->session.id)));
  if (r != 0) {
    hash_table_remove(&t->by_address, &s->by_address);
    return r;
  }
  list_push_back(&t->all, &s->all);
  list_push_back(&t->half_open, &s->half_open);
  t->half_open_count++;
  t->counters.sessions++;
  return 0;
}

static struct net_dtls_full_session *session_new(struct net_dtls *t)
{
  struct net_dtls_full_session *s = calloc(1, sizeof(*s));
  if (s == NULL)
    return NULL;
  s->io = t->listening_io;
  s->session = (struct net_dtls_session){
      .id = ++t->last_id, .client = s->io.client, .local = s->io.local, .udp = s->io.udp};
  net__dtls_session_init(s);
  if (attach(t, s) != 0) {
    free(s);
    return NULL;
  }
  s->ssl = t->listening;
  t->listening = NULL;
  BIO_set_data(SSL_get_rbio(s->ssl), &s->io);
  SSL_set_app_data(s->ssl, &s->io);
  return s;
}

/* A ClientHello of nobody we know: a cookie, or the handshake that a good cookie opens. `before` is
 * the session of the same addresses, or NULL. RFC 6347 section 4.2.8: the server "MUST NOT destroy
 * the existing association until the client has demonstrated reachability". */
static void listen_hello(struct net_dtls *t, struct net_dtls_full_session *before,
                         const struct net_udp_msg *m, uint64_t now_ms)
{
  t->counters.hellos++;
  renew_secret(t, now_ms);
  if (open_listening(t) != 0)
    return;
  ERR_clear_error();
  int r = DTLSv1_listen(t->listening, t->nobody);
  ERR_clear_error();
  if (r <= 0)
    return;
  if (before != NULL)
    net__dtls_session_free(before, now_ms);
  if (t->half_open_count >= t->setup.limits.handshakes)
    net__dtls_session_free(CONTAINER_OF(t->half_open.next, struct net_dtls_full_session, half_open),
                           now_ms);
  struct net_dtls_full_session *s =
      t->counters.sessions < t->setup.limits.sessions ? session_new(t) : NULL;
  if (s == NULL) {
    t->counters.refused++;
    return;
  }
  s->input_ms = now_ms;
  wheel_arm(t->setup.wheel, &s->deadline, now_ms + t->setup.limits.handshake_ms);
  net__dtls_session_input(s, &m->d, now_ms);
}

/* ---- input ---- */

/* RFC 6347 sections 4.1 and 4.2.2: a record's header of 13 bytes, then that of a handshake message
 * of 12, then two bytes of version and the client's random. */
enum { HELLO_EPOCH = 3, HELLO_TYPE = 13, HELLO_RANDOM = 27, HELLO_RANDOM_LEN = 32 };

static bool is_hello(const struct dgram *d)
{
  return d->len >= HELLO_RANDOM + HELLO_RANDOM_LEN && d->at[0] == SSL3_RT_HANDSHAKE &&
         load_be16(d->at + HELLO_EPOCH) == 0 && d->at[HELLO_TYPE] == SSL3_MT_CLIENT_HELLO;
}

/* Not one that this session began with, come twice. */
static bool is_another_hello(const struct net_dtls_full_session *s, const struct dgram *d)
{
  uint8_t random[HELLO_RANDOM_LEN];
  return is_hello(d) && SSL_get_client_random(s->ssl, random, sizeof(random)) == sizeof(random) &&
         memcmp(random, d->at + HELLO_RANDOM, sizeof(random)) != 0;
}

void net_dtls_input(struct net_dtls *t, struct net_udp *u, const struct net_udp_msg *m,
                    uint64_t now_ms)
{
  struct net_dtls_full_session *s = find_address(t, &m->from, &m->local);
  if (s != NULL && !is_another_hello(s, &m->d)) {
    s->io.in = (struct bytes){m->d.at, m->d.len};
    net__dtls_session_input(s, &m->d, now_ms);
  } else if (is_hello(&m->d)) {
    t->listening_io = (struct net_dtls_io){
        .dtls = t, .udp = u, .client = m->from, .local = m->local, .in = {m->d.at, m->d.len}};
    listen_hello(t, s, m, now_ms);
    t->listening_io.in = (struct bytes){NULL, 0};
  } else {
    t->counters.strays++;
  }
}

/* ---- its life ---- */

int net_dtls_new(const struct net_dtls_setup *s, struct net_dtls **out)
{
  struct net_dtls *t = calloc(1, sizeof(*t));
  if (t == NULL)
    return -ERR_NOMEM;
  t->setup = *s;
  t->mem = net_mem();
  list_init(&t->all);
  list_init(&t->half_open);
  hash_table_init(&t->by_address, &t->mem);
  hash_table_init(&t->by_id, &t->mem);
  t->nobody = BIO_ADDR_new();
  if (t->nobody == NULL || net__dtls_bio_new(t) != 0) {
    net_dtls_free(t, 0);
    return -ERR_NOMEM;
  }
  *out = t;
  return 0;
}

void net_dtls_free(struct net_dtls *t, uint64_t now_ms)
{
  if (t == NULL)
    return;
  while (!list_is_empty(&t->all))
    net__dtls_session_free(CONTAINER_OF(t->all.next, struct net_dtls_full_session, all), now_ms);
  hash_table_fini(&t->by_address);
  hash_table_fini(&t->by_id);
  net_dtls_change(t, NULL);
  BIO_ADDR_free(t->nobody);
  BIO_meth_free(t->bio);
  bytes_wipe(t->secret, sizeof(t->secret));
  free(t);
}

void net_dtls_change(struct net_dtls *t, struct net_tls_context *context)
{
  net_tls_context_share(context);
  SSL_free(t->listening);
  t->listening = NULL;
  net_tls_context_leave(t->context);
  t->context = context;
}

const struct net_dtls_counters *net_dtls_counters(const struct net_dtls *t)
{
  return &t->counters;
}
