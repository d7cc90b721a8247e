/* What the files of turn/core share and nobody else sees: an allocation with its permissions and
 * channels, a request on its way, and the functions between the files (turn__x). */
#ifndef VIADUCT_TURN_CORE_INTERNAL_H
#define VIADUCT_TURN_CORE_INTERNAL_H

#include "base/hash.h"
#include "base/list.h"
#include "base/wheel.h"
#include "stun/core/decode.h"
#include "stun/core/integrity.h"
#include "turn/core/event.h"
#include "turn/core/fast.h"
#include "turn/core/turn.h"

/* turn_socket.relay of what has no socket (turn_config.relay_virtual). */
enum { TURN__NO_SOCKET = -1 };

enum {
  TURN__PROTOCOL_UDP = 17, /* REQUESTED-TRANSPORT: IANA's number of UDP */
  TURN__PROTOCOL_TCP = 6,
  TURN__CHANNEL_FIRST = 0x4000,
  TURN__CHANNEL_LAST = 0x4FFF, /* RFC 8656 section 12 */
  TURN__CHANNEL_HEADER = 4,
  TURN__TOKEN_LEN = 8,       /* RESERVATION-TOKEN */
  TURN__TICKET_LEN = 32,     /* MOBILITY-TICKET */
  TURN__TICKET_MS = 40000,   /* a spent one is known again as long, RFC 8016 3.2.2: 30 s or more */
  TURN__NONCE_LEN = 13 + 15, /* nonce cookie, then 11 bytes as base64url */
  TURN__MEMBERS_MAX = 4096,  /* permissions or channels of an allocation, if no less is set */
  TURN__MEMBERS_INLINE = 2,  /* as many cost no memory of their own */
  TURN__RESERVATIONS_MAX = 256, /* ports held for a RESERVATION-TOKEN, in all */
  TURN__RESERVATION_MS = 30000, /* RFC 8656 7.2: "at least 30 seconds" */
  TURN__DELETED_MAX = 1024,     /* deletions remembered for the retransmission of their Refresh */
  TURN__DELETED_MS = 40000,     /* RFC 8656 section 5: "remembering ... for 40 seconds" */
  TURN__PORT_TRIES = 16,        /* ports that others on this machine hold, before 508 */
  TURN__SOFTWARE_MAX = 127,     /* RFC 8489 14.14: fewer than 128 characters */
  TURN__CONNECTIONS_MAX = 64,   /* with peers, of a TCP allocation */
  TURN__CONNECT_MS = 30000,     /* RFC 6062 5.2: "The timeout value MUST be at least 30 seconds" */
  TURN__UNBOUND_MS = 30000,     /* RFC 6062 5.2 and 5.3: until a ConnectionBind has to be there */
  TURN__LOG_MS = 10000,         /* between two lines about what fails for everybody */
  TURN__USERHASH_MAX = 1024,    /* users whose hashes are compared for one request */
  TURN__CHALLENGE_ROWS = 4096   /* 32 KiB: allowances of 401s, see challenge.c */
};

/* A permission is for an IP address, whatever the port (RFC 8656 section 9). No timer: it is dead
 * at `due_ms`, which every use checks, and its place is reused when another wants it. */
struct turn_permission {
  uint64_t due_ms;
  uint8_t ip[16];
  uint8_t family;
};

struct turn_channel {
  uint64_t due_ms;
  struct addr peer;
  uint32_t fast; /* the edge's note (struct turn_fast); 0: none */
  uint16_t number;
};

/* Sorted by address. */
struct turn_permissions {
  struct turn_permission *row; /* `first`, or a block of `cap` rows */
  uint16_t count, cap;
  struct turn_permission first[TURN__MEMBERS_INLINE];
};

/* Rows in no order, and two sorted lists of row numbers: the client's packets ask by number, the
 * peers' by address. One block holds all three. */
struct turn_channels {
  struct turn_channel *row; /* `first`, or the block */
  uint16_t *by_number, *by_peer;
  uint16_t count, cap;
  struct turn_channel first[TURN__MEMBERS_INLINE];
  uint16_t first_order[2 * TURN__MEMBERS_INLINE];
};

/* An open relay socket, or TURN__NO_SOCKET, with its port from the pool. */
struct turn_socket {
  struct addr relayed; /* as clients are told */
  turn_relay relay;
  uint16_t port;
  uint8_t family;
};

