/* The options of viaduct-signald, as they are written (struct signald_options) and as the worker
 * wants them (struct signald_config). Called by main.c. */
#ifndef VIADUCT_SIGNAL_OPTIONS_H
#define VIADUCT_SIGNAL_OPTIONS_H

#include "base/option.h"
#include "net/error.h"
#include "signal/auth/auth.h"
#include "signal/ayame/core/ayame.h"
#include "signal/core/types.h"
#include "signal/peerjs/core/peerjs.h"

/* One field for each row of config.def. */
struct signald_options {
#define FLAG(field, ...) bool field;
#define UINT(field, ...) uint64_t field;
#define TEXT(field, ...) char *field;
#define LIST(field, ...) struct option_list field;
#include "signal/config.def"
#undef FLAG
#undef UINT
#undef TEXT
#undef LIST
};

extern const struct option_set signald_option_set;

enum {
  SIGNALD_LISTEN_MAX = 16, /* of each kind */
  SIGNALD_LIST_MAX = 64,   /* turn-uri, origin */
  SIGNALD_APP_MAX = 64,    /* applications, besides the default one */
  SIGNALD_APP_NAME = 64,
  SIGNALD_MESSAGE_MAX = 16 * 1024 * 1024,
  SIGNALD_PEERJS_WAITING = 64 * 1024 * 1024 /* bytes for peers that are not there, together */,
  SIGNALD_API_KEYS = 32,
  SIGNALD_KEY_NAME = 32 /* with its NUL */
};

/* A key of the application's backend. */
struct signald_api_key {
  char name[SIGNALD_KEY_NAME];
  uint8_t digest[32]; /* SHA-256 */
};

enum { SIGNALD_WEBHOOK_SECRET = 512 };

/* What the backend is told, and how. */
struct signald_webhook {
  const char *url; /* NULL: nothing */
  const char *ca_path;
  uint8_t secret[SIGNALD_WEBHOOK_SECRET]; /* decoded */
  size_t secret_len;
  uint32_t timeout_s, queue, give_up_s;
};

/* What main.c and the worker read: immutable once it is made. The texts are views into the
 * options, which have to outlive it; the arrays belong to it, so it must not move. */
struct signald_config {
  struct addr listen[SIGNALD_LISTEN_MAX], tls_listen[SIGNALD_LISTEN_MAX];
  size_t listen_count, tls_listen_count;
  struct addr admin;     /* ADDR_NONE: off */
  const char *cert_path; /* NULL without tls_listen */
  const char *pkey_path;
  const char *web_root; /* NULL: no page */
  uint32_t max_connections;
  uint32_t max_body;           /* bytes of one request's body */
  uint64_t max_address_bodies; /* of all that are on their way from one address; 0: no limit */
  uint32_t header_ms, body_ms; /* 0: no deadline */
  uint32_t ping_s;
  uint32_t drain_s;
  struct bytes drain_url; /* may be empty */
  bool json_log, verbose;
  struct addr api_listen[SIGNALD_LISTEN_MAX]; /* of the backend */
  size_t api_listen_count;
  bool api_plain;
  struct signald_api_key api_key[SIGNALD_API_KEYS];
  size_t api_key_count;
  struct signald_webhook webhook;
  struct signald_webhook asks; /* auth=webhook; without a url: off */
  struct sig_config core;
  struct peerjs_config peerjs;
  struct bytes peerjs_path; /* without a slash at its end; `at` is NULL: no PeerJS */
  bool peerjs_discovery;
  const struct bytes *peerjs_origin; /* none: every origin */
  size_t peerjs_origin_count;
  struct bytes peerjs_origins[SIGNALD_LIST_MAX];
  struct auth_setup auth; /* without `mem`; no secret and no file: everybody is let in */
  struct ayame_config ayame;
  struct bytes ayame_path; /* as peerjs_path */
  const struct bytes *ayame_origin;
  size_t ayame_origin_count;
  struct bytes ayame_origins[SIGNALD_LIST_MAX];
  struct bytes turn_uri[SIGNALD_LIST_MAX], origin[SIGNALD_LIST_MAX];
};

/* From the file that --config names, then from the arguments. -ERR_BAD and the like, and then `e`
 * is one line that names the place and the mend. `o` is freed by signald_options_fini in any case.
 */
int signald_options_read(struct signald_options *o, struct mem *mem, int argc, char *const *argv,
                         struct option_error *e);
void signald_options_fini(struct signald_options *o, struct mem *mem);

/* What --help, --version, --example-config and --man print: as net_options_print. */
int signald_options_print(const struct signald_options *o);
/* What --check-config prints: as net_check_asked. */
int signald_options_check(int argc, char *const *argv);

/* -ERR_BAD for options that do not go together. */
int signald_config_make(const struct signald_options *o, struct signald_config *out,
                        struct net_error *e);

/* The same of one application's file, which was read into `o`: what it has of its own, on top of
 * what the server has. `server` has to outlive `out`. */
int signald_config_make_app(const struct signald_options *o, const struct signald_config *server,
                            struct signald_config *out, struct net_error *e);

/* backend/options.c: the secret of a webhook, checked already; how long it is. */
size_t signald_webhook_secret(struct bytes text, uint8_t out[SIGNALD_WEBHOOK_SECRET]);
/* backend/options.c: the rows of the backend; the listeners are there already. */
int signald_make_backend(const struct signald_options *o, struct signald_config *c,
                         struct net_error *e);
/* Whether the i-th of api_listen speaks TLS. */
bool signald_api_has_tls(const struct signald_config *c, size_t i);

/* The checks of single values, as `check` of base/option.h: NULL or what is wrong (checks.c). */
const char *signald_check_listen(struct bytes value);
const char *signald_check_endpoint(struct bytes value);
const char *signald_check_node(struct bytes value);
const char *signald_check_turn_uri(struct bytes value);
const char *signald_check_secret(struct bytes value);
const char *signald_check_auth(struct bytes value);
const char *signald_check_auth_secret(struct bytes value);
const char *signald_check_origin(struct bytes value);
const char *signald_check_api_key(struct bytes value);
const char *signald_check_webhook_url(struct bytes value);
const char *signald_check_webhook_secret(struct bytes value);
const char *signald_check_path(struct bytes value);
const char *signald_check_ayame_key(struct bytes value);
const char *signald_check_peerjs_key(struct bytes value);
const char *signald_check_url(struct bytes value);
const char *signald_check_log_format(struct bytes value);

#endif
