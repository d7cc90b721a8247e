/* DTLS 1.2 over the UDP listeners of net/udp: one struct net_dtls for all of a thread. The owner
 * hands in datagrams whose first byte says DTLS (base/first.h); what they carry comes back
 * decrypted, in the same buffer, with its headroom.
 *
 * Nobody costs memory before a cookie has come back from the address that it was sent to (RFC 6347
 * section 4.2.1), and the newest of those who prove an address and then stop push out the oldest.
 * A ClientHello has to come in one datagram: OpenSSL takes no other before the cookie. */
#ifndef VIADUCT_NET_DTLS_H
#define VIADUCT_NET_DTLS_H

#include "base/dgram.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/wheel.h"
#include "net/tls_context.h"
#include "net/udp.h"

enum {
  NET_DTLS_MTU = 1200,       /* bytes of a datagram of the handshake: fits every path in use */
  NET_DTLS_MESSAGE = 16384,  /* bytes of one message: a record's most */
  NET_DTLS_SECRET_MS = 60000 /* a cookie is good for one to two of these */
};

struct net_dtls;

struct net_dtls_session {
  uint64_t id; /* never 0, never used twice by one struct net_dtls */
  struct addr client, local;
  const struct net_udp *udp; /* where its datagrams come in */
  unsigned keep;             /* the owner's: while it is not 0 the session is not idle */
  uint64_t unused_ms;        /* since when `keep` is 0: the owner's too, from the start set here */
};

struct net_dtls_limits {
  uint32_t sessions;   /* more are refused */
  uint32_t handshakes; /* of these, not yet done; one more ends the oldest */
  uint32_t handshake_ms;
  uint32_t idle_ms;   /* without a message of the client's; not while `keep` */
  uint32_t unused_ms; /* without `keep`, whatever comes; 0: no limit */
};

struct net_dtls_events {
  void *arg;
  /* One message; its bytes may be rewritten in place and stay until batch_end. */
  void (*message)(void *arg, struct net_dtls_session *s, struct dgram *d, uint64_t now_ms);
  /* Sends what points into the message's buffer; the owner does it at the end of its batch too. */
  void (*batch_end)(void *arg);
  void (*closed)(void *arg, struct net_dtls_session *s, uint64_t now_ms); /* s dies with it */
};

struct net_dtls_setup {
  struct net_udp_batch *batch;
  struct wheel *wheel;
  struct random *random; /* borrowed until free, as are the two above */
  struct net_dtls_limits limits;
  struct net_dtls_events events;
  struct hash_key hash_key;
};

struct net_dtls_counters {
  uint64_t sessions; /* now, handshakes included */
  uint64_t established, refused, failed, closed_timeout;
  uint64_t hellos;  /* ClientHellos without a session; most are answered by a cookie */
  uint64_t strays;  /* datagrams of no session */
  uint64_t dropped; /* messages that were too large or came before the handshake was done */
};

/* Returns owned. -ERR_NOMEM. */
int net_dtls_new(const struct net_dtls_setup *s, struct net_dtls **out);
/* Ends all sessions (each `closed` event comes). Before the sockets are closed. NULL is fine. */
void net_dtls_free(struct net_dtls *t, uint64_t now_ms);
/* The certificate for sessions to come, with a reference of its own; NULL: no DTLS. */
void net_dtls_change(struct net_dtls *t, struct net_tls_context *context);

/* One datagram that `u` received. `u` stays open while the net_dtls lives. */
void net_dtls_input(struct net_dtls *t, struct net_udp *u, const struct net_udp_msg *m,
                    uint64_t now_ms);
/* NULL when that session is gone. */
struct net_dtls_session *net_dtls_find(struct net_dtls *t, uint64_t id);
/* Encrypts and queues (copied). What cannot be sent is counted: datagrams get lost. */
void net_dtls_send(struct net_dtls *t, struct net_dtls_session *s, struct bytes message);
const struct net_dtls_counters *net_dtls_counters(const struct net_dtls *t);

#endif
