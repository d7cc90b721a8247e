/* Which NAT stands between a client and a server, by RFC 5780: how it maps, what it lets in, and
 * whether it hairpins. Pure: the caller owns three UDP sockets and the clock.
 *
 *   behaviour_begin(&b, &setup, now)
 *   repeat until behaviour_is_done(&b):
 *     while behaviour_next(&b, now, &d): send d.len bytes of d.at from socket d.socket to d.to
 *     wait for a datagram on a socket, or until behaviour_next_ms(&b)
 *     behaviour_input(&b, socket, from, bytes)
 *   b.found has the answer
 *
 * The tests of mapping, filtering and hairpinning run side by side, each from a socket of its own,
 * since what one sends would open the filter for what another waits for. */
#ifndef VIADUCT_PEER_DEMO_CORE_BEHAVIOUR_H
#define VIADUCT_PEER_DEMO_CORE_BEHAVIOUR_H

#include "base/addr.h"
#include "base/random.h"
#include "stun/core/types.h"

enum {
  BEHAVIOUR_SOCKETS = 3, /* one for mapping, one for filtering, one for hairpinning */
  BEHAVIOUR_TESTS = 8,
  BEHAVIOUR_TRIES = 5,
  BEHAVIOUR_RTO_MS = 200, /* doubled for each further try: the last word is 6.2 s after the first */
  BEHAVIOUR_DATAGRAM = 64 /* no request is longer */
};

/* RFC 4787 sections 4.1 and 5. */
enum behaviour {
  BEHAVIOUR_UNKNOWN, /* the server has no second address, or does not answer */
  BEHAVIOUR_NONE,    /* of mapping: no translation */
  BEHAVIOUR_ENDPOINT_INDEPENDENT,
  BEHAVIOUR_ADDRESS_DEPENDENT,
  BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT,
  BEHAVIOUR_COUNT
};

enum behaviour_hairpin { BEHAVIOUR_HAIRPIN_UNKNOWN, BEHAVIOUR_HAIRPIN_NO, BEHAVIOUR_HAIRPIN_YES };

struct behaviour_found {
  bool answers;              /* the server answered at all */
  struct addr mapped, other; /* ADDR_NONE: never told */
  enum behaviour mapping, filtering;
  enum behaviour_hairpin hairpin;
};

/* Private to behaviour.c: one request, repeated until it is answered or given up. */
struct behaviour_test {
  uint8_t state, socket, tries;
  uint8_t txid[STUN_TXID_LEN];
  uint64_t due_ms;
  struct addr to, mapped;
};

struct behaviour_setup {
  struct addr server;                   /* its first address and port */
  struct addr local[BEHAVIOUR_SOCKETS]; /* what each socket is bound to: an address, no wildcard */
  struct random *random;                /* for transaction ids; borrowed until the end */
};

struct behaviour_run {
  struct behaviour_setup setup;
  struct behaviour_test test[BEHAVIOUR_TESTS];
  struct behaviour_found found;
};

struct behaviour_datagram {
  unsigned socket;
  struct addr to;
  uint8_t at[BEHAVIOUR_DATAGRAM];
  size_t len;
};

void behaviour_begin(struct behaviour_run *b, const struct behaviour_setup *setup, uint64_t now_ms);
/* What to send now. False: nothing, until behaviour_next_ms or the next input. */
bool behaviour_next(struct behaviour_run *b, uint64_t now_ms, struct behaviour_datagram *out);
/* When behaviour_next has more to say; UINT64_MAX: never. */
uint64_t behaviour_next_ms(const struct behaviour_run *b);
/* What came in on a socket. What is no answer to a request of ours is ignored. */
void behaviour_input(struct behaviour_run *b, unsigned socket, const struct addr *from,
                     struct bytes datagram, uint64_t now_ms);
bool behaviour_is_done(const struct behaviour_run *b);

/* "endpoint-independent": the words of RFC 4787. */
const char *behaviour_name(enum behaviour behaviour);

#endif
