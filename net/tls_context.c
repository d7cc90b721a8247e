/* Loads what a TLS and a DTLS server need, and says in plain words what is wrong with a file. */
#include "net/tls_context.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/err.h"
#include "net/clock.h"
#include "net/dtls_private.h"
#include "net/file.h"
#include "net/mem.h"

struct net_tls_context {
  SSL_CTX *tls, *dtls;
  int64_t not_after_s; /* seconds since 1970 */
  atomic_uint references;
};

/* What is read on the way. */
struct loaded {
  X509 *leaf;
  STACK_OF(X509) * chain; /* between the leaf and the CA; may be empty */
  EVP_PKEY *key;
};

/* Forward-secret and authenticated encryption; what every WebRTC client of the last ten years
 * offers. TLS 1.3 has no others. */
static const char ciphers_default[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

/* OpenSSL's word for what failed last. */
static const char *reason(void)
{
  const char *text = ERR_reason_error_string(ERR_peek_last_error());
  return text != NULL ? text : "it gives no reason";
}

/* ---- files ---- */

static int read_pem(const char *option, const char *path, struct net_file *out, struct net_error *e)
{
  struct mem mem = net_mem();
  struct net_error why = {{0}};
  int r = net_file_read(path, NET_TLS_FILE_MAX, &mem, out, &why);
  if (r != 0)
    net_error_set(e, "%s; set %s to a PEM file that this user can read", why.text, option);
  return r;
}

static BIO *open_memory(const struct net_file *f)
{
  return BIO_new_mem_buf(f->bytes.at, (int)f->bytes.len);
}

static int load_chain(BIO *bio, const char *path, struct loaded *l, struct net_error *e)
{
  l->leaf = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
  if (l->leaf == NULL) {
    net_error_set(e,
                  "%s holds no certificate in PEM form; set cert to a file that begins with "
                  "-----BEGIN CERTIFICATE-----",
                  path);
    return -ERR_BAD;
  }
  l->chain = sk_X509_new_null();
  X509 *next;
  while (l->chain != NULL && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
    if (sk_X509_push(l->chain, next) == 0) {
      X509_free(next);
      return -ERR_NOMEM;
    }
  if (l->chain == NULL)
    return -ERR_NOMEM;
  if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
    return 0; /* the end of the file */
  net_error_set(e, "%s: certificate %d of it is damaged; copy the whole chain again", path,
                sk_X509_num(l->chain) + 2);
  return -ERR_BAD;
}

static int load_certificate(const char *path, struct loaded *l, struct net_error *e)
{
  struct mem mem = net_mem();
  struct net_file f;
  int r = read_pem("cert", path, &f, e);
  if (r != 0)
    return r;
  BIO *bio = open_memory(&f);
  r = bio != NULL ? load_chain(bio, path, l, e) : -ERR_NOMEM;
  BIO_free(bio);
  net_file_free(&f, &mem);
  return r;
}

/* OpenSSL would ask at the terminal if there were no callback. */
static int give_password(char *out, int cap, int writing, void *arg)
{
  (void)writing;
  const char *password = arg;
  if (password == NULL)
    return -1;
  size_t len = strlen(password);
  if (len > (size_t)cap)
    return -1;
  memcpy(out, password, len);
  return (int)len;
}

static int load_key(const struct net_tls_setup *s, struct loaded *l, struct net_error *e)
{
  struct mem mem = net_mem();
  struct net_file f;
  int r = read_pem("pkey", s->pkey, &f, e);
  if (r != 0)
    return r;
  BIO *bio = open_memory(&f);
  if (bio != NULL)
    l->key = PEM_read_bio_PrivateKey(bio, NULL, give_password, (void *)(uintptr_t)s->pkey_password);
  if (bio == NULL) {
    r = -ERR_NOMEM;
  } else if (l->key == NULL) {
    r = -ERR_BAD;
    if (strstr((const char *)f.bytes.at, "ENCRYPTED") == NULL)
      net_error_set(e,
                    "%s holds no private key in PEM form; set pkey to a file that begins with "
                    "-----BEGIN PRIVATE KEY-----",
                    s->pkey);
    else
      net_error_set(e, "%s is encrypted and %s; set pkey-pwd to its password", s->pkey,
                    s->pkey_password == NULL ? "there is no pkey-pwd"
                                             : "pkey-pwd does not open it");
  }
  BIO_free(bio);
  net_file_free(&f, &mem);
  return r;
}

/* ---- checks ---- */

static int check_dates(struct net_tls_context *c, const char *path, const X509 *leaf,
                       struct net_error *e)
{
  struct tm end;
  if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &end) != 1) {
    net_error_set(e, "%s: its end date cannot be read; get a new certificate", path);
    return -ERR_BAD;
  }
  c->not_after_s = (int64_t)timegm(&end);
  if (net_tls_context_left_s(c) >= 0)
    return 0;
  net_error_set(e,
                "%s: the certificate ran out on %04d-%02d-%02d; renew it, or take out cert and "
                "pkey to go on without TLS",
                path, end.tm_year + 1900, end.tm_mon + 1, end.tm_mday);
  return -ERR_BAD;
}

