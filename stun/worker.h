/* One thread of viaduct-stund: its sockets, its loop, its figures; shares nothing with the others
 * but what it publishes. server.c opens, starts and stops them. */
#ifndef VIADUCT_STUN_WORKER_H
#define VIADUCT_STUN_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "net/error.h"
#include "net/mailbox.h"
#include "net/tcp.h"
#include "net/udp.h"
#include "stun/options.h"

/* What a worker counts; server.c's table says what each is called. */
enum stund_figure {
  STUND_UDP_RECEIVED,
  STUND_TCP_RECEIVED,
  STUND_ANSWERED_SUCCESS,
  STUND_ANSWERED_400,
  STUND_ANSWERED_420,
  STUND_DROPPED,
  STUND_UDP_SEND_FAILED,
  STUND_UDP_SEND_FULL,
  STUND_CONNECTIONS,
  STUND_ACCEPTED,
  STUND_REFUSED,
  STUND_CLOSED_BAD,
  STUND_CLOSED_TIMEOUT,
  STUND_CLOSED_SLOW,
  STUND_FIGURE_COUNT
};

struct stund_worker;

struct stund_socket {
  struct net_udp udp;
  struct stund_worker *worker;
  const struct stun_quad *quad; /* NULL: one address alone */
};

struct stund_worker {
  const struct stund_config *config; /* borrowed until close */
  struct log *log;                   /* the same */
  struct net_mailbox *boss;          /* who hears that this worker failed; the same */
  struct net_loop loop;
  struct wheel wheel;
  struct net_mailbox mail; /* whatever comes means: stop */
  struct net_watch mail_watch;
  struct net_udp_batch *batch;
  struct net_tcp *tcp;          /* NULL: no TCP */
  const struct stun_quad *quad; /* borrowed until close: `quad_count` of them */
  size_t quad_count;
  struct stund_socket socket[STUND_SOCKET_MAX];
  size_t socket_count;
  struct net_listener listener[STUND_SOCKET_MAX];
  size_t listener_count;
  uint64_t count[STUND_FIGURE_COUNT];
  _Atomic uint64_t published[STUND_FIGURE_COUNT]; /* copies of `count`, for any thread */
  pthread_t thread;
  bool running;
};

/* Everything but the thread and the sockets. `w` must not move afterwards. -ERR_NOMEM, -ERR_IO. */
int stund_worker_open(struct stund_worker *w, const struct stund_config *config, struct log *log,
                      struct net_mailbox *boss);
/* The addresses of RFC 5780, before anything is bound; borrowed until close. */
void stund_worker_set_quads(struct stund_worker *w, const struct stun_quad *quad, size_t count);
/* The option that gives `at` another port. */
const char *stund_worker_mend(const struct stund_worker *w, const struct addr *at);
/* Binds `at` for one transport; `shared`: other workers bind the same port. Returns the address
 * with the port that it has. -ERR_* as net_bind. */
int stund_worker_listen_udp(struct stund_worker *w, struct addr *at, bool shared,
                            struct net_error *e);
int stund_worker_listen_tcp(struct stund_worker *w, struct addr *at, bool shared,
                            struct net_error *e);
/* -ERR_IO. */
int stund_worker_start(struct stund_worker *w);
/* Ends the thread, closes everything. Harmless for one that was never started. */
void stund_worker_close(struct stund_worker *w);

#endif
