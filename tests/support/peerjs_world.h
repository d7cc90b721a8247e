/* signal/peerjs/core with a fake edge: sockets by number, a clock that a test moves, memory that
 * can fail. It does what socket.c does: it drains a socket only after a wake, and ends it after a
 * close. */
#ifndef VIADUCT_TESTS_SUPPORT_PEERJS_WORLD_H
#define VIADUCT_TESTS_SUPPORT_PEERJS_WORLD_H

#include "signal/peerjs/core/peerjs.h"
#include "tests/support/failing_mem.h"

enum { PEERS = 8, PEER_GOT = 256 };

struct peer {
  struct peerjs_world *world;
  struct peerjs_link *link; /* NULL: not connected */
  bool woken, closing;      /* what the core asked for and was not done yet */
  bool held;                /* a slow reader: nothing is taken from its socket */
  bool closed;              /* by the core, since the last connect */
  uint16_t close_code;
  const char *close_reason;
  char *got[PEER_GOT]; /* a ring of texts, NUL-terminated, in order */
  size_t got_count, got_read;
};

struct peerjs_world {
  struct failing_mem memory;
  struct random_seed seed;
  struct random random;
  struct log log;
  struct sig_effects effects;
  struct sig_config sig_config;
  struct peerjs_config config;
  struct sig *sig;
  struct peerjs *peerjs;
  uint64_t now_ms;
  struct peer peer[PEERS];
  const char *broken; /* what the core did that no core may do; NULL: nothing */
};

/* Defaults: key "peerjs", no limits of rate or address; a clock at 1,000,000 ms. */
void peerjs_world_init(struct peerjs_world *w);
/* From w->config and w->sig_config. -ERR_NOMEM. */
int peerjs_world_start(struct peerjs_world *w);
/* Ends everything. Whether all memory came back and nothing was broken. */
bool peerjs_world_fini(struct peerjs_world *w);

/* As peerjs_open; hello->edge is set here, and hello->client where it is none. An earlier socket of
 * this number is dropped. */
int peer_open(struct peer *p, struct peerjs_hello *hello);
/* The same with texts and the right key. */
int peer_connect(struct peer *p, const char *id, const char *token);
/* One message; then every socket that was woken is drained. */
void peer_say(struct peer *p, struct bytes text);
void peer_drop(struct peer *p);
void peer_hold(struct peer *p, bool held);
/* Moves the clock, timer by timer. */
void peerjs_world_elapse(struct peerjs_world *w, uint64_t ms);
/* The next text that it got and nobody has looked at; NULL: none. */
const char *peer_next(struct peer *p);

#endif
