/* The relay as a pure function of datagrams and time.
 *
 * A client's datagram takes this way, from top to bottom; each step has its file:
 *
 *   input.c     first byte: 0-3 STUN, 64-79 ChannelData (RFC 7983); everything else is dropped
 *   channel.c   ChannelData: number -> peer, permission                       -> relay.c, in place
 *   (stun/core/decode)  a view over the bytes                                 -> 400, 420, silence
 *   auth.c      nonce (stateless, keyed), user, integrity                     -> 401, 438, 400
 *   token.c     an access token in a user's place (RFC 7635)                  -> 401
 *   lookup.c    a user whom only the edge can find                            -> 500, silence
 *   redirect.c  an Allocate that another server shall answer                  -> 300
 *   allocate.c  Allocate, Refresh: 5-tuple -> allocation, quota, ports        -> 437, 442, 486, 508
 *   mobility.c  a Refresh with a ticket, from another 5-tuple                 -> 400, 405, 437, 441
 *   permit.c    CreatePermission, Send: peer policy, permission               -> 403, 443
 *   channel.c   ChannelBind                                                   -> 400, 403
 *   connect.c   Connect, ConnectionBind: TCP allocations (RFC 6062)           -> 403, 446, 447
 *   fast.c      which channels the edge may let the kernel carry
 *   event.c     new, refreshed, deleted, traffic: for whoever follows
 *   relay.c     header off, payload out, header on: the hot path
 *   inside.c    from one allocation to another of this server, without a socket
 *   reply.c     a STUN code into bytes, and nobody else does that
 *
 * and a peer's: relay.c looks the allocation up by its relay handle, checks the permission, puts
 * ChannelData or a Data indication before the payload in the datagram's headroom, and hands it on.
 * icmp.c does so with what the network says of a datagram that did not arrive.
 */
#ifndef VIADUCT_TURN_CORE_TURN_H
#define VIADUCT_TURN_CORE_TURN_H

#include "turn/core/fast.h"
#include "turn/core/ledger.h"
#include "turn/core/types.h"

struct turn; /* one worker's relay: table, timers, ports, counters; shares the ledger alone */

struct turn_setup {
  const struct turn_config *config;   /* borrowed until turn_set_config or turn_free */
  const struct turn_effects *effects; /* borrowed until turn_free */
  struct mem *mem;                    /* borrowed */
  struct random *random;              /* borrowed */
  struct log *log;                    /* borrowed */
  const struct turn_ledger *ledger;   /* borrowed until turn_free; NULL: one of its own */
  uint64_t now_ms;                    /* monotonic */
  uint32_t share_index, share_count; /* this worker's share of the relay ports: 0 of 1 when alone */
};

/* Returns owned. -ERR_NOMEM. */
int turn_new(const struct turn_setup *setup, struct turn **out);
/* Closes every relay socket through the effects. NULL is fine. */
void turn_free(struct turn *t);
/* Takes another snapshot; sessions go on. */
void turn_set_config(struct turn *t, const struct turn_config *config);

/* One datagram, or one message of a stream (framed by stun/core/frame), from a client. `wall_s` is
 * seconds since 1970, for the expiry of time-limited credentials and nonces. The datagram's bytes
 * are rewritten. */
void turn_client_input(struct turn *t, const struct turn_flow *flow, struct dgram *d,
                       uint64_t now_ms, uint64_t wall_s);
/* Datagrams of a client over UDP that came as one. True: they have been relayed at once, as if each
 * had been given to turn_client_input. False: nothing has happened, and each has to be. */
bool turn_client_run(struct turn *t, const struct turn_flow *flow, const struct dgram_run *run,
                     uint64_t now_ms);
/* The same of what arrived at a relay socket, for turn_peer_input. */
bool turn_peer_run(struct turn *t, turn_relay relay, const struct addr *peer,
                   const struct dgram_run *run, uint64_t now_ms);
/* One datagram that arrived at a relay socket. */
void turn_peer_input(struct turn *t, turn_relay relay, const struct addr *peer, struct dgram *d,
                     uint64_t now_ms);
