/* What `viaduct-load signal` sends: a text that says which flow it belongs to, its place in it and
 * when it was made, with a check, so that loss, order, duplicates, misrouting and damage show where
 * it arrives. It has nothing that JSON would have to escape. And the little that is read of JSON
 * around it. Pure. */
#ifndef VIADUCT_BENCH_LOAD_SIGNAL_NOTE_H
#define VIADUCT_BENCH_LOAD_SIGNAL_NOTE_H

#include "base/bytes.h"

enum { LOAD_NOTE_LEAST = 64, LOAD_NOTE_MOST = 60000 };

struct load_note {
  uint32_t flow;
  uint64_t sequence; /* of its flow, from 0 */
  uint64_t made_ns;  /* monotonic */
};

/* Fills `len` bytes (LOAD_NOTE_LEAST to LOAD_NOTE_MOST). */
void load_note_put(uint8_t *out, size_t len, const struct load_note *n);
/* The note in a JSON text, as one string. -ERR_MISSING: there is none; -ERR_BAD: it is not as it
 * was sent.
 */
int load_note_find(struct bytes text, struct load_note *out);

/* The string behind `"name":`, where that stands first: `key` has the quotes and the colon. Not for
 * texts with escapes. False: there is none. A view into `text`. */
bool load_json_text(struct bytes text, const char *key, struct bytes *value);
/* The number there, likewise. */
bool load_json_uint(struct bytes text, const char *key, uint64_t *value);
/* The next object in `rest`, which goes on behind it: for the elements of an array. False: there is
 * no whole one. */
bool load_json_object(struct bytes *rest, struct bytes *object);

#endif
