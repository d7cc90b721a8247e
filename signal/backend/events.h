/* The events that wait to be told to the application's backend: a queue of JSON texts with bounds.
 * What finds no room is dropped, counted, and told of as an event of its own in its place:
 * events-dropped. Called by webhook.c. */
#ifndef VIADUCT_SIGNAL_BACKEND_EVENTS_H
#define VIADUCT_SIGNAL_BACKEND_EVENTS_H

#include "base/list.h"
#include "signal/core/types.h"

struct events {
  struct mem *mem;
  struct list list; /* struct entry, the oldest first */
  size_t count, bytes;
  size_t max_count, max_bytes;
  uint64_t seq;     /* of the last one that was made, dropped ones included */
  uint64_t untold;  /* dropped since the last events-dropped */
  uint64_t dropped; /* altogether */
};

void events_init(struct events *e, struct mem *mem, size_t max_count, size_t max_bytes);
void events_fini(struct events *e);

/* `at_ms` since 1970; `app` may be empty. Both drop what finds no room. */
void events_add(struct events *e, uint64_t at_ms, struct bytes app, const struct sig_event *event);
/* One of the server itself: its type, and the name of the node. */
void events_add_own(struct events *e, uint64_t at_ms, const char *type, struct bytes node);

/* How many of the oldest go into one delivery, at most max_count and, if it is more than one,
 * max_bytes; `seq` of the first. */
size_t events_batch(const struct events *e, size_t max_count, size_t max_bytes, uint64_t *seq);
/* A JSON array of the oldest `count`. Returns owned, `size` bytes of which `len` are used; NULL: no
 * memory. */
uint8_t *events_body(const struct events *e, size_t count, size_t *size, size_t *len);
/* Lets go of the oldest `count`: they were told, or, with `is_lost`, never will be. */
void events_take(struct events *e, size_t count, uint64_t at_ms, bool is_lost);

#endif