static int load(const struct net_tls_setup *s, struct net_tls_context *c, struct loaded *l,
                struct net_error *e)
{
  int r = load_certificate(s->cert, l, e);
  if (r == 0)
    r = load_key(s, l, e);
  if (r != 0)
    return r;
  if (X509_check_private_key(l->leaf, l->key) != 1) {
    net_error_set(e,
                  "the key %s does not belong to the certificate %s; set cert and pkey to files "
                  "that were made together",
                  s->pkey, s->cert);
    return -ERR_BAD;
  }
  return check_dates(c, s->cert, l->leaf, e);
}

/* ---- an SSL_CTX ---- */

/* RFC 7443 section 2: "stun.turn" and "stun.nat-discovery"; the relay serves both (it answers
 * Binding). RFC 7301 section 3.2: "In the event that the server supports no protocols that the
 * client advertises, then the server SHALL respond with a fatal "no_application_protocol" alert." A
 * client that advertises nothing never comes here. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned int in_len, void *arg)
{
  (void)ssl;
  (void)arg;
  static const unsigned char ours[] = "\x09stun.turn\x12stun.nat-discovery";
  unsigned char *chosen;
  int r = SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len);
  *out = chosen;
  return r == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Without a CA, a client that comes again resumes with a ticket, whichever worker it meets. With
 * one, each connection proves its certificate to the CA of now. */
static int set_sessions(SSL_CTX *ctx, const struct net_tls_setup *s)
{
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  if (s->ca_file != NULL) {
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    return SSL_CTX_set_num_tickets(ctx, 0) == 1 ? 0 : -ERR_NOMEM;
  }
  uint8_t key[NET_TLS_TICKET_KEY];
  memcpy(key, s->ticket_key, sizeof(key));
  long set = SSL_CTX_set_tlsext_ticket_keys(ctx, key, sizeof(key));
  OPENSSL_cleanse(key, sizeof(key));
  return set == 1 && SSL_CTX_set_num_tickets(ctx, 1) == 1 ? 0 : -ERR_NOMEM;
}

static int set_clients(SSL_CTX *ctx, const char *ca_file, struct net_error *e)
{
  if (ca_file == NULL)
    return 0;
  STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca_file);
  if (names == NULL || SSL_CTX_load_verify_file(ctx, ca_file) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    net_error_set(e,
                  "%s cannot be read as CA certificates in PEM form (%s); set CA-file to a file "
                  "that this user can read and that begins with -----BEGIN CERTIFICATE-----",
                  ca_file, reason());
    return -ERR_BAD;
  }
  SSL_CTX_set_client_CA_list(ctx, names);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  return 0;
}

