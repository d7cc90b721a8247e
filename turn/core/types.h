/* The nouns of the relay: read this first. Types only; turn.h has the walk and the verbs. */
#ifndef VIADUCT_TURN_CORE_TYPES_H
#define VIADUCT_TURN_CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/dgram.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "stun/core/respond.h"
#include "turn/core/figures.h"

enum turn_transport { TURN_UDP, TURN_TCP, TURN_TLS, TURN_DTLS, TURN_TRANSPORT_COUNT };

/* The 5-tuple that an allocation belongs to (RFC 8656 section 3), and the edge's own handle for the
 * connection. */
struct turn_flow {
  struct addr client; /* where its packets come from */
  struct addr server; /* the listener's address that they came to */
  enum turn_transport transport;
  uint64_t link;     /* the edge's: which socket, or which connection (never the same for two); 0 is
                        fine for UDP, where it is no part of the identity */
  uint16_t listener; /* the edge's number of the listener, for struct turn_traffic alone */
};

/* A relay socket as the edge knows it; whatever number the edge likes, but negative. */
typedef int turn_relay;

/* A user with a long-term credential (user=name:password or name:0xkey, or of a database). */
struct turn_user {
  struct bytes name;
  struct bytes password; /* empty when `key` holds instead */
  uint8_t key[16];       /* MD5(name:realm:password), when has_key */
  bool has_key;
};

/* What ICMP says of a datagram that went to `peer`, of whose family it is. */
struct turn_icmp {
  struct addr peer; /* where it was sent to; port 0 where the system does not tell */
  uint8_t type, code;
  uint32_t mtu; /* of the next hop, where the datagram was too big for it */
};

struct turn_event; /* turn/core/event.h */
struct turn_fast;  /* turn/core/fast.h */

/* What an AEAD opens (RFC 5116 2.2). */
struct turn_sealed {
  struct bytes key;        /* 16 bytes: AEAD_AES_128_GCM; 32: AEAD_AES_256_GCM */
  struct bytes nonce;      /* 12 bytes */
  struct bytes associated; /* authenticated, not encrypted */
  struct bytes sealed;     /* ciphertext, then 16 bytes of tag */
};

/* What the core asks of the edge. Every function gets `arg` first. The in-place sends hand over the
 * very datagram that came in, rewritten: the edge may point at its bytes until the batch of input
 * that it belongs to is done. */
struct turn_effects {
  void *arg;
  /* In place, to the client of `flow`: a Data indication or ChannelData (padded where the transport
   * is a stream). */
  void (*to_client)(void *arg, const struct turn_flow *flow, struct dgram *d);
  /* In place, from the relayed address to a peer. `dont_fragment`: DONT-FRAGMENT in a Send
   * indication (RFC 8656 section 14). A send that fails is counted by the edge and harms nothing.
   */
  void (*to_peer)(void *arg, turn_relay relay, const struct addr *peer, struct dgram *d,
                  bool dont_fragment);
  /* The same for a run, in place: without the first `skip` bytes of each, and as ChannelData over
   * UDP. False: the edge has done nothing. Both may be NULL. */
  bool (*to_peer_run)(void *arg, turn_relay relay, const struct addr *to, struct dgram_run run);
  bool (*to_client_run)(void *arg, const struct turn_flow *f, struct dgram_run r, uint16_t number);
  /* A response, an error or a ConnectionAttempt: the bytes live until return. Over UDP it leaves
   * from `flow->server`, which RFC 5780 may want to be another listener than the one of
   * `flow->link`. */
  void (*reply)(void *arg, const struct turn_flow *flow, struct bytes message);
  /* Opens a UDP socket at exactly `at` (IP and port); not with turn_config.relay_virtual. 0 with
   * *out; -ERR_BUSY: that port is taken, the core tries another; other errors end in 508. */
  int (*relay_open)(void *arg, const struct addr *at, turn_relay *out);
  void (*relay_close)(void *arg, turn_relay relay);
  /* A user that the configuration does not have, for a request of `flow`; asked with
   * turn_config.users_elsewhere alone. 0 with *out, whose views live until return; -ERR_MISSING:
   * there is no such user; -ERR_AGAIN: it is being looked up, the core drops the request with its
   * bytes as they came, and the edge hands them to turn_client_input again when it knows. Anything
   * else is a 500. */
  int (*find_user)(void *arg, const struct turn_flow *flow, struct bytes realm, struct bytes name,
                   struct turn_user *out);
  /* May be NULL: nobody follows. */
  void (*event)(void *arg, const struct turn_event *e);
  /* Opens an access token: `out` gets box->sealed.len - 16 bytes. -ERR_BAD: it is not authentic.
   * Asked with turn_config.oauth alone. */
  int (*aead_open)(void *arg, const struct turn_sealed *box, uint8_t *out);
  /* An allocation begins (`on`) or ceases to live off the connection of `flow`, which is not idle
   * meanwhile, however long it is silent. May be NULL. */
  void (*hold)(void *arg, const struct turn_flow *flow, bool on);
  /* A Refresh with a ticket of another worker's (RFC 8016), or an Allocate with its token: the edge
   * takes the message there, and all that this flow brings once that one holds it. Called only
   * where there are several. -ERR_*: it cannot. May be NULL. */
  int (*forward)(void *arg, uint32_t share, const struct turn_flow *flow, const struct dgram *d);
  /* A payload for a relayed address of worker `share`'s, which may be this one: the edge copies it,
   * with all of its headroom free, and hands it to turn_inside_input there, in order and before
   * long. 0 where it did, or lost it for want of room, which it counts; -ERR_MISSING: nobody here
   * has that address. May be NULL. */
  int (*inside)(void *arg, uint32_t share, const struct addr *relayed, const struct addr *from,
                const struct dgram *d);
  /* A relayed address, as clients are told it, begins or ceases to be an allocation's here: what
   * the other workers' `inside` goes by. Not for TCP allocations. May be NULL. */
  void (*relayed)(void *arg, const struct addr *relayed, bool on);