/* One relayed address of an allocation; a dual allocation (RFC 8656 section 6) has two, which
 * expire apart. */
struct turn_leg {
  struct hash_node by_relay;
  struct hash_node by_address; /* as clients are told; not of TCP allocations */
  struct timer expiry;         /* armed as long as the leg is open */
  struct turn_allocation *owner;
  struct turn_socket socket;
  bool open;
};

/* A realm that somebody has an allocation in. */
struct turn_domain {
  struct list link;               /* in turn.domains */
  const struct turn_realm *realm; /* of the configuration; row 0 when it has it no more */
  uint32_t allocations;
  uint16_t name_len;
  uint8_t name[];
};

struct turn_key {
  struct stun_key hmac;
  uint8_t algorithm; /* enum turn_algorithm */
};

/* What a MOBILITY-TICKET says, once its MAC has been found good. */
struct turn_ticket {
  bool genuine;
  uint16_t home; /* share_index of the worker that gave it */
  uint16_t serial;
  uint64_t id;
};

/* Of an allocation whose client asked for a ticket (RFC 8016); see mobility.c. */
struct turn_mobility {
  struct turn_allocation *owner;
  struct hash_node by_id;
  uint64_t id;
  uint16_t serial; /* of the one ticket that is good */
  bool moving;     /* `next` holds */
  struct turn_flow next;
  struct hash_node by_next;
  uint8_t txid[STUN_TXID_LEN]; /* of the Refresh that moved it last, which may come again */
  uint32_t lifetime_s;         /* what its answer said */
  uint64_t again_until_ms;
};

/* turn_allocation.brake */
enum {
  TURN__AWAY = 1,   /* no 5-tuple at present, only a ticket */
  TURN__LIMITED = 2 /* share.bps is a limit */
};

struct turn_allocation {
  uint64_t session;             /* turn_session.id */
  uint64_t created_ms;          /* when it was made */
  struct turn_traffic *traffic; /* a row of turn.traffic, while it is in the table */
  struct hash_node by_flow;
  struct list link; /* in turn.allocations */
  struct turn *turn;
  struct turn_flow flow;
  struct turn_leg leg[2];     /* IPv4, IPv6 */
  struct turn_domain *domain; /* NULL without authentication */
  struct turn_share share;    /* of what is limited; its `bps` is this one's own limit */
  uint8_t *username;          /* owned */
  uint16_t username_len;
  uint16_t address_error; /* what ADDRESS-ERROR-CODE said, 0: nothing */
  uint32_t fast;          /* the edge's note of those of its channels that others carry; 0: none */
  uint16_t fast_count;    /* how many those are */
  bool has_token;
  uint8_t brake; /* 0: nothing stops its payload. TURN__AWAY, TURN__LIMITED */
  uint8_t token[TURN__TOKEN_LEN];
  uint8_t txid[STUN_TXID_LEN]; /* of the Allocate that made it */
  struct turn_key key;
  uint64_t expiry_s;              /* when the credential runs out, since 1970; 0: never */
  struct turn_mobility *mobility; /* NULL: stays where it is */
  uint64_t from_client_packets, from_client_bytes, from_peer_packets, from_peer_bytes;
  struct turn_payload told; /* event.c */
  uint64_t icmp_ms;         /* icmp.c: when the allowance of reports is whole again */
  uint64_t paid_ns[2];      /* bandwidth.c: from the client, from peers */
  struct turn_permissions permissions;
  struct turn_channels channels;
  bool tcp;                /* REQUESTED-TRANSPORT was TCP (RFC 6062) */
  struct list connections; /* with peers */
  uint32_t connection_count;
};

/* A request whose answer comes later: as much of it as reply.c wants. */
struct turn_late {
  struct turn_flow flow;
  uint8_t header[STUN_HEADER_LEN];
  uint16_t method;
  bool fingerprint; /* it had one */
  bool authentic;
  enum stun_integrity sign;
  struct turn_key key;
};

enum turn_connection_state { TURN__CONNECTING, TURN__PENDING, TURN__JOINED };

