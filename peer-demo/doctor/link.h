/* A way to a STUN or TURN server for somebody who waits: UDP, TCP, TLS or DTLS, whole messages, and
 * a deadline for everything. */
#ifndef VIADUCT_PEER_DEMO_DOCTOR_LINK_H
#define VIADUCT_PEER_DEMO_DOCTOR_LINK_H

#include "peer-demo/doctor/core/doctor.h"

enum { LINK_MESSAGE_MAX = 4096 };

struct ssl_st;     /* OpenSSL's SSL */
struct ssl_ctx_st; /* and its SSL_CTX */

struct link {
  enum uri_transport transport;
  int fd; /* -1: closed */
  struct ssl_ctx_st *context;
  struct ssl_st *ssl;
  size_t rest_len; /* of a stream, behind the last message */
  uint8_t rest[LINK_MESSAGE_MAX];
};

struct link_setup {
  const struct uri *uri;
  struct addr server;
  const char *ca;       /* PEM; NULL: the system's */
  uint64_t deadline_ms; /* by net_clock_ms */
};

/* Connects and, for TLS and DTLS, shakes hands; a certificate that is not good is noted and does
 * not end it. DOCTOR_NO_FAULT, or why not: *step is where, and `said` (DOCTOR_SAID_SIZE) what the
 * library said. link_close in any case. */
enum doctor_fault link_open(struct link *l, const struct link_setup *setup,
                            struct doctor_certificate *certificate, enum doctor_step *step,
                            char *said);
/* One message. */
enum doctor_fault link_send(struct link *l, struct bytes message);
/* The next whole message into `out` (LINK_MESSAGE_MAX bytes), its length in *len. DOCTOR_TIMEOUT:
 * none until the deadline. */
enum doctor_fault link_receive(struct link *l, uint8_t *out, size_t *len, uint64_t deadline_ms);
/* Whether link_receive has something that poll(2) does not tell of. */
bool link_has_more(const struct link *l);
void link_close(struct link *l);

#endif
