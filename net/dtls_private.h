/* What dtls.c (the set of sessions, and who may open one) and dtls_session.c (one session) share.
 * Private to them; net/tls_context takes the two callbacks. */
#ifndef VIADUCT_NET_DTLS_PRIVATE_H
#define VIADUCT_NET_DTLS_PRIVATE_H

#include "base/list.h"
#include "net/dtls.h"

enum { NET_DTLS_SECRET = 32 };

/* The two ends that an SSL object reads from and writes to. */
struct net_dtls_io {
  struct net_dtls *dtls;
  struct net_udp *udp;
  struct addr client, local;
  struct bytes in; /* the datagram at hand, not yet read; empty: none */
};

struct net_dtls {
  struct net_dtls_setup setup;
  struct mem mem;
  struct net_tls_context *context; /* may be NULL */
  BIO_METHOD *bio;
  SSL *listening; /* answers ClientHellos; becomes the session of one whose cookie is good */
  struct net_dtls_io listening_io;
  BIO_ADDR *nobody;                   /* DTLSv1_listen wants to tell a peer; we know it already */
  uint8_t secret[2][NET_DTLS_SECRET]; /* of now, and the one before */
  uint64_t secret_ms;                 /* since when it is that of now */
  struct hash_table by_address, by_id;
  struct list all, half_open; /* half_open: oldest first */
  uint32_t half_open_count;
  uint64_t last_id;
  struct net_dtls_counters counters;
};

struct net_dtls_full_session {
  struct net_dtls_session session;
  struct net_dtls_io io;
  SSL *ssl;
  struct hash_node by_address, by_id;
  struct list all, half_open;
  struct timer retransmit, deadline;
  uint64_t input_ms; /* the last message, or the beginning */
  bool established;
  bool dead; /* goes when its callback returns, or at the next tick */
};

/* Callbacks of an SSL_CTX for DTLS: the cookie of the address that this SSL object reads from. */
int net__dtls_make_cookie(SSL *ssl, unsigned char *out, unsigned int *len);
int net__dtls_check_cookie(SSL *ssl, const unsigned char *cookie, unsigned int len);

/* -ERR_NOMEM. */
int net__dtls_bio_new(struct net_dtls *t);
void net__dtls_session_init(struct net_dtls_full_session *s);
/* Goes on with what s->io.in holds; decrypted messages are put where `d` stands. */
void net__dtls_session_input(struct net_dtls_full_session *s, const struct dgram *d,
                             uint64_t now_ms);
/* Tells the owner, says goodbye, and frees. */
void net__dtls_session_free(struct net_dtls_full_session *s, uint64_t now_ms);

#endif