/* With a peer of a TCP allocation (RFC 6062): the "peer data connection". */
struct turn_connection {
  struct hash_node by_id;
  struct list link; /* in its allocation's */
  struct turn_allocation *owner;
  struct timer due; /* until it stands, then until it is bound */
  struct addr peer;
  uint32_t id; /* CONNECTION-ID; modulo the number of shares it is that of this worker */
  enum turn_connection_state state;
  bool outgoing;
  struct turn_late connect; /* the request, when outgoing */
};

/* A port that waits for the Allocate with its token (RFC 8656 7.2). */
struct turn_reservation {
  struct list link;
  struct timer expiry;
  struct turn *turn;
  struct turn_share share;
  struct turn_socket socket;
  uint8_t token[TURN__TOKEN_LEN];
};

/* A Refresh with lifetime 0 that was done, so that its retransmission is answered alike. */
struct turn_deleted {
  struct hash_node by_flow;
  struct list link;
  uint64_t due_ms;
  struct turn_flow flow;
  uint8_t txid[STUN_TXID_LEN];
};

/* The relay ports of one address: those that are free in no order, and where each one stands. */
struct turn_ports {
  uint16_t *free;
  uint16_t *place; /* of port `min` + i in `free`, or 0xFFFF when taken */
  uint32_t free_count, count;
  uint16_t min, max;
  uint32_t share_index, share_count;
};

enum turn_parity { TURN__ANY_PORT, TURN__EVEN_PORT, TURN__EVEN_PAIR };

enum { TURN__REDIRECTED_ROWS = 64 }; /* 1 KiB: see redirect.c */

/* A request that was sent to another server. */
struct turn_redirected {
  uint64_t hash; /* of its 5-tuple and transaction id */
  uint32_t turn;
};

struct turn {
  const struct turn_config *config;
  const struct turn_effects *effects;
  struct mem *mem;
  struct random *random;
  struct log *log;
  uint32_t share_index, share_count;
  struct hash_key hash_key;
  struct wheel wheel;
  struct hash_table by_flow, by_relay, by_address, deleted_by_flow, connections;
  struct hash_table by_ticket, by_next; /* struct turn_mobility */
  struct list allocations, reservations, deleted, domains;
  struct timer deleted_expiry; /* of the oldest in `deleted` */
  size_t reservation_count, deleted_count;
  struct turn_ports ports[2]; /* IPv4, IPv6 */
  struct log_pace port_pace;  /* of saying that there is none */
  const struct turn_ledger *ledger;
  struct turn_book book; /* where none was handed in */
  struct turn_ledger own_ledger;
  uint64_t indications;          /* made so far: their transaction ids */
  struct turn_counters counters; /* payload: only what belongs to no row of `traffic` any more */
  struct turn_counters shown;    /* turn_counters: with all rows */
  struct turn_traffic traffic[TURN_TRAFFIC_MAX];
  size_t traffic_count;
  bool draining;
  uint64_t session_count; /* ever made */
  uint64_t challenge_us[TURN__CHALLENGE_ROWS];
  uint32_t redirects, relay_turns; /* so far: whose turn it is */
  struct turn_redirected redirected[TURN__REDIRECTED_ROWS];
};

/* How a key came from a password (RFC 8489 18.5.1), or that it came in a token. */
enum turn_algorithm { TURN__MD5 = 1, TURN__SHA256 = 2, TURN__TOKEN = 255 };

/* What a success response says; reply.c puts it into bytes. */
struct turn_answer {
  bool has_lifetime;
  uint32_t lifetime_s;
  const struct turn_allocation *allocated; /* an Allocate: addresses, token, ADDRESS-ERROR-CODE */
  bool mapped;                             /* a Binding: XOR-MAPPED-ADDRESS alone */
  const struct addr *alternate[2];         /* of 300: ALTERNATE-SERVER; NULL: none */
  struct bytes alternate_domain;           /* of 300; empty: none */
  const struct turn_allocation *ticketed;  /* the MOBILITY-TICKET of this one, if it has any */
  uint32_t connection_id;                  /* a Connect; 0: none */
};

