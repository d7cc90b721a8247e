/* Reads a certificate and its key, and says in one line what is wrong with them. */
#include "signal/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* A key with a passphrase must fail, not ask at the terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
  (void)out;
  (void)size;
  (void)writing;
  (void)arg;
  return -1;
}

static FILE *open_file(const char *option, const char *path, struct net_error *e)
{
  FILE *file = fopen(path, "re");
  if (!file)
    net_error_set(e, "%s %s cannot be read: %s; name a PEM file that this user may read", option,
                  path, strerror(errno));
  return file;
}

static X509 *read_cert(const char *path, struct net_error *e)
{
  FILE *file = open_file("cert", path, e);
  if (!file)
    return NULL;
  X509 *cert = PEM_read_X509(file, NULL, no_passphrase, NULL);
  fclose(file);
  if (!cert)
    net_error_set(e,
                  "cert %s has no certificate in PEM form (-----BEGIN CERTIFICATE-----); "
                  "convert it with openssl x509",
                  path);
  return cert;
}

static EVP_PKEY *read_key(const char *path, struct net_error *e)
{
  FILE *file = open_file("pkey", path, e);
  if (!file)
    return NULL;
  EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, no_passphrase, NULL);
  fclose(file);
  if (!key)
    net_error_set(e,
                  "pkey %s has no private key in PEM form without a passphrase; convert it with "
                  "openssl pkey",
                  path);
  return key;
}

static int check_pair(X509 *cert, EVP_PKEY *key, const char *cert_path, const char *pkey_path,
                      struct net_error *e)
{
  const ASN1_TIME *from = X509_get0_notBefore(cert), *to = X509_get0_notAfter(cert);
  if (X509_check_private_key(cert, key) != 1)
    net_error_set(e, "pkey %s is not the key of cert %s; name the two that were made together",
                  pkey_path, cert_path);
  else if (X509_cmp_current_time(to) <= 0)
    net_error_set(e, "cert %s has expired; renew it", cert_path);
  else if (X509_cmp_current_time(from) >= 0)
    net_error_set(e, "cert %s is not valid yet; check this machine's clock", cert_path);
  else
    return 0;
  return -ERR_BAD;
}

int signald_tls_check(const char *cert_path, const char *pkey_path, struct net_error *e)
{
  X509 *cert = read_cert(cert_path, e);
  EVP_PKEY *key = cert ? read_key(pkey_path, e) : NULL;
  int err = key ? check_pair(cert, key, cert_path, pkey_path, e) : -ERR_BAD;
  EVP_PKEY_free(key);
  X509_free(cert);
  ERR_clear_error();
  return err;
}

int signald_tls_load(SSL_CTX *context, const char *cert_path, const char *pkey_path,
                     struct net_error *e)
{
  int err = signald_tls_check(cert_path, pkey_path, e);
  if (err)
    return err;
  SSL_CTX_set_default_passwd_cb(context, no_passphrase);
  /* RFC 8996: TLS 1.0 and 1.1 MUST NOT be used. */
  bool loaded = SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
                SSL_CTX_use_certificate_chain_file(context, cert_path) == 1 &&
                SSL_CTX_use_PrivateKey_file(context, pkey_path, SSL_FILETYPE_PEM) == 1;
  ERR_clear_error();
  if (loaded)
    return 0;
  net_error_set(e, "cert %s or pkey %s is refused by OpenSSL; check them with openssl s_server",
                cert_path, pkey_path);
  return -ERR_BAD;
}
