/* What workers have to hand to each other: parcels, copies of a message each. Private to the files
 * of a worker.
 *
 * Clients whose allocation is with another worker (mobility, RFC 8016): the kernel hands a client's
 * packets to whatever worker, and its new 5-tuple may be at another one than its allocation. What
 * it sends goes to the worker with the allocation, its home, and what it gets comes back.
 *
 * Payloads from one allocation to another, where both ends of a call are relayed by this server:
 * they wait in an outbox until the flush, so that a batch costs one lock and one wake-up. */
#ifndef VIADUCT_TURN_STEER_H
#define VIADUCT_TURN_STEER_H

#include <pthread.h>

#include "base/hash.h"
#include "base/list.h"
#include "turn/core/types.h"
#include "turn/options.h"

struct turnd_worker;

enum {
  TURND_PARCELS_MAX = 16384,      /* in one worker's inbox: what comes then is dropped */
  TURND_PARCELS_BYTES = 16 << 20, /* the same, of what they carry */
  TURND_SPARE_MAX = 512,          /* parcels of 1.7 KB that a worker keeps for later */
  TURND_GUESTS_MAX = 16384        /* of one worker */
};

struct turnd_steer_counters {
  uint64_t forwarded;      /* messages to and from guests, between workers */
  uint64_t dropped;        /* for want of room */
  uint64_t inside_dropped; /* payloads from one allocation to another, for want of room */
};

/* Parcels on their way to one worker. */
struct turnd_outbox {
  struct list parcels;
  size_t count, len;
};

struct turnd_steer {
  pthread_mutex_t lock;
  struct list inbox; /* struct parcel */
  size_t inbox_count, inbox_len;
  struct list returned; /* parcels of ours that others are done with; under the lock too */
  size_t returned_count;
  bool ready;
  struct list spare; /* parcels for later */
  size_t spare_count;
  struct list spent; /* worked on; what was sent in place points at them until the flush */
  uint64_t outgoing; /* the workers whose outbox here is not empty, a bit for each */
  struct turnd_outbox outbox[TURND_THREADS_MAX];
  struct hash_key key;
  struct hash_table guests; /* this worker's clients whose home is another */
  struct turnd_steer_counters counters;
};

/* A flow whose client is at another worker has that one's number in its link. */
static inline bool turnd__is_foreign(const struct turn_flow *flow)
{
  return flow->link >> 56 != 0;
}

int turnd__steer_init(struct turnd_worker *w);
void turnd__steer_fini(struct turnd_worker *w);
/* turn_effects.forward */
int turnd__forward(void *arg, uint32_t share, const struct turn_flow *flow, const struct dgram *d);
/* A message of a client of this worker's; true when it has gone to its home. */
bool turnd__steer_input(struct turnd_worker *w, const struct turn_flow *flow,
                        const struct dgram *d);
/* The client's connection is closed. */
void turnd__steer_gone(struct turnd_worker *w, const struct turn_flow *flow);
/* To a client at another worker. */
void turnd__steer_output(struct turnd_worker *w, const struct turn_flow *flow, struct bytes message,
                         bool relayed);
void turnd__steer_hold(struct turnd_worker *w, const struct turn_flow *flow, bool on);
/* Ends the connection of a client at another worker. */
void turnd__steer_end(struct turnd_worker *w, const struct turn_flow *flow);
/* turn_effects.inside */
int turnd__inside(void *arg, uint32_t share, const struct addr *relayed, const struct addr *from,
                  const struct dgram *d);
/* turn_effects.relayed, where there are several workers. */
void turnd__relayed(void *arg, const struct addr *relayed, bool on);
/* Sends what the outboxes hold, and works on what is for this worker itself. */
void turnd__steer_flush(struct turnd_worker *w);
/* Nothing points at the spent parcels any more. */
void turnd__steer_settle(struct turnd_worker *w);
/* Reads the inbox. */
void turnd__steer_take(struct turnd_worker *w, uint64_t now_ms);

#endif