/* A request between input.c and reply.c. A handler gives 0, a STUN code, or -ERR_DROP. */
struct turn_request {
  struct turn *t;
  const struct turn_flow *flow;
  struct stun_view *view;
  uint64_t now_ms, wall_s;
  struct turn_allocation *allocation; /* of the 5-tuple, or NULL */
  struct turn_ticket ticket;          /* of a Refresh that brings one */
  struct turn_allocation *moving;     /* of the ticket, or NULL */
  const struct turn_realm *realm;     /* that it names; else that its challenge names */
  struct turn_connection *connection; /* that a ConnectionBind names, or NULL */
  bool authentic;                     /* the five below hold */
  enum stun_integrity sign;           /* how the response is signed */
  struct turn_key key;
  uint64_t expiry_s;     /* of the credential, since 1970; 0: never */
  struct bytes username; /* view into the request, or the configuration's */
  struct bytes account;  /* the same without the expiry */
  struct turn_answer answer;
};

/* auth.c: 0, 400, 401, 438, 500, or -ERR_AGAIN. */
int turn__auth(struct turn_request *rq);

/* realm.c */
/* The realm of that name, or NULL. */
const struct turn_realm *turn__realm_by_name(const struct turn_config *c, struct bytes name);
/* The realm that the request names by REALM, or else by ORIGIN; row 0 when it names none that is
 * there. */
const struct turn_realm *turn__realm_of_request(const struct turn_config *c,
                                                const struct stun_view *v);
/* The realm that an allocation was made in. */
const struct turn_realm *turn__realm(const struct turn_allocation *a);
bool turn__domain_is(const struct turn_domain *d, const struct turn_realm *realm);
/* NULL when nobody has an allocation in this realm. */
struct turn_domain *turn__domain_find(const struct turn *t, const struct turn_realm *realm);
/* NULL without memory. */
struct turn_domain *turn__domain_join(struct turn *t, const struct turn_realm *realm);
void turn__domain_leave(struct turn *t, struct turn_domain *d);
/* The configuration is another. */
void turn__domains_follow(struct turn *t);

/* nonce.c: `out` gets TURN__NONCE_LEN characters. */
void turn__nonce_make(const struct turn *t, const struct turn_flow *flow, struct bytes realm,
                      uint64_t wall_s, uint8_t out[TURN__NONCE_LEN]);
bool turn__nonce_is_fresh(const struct turn *t, const struct turn_flow *flow, struct bytes realm,
                          struct bytes nonce, uint64_t wall_s);
/* Whether the nonces of this realm offer username anonymity: every user it has can be found by
 * USERHASH. */
bool turn__userhash_is_offered(const struct turn_config *c, struct bytes realm);
/* The value of PASSWORD-ALGORITHMS. */
struct bytes turn__algorithms(const struct turn_config *c);

/* Whether this server made it for this address, fresh or not. */
bool turn__nonce_is_ours(const struct turn *t, const struct turn_flow *flow, struct bytes realm,
                         struct bytes nonce, uint64_t wall_s);

/* auth.c: whether the request is signed with this user's password or key. */
bool turn__user_fits(struct turn_request *rq, const struct turn_user *u);
/* auth.c: whether the request is signed with this key, by whichever MAC it carries. */
bool turn__key_fits(const struct turn_request *rq, const struct stun_key *key);
/* token.c: of a request with ACCESS-TOKEN: 0 or 401. */
int turn__token(struct turn_request *rq);
/* The lifetime that an allocation may get: as much of it as the request's token is good for. */
uint32_t turn__token_cap(const struct turn_request *rq, uint32_t seconds);
/* The allocation goes on with the token that the request brings, if it brings one. 0 or 508. */
int turn__token_adopt(struct turn_request *rq, struct turn_allocation *a);

/* event.c: tells who follows what became of an allocation. */
void turn__tell(struct turn_allocation *a, enum turn_event_kind kind, uint32_t lifetime_s);
/* Every so many packets of an allocation, both ways, are told, as coturn does. */
enum { TURN__TELL_PACKETS = 2048 };
/* Whether one of the last `count` packets, of `all` by now, is such a one. */
static inline bool turn__tells_of(uint64_t all, uint64_t count)
{
  return all % TURN__TELL_PACKETS < count;
}
/* After each packet. */
static inline void turn__tell_traffic(struct turn_allocation *a)
{
  if (turn__tells_of(a->from_client_packets + a->from_peer_packets, 1))
    turn__tell(a, TURN_EVENT_TRAFFIC, 0);
}

/* lookup.c: users that the edge looks up: 0, 401, 438, 500, or -ERR_AGAIN. */
int turn__lookup(struct turn_request *rq);
/* input.c: whether it was made by who asks. */
bool turn__is_owner(const struct turn_request *rq, const struct turn_allocation *a);

