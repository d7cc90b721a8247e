/* A whole signalling core with a fake edge: clients by name, a clock that a test moves, memory that
 * can fail. It does what a gateway does, and no more: it drains a link only after a wake, and ends
 * it after a close. */
#ifndef VIADUCT_TESTS_SUPPORT_SIGNAL_WORLD_H
#define VIADUCT_TESTS_SUPPORT_SIGNAL_WORLD_H

#include "base/log.h"
#include "signal/core/sig.h"
#include "tests/support/failing_mem.h"

enum { WORLD_CLIENTS = 64, WORLD_NAME = 32, WORLD_LOG = 1 << 16 };

struct sig_client {
  char name[WORLD_NAME];
  struct sig_world *world;
  struct sig_link *link; /* NULL: not connected */
  bool woken, closing;   /* what the core asked for and was not done yet */
  bool held;             /* a slow reader: nothing is taken from its link */
  bool closed;           /* the core has closed it since the last world_connect */
  uint16_t close_code;
  const char *close_reason;
  char **got; /* texts, NUL-terminated, in order */
  size_t got_count, got_read;
  uint64_t question; /* the last that was asked about it; its token, and whether it was forgotten */
  char asked[WORLD_NAME];
  bool forgotten;
  uint64_t last_seq; /* of its stream: the next one has to follow */
};

struct sig_world {
  struct failing_mem memory;
  struct random_seed seed;
  struct random random;
  struct log log;
  struct sig_effects effects;
  struct sig_config config;
  bool asker_is_full; /* sig_effects.ask has no room */
  struct sig *sig;
  uint64_t now_ms, wall_ms;
  struct sig_client client[WORLD_CLIENTS];
  size_t client_count;
  const char *broken; /* what the core did that no core may do; NULL: nothing */
  size_t log_len;
  char log_text[WORLD_LOG]; /* every field of every record, one behind the other, then a NUL */
};

/* Defaults, and a clock that stands at 1,000,000 ms and in November 2026. */
void world_init(struct sig_world *w);
/* Makes the core from w->config. -ERR_NOMEM. */
int world_start(struct sig_world *w);
/* Ends everything. Whether all memory came back and nothing was broken. */
bool world_fini(struct sig_world *w);

/* The events of the core go to the client "hook" from here on: {"type":"member-joined",…}. */
void world_watch(struct sig_world *w);
/* A text that comes to the client from somewhere else than the core's links. */
void world_tell(struct sig_client *c, struct bytes text);
/* By name; made when it is new. */
struct sig_client *world_client(struct sig_world *w, const char *name);
/* As sig_link_open; setup->edge is set here. What an earlier link still had to say is forgotten. */
int world_connect(struct sig_client *c, struct sig_link_setup *setup);
/* A request that reads behind `after`, on a link that world_connect has made; false: refused, and
 * the client has got the error. */
bool world_read(struct sig_client *c, struct bytes key, uint64_t after);
/* A request that brings messages, likewise; the link is gone when it returns. What sig_batch_cut
 * said, or -ERR_MISSING where the key did not do. */
int world_post(struct sig_client *c, struct bytes key, struct bytes body);
/* One message; then every link that was woken is drained. */
void world_send(struct sig_client *c, struct bytes text);
void world_send_bad(struct sig_client *c, enum sig_error error);
void world_drop(struct sig_client *c);
/* Answers the last question about this client, as sig_answer. */
void world_answer(struct sig_client *c, const struct sig_verdict *verdict);
/* Moves the clock, timer by timer. */
void world_elapse(struct sig_world *w, uint64_t ms);
/* Drains what was woken, ends what was closed. */
void world_settle(struct sig_world *w);
/* The next text that the client got and nobody has looked at; NULL: none. */
const char *world_next(struct sig_client *c);

#endif
