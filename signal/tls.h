/* The certificate of the HTTPS listeners: checked before anything is opened, loaded into the
 * server's SSL_CTX, loaded again on SIGHUP. Called by main.c and server.c. */
#ifndef VIADUCT_SIGNAL_TLS_H
#define VIADUCT_SIGNAL_TLS_H

#include <openssl/ssl.h>

#include "net/error.h"

/* 0 when both files can be read, are PEM, belong together and the certificate is within its dates;
 * otherwise -ERR_BAD, and `e` is one line that names the file and the mend. */
int signald_tls_check(const char *cert_path, const char *pkey_path, struct net_error *e);

/* Into a context that serves: connections made from now on get them. A failure changes nothing. */
int signald_tls_load(SSL_CTX *context, const char *cert_path, const char *pkey_path,
                     struct net_error *e);

#endif
