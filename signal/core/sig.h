/* Signalling as a pure function of messages and time.
 *
 * A message takes this way, from top to bottom; each step has its file:
 *
 *   sig.c       which link, which session; hello first                        -> hello-first
 *   request.c   over HTTP: the session of a key, its reader and its senders     -> session-gone
 *   limits.c    token buckets of the session and of its address, size         -> rate-limited,
 *                                                                                too-large
 *   scan.c      is it JSON, and where are its members: a view, no allocation  -> bad-json
 *   message.c   the members that its type has, their types and lengths        -> bad-message,
 *                                                                                unknown-type
 *   session.c   hello: a session is opened, resumed or taken over             -> session-gone,
 *               (auth.c: token -> claims; ice.c: credentials)                    unauthorized, …
 *   room.c      join, leave, signal, broadcast, kick: who is in it, who may   -> no-such-room,
 *                                                                                no-such-peer, …
 *   outbox.c    the body, once, into the outbox of each receiver: a seq       -> outbox-overflow
 *   reply.c     answers and errors into bytes, and nobody else does that
 *
 * and out again: the outbox wakes the receiver's link, the edge asks sig_next until it says false
 * and writes what it got. The message stays in the outbox until the client has acknowledged it;
 * a session that comes back over another link says from where it wants to go on.
 *
 * The edge calls, for each connection: sig_link_open, sig_input for each message, sig_next after
 * each wake, sig_link_gone. And sig_tick when sig_next_ms says so. */
#ifndef VIADUCT_SIGNAL_CORE_SIG_H
#define VIADUCT_SIGNAL_CORE_SIG_H

#include "signal/core/types.h"

struct sig; /* one worker's signalling: sessions, rooms, timers, counters; shares nothing */

struct sig_setup {
  /* NULL, or another core of the same worker, for another application: they share what an address
   * may use, the sum of sessions (limits.all_sessions) and their timers, and nothing else. The one
   * that was made first has to be freed last. */
  struct sig *beside;
  const struct sig_config *config;   /* borrowed until sig_set_config or sig_free */
  const struct sig_effects *effects; /* borrowed until sig_free */
  struct mem *mem;                   /* borrowed */
  struct random *random;             /* borrowed; session keys come from it: the kernel's */
  struct log *log;                   /* borrowed */
  uint64_t now_ms;                   /* monotonic */
  uint64_t wall_ms;                  /* since 1970, at now_ms: for the expiry of credentials */
};

/* The limits of the protocol, no TURN, no origin, auth=none. Set what differs. */
void sig_config_defaults(struct sig_config *out);

/* Returns owned. -ERR_NOMEM. */
int sig_new(const struct sig_setup *setup, struct sig **out);
/* Frees everything, links included, without calling an effect. NULL is fine. */
void sig_free(struct sig *s);
/* Takes another snapshot; sessions go on. */
void sig_set_config(struct sig *s, const struct sig_config *config);
/* This node goes away in so many seconds: every session is told so by `drain`, with `url` where it
 * may go instead (empty: it is not said), and from here on a hello opens no session and is answered
 * by draining. Those that there are go on, and may be resumed. May be called again, with less. */
void sig_drain(struct sig *s, struct bytes url, uint32_t seconds, uint64_t now_ms);
/* The wall clock may jump, for all cores of a worker: say what it shows now and then (once a minute
 * is plenty). */
void sig_set_wall(struct sig *s, uint64_t now_ms, uint64_t wall_ms);

/* What time it is for the histogram of latencies, in SIG_TICK_US since whenever; it may wrap. Say
 * it with each reading of a clock that is made anyway. */
void sig_set_tick(struct sig *s, uint32_t tick);

/* A connection was accepted. Returns owned: until sig_link_gone. Refused, without an effect, so
 * that the edge answers in its own way: -ERR_DENIED: this Origin may not (403); -ERR_FULL: too many
 * connections of this address (429) or altogether (503); -ERR_NOMEM (503). A worker that is full of
 * sessions still opens links, since one of them may resume. */
int sig_link_open(struct sig *s, const struct sig_link_setup *setup, uint64_t now_ms,
                  struct sig_link **out);
/* One whole message of the client. `text` is borrowed until return. */
void sig_input(struct sig *s, struct sig_link *link, struct bytes text, uint64_t now_ms);
/* What came is no message at all, by the edge's own judgement: a binary frame, or a text that is no
 * UTF-8 (SIG_ERROR_BAD_JSON or _BAD_MESSAGE), one that grew over limits.message_size before it was
 * whole (SIG_ERROR_TOO_LARGE), or one that there was no memory for (SIG_ERROR_SERVER_FULL).
 * Answered as an error; the link lives on as far as the core is concerned. */
