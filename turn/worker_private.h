/* What the files of a worker share: worker.c (thread and loop), clients.c and listen.c
 * (clients), relays.c (relay sockets), peers.c and splice.c (connections with peers), letters.c and
 * steer.c (between workers), find.c (users of a database), traffic.c (figures by listener). Private
 * to them. */
#ifndef VIADUCT_TURN_WORKER_PRIVATE_H
#define VIADUCT_TURN_WORKER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "net/loop.h"
#include "net/random.h"
#include "net/tls.h"
#include "turn/carry.h"
#include "turn/pace.h"
#include "turn/peers.h"
#include "turn/steer.h"
#include "turn/traffic.h"
#include "turn/worker.h"

struct turnd_worker;

struct turnd_udp_listener {
  struct net_udp udp;
  struct turnd_worker *worker;
  bool secure;   /* at the port for TLS and DTLS */
  bool no_plain; /* DTLS only */
};

/* Beside a relay socket: connected to the peer that most goes to. */
struct turnd_direct {
  struct net_udp udp;
  struct turnd_relay *relay;
  struct addr peer;
  uint8_t older; /* reads of the relay socket that go first: what this peer sent before may wait
                    there */
};

/* A relay socket; its index in the table is the core's handle. */
struct turnd_relay {
  struct net_udp udp;
  bool tcp; /* it listens for connections, and `udp` is not open */
  struct net_watch listen;
  struct addr at; /* of `listen` */
  struct turnd_worker *worker;
  int index;
  struct turnd_direct *direct; /* NULL: none so far */
  bool no_direct;              /* it could not be opened */
  uint8_t streak;              /* how many in a row went to the peer of `mark`, but to no other */
  uint32_t mark;
};

struct turnd_relays {
  struct turnd_relay **slot; /* NULL: free */
  int *free;                 /* indices of free slots, `free_count` of them */
  size_t cap, free_count;
};

/* The two ports of each address and tcp-proxy-port, and the second port of RFC 5780 at four of
 * them. */
enum { TURND_DOORS_MAX = 3 * TURND_LISTEN_MAX + 4 + TURND_PLACES_MAX };

/* Datagrams in one read: where as many come, nobody has to wait for more (relay-coalesce-us). */
enum { TURND_PLENTY = 32 };

enum { TURND_COUNTERS = sizeof(struct turnd_counters) / sizeof(uint64_t) };
_Static_assert(sizeof(struct turnd_counters) % sizeof(uint64_t) == 0, "a row of 64-bit numbers");

/* What a worker's mailbox gets. */
enum turnd_mail {
  TURND_MAIL_WAKE,
  TURND_MAIL_SETTINGS,
  TURND_MAIL_USER, /* a struct userdb_question that was answered */
  TURND_MAIL_DRAIN,
  TURND_MAIL_QUERY /* a struct turnd_query, one reference */
};

struct turnd_worker {
  uint32_t index, count;
  struct turnd_settings *settings; /* one reference */
  struct log *log;
  struct net_mailbox *report;
  const struct turn_ledger *ledger;
  struct turnd_directory *directory; /* NULL: this is the only worker */
  struct net_mailbox mailbox;
  struct net_watch mail;
  int below;                  /* turnd_descriptors_for_clients */
  struct log_pace pause_pace; /* of saying that accepting rests */
  pthread_t thread;
  bool running;
  bool draining, drained; /* draining: not reported yet that it is done */
  atomic_bool stopping;

  struct mem mem;
  struct net_random random;
  struct net_loop loop;
  struct wheel wheel; /* of the connections; the core has its own */
  struct net_udp_batch *batch;
  struct net_tcp *tcp;
  struct net_tls tls;
  struct net_dtls *dtls; /* NULL: no DTLS */
  struct turn_effects effects;
  struct turn *turn;

  struct turnd_udp_listener udp[TURND_DOORS_MAX];
  struct net_listener listener[TURND_DOORS_MAX];
  size_t udp_count, listener_count;
  struct turnd_ports ports;
  struct turnd_relays relays;
  struct turnd_peers peers;
  struct userdb_stats *stats; /* may be NULL */
  uint64_t events_dropped;
  struct turnd_worker *const *all; /* `count` of them, this one included; set before they run */
  struct turnd_inbox inbox;
  struct turnd_letter *asked; /* what the core works on, for another worker; NULL: nothing */
  struct turnd_finder finder;
  struct turnd_steer steer;
  struct turnd_carry carry;
  struct turnd_pace pace;
  _Atomic uint64_t published[TURND_COUNTERS];
  struct turnd_traffic traffic;
};

/* worker.c. From any thread: its loop looks for mail, letters and parcels. */
void turnd__wake(struct turnd_worker *w);

/* The tag of a TCP listener: its number, and whether it stands at the port for TLS. */
static inline unsigned turnd__tag(size_t index, bool secure)
{
  return (unsigned)index << 1 | (secure ? 1 : 0);
}