  /* What datagrams may pass without the core: told when it begins, whenever until_ms or the
   * client's place changes, and when it ends, always before the response to what changed it. Before
   * `fast` returns for the last time, the edge says turn_fast_carried. May be NULL, both or none.
   */
  void (*fast)(void *arg, const struct turn_fast *f);
  /* Whether `len` bytes of an allocation with that note still fit: `way` 0 from the client, 1 from
   * a peer. */
  bool (*fast_takes)(void *arg, uint32_t group, unsigned way, size_t len, uint64_t now_ms);

  /* The rest is for TCP allocations (RFC 6062). A connection with a peer goes by its CONNECTION-ID,
   * for the edge too: `id` is never 0 and of one connection at a time. */

  /* As relay_open, but it listens for TCP connections: each one is told by turn_peer_attempt. */
  int (*relay_listen)(void *arg, const struct addr *at, turn_relay *out);
  /* Begins a connection from the address and port of `relay`, whose end turn_peer_connected tells,
   * later and never from inside this call. -ERR_FULL: no room for one more; -ERR_*. */
  int (*peer_connect)(void *arg, turn_relay relay, const struct addr *peer, uint32_t id);
  /* Gives the connection up, with the client's connection that it was joined with. */
  void (*peer_close)(void *arg, uint32_t id);
  /* From now on the client's connection and the peer's carry each other's bytes, once the response
   * that follows is out. -ERR_*: they do not. */
  int (*peer_join)(void *arg, uint32_t id, const struct turn_flow *client);
  /* A ConnectionBind for a connection of another worker's: the edge takes it there, the whole
   * message, and its answer back. Called only where there are several. -ERR_*: it cannot. */
  int (*elsewhere)(void *arg, uint32_t share, const struct turn_flow *client, struct bytes message);
};

/* A key that an authorization server seals tokens with (RFC 7635; coturn's table oauth_key). */
struct turn_oauth_key {
  struct bytes kid;         /* what USERNAME names it by */
  struct bytes realm;       /* empty: whichever */
  uint64_t from_s, until_s; /* since 1970; until 0: for ever */
  uint8_t key[32];
  uint8_t key_len; /* 16: AEAD_AES_128_GCM; 32: AEAD_AES_256_GCM */
};

/* A realm, and what holds for its users alone (coturn's table turn_realm_option). */
struct turn_realm {
  struct bytes name;          /* TURN_REALM_MAX bytes at most */
  uint32_t user_quota;        /* allocations of one user; 0: unlimited */
  uint32_t total_quota;       /* allocations of all its users; 0: unlimited */
  uint64_t max_bps;           /* payload bytes a second of one allocation, each way; 0: unlimited */
  const struct bytes *secret; /* beside turn_config.secret (coturn's table turn_secret) */
  size_t secret_count;
};

/* Whose pages get another realm than row 0: coturn's table turn_origin_to_realm. */
struct turn_origin {
  struct bytes origin; /* "https://example.org", as a browser's ORIGIN attribute has it */
  size_t realm;        /* row of turn_config.realm */
};