/* challenge.c: whether this address may be told once more that it has proven nothing. */
bool turn__challenge_may(struct turn *t, const struct turn_flow *flow, uint64_t now_ms);

/* allocate.c */
int turn__allocate(struct turn_request *rq);
int turn__refresh(struct turn_request *rq);
/* Which family a Refresh means; ADDR_NONE: all. 0 or 443. */
int turn__refresh_family(const struct turn_request *rq, uint8_t *out);

/* mobility.c: RFC 8016. */
/* The allocation will have tickets. -ERR_NOMEM. */
int turn__mobility_start(struct turn_allocation *a);
void turn__mobility_fini(struct turn_allocation *a);
void turn__ticket_make(const struct turn *t, const struct turn_mobility *m,
                       uint8_t out[TURN__TICKET_LEN]);
/* Reads the ticket of a Refresh, before anybody has proven anything: rq->ticket, rq->moving. */
void turn__mobility_read(struct turn_request *rq);
/* True when its allocation is another worker's, and the message has gone there. */
bool turn__mobility_is_elsewhere(const struct turn_request *rq, const struct dgram *d);
bool turn__mobility_is_asked(const struct turn_request *rq);
/* A Refresh with MOBILITY-TICKET, authenticated. */
int turn__mobility_refresh(struct turn_request *rq);
/* The allocation that is moving to this flow, or NULL: for requests, and for what ends the move. */
struct turn_allocation *turn__mobility_find(const struct turn *t, const struct turn_flow *flow);
struct turn_allocation *turn__mobility_confirm(struct turn *t, const struct turn_flow *flow);
/* The edge's handle may be another for the same flow. */
void turn__mobility_link(struct turn_allocation *a, const struct turn_flow *flow);
/* The connection of `flow`, which the allocation lives off, is gone. False: so is the allocation.
 */
bool turn__mobility_survives(struct turn_allocation *a, const struct turn_flow *flow);

/* redirect.c: 300 with its answer, or 0: this server does it. */
int turn__redirect(struct turn_request *rq);

/* permit.c */
int turn__create_permission(struct turn_request *rq);
void turn__send(struct turn *t, struct turn_allocation *a, const struct stun_view *view,
                struct dgram *d, uint64_t now_ms);

/* channel.c */
int turn__channel_bind(struct turn_request *rq);
void turn__channel_data(struct turn *t, const struct turn_flow *flow, struct dgram *d,
                        uint64_t now_ms);

/* connect.c: TCP allocations (RFC 6062). */
int turn__connect(struct turn_request *rq);
int turn__connection_bind(struct turn_request *rq);
/* By CONNECTION-ID; NULL. */
struct turn_connection *turn__connection_find(const struct turn *t, uint32_t id);
/* The connection that a ConnectionBind names, or NULL. */
struct turn_connection *turn__connection_named(const struct turn *t, const struct stun_view *v);
/* True when the request is for another worker and has gone there. */
bool turn__connection_is_elsewhere(struct turn *t, const struct turn_flow *flow,
                                   const struct stun_view *v);
/* Closes those of one family, or all (ADDR_NONE); their requests are never answered. */
void turn__connections_close(struct turn_allocation *a, uint8_t family);
/* Closes those whose peer is denied. */
void turn__connections_apply_policy(struct turn_allocation *a);

/* relay.c: the payload is what `d` holds. */
void turn__to_peer(struct turn_leg *leg, const struct addr *peer, struct dgram *d,
                   bool dont_fragment, uint64_t now_ms);
/* What came from a peer, to the client of `leg`. False, and nothing has happened, where the header
 * does not fit before the payload. */
bool turn__from_peer(struct turn_leg *leg, const struct addr *peer, struct dgram *d,
                     uint64_t now_ms);

/* inside.c: a payload for one of our relayed addresses. False: it has to take the way through the
 * sockets. */
bool turn__pass_inside(struct turn_leg *leg, const struct addr *relayed, struct dgram *d,
                       uint64_t now_ms);

void turn__indication_txid(struct turn *t, uint8_t out[STUN_TXID_LEN]);

