/* What one client says and understands: between signal_engine.c, which has the sockets, and
 * signal_work.c, which says when. */
#ifndef VIADUCT_BENCH_LOAD_SIGNAL_CLIENT_H
#define VIADUCT_BENCH_LOAD_SIGNAL_CLIENT_H

#include "bench/load/signal_engine.h"

struct load_signal_client *load__partner(struct load_signal_engine *g,
                                         const struct load_signal_client *c);
uint32_t load__index(const struct load_signal_engine *g, const struct load_signal_client *c);
/* It has something to write. */
void load__dirty(struct load_signal_engine *g, struct load_signal_client *c);
/* Its end was not asked for. */
void load__lost(struct load_signal_engine *g, struct load_signal_client *c);
/* The other way into the engine: opens the reader's connection. */
void load__open_reader(struct load_signal_engine *g, struct load_signal_client *c);

/* signal_say.c */
void load_say_first(struct load_signal_engine *g, struct load_signal_client *c);
void load_say_hello(struct load_signal_engine *g, struct load_signal_client *c);
void load_say_join(struct load_signal_engine *g, struct load_signal_client *c);
/* A message of `len` bytes of note to its partner; `kind` is what PeerJS calls it. */
void load_say_note(struct load_signal_engine *g, struct load_signal_client *c, size_t len,
                   const char *kind);
void load_say_heartbeat(struct load_signal_engine *g, struct load_signal_client *c);
void load_say_ack(struct load_signal_engine *g, struct load_signal_client *c);
void load_say_leave(struct load_signal_engine *g, struct load_signal_client *c);
/* A pong, or the answer to a Close. */
void load_say_control(struct load_signal_engine *g, struct load_signal_client *c, uint8_t opcode,
                      struct bytes payload);
/* A GET for what its outbox has; over SSE, for the stream. */
void load_ask(struct load_signal_engine *g, struct load_signal_client *c);
/* The batch, if there is one and no POST is under way. */
void load_post(struct load_signal_engine *g, struct load_signal_client *c);

/* signal_hear.c: takes what it can of these bytes; returns how many, or -ERR_BAD. */
int load_hear(struct load_signal_engine *g, struct load_signal_client *c, enum load_pipe_kind kind,
              struct bytes in);

#endif