/* allowed-peer-ip or denied-peer-ip: for everybody, for a realm, or for a user (of that realm, or
 * of any). policy.c says which of several counts. */
struct turn_peer_rule {
  struct addr_range range;
  bool allowed;
  struct bytes realm, user; /* empty: whichever. The user without a time-limited name's expiry */
};

struct turn_relay_address {
  struct addr local;    /* what relay sockets bind to; its port is 0 */
  struct addr external; /* what clients are told; ADDR_NONE: the same */
};

/* Other servers that clients are sent to, each in its turn. */
struct turn_alternates {
  const struct addr *row;
  size_t count;
};

/* The family of an allocation whose request does not say one. RFC 8656 7.2 says IPv4. */
enum turn_default_family { TURN_DEFAULT_V4, TURN_DEFAULT_V6, TURN_DEFAULT_AS_CLIENT };

/* The configuration as the core wants it: an immutable snapshot that the edge owns and keeps alive
 * until it has set another. */
struct turn_config {
  const struct turn_realm *realm; /* row 0: the one of challenges, and of `user` */
  size_t realm_count;             /* 1 at least */
  const struct turn_origin *origin;
  size_t origin_count;
  struct bytes software; /* empty: no SOFTWARE */
  bool auth_required;    /* false: no-auth */
  const struct turn_user *user;
  size_t user_count;
  bool oauth;               /* access tokens are taken, and 401s say so */
  struct bytes server_name; /* whom they are for; TURN_REALM_MAX bytes at most */
  const struct turn_oauth_key *oauth_key;
  size_t oauth_key_count;
  const uint8_t (
      *user_hash)[32];  /* USERHASH of each user; NULL: not offered (turn__userhash_is_offered) */
  bool enforce_expiry;  /* of time-limited usernames, on every request and not the first */
  bool users_elsewhere; /* effects.find_user has more, whose keys are MD5 */
  const struct bytes *secret; /* static-auth-secret; several for rotation */
  size_t secret_count;
  char rest_separator;                    /* ':' between expiry and name (rest-api-separator) */
  bool fingerprint;                       /* FINGERPRINT in every response that has room */
  bool classic;                           /* answer RFC 3489 clients' Binding too */
  const struct turn_relay_address *relay; /* several of a family are used in turn */
  size_t relay_count;
  bool relay_as_reached; /* ... but the one that the client came to, if it is there */
  bool relay_virtual; /* relayed addresses are names: without a socket, reached by other allocations
                         of this server alone, and by no connection */
  uint16_t min_port, max_port;            /* of relayed addresses, both included */
  uint32_t default_lifetime_s;            /* 600 */
  uint32_t max_lifetime_s;                /* 3600 */
  uint32_t permission_lifetime_s;         /* 300 */
  uint32_t channel_lifetime_s;            /* 600 */
  uint32_t nonce_lifetime_s;              /* stale-nonce */
  uint32_t total_quota;                   /* allocations of all realms; 0: unlimited */
  uint32_t max_permissions, max_channels; /* for each allocation */
  uint32_t max_connections; /* with peers, for each TCP allocation; 0: TURN__CONNECTIONS_MAX */
  bool no_udp_relay, no_tcp_relay; /* that kind of allocation is not to be had */
  const struct turn_peer_rule *peer_rule;
  size_t peer_rule_count;
  uint64_t bps_capacity; /* of all allocations with a limit; 0: unlimited */
  bool allow_loopback_peers;
  uint32_t unauthorized_per_s;  /* 401s for each address; 0: unlimited */
  const struct stun_quad *quad; /* RFC 5780: the listeners' addresses, one set for each family */
  size_t quad_count;
  /* ALTERNATE-SERVER: over UDP and TCP; over TLS and DTLS. */
  struct turn_alternates alternate[2];
  struct bytes alternate_domain;        /* the name in the second's certificate; empty: as ours */
  bool stun_only, no_stun, secure_stun; /* Binding alone; all but it; it needs credentials */
  enum turn_default_family default_family;
  const struct addr *aux; /* aux-server: listeners whose clients are never sent on */
  size_t aux_count;
  /* Where this server listens itself, which no rule opens to clients. One at an unspecified address
   * is at every address in `local`. */
  const struct addr *listener;
  size_t listener_count;
  const struct addr *local;
  size_t local_count;
  bool mobility;         /* RFC 8016: allocations may move to another 5-tuple */
  uint8_t nonce_key[32]; /* stateless nonces: any node with the same key checks them; tickets too */
};

#endif