/* What the effect `inside` took: `from` is the relayed address of the allocation that sent it. */
void turn_inside_input(struct turn *t, const struct addr *relayed, const struct addr *from,
                       struct dgram *d, uint64_t now_ms);
/* An ICMP error about what left that relay socket (RFC 8656 section 11.5). `d` is empty, with 64
 * bytes of room or more; what the client is told is written there and handed on in place. */
void turn_peer_error(struct turn *t, turn_relay relay, const struct turn_icmp *e, struct dgram *d,
                     uint64_t now_ms);
/* The client's connection is gone (streams): its allocation goes with it (RFC 8656 section 7.3: a
 * stream client deletes by closing), unless it has a ticket to come back with (RFC 8016). */
void turn_client_gone(struct turn *t, const struct turn_flow *flow);

/* What the edge tells of the connections with the peers of TCP allocations (RFC 6062).
 *
 * Someone connected to a listening relay socket: the CONNECTION-ID, or 0 when it has to be closed
 * at once. */
uint32_t turn_peer_attempt(struct turn *t, turn_relay relay, const struct addr *peer,
                           uint64_t now_ms);
/* What became of peer_connect. */
void turn_peer_connected(struct turn *t, uint32_t id, bool success, uint64_t now_ms);
/* It is over, joined or not: the peer or the client closed it. An id that is nobody's (any more) is
 * ignored. */
void turn_peer_gone(struct turn *t, uint32_t id, uint64_t now_ms);
/* What joined connections may carry (max-bps): bytes per second, each way; 0: no limit. */
uint64_t turn_peer_limit(const struct turn *t, uint32_t id);
/* How long a stream that has carried `len` bytes has to rest for that, in ms. `paid_ns` is its own,
 * 0 at first. */
uint64_t turn_pace(uint64_t *paid_ns, uint64_t bps, size_t len, uint64_t now_ms);
/* Bytes that two joined connections carried, for the counters; of another worker's too. */
void turn_peer_carried(struct turn *t, uint32_t id, uint64_t from_client_bytes,
                       uint64_t from_peer_bytes);

/* Runs every timer that is due; turn_next_ms says when to call next (WHEEL_NEVER: nothing is
 * pending). */
void turn_tick(struct turn *t, uint64_t now_ms);
uint64_t turn_next_ms(const struct turn *t);

/* sessions.c: for whoever runs the server. From now on every new Allocate is refused with 508;
 * sessions that live go on, and may be refreshed. */
void turn_drain(struct turn *t);
/* Shows each session, the oldest first, until `each` says false. */
void turn_show_sessions(const struct turn *t, uint64_t now_ms,
                        bool (*each)(void *arg, const struct turn_session *s), void *arg);
/* Ends the session with that id, or where `id` is 0 all of a user: by the whole username, or
 * without a time-limited one's expiry. How many there were. */
size_t turn_end_sessions(struct turn *t, uint64_t id, struct bytes user);

/* fast.c: what somebody else carried of the allocation with that relay handle, for its counters;
 * from within effects.fast too. */
void turn_fast_carried(struct turn *t, turn_relay relay, const struct turn_carried *c);
/* bandwidth.c: whether `len` bytes fit, by the time at which all before is paid for, which moves on
 * then: the arithmetic of fast_takes. */
bool turn_fast_takes(uint64_t *paid_ns, uint64_t bps, size_t len, uint64_t now_ns);

/* input.c: the answer to a Binding request without credentials, as turn_client_input gives it: its
 * length, or negative where there would be none. For whoever answers in the core's place. */
int turn_binding(const struct turn_config *config, const struct turn_flow *flow,
                 struct bytes message, struct stun_answer *answer);

/* Until the next call. */
const struct turn_counters *turn_counters(struct turn *t);
/* The rows so far, which never go away and never change their order; how many. */
size_t turn_traffic(const struct turn *t, const struct turn_traffic **out);

/* What IANA keeps the address's range for ("private use"); NULL for a public address (policy.c). */
const char *turn_special_purpose(const struct addr *a);
/* The same of the first such range that has an address in common with this one. */
const char *turn_special_purpose_in(const struct addr_range *r);

#endif
