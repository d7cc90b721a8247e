/* An immutable snapshot of the configuration, shared by all workers and counted by them: made at
 * the start and at each SIGHUP, freed when the last worker has left it. */
#ifndef VIADUCT_TURN_SETTINGS_H
#define VIADUCT_TURN_SETTINGS_H

#include <stdatomic.h>

#include "net/tls_context.h"
#include "turn/options.h"
#include "turn/userdb/rows.h"

enum {
  TURND_LISTEN_MAX = 16,
  TURND_PLACES_MAX = 64,     /* alternate servers of a kind; auxiliary listeners; relay addresses */
  TURND_LISTENERS_MAX = 256, /* places where this server listens */
  TURND_LOCAL_MAX = 256      /* addresses of this machine */
};

struct turnd_settings {
  struct turnd_options options;
  const char *file;                     /* what the options were read from; NULL: no file */
  struct turn_config core;              /* points into this struct */
  struct addr listen[TURND_LISTEN_MAX]; /* their port is 0 */
  size_t listen_count;
  bool listen_all; /* no listening-ip: an address family that the machine lacks is no error */

  struct turn_user *users;
  uint8_t (*user_hashes)[32]; /* USERHASH of each user; NULL: not offered */
  struct bytes *secrets;
  struct turn_oauth_key *oauth_keys;
  struct turn_realm *realms;
  struct turn_peer_rule *rules;
  struct turn_relay_address relay[TURND_PLACES_MAX];
  struct addr alternate[2][TURND_PLACES_MAX], aux[TURND_PLACES_MAX];
  struct addr listener[TURND_LISTENERS_MAX], local[TURND_LOCAL_MAX]; /* places.h */
  struct stun_quad quad[2];                                          /* RFC 5780: see discovery.h */
  char realm[128], server_name[128];
  const char *userdb;          /* a path; NULL: no SQLite. Redis is options.redis_userdb */
  struct net_tls_context *tls; /* NULL: neither TLS nor DTLS */
  uint8_t ticket_key[NET_TLS_TICKET_KEY];
  struct mem mem;
  atomic_uint references;

  /* Laid over others by turnd_settings_lay_over: what is not here is theirs. */
  struct turnd_settings *base; /* one reference; NULL: the fields above are its own */
  struct turnd_overlay *overlay;
};

struct turnd_load {
  int argc;
  char *const *argv;
  const uint8_t *nonce_key;  /* 32 bytes */
  const uint8_t *ticket_key; /* NET_TLS_TICKET_KEY bytes */
  /* The snapshot in use, whose fixed options (listeners, ports, realm) the new one keeps, with a
   * warning where they differ; NULL at the start. */
  const struct turnd_settings *before;
  option_warn_fn warn; /* may be NULL */
  void *warn_arg;
};

/* To whoever wants warnings of this load. */
void turnd_load_warn(const struct turnd_load *l, const char *text);
/* Returns owned, with one reference. Otherwise -ERR_* and one line with the mend. */
int turnd_settings_load(const struct turnd_load *l, struct turnd_settings **out,
                        struct option_error *error);
/* The settings of `s`, with what a database holds (turn/userdb/rows.h; copied) in place of what one
 * held before. Returns owned, with one reference. -ERR_NOMEM; -ERR_BAD with a line for a row that
 * cannot be understood. */
int turnd_settings_lay_over(struct turnd_settings *s, const struct userdb_rows *rows,
                            struct turnd_settings **out, struct option_error *error);
void turnd_settings_share(struct turnd_settings *s);
/* Leaves it; the last one frees it. NULL is fine. */
void turnd_settings_leave(struct turnd_settings *s);

#endif
