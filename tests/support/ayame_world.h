/* Ayame's core with a fake edge, on top of signal_world: its signalling core has the limits, its
 * clock and its memory are those of both. An edge drains a socket only after a wake, and ends it
 * after a close. */
#ifndef VIADUCT_TESTS_SUPPORT_AYAME_WORLD_H
#define VIADUCT_TESTS_SUPPORT_AYAME_WORLD_H

#include "signal/ayame/core/ayame.h"
#include "tests/support/signal_world.h"

enum { AYAME_WORLD_PEERS = 6 };

struct ayame_peer {
  struct ayame_world *world;
  struct ayame_link *link; /* NULL: not connected */
  bool woken, closing;     /* what the core asked for and was not done yet */
  bool held;               /* a slow reader */
  uint16_t close_code;     /* since the last connect; 0: the core did not close it */
  const char *close_reason;
  char **got; /* texts, NUL-terminated, in order */
  size_t got_count, got_read;
};

struct ayame_world {
  struct sig_world sig; /* .broken is for both */
  struct ayame_config config;
  struct sig_effects effects;
  struct ayame *ayame;
  struct ayame_peer peer[AYAME_WORLD_PEERS];
};

/* world_init, and what signald has by default. */
void ayame_world_init(struct ayame_world *w);
/* Makes the cores from w->sig.config and w->config. -ERR_NOMEM. */
int ayame_world_start(struct ayame_world *w);
/* Ends everything. Whether all memory came back and nothing was broken. */
bool ayame_world_fini(struct ayame_world *w);

int ayame_world_connect(struct ayame_peer *p, const char *address);
/* One message; then every socket that was woken is drained. */
void ayame_world_send(struct ayame_peer *p, struct bytes text);
void ayame_world_drop(struct ayame_peer *p);
/* Moves the clock, timer by timer. */
void ayame_world_elapse(struct ayame_world *w, uint64_t ms);
/* Drains what was woken, ends what was closed. */
void ayame_world_settle(struct ayame_world *w);
/* The next text that the client got and nobody has looked at; "": none. */
const char *ayame_world_next(struct ayame_peer *p);

#endif