/* reply.c */
void turn__reply(struct turn_request *rq, int code);
/* Keeps what the answer will need, and gives it. */
void turn__late_keep(struct turn_late *late, const struct turn_request *rq);
void turn__late_reply(struct turn *t, const struct turn_late *late, int code,
                      const struct turn_answer *answer, uint64_t now_ms);

/* members.c: the permissions and channels of an allocation. Find gives the living only; purge takes
 * the dead out, which has to come before reserve and the two puts. Reserve makes room for `more`
 * rows: -ERR_NOMEM, or -ERR_FULL when there would be more than `most`. */
void turn__members_init(struct turn_allocation *a);
void turn__members_fini(struct turn_allocation *a);
void turn__members_purge(struct turn_allocation *a, uint64_t now_ms);
/* Takes out those of one family. */
void turn__members_drop_family(struct turn_allocation *a, uint8_t family);
bool turn__is_permitted(const struct turn_allocation *a, const struct addr *peer, uint64_t now_ms);
int turn__permission_reserve(struct turn_allocation *a, size_t more, uint32_t most);
/* Room is reserved. */
void turn__permission_put(struct turn_allocation *a, const struct addr *peer, uint64_t due_ms);
const struct turn_channel *turn__channel_by_number(const struct turn_allocation *a, uint16_t number,
                                                   uint64_t now_ms);
const struct turn_channel *turn__channel_by_peer(const struct turn_allocation *a,
                                                 const struct addr *peer, uint64_t now_ms);
int turn__channel_reserve(struct turn_allocation *a, uint32_t most);
/* Adds a binding (room is reserved, neither side is bound) or refreshes the one that is. */
void turn__channel_put(struct turn_allocation *a, uint16_t number, const struct addr *peer,
                       uint64_t due_ms);

/* Until when this IP address has a permission; 0: it has none. */
uint64_t turn__permitted_until(const struct turn_allocation *a, const struct addr *peer);
/* Where in `by_peer` the channels with a peer at this IP address begin. */
size_t turn__channels_at(const struct turn_channels *c, const struct addr *ip);

/* fast.c: tells the edge of an allocation's channels, those with a peer at this IP address or all
 * (NULL): until when they carry now. Whatever changes that calls it. */
void turn__fast_tell(struct turn_allocation *a, const struct addr *ip);
/* Until when datagrams pass both ways over this channel as things stand; 0: they do not, or not
 * without the core. */
uint64_t turn__fast_until(const struct turn_allocation *a, const struct turn_channel *c);
/* It is over: this channel's row is going; the client is nowhere, or the allocation is going. */
void turn__fast_end(struct turn_allocation *a, struct turn_channel *c);
void turn__fast_end_all(struct turn_allocation *a);

/* table.c: allocations by 5-tuple and by relay socket. */
uint64_t turn__flow_hash(const struct turn *t, const struct turn_flow *flow);
bool turn__flow_equal(const struct turn_flow *a, const struct turn_flow *b);
struct turn_allocation *turn__find(const struct turn *t, const struct turn_flow *flow);
struct turn_leg *turn__find_leg(const struct turn *t, turn_relay relay, uint64_t now_ms);
/* Whether the IP address is one that clients are told. */
bool turn__is_relay_ip(const struct turn_config *c, const struct addr *a);
/* The one with this relayed address; NULL: none of this worker's. */
struct turn_leg *turn__leg_at(const struct turn *t, const struct addr *relayed, uint64_t now_ms);
/* The open and unexpired leg of a family, or NULL. */
struct turn_leg *turn__leg(struct turn_allocation *a, uint8_t family, uint64_t now_ms);
const char *turn__transport_name(enum turn_transport transport);
void turn__hold(struct turn *t, const struct turn_flow *flow, bool on);
/* Not in the table yet. NULL without memory. */
struct turn_allocation *turn__allocation_new(struct turn_request *rq);
/* Into the table. -ERR_NOMEM. */
int turn__allocation_attach(struct turn_allocation *a);
/* Takes `socket`. */
int turn__leg_attach(struct turn_allocation *a, const struct turn_socket *socket, uint64_t due_ms);
/* Closes one leg; the last one takes the allocation with it, and then true comes back. `why` is
 * for the log: "expired", "deleted", "closed". */
bool turn__leg_close(struct turn_leg *leg, const char *why);
/* Closes and frees it all, attached or not. */
void turn__allocation_free(struct turn_allocation *a, const char *why);

