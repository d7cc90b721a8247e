/* The client's side of TLS and DTLS. */
#ifndef VIADUCT_BENCH_LOAD_TLS_H
#define VIADUCT_BENCH_LOAD_TLS_H

#include <stdbool.h>

#include "base/addr.h"
#include "net/error.h"

struct ssl_st; /* OpenSSL's SSL */
struct load_tls;

struct load_tls_setup {
  bool dtls;
  const char *ca;     /* PEM; NULL: the server's certificate is not looked at */
  const char *name;   /* of the server, for SNI and in its certificate; NULL: its address */
  struct addr server; /* with its port */
};

/* Returns owned; NULL with a sentence in `e`. */
struct load_tls *load_tls_new(const struct load_tls_setup *s, struct net_error *e);
void load_tls_free(struct load_tls *t);

/* A client on a connected socket; SSL_free ends it. NULL without memory. */
struct ssl_st *load_tls_open(const struct load_tls *t, int fd);
/* 0: done. -ERR_MORE, and in *want_write for what. -ERR_IO with a sentence in `e`. */
int load_tls_handshake(struct ssl_st *ssl, bool *want_write, struct net_error *e);
/* Bytes, 0 at the end of the connection, -ERR_MORE, -ERR_IO. */
int load_tls_read(struct ssl_st *ssl, void *out, size_t cap);
int load_tls_write(struct ssl_st *ssl, const void *p, size_t len);
/* Whether more can be read although the socket has nothing. */
bool load_tls_has_more(const struct ssl_st *ssl);
/* Says goodbye and frees. */
void load_tls_close(struct ssl_st *ssl);

#endif
