/* One worker: a thread with its own listeners (SO_REUSEPORT where there are several), its own
 * relay sockets, its own struct turn and its own share of the relay ports. All share the immutable
 * settings, the ledger of quotas, the log and the database's queues; commands reach a worker by
 * mailbox, what it has to do with another one's clients by letter (letters.c) and parcel (steer.c),
 * and its figures are read through atomics. server.c makes, starts and stops them. */
#ifndef VIADUCT_TURN_WORKER_H
#define VIADUCT_TURN_WORKER_H

#include "net/dtls.h"
#include "net/mailbox.h"
#include "net/tcp.h"
#include "net/udp.h"
#include "turn/carry.h"
#include "turn/core/turn.h"
#include "turn/find.h"
#include "turn/settings.h"
#include "turn/steer.h"
#include "turn/userdb/stats.h"

enum { TURND_CONNECTIONS_MAX = 16384 }; /* of clients, of all workers; as many DTLS sessions */

struct turnd_worker;
struct turnd_query;

enum turnd_report {
  TURND_REPORT_DIED,   /* a thread has ended by itself; NULL: that of the metrics */
  TURND_REPORT_DRAINED /* it drains, and its last session has gone */
};

struct turnd_worker_setup {
  struct turnd_settings *settings;   /* shared: the worker takes a reference of its own */
  struct log *log;                   /* borrowed until free */
  struct net_mailbox *report;        /* borrowed: gets an enum turnd_report, from whom it is */
  struct userdb_stats *stats;        /* borrowed until free; NULL: nobody follows allocations */
  struct userdb *userdb;             /* borrowed until free; NULL: users of the settings alone */
  const struct turn_ledger *ledger;  /* borrowed until free: that of all workers */
  struct turnd_directory *directory; /* the same; NULL where there is one worker */
  /* All `count` workers, who hand client connections to each other; the array is filled before the
   * first one is started, and outlives them. */
  struct turnd_worker *const *all;
  uint32_t index, count;
};

/* Of the listeners; 0: one that is free for all of them. */
struct turnd_ports {
  uint16_t plain; /* UDP and TCP */
  uint16_t tls;   /* TLS and DTLS; unused without them */
};

/* Everything that moves in one worker, as it was at the end of its last round. */
struct turnd_counters {
  struct turn_counters turn;
  struct net_udp_counters udp;
  struct net_tcp_counters tcp;
  struct net_dtls_counters dtls;
  struct turnd_find_counters find;
  uint64_t events_dropped; /* for redis-statsdb: its queue was full */
  struct turnd_steer_counters steer;
  struct turnd_carry_counters carry;
  uint64_t rounds; /* of the event loop */
};

/* Returns owned; listens, and no thread runs yet. turnd_worker_ports says which ports were chosen
 * where 0 was asked for. As net_bind. */
int turnd_worker_new(const struct turnd_worker_setup *s, struct turnd_ports ports,
                     struct turnd_worker **out, struct net_error *e);
struct turnd_ports turnd_worker_ports(const struct turnd_worker *w);
/* Where it listens: the number of addresses in `out`, at most `cap`; all workers listen alike. */
size_t turnd_worker_listeners(const struct turnd_worker *w, struct addr *out, size_t cap);
/* -ERR_IO when there is no thread to be had. */
int turnd_worker_start(struct turnd_worker *w);
/* From any thread: takes a reference and uses it from the next round on. -ERR_FULL. */
int turnd_worker_reload(struct turnd_worker *w, struct turnd_settings *settings);
/* From any thread: turn_drain, and a report when there is no session left. -ERR_FULL. */
int turnd_worker_drain(struct turnd_worker *w);
/* From any thread: it answers soon, with a reference of its own until then. -ERR_FULL. */
int turnd_worker_ask(struct turnd_worker *w, struct turnd_query *q);
/* From any thread: how often its loop has been through. turnd_worker_poke has it go once. */
uint64_t turnd_worker_rounds(const struct turnd_worker *w);
void turnd_worker_poke(struct turnd_worker *w);
/* Ends the thread, if there is one. All are stopped before the first one is freed. */
void turnd_worker_stop(struct turnd_worker *w);
/* Frees it, stopped. NULL is fine. */
void turnd_worker_free(struct turnd_worker *w);
/* From any thread: adds this worker's figures to `sum`. */
void turnd_worker_add_counters(const struct turnd_worker *w, struct turnd_counters *sum);
/* The same for its rows: `sum` has *count of them. */
void turnd_worker_add_traffic(const struct turnd_worker *w,
                              struct turn_traffic sum[TURN_TRAFFIC_MAX], size_t *count);
/* Where a listener listens, by turn_flow.listener; ADDR_NONE for a number that is none. The numbers
 * are the same in all workers. */
struct addr turnd_worker_listener(const struct turnd_worker *w, uint16_t listener);

#endif
