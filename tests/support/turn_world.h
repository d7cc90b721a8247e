/* A whole relay on a fake network and a fake clock: the edge that turn/core asks for effects, which
 * writes down what would have gone out. The scenario runner, the unit tests and the fuzz target
 * stand on it. */
#ifndef VIADUCT_TESTS_TURN_WORLD_H
#define VIADUCT_TESTS_TURN_WORLD_H

#include "tests/support/failing_mem.h"
#include "turn/core/turn.h"

enum {
  WORLD_OUTPUTS = 64,       /* outputs between two inputs */
  WORLD_RELAYS = 4096,      /* relay sockets ever opened */
  WORLD_HOLDS = 4096,       /* connections that allocations live off at one time */
  WORLD_BUSY = 8,           /* ports that another program holds */
  WORLD_PEERS = 1024,       /* TCP connections with peers, ever made */
  WORLD_LISTS = 8,          /* users, secrets, ranges */
  WORLD_FAST = 1024,        /* channels that somebody else carries, at one time */
  WORLD_PARKED = 4,         /* messages that wait for a user to be looked up */
  WORLD_INSIDES = 4,        /* payloads on their way inside */
  WORLD_TEXT = 1024,        /* of configuration strings */
  WORLD_WALL_S = 1800000000 /* the wall clock at the start: 2027-01-15T08:00:00Z */
};

/* Four are of TCP allocations: a connection is begun, closed by the core, joined with a client's; a
 * ConnectionBind is for another worker. The last is a payload for another worker's allocation. */
enum world_kind {
  WORLD_REPLY,
  WORLD_TO_CLIENT,
  WORLD_TO_PEER,
  WORLD_CONNECT,
  WORLD_CLOSE,
  WORLD_JOIN,
  WORLD_ELSEWHERE,
  WORLD_INSIDE
};

struct world_output {
  enum world_kind kind;
  struct turn_flow flow;   /* WORLD_REPLY, WORLD_TO_CLIENT, WORLD_JOIN, WORLD_ELSEWHERE */
  struct addr relay, peer; /* WORLD_TO_PEER, WORLD_CONNECT, WORLD_INSIDE: from, to; WORLD_CLOSE,
                              WORLD_JOIN */
  uint32_t share;          /* WORLD_ELSEWHERE, WORLD_INSIDE */
  bool dont_fragment;
  uint8_t *at; /* malloc */
  size_t len;
};

struct world_relay {
  bool open, tcp;
  struct addr at;
};

/* A payload on its way from one allocation of this worker's to another. */
struct world_inside {
  struct addr relayed, from;
  uint8_t *at; /* malloc */
  size_t len;
};

/* A user of a database that answers when the test says so. */
struct world_user {
  struct turn_user user;
  int verdict; /* what find_user gives */
};

/* A message that came while its user was looked up. */
struct world_parked {
  struct turn_flow flow;
  uint8_t *at; /* malloc */
  size_t len;
};

struct world_hold {
  struct turn_flow flow;
  size_t count;
};

/* A channel as effects.fast was told, and what its allocation paid; notes are row numbers and 1. */
struct world_fast {
  bool used, inside;
  struct turn_flow flow;
  turn_relay relay;
  struct addr peer, relayed;
  uint16_t number;
  uint64_t until_ms;
  uint32_t group;
};

struct world_fast_group {
  size_t count;
  uint64_t bps, paid_ns[2];
};

enum world_peer_state { WORLD_PEER_GONE, WORLD_CONNECTING, WORLD_CONNECTED, WORLD_JOINED };

/* A TCP connection with a peer, as the edge has it. */
struct world_peer {
  enum world_peer_state state;
  uint32_t id;
  struct addr peer;
  struct turn_flow client; /* WORLD_JOINED */
};

struct world {
  struct turn *turn;
  uint64_t now_ms;
  struct turn_config config;      /* to be edited; world_start and world_reload take a snapshot */
  struct turn_config snapshot[2]; /* the core's: before, and now */
  struct turn_relay_address snapshot_relay[2][WORLD_LISTS];
  size_t snapshot_now;
  struct turn_user user[WORLD_LISTS];
  uint8_t user_hash[2][WORLD_LISTS][32]; /* of the snapshots */
  bool userhash;                         /* offered, where the core can */
  struct bytes secret[WORLD_LISTS], realm_secret[WORLD_LISTS];
  struct turn_relay_address relay_address[WORLD_LISTS];
  struct addr alternate[2][WORLD_LISTS], listener[WORLD_LISTS], local[WORLD_LISTS];
  struct turn_realm realm[WORLD_LISTS];
  struct turn_realm snapshot_realm[2][WORLD_LISTS];
  struct turn_origin origin[WORLD_LISTS];
  struct turn_oauth_key oauth_key[WORLD_LISTS];
  struct turn_peer_rule peer_rule[WORLD_LISTS];
  struct world_user database[WORLD_LISTS];
  size_t database_count;
  struct world_parked parked[WORLD_PARKED];
  size_t parked_count, asked; /* asked: how often the core wanted a user */
  bool pending;               /* the message at hand wants a user who is looked up */
  char text[WORLD_TEXT];      /* what the configuration's strings point into */
  size_t text_len;

  struct turn_effects effects;
  struct failing_mem mem;
  struct random random;
  struct random_seed seed;
  struct log log;

