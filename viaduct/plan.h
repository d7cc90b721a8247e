/* What `viaduct up` makes of its options and of the sections of a file: a configuration for each
 * server, and what to tell the user. Touches nothing; called by up.c. */
#ifndef VIADUCT_VIADUCT_PLAN_H
#define VIADUCT_VIADUCT_PLAN_H

#include "base/addr.h"
#include "base/mem.h"
#include "viaduct/sections.h"
#include "viaduct/up_options.h"

enum server { SERVER_TURND, SERVER_STUND, SERVER_SIGNALD, SERVER_COUNT };

/* "turnd", "stund", "signald". */
const char *server_name(enum server s);

enum { PLAN_URL_SIZE = 320 };

/* What the sections say, as far as it concerns more than the server itself. */
struct plan_settings {
  struct plan_turnd {
    uint64_t listening_port, tls_listening_port, prometheus_port;
    char *min_port, *max_port, *cert, *pkey;
    bool no_udp, no_tcp, no_tls, no_dtls, no_auth, prometheus;
    struct option_list listening_ip, relay_ip, external_ip, static_auth_secret;
  } turnd;
  struct plan_stund {
    uint64_t listening_port;
    char *metrics_listen;
  } stund;
  struct plan_signald {
    char *cert, *pkey, *turn_secret, *auth, *admin_listen;
    struct option_list listen, tls_listen, turn_uri;
  } signald;
};

/* Reads them; lines that are wrong are left for the server to report. -ERR_NOMEM. */
int plan_settings_read(struct plan_settings *p, const struct sections *s, struct mem *mem);
void plan_settings_free(struct plan_settings *p, struct mem *mem);

struct plan_input {
  const struct up_options *options;
  const struct option_parser *parser; /* tells what was set, not only defaulted */
  const struct sections *sections;
  const struct plan_settings *settings;
  struct addr address;   /* by which others reach this machine */
  struct addr local;     /* where the relay binds; the same but behind a NAT */
  bool has_ipv6;         /* listeners at [::] too */
  const char *secret;    /* the one that the sections set, or the generated one */
  const char *certs_dir; /* with server.pem and server.key */
};

struct plan {
  struct buf config[SERVER_COUNT];                          /* the section, then what `up` adds */
  uint16_t turn_port, turns_port, stun_port;                /* turns_port 0: none */
  struct addr address;                                      /* that clients are told */
  char local_url[PLAN_URL_SIZE], remote_url[PLAN_URL_SIZE]; /* "" when there is none */
  bool dev_certificate;
};

/* The secret that the sections set, or NULL. */
const char *plan_own_secret(const struct plan_settings *p);
/* Whether a development certificate is needed. */
bool plan_needs_certificate(const struct plan_settings *p);
/* The address that the sections imply for clients (a listening-ip or external-ip that is one);
 * ADDR_NONE when they imply none. */
struct addr plan_own_address(const struct plan_settings *p);

/* -ERR_NOMEM. */
int plan_make(const struct plan_input *in, struct mem *mem, struct plan *out);
/* Wipes the configurations. */
void plan_free(struct plan *p, struct mem *mem);

#endif