void sig_input_bad(struct sig *s, struct sig_link *link, enum sig_error error, uint64_t now_ms);
/* Links of single HTTP requests. Both find the session of `key`, the text of welcome.key, and take
 * what one message costs from the buckets of the address. False: refused, and sig_next says with
 * which error (session-gone, rate-limited, bad-message, server-full).
 *
 * sig_link_read: from here on this link reads for the session, as after hello.resume, only without
 * a welcome: everything up to `after` is acknowledged, what stands behind it comes, and a link that
 * read before is closed with 4001.
 * sig_link_send: this link brings messages for the session, by sig_input, while another one reads
 * or none. What is wrong with a message, and a pong, comes out of this link's sig_next; everything
 * else goes into the outbox. It holds the session like a reader for as long as it is there. */
bool sig_link_read(struct sig *s, struct sig_link *link, struct bytes key, uint64_t after,
                   uint64_t now_ms);
bool sig_link_send(struct sig *s, struct sig_link *link, struct bytes key, uint64_t now_ms);
/* What the asker found. The link may be gone, or its time up: then nothing happens. */
void sig_answer(struct sig *s, uint64_t number, const struct sig_verdict *verdict, uint64_t now_ms);
/* Whether this link's hello waits for that. */
bool sig_link_asks(const struct sig_link *link);
/* The last seq that this link has handed out, or that was acknowledged before it began. */
uint64_t sig_link_last(const struct sig_link *link);

/* One message, or a JSON array of up to SIG_BATCH of them. */
struct sig_batch {
  bool is_array;
  size_t count;
  struct bytes message[SIG_BATCH]; /* views into the body, each for sig_input */
};

/* What is no array is one message, whatever it is: sig_input judges it. -ERR_BAD: an array that is
 * no JSON; -ERR_RANGE: one that is nested too deeply; -ERR_FULL: more than SIG_BATCH messages. */
int sig_batch_cut(struct bytes body, struct sig_batch *out);

/* The type of a message, as it stands in it: a view. */
struct bytes sig_out_type(const struct sig_out *out);

/* The next message to write for this link; false: none for now, wait for the next wake. The views
 * in `out` live until the next call of any function of this header. */
bool sig_next(struct sig *s, struct sig_link *link, struct sig_out *out);
/* Whether sig_next would say true. */
bool sig_has_next(const struct sig_link *link);
/* The connection is closed, by either side, asked for or not: the link is gone. Its session lives
 * on for limits.resume_s. */
void sig_link_gone(struct sig *s, struct sig_link *link, uint64_t now_ms);

/* Runs every timer that is due, of this core and of all beside it; sig_next_ms says when to call
 * next (WHEEL_NEVER: nothing is pending). */
void sig_tick(struct sig *s, uint64_t now_ms);
uint64_t sig_next_ms(const struct sig *s);

const struct sig_counters *sig_counters(const struct sig *s);
/* Walks over all sessions, once for a page of metrics and not for a message, and adds to `out`. */
void sig_survey(const struct sig *s, struct sig_survey *out);
/* Whether a hello that opens a session would be answered by server-full. */
bool sig_is_full(const struct sig *s);
/* What to call this session in a log (its peer id, which is no secret); empty before hello. */
struct bytes sig_link_peer(const struct sig_link *link);

/* A connection of another protocol in this server: limited like a link, as its own client
 * (message_rate, byte_rate) and together with all others of its address. -ERR_FULL: too many
 * connections of this address; -ERR_NOMEM. */
int sig_guest_open(struct sig *s, const struct addr *client, uint64_t now_ms,
                   struct sig_guest *out);
/* It has become what a session is here: -ERR_FULL when its address has too many of them. */
int sig_guest_enter(struct sig *s, struct sig_guest *guest);
void sig_guest_leave(struct sig_guest *guest); /* fine when it had not entered */
/* Once for each sig_guest_open. */
void sig_guest_close(struct sig *s, struct sig_guest *guest, uint64_t now_ms);
/* Takes what one message of `len` bytes costs: 0, or the seconds to wait, and nothing was taken. */
uint32_t sig_guest_take(struct sig *s, struct sig_guest *guest, size_t len, uint64_t now_ms);

/* Whether a hello with this token would be let in: for who asks over plain HTTP. -ERR_DENIED, and
 * `why` is a static sentence for the client. */
int sig_check_token(struct sig *s, struct bytes token, uint64_t now_ms, const char **why);

/* The value of `iceServers`, as in a welcome, with fresh credentials for `name`: for who asks over
 * plain HTTP. */
void sig_ice_put(const struct sig *s, struct bytes name, uint64_t now_ms, struct buf *out);
/* Bytes that it has at most, for names of up to 32 bytes. */
size_t sig_ice_size(const struct sig *s);

/* Whether a browser's page of that Origin may connect. No Origin: yes, it is no browser. An entry
 * is "*", an origin ("https://call.example.org", with ":port" where it is not the scheme's own), or
 * an origin whose host starts with "*." for any name below. With an empty list, only pages that
 * this very host served (the Origin's host and port equal `host`). */
bool sig_origin_is_allowed(const struct bytes *entry, size_t count, struct bytes origin,
                           struct bytes host);

/* Whom a client's limits are counted for: its address without a port, of IPv6 its /64. */
struct addr sig_source_address(const struct addr *client);

/* `code` on the wire, and its HTTP status. */
const char *sig_error_code(enum sig_error error);
int sig_error_http_status(enum sig_error error);

#endif