/* traffic.c: an allocation comes into the table, goes from it, and has another flow. */
void turn__traffic_enter(struct turn_allocation *a);
void turn__traffic_leave(struct turn_allocation *a);
void turn__traffic_follow(struct turn_allocation *a);

/* deleted.c: Refresh requests with lifetime 0 that are remembered. */
void turn__deleted_remember(struct turn_request *rq);
bool turn__deleted_has(const struct turn_request *rq);
void turn__deleted_expire(struct timer *timer, uint64_t now_ms); /* turn.deleted_expiry */
void turn__deleted_fini(struct turn *t);

/* reserve.c: relay sockets: opened at a random port of an address (NULL: 508), held for a token,
 * given back. */
int turn__socket_open(struct turn *t, const struct turn_relay_address *address,
                      enum turn_parity parity, struct turn_socket *out, struct turn_socket *next);
/* The same for TCP: it listens. */
int turn__socket_listen(struct turn *t, const struct turn_relay_address *address,
                        struct turn_socket *out);
void turn__socket_close(struct turn *t, const struct turn_socket *s);
/* Takes `s` for whoever made `a`, and gives `a` its token. -ERR_FULL. */
int turn__reserve(struct turn_allocation *a, const struct turn_socket *s, uint64_t now_ms);
/* True when the port of this Allocate's token is another worker's, and the message has gone there.
 */
bool turn__reservation_is_elsewhere(const struct turn_request *rq, const struct dgram *d);
/* What was reserved under this token by the user who asks, or NULL. */
struct turn_reservation *turn__reservation_find(const struct turn_request *rq, struct bytes token);
/* Gives socket and share to `a`; the token is spent. */
void turn__redeem(struct turn_reservation *r, struct turn_allocation *a, struct turn_socket *out);
void turn__reservation_free(struct turn_reservation *r);

/* ports.c */
int turn__ports_init(struct turn_ports *p, struct mem *mem, const struct turn_config *c,
                     uint32_t share_index, uint32_t share_count);
void turn__ports_fini(struct turn_ports *p, struct mem *mem);
/* A random free port of the kind, or of a pair the even one (the odd one is taken with it). */
bool turn__ports_take(struct turn_ports *p, struct random *r, enum turn_parity parity,
                      uint16_t *out);
/* Which worker of `share_count` has that port. */
static inline uint32_t turn__ports_share(uint32_t port, uint32_t share_count)
{
  return (port >> 1) % share_count;
}
/* This very port, if it is there and free. */
bool turn__ports_take_at(struct turn_ports *p, uint16_t port);
/* A port that is not the pool's (any more) is ignored: the range may have changed meanwhile. */
void turn__ports_give(struct turn_ports *p, uint16_t port);

/* policy.c: whether this allocation may reach a peer, by any method and transport; `port` 0 asks
 * for the address alone. */
bool turn__peer_is_allowed(const struct turn_allocation *a, const struct addr *peer, uint16_t port);
/* Where this server listens itself. */
bool turn__is_own_listener(const struct turn_config *c, const struct addr *a, uint16_t port);
/* Why a peer is closed to all, for the log; NULL: a rule of the operator's closes it. */
const char *turn__closed_because(const struct turn_config *c, const struct addr *peer);
/* A client's address of Teredo or 6to4: "a TURN server MUST NOT accept Teredo or 6to4 addresses in
 * these requests", Allocate and ChannelBind (RFC 8656 21.4: datagrams that go round and round). */
bool turn__is_tunnelled(const struct addr *client);

/* bandwidth.c: whether `len` bytes of payload may go on; else they are counted. TURN__LIMITED. */
bool turn__bandwidth_from_client(struct turn_allocation *a, size_t len, uint64_t now_ms);
bool turn__bandwidth_from_peer(struct turn_allocation *a, size_t len, uint64_t now_ms);

/* turn.c */
static inline size_t turn__family_index(uint8_t family)
{
  return family == ADDR_V6 ? 1 : 0;
}
/* The first of a family; the one whose turn it is, or with relay_as_reached the one at `server`,
 * the address that the client came to (may be NULL). NULL: none is there. */
const struct turn_relay_address *turn__relay_address(const struct turn_config *c, uint8_t family);
const struct turn_relay_address *turn__relay_next(struct turn *t, uint8_t family,
                                                  const struct addr *server);

#endif
