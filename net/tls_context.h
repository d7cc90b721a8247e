/* Certificate, key and rules for TLS and DTLS, loaded from files and immutable from then on; shared
 * by all workers and counted. A reload makes a new one: connections go on with the one that they
 * began with (each SSL object holds its SSL_CTX). net/tls and net/dtls make connections of it. */
#ifndef VIADUCT_NET_TLS_CONTEXT_H
#define VIADUCT_NET_TLS_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "net/error.h"

enum {
  /* Of one process: with it a ticket is good for every worker, and across reloads. Its size is
   * OpenSSL's: a name, an HMAC key and an AES-256 key. */
  NET_TLS_TICKET_KEY = 80,
  NET_TLS_FILE_MAX = 1024 * 1024 /* bytes of a certificate, key or CA file */
};

struct net_tls_setup {
  const char *cert;          /* PEM: the certificate, then those between it and the CA */
  const char *pkey;          /* PEM; may be encrypted */
  const char *pkey_password; /* may be NULL */
  const char *ca_file;       /* may be NULL: clients need no certificate */
  const char *cipher_list;   /* OpenSSL's notation, TLS 1.2 and DTLS 1.2; may be NULL */
  bool tls13_only;           /* else TLS 1.2 too; DTLS is 1.2 in any case */
  const uint8_t *ticket_key; /* NET_TLS_TICKET_KEY bytes */
};

struct net_tls_context;

/* Returns owned, with one reference. -ERR_MISSING, -ERR_DENIED, -ERR_IO (reading), -ERR_BAD (what
 * was read), -ERR_NOMEM; `e` names the file and the mend in the words of the options cert, pkey,
 * pkey-pwd, CA-file and cipher-list. */
int net_tls_context_new(const struct net_tls_setup *s, struct net_tls_context **out,
                        struct net_error *e);
/* NULL is fine, for both. From any thread. */
void net_tls_context_share(struct net_tls_context *c);
void net_tls_context_leave(struct net_tls_context *c);
/* Borrowed until leave. */
SSL_CTX *net_tls_context_tls(const struct net_tls_context *c);
SSL_CTX *net_tls_context_dtls(const struct net_tls_context *c);
/* Seconds until the certificate runs out; less than 0 when it has. */
int64_t net_tls_context_left_s(const struct net_tls_context *c);

#endif