static inline bool turnd__tag_is_secure(unsigned tag)
{
  return tag & 1;
}

/* turn_flow.listener: UDP listeners first, then those for TCP. */
static inline uint16_t turnd__tag_listener(unsigned tag)
{
  return (uint16_t)(TURND_DOORS_MAX + (tag >> 1));
}

/* listen.c. Opens all listeners, or none. */
int turnd__listen(struct turnd_worker *w, struct turnd_ports ports, struct net_error *e);
void turnd__listen_close(struct turnd_worker *w);

/* clients.c. What listeners need: connections, TLS and DTLS. */
int turnd__clients_init(struct turnd_worker *w);
/* Takes the certificate of w->settings for connections to come. */
void turnd__clients_renew(struct turnd_worker *w);
/* Ends them all, and closes the listeners. */
void turnd__clients_fini(struct turnd_worker *w);
/* A listener's, for UDP and DTLS. */
void turnd__udp_ready(struct net_watch *watch, uint32_t events, uint64_t now_ms);
void turnd__reply(void *arg, const struct turn_flow *flow, struct bytes message);
void turnd__to_client(void *arg, const struct turn_flow *flow, struct dgram *d);
void turnd__hold(void *arg, const struct turn_flow *flow, bool on);
/* `relayed`: payload, which a connection that is full may lose. */
void turnd__client_send(struct turnd_worker *w, const struct turn_flow *flow, struct bytes message,
                        bool relayed);
bool turnd__to_client_run(void *arg, const struct turn_flow *flow, struct dgram_run run,
                          uint16_t channel);
/* Whether its connection, if it has one, is open. */
bool turnd__client_is_there(const struct turnd_worker *w, const struct turn_flow *flow);
/* Sends what this batch has queued, to clients and peers. */
void turnd__flush(struct turnd_worker *w);

/* relays.c */
int turnd__relay_open(void *arg, const struct addr *at, turn_relay *out);
void turnd__relay_close(void *arg, turn_relay relay);
void turnd__to_peer(void *arg, turn_relay relay, const struct addr *peer, struct dgram *d,
                    bool dont_fragment);
bool turnd__to_peer_run(void *arg, turn_relay relay, const struct addr *peer, struct dgram_run run);
int turnd__relay_listen(void *arg, const struct addr *at, turn_relay *out);
/* What comes in at a relay's socket `u`, which may be the one beside it: how much that was; 0 where
 * the relay was closed meanwhile, too. */
size_t turnd__relay_take(struct turnd_relay *r, struct net_udp *u, uint32_t events,
                         uint64_t now_ms);
/* direct.c: the socket that the next datagram to this peer leaves from. */
struct net_udp *turnd__direct_to(struct turnd_relay *r, const struct addr *peer);
void turnd__direct_close(struct turnd_relay *r);
/* False when it is no TCP listener. */
bool turnd__relay_address(const struct turnd_worker *w, turn_relay relay, struct addr *out);
/* Where a relay's UDP socket is bound; false when it has none. */
bool turnd__relay_socket(const struct turnd_worker *w, turn_relay relay, struct addr *out);
/* Accepting goes on after a pause. */
void turnd__relays_resume(struct turnd_worker *w);
/* A peer's address as this machine has it, and as clients know it. */
struct addr turnd__to_local(const struct turn_config *c, const struct addr *peer);
struct addr turnd__to_external(const struct turn_config *c, const struct addr *peer);
void turnd__relays_fini(struct turnd_worker *w);

/* find.c */
void turnd__finder_init(struct turnd_worker *w, struct userdb *userdb /* may be NULL */);
void turnd__finder_fini(struct turnd_worker *w);
int turnd__find_user(void *arg, const struct turn_flow *flow, struct bytes realm, struct bytes name,
                     struct turn_user *out);
/* Keeps the message that the core just dropped, since its user is looked up. */
void turnd__park(struct turnd_worker *w, const struct turn_flow *flow, const struct dgram *d);
/* Whether something of this connection waits; then the message does too, behind it. */
bool turnd__park_behind(struct turnd_worker *w, const struct turn_flow *flow,
                        const struct dgram *d);
/* Its connection is gone. */
void turnd__park_forget(struct turnd_worker *w, const struct turn_flow *flow);
/* Takes the answer; who waited for it goes on. */
void turnd__user_found(struct turnd_worker *w, struct userdb_question *q);

/* One message of a client into the core. */
static inline void turnd__input(struct turnd_worker *w, const struct turn_flow *flow,
                                struct dgram *d, uint64_t now_ms, uint64_t wall_s)
{
  if (w->steer.guests.count > 0 && turnd__steer_input(w, flow, d))
    return;
  turn_client_input(w->turn, flow, d, now_ms, wall_s);
  if (w->finder.question != 0)
    turnd__park(w, flow, d);
}

#endif