static int set_identity(SSL_CTX *ctx, const struct net_tls_setup *s, const struct loaded *l,
                        struct net_error *e)
{
  if (SSL_CTX_use_certificate(ctx, l->leaf) == 1 && SSL_CTX_set1_chain(ctx, l->chain) == 1 &&
      SSL_CTX_use_PrivateKey(ctx, l->key) == 1)
    return 0;
  net_error_set(e,
                "OpenSSL refuses the certificate %s: %s; get one with a key of at least 2048 "
                "bits RSA or P-256, signed with SHA-256",
                s->cert, reason());
  return -ERR_BAD;
}

static int set_ciphers(SSL_CTX *ctx, const char *list, struct net_error *e)
{
  if (SSL_CTX_set_cipher_list(ctx, list != NULL ? list : ciphers_default) == 1)
    return 0;
  net_error_set(e,
                "cipher-list=%s: OpenSSL finds no cipher in it; `openssl ciphers -v 'LIST'` "
                "shows what a list means",
                list != NULL ? list : ciphers_default);
  return -ERR_BAD;
}

static int make_ctx(const SSL_METHOD *method, int least, const struct net_tls_setup *s,
                    const struct loaded *l, SSL_CTX **out, struct net_error *e)
{
  SSL_CTX *ctx = SSL_CTX_new(method);
  if (ctx == NULL)
    return -ERR_NOMEM;
  *out = ctx;
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                               SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_QUERY_MTU);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  /* One read of the socket for a record, not one for its header and one for its body. */
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
  /* RFC 8996: "TLS 1.0 MUST NOT be used", nor 1.1, nor DTLS 1.0. */
  if (SSL_CTX_set_min_proto_version(ctx, least) != 1)
    return -ERR_NOMEM;
  int r = set_ciphers(ctx, s->cipher_list, e);
  if (r == 0)
    r = set_identity(ctx, s, l, e);
  if (r == 0)
    r = set_clients(ctx, s->ca_file, e);
  return r == 0 ? set_sessions(ctx, s) : r;
}

/* ---- its life ---- */

static void context_free(struct net_tls_context *c)
{
  SSL_CTX_free(c->tls);
  SSL_CTX_free(c->dtls);
  free(c);
}

int net_tls_context_new(const struct net_tls_setup *s, struct net_tls_context **out,
                        struct net_error *e)
{
  struct net_tls_context *c = calloc(1, sizeof(*c));
  if (c == NULL)
    return -ERR_NOMEM;
  atomic_init(&c->references, 1);
  struct loaded l = {0};
  ERR_clear_error();
  int r = load(s, c, &l, e);
  ERR_clear_error();
  if (r == 0)
    r = make_ctx(TLS_server_method(), s->tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION, s, &l,
                 &c->tls, e);
  if (r == 0)
    r = make_ctx(DTLS_server_method(), DTLS1_2_VERSION, s, &l, &c->dtls, e);
  if (r == 0) {
    SSL_CTX_set_cookie_generate_cb(c->dtls, net__dtls_make_cookie);
    SSL_CTX_set_cookie_verify_cb(c->dtls, net__dtls_check_cookie);
  }
  ERR_clear_error();
  X509_free(l.leaf);
  sk_X509_pop_free(l.chain, X509_free);
  EVP_PKEY_free(l.key);
  if (r == -ERR_NOMEM)
    net_error_set(e, "there is no memory for TLS");
  if (r != 0) {
    context_free(c);
    return r;
  }
  *out = c;
  return 0;
}

void net_tls_context_share(struct net_tls_context *c)
{
  if (c != NULL)
    atomic_fetch_add(&c->references, 1);
}

void net_tls_context_leave(struct net_tls_context *c)
{
  if (c != NULL && atomic_fetch_sub(&c->references, 1) == 1)
    context_free(c);
}

SSL_CTX *net_tls_context_tls(const struct net_tls_context *c)
{
  return c->tls;
}

SSL_CTX *net_tls_context_dtls(const struct net_tls_context *c)
{
  return c->dtls;
}

int64_t net_tls_context_left_s(const struct net_tls_context *c)
{
  return c->not_after_s - (int64_t)(net_clock_wall_ms() / 1000);
}