  struct world_output output[WORLD_OUTPUTS];
  size_t output_count, output_read; /* made, and looked at */
  struct world_relay relay[WORLD_RELAYS];
  size_t relay_count, relay_open;
  struct world_hold hold[WORLD_HOLDS];
  size_t hold_count;
  struct world_fast fast[WORLD_FAST];
  struct world_fast_group fast_group[WORLD_FAST];
  size_t fast_count, fast_most; /* rows used; to be had */
  struct turn_carried carried;  /* what each channel that ends has carried */
  uint16_t busy[WORLD_BUSY];
  size_t busy_count;
  struct world_peer peer[WORLD_PEERS];
  size_t peer_count, peer_open;
  bool no_route; /* no connection with a peer can even be begun */
  uint32_t share_index, share_count;
  struct addr neighbour[WORLD_LISTS]; /* relayed addresses of other workers' allocations */
  size_t neighbour_count;
  struct world_inside inside[WORLD_INSIDES];
  size_t inside_count;
  struct addr relayed[WORLD_RELAYS]; /* the core's allocations have these */
  size_t relayed_count;
  char last_event[64]; /* of the log */

  const char *broken; /* the core broke its word to the edge; NULL: not so far */
};

/* The world must not move after this. A world with an IPv4 and an IPv6 relay address, user
 * bob:secret, and RFC 8656's times. Change `config` before world_start. */
void world_init(struct world *w);
/* 0 or what turn_new gave. */
int world_start(struct world *w);
/* Hands the core another snapshot of `config`. */
void world_reload(struct world *w);
/* Frees the relay; true when all memory and all relay sockets are back, and no connection is held.
 */
bool world_stop(struct world *w);

/* A copy for the configuration to point at. */
struct bytes world_text(struct world *w, const char *text);
void world_add_user(struct world *w, const char *name, const char *password);

void world_client_input(struct world *w, const struct turn_flow *flow, const uint8_t *p,
                        size_t len);
/* To the relay socket at that address; false when there is none. */
bool world_peer_input(struct world *w, const struct addr *relayed, const struct addr *peer,
                      const uint8_t *p, size_t len);
/* The network says so of what left the relay socket at that address. */
void world_icmp_input(struct world *w, const struct addr *relayed, const struct turn_icmp *e);
/* TCP connections with peers. Somebody connects to a relayed address: false when nobody listens
 * there. What the core refuses is closed (WORLD_CLOSE). */
bool world_peer_attempt(struct world *w, const struct addr *relayed, const struct addr *peer);
/* The end of a connection that was begun; false when there is none to that peer. */
bool world_peer_connected(struct world *w, const struct addr *peer, bool success);
/* The peer closes; false when there is none. */
bool world_peer_gone(struct world *w, const struct addr *peer);
/* The client's connection is closed: with its allocation, or the peer's that it was joined with. */
void world_client_gone(struct world *w, const struct turn_flow *flow);

/* Time goes on, and every timer fires when it is due. */
void world_elapse(struct world *w, uint64_t ms);
uint64_t world_wall_s(const struct world *w);

/* turn_inside.c: the edge's inside and relayed. */
int world_inside(void *arg, uint32_t share, const struct addr *relayed, const struct addr *from,
                 const struct dgram *d);
void world_relayed(void *arg, const struct addr *relayed, bool on);
/* What an allocation of this worker's sent to another comes in. */
void world_take_inside(struct world *w);
/* A payload that another worker's allocation sent. */
void world_inside_input(struct world *w, const struct addr *relayed, const struct addr *from,
                        const uint8_t *p, size_t len);
/* Room before and behind the bytes; the storage is malloc. */
struct dgram world_dgram(const uint8_t *p, size_t len);

/* turn_fast.c: effects.fast and effects.fast_takes. */
void world_fast(void *arg, const struct turn_fast *f);
bool world_fast_takes(void *arg, uint32_t group, unsigned way, size_t len, uint64_t now_ms);
/* Whether a datagram would be carried without the core; and whether the core then let it through.
 */
struct world_forecast {
  bool asked; /* it may be one of a channel */
  bool up, told;
  uint64_t before; /* what came through so far */
  size_t first;    /* outputs so far */
};
struct world_forecast world_forecast_client(struct world *w, const struct turn_flow *flow,
                                            const uint8_t *p, size_t len);
struct world_forecast world_forecast_peer(struct world *w, turn_relay relay,
                                          const struct addr *peer);
void world_forecast_check(struct world *w, const struct world_forecast *f);
/* How many of them carry now. */
size_t world_fast_live(const struct world *w);
/* After each input: whether the core told just what it would let through. */
void world_fast_check(struct world *w);

/* turn_lookup.c: the edge's find_user. Names that it knows nothing of are being looked up. */
int world_find_user(void *arg, const struct turn_flow *flow, struct bytes realm, struct bytes name,
                    struct turn_user *out);
/* The database says: 0 with `user`, whose views the world's text holds, or -ERR_*; replaces what it
 * said before. */
void world_answer(struct world *w, const struct turn_user *user, int verdict);
/* What waited comes in again. */
void world_unpark(struct world *w);
void world_forget_parked(struct world *w);

/* What leaves: a copy of the bytes. */
struct world_output *world_record(struct world *w, enum world_kind kind, const uint8_t *p,
                                  size_t len);
/* The next output nobody has looked at, or NULL; good until the next input. */
const struct world_output *world_next(struct world *w);
/* Forgets all outputs. */
void world_clear(struct world *w);

#endif
