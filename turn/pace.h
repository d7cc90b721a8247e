/* Whether a worker rests behind a round so that the next one finds more (stream-coalesce-us): while
 * so many messages of connections come that waking up for each is most of the work. Pure. */
#ifndef VIADUCT_TURN_PACE_H
#define VIADUCT_TURN_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
  TURND_PACE_WINDOW_MS = 8,
  TURND_PACE_PER_MS = 20, /* with fewer, a rest of 50 us gathers none, and is a wake-up more */
  TURND_PACE_CLEAR_MS = 100
};

struct turnd_pace {
  uint64_t begin_ms;     /* of the window that runs */
  uint32_t messages;     /* of connections, in it */
  bool plenty;           /* there were, in the one before */
  bool has_datagrams;    /* some came or went since the last round, for clients over UDP or DTLS */
  uint64_t datagrams_ms; /* when that was last so */
};

static inline void turnd_pace_message(struct turnd_pace *p)
{
  p->messages++;
}

/* What is relayed over UDP is never held up by this. */
static inline void turnd_pace_datagram(struct turnd_pace *p)
{
  p->has_datagrams = true;
}

/* Behind each round. */
bool turnd_pace_rests(struct turnd_pace *p, uint64_t now_ms);

#endif
