/* The nouns of signalling: read this first. Types only; sig.h has the walk and the verbs. */
#ifndef VIADUCT_SIGNAL_CORE_TYPES_H
#define VIADUCT_SIGNAL_CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "signal/core/claims.h"

enum sig_error {
#define SIG_ERROR(name, code, http_status) SIG_ERROR_##name,
#include "signal/core/error.def"
#undef SIG_ERROR
  SIG_ERROR_COUNT
};

/* The close codes that the core asks for (RFC 6455 section 7.4, and the protocol's own). */
enum sig_close {
  SIG_CLOSE_NORMAL = 1000,
  SIG_CLOSE_GOING_AWAY = 1001,
  SIG_CLOSE_POLICY = 1008,
  SIG_CLOSE_TOO_LARGE = 1009,
  SIG_CLOSE_TRY_LATER = 1013,
  SIG_CLOSE_TAKEN_OVER = 4001,
  SIG_CLOSE_OUTBOX_OVERFLOW = 4002
};

/* Why a member left its room; the text is `reason` in peer-left. */
enum sig_left {
  SIG_LEFT_LEAVE,
  SIG_LEFT_BYE,
  SIG_LEFT_TIMEOUT,
  SIG_LEFT_KICKED,
  SIG_LEFT_OUTBOX_OVERFLOW,
  SIG_LEFT_COUNT
};

enum {
  SIG_ICE_NAME = 128,     /* bytes of whom credentials are for */
  SIG_BATCH = 128,        /* messages in one body of a request */
  SIG_POLL_GAP_MS = 10000 /* at least so long a session of polls lives on between two of them */
};

/* 0 lifts any of these. sig_config_defaults has the defaults. */
struct sig_limits {
  uint32_t sessions;     /* in this core */
  uint32_t all_sessions; /* in all cores of the worker together */
  uint32_t sessions_per_address;
  uint32_t links_per_address;    /* connections, with or without a session */
  uint32_t message_rate;         /* messages per second, for each session; bursts of twice that */
  uint32_t byte_rate;            /* bytes per second, likewise */
  uint32_t address_message_rate; /* the same for all sessions of one address together */
  uint32_t address_byte_rate;
  uint32_t message_size;                  /* bytes of one message */
  uint32_t outbox_messages, outbox_bytes; /* for each session */
  uint32_t rooms_per_session;
  uint32_t members_per_room;
  uint32_t room_length, name_length, meta_size; /* bytes of UTF-8; of JSON for meta */
  uint32_t hello_ms;                            /* from the opening of a link to its hello */
  uint32_t asking;                              /* hellos that wait for sig_answer */
  uint32_t asking_ms;                           /* and how long one does */
  uint32_t resume_s; /* a session without a link lives that long. 0: not at all, except that one
                      * that is read by polls has SIG_POLL_GAP_MS between them */
};

/* The configuration as the core wants it: an immutable snapshot that the edge owns and keeps alive
 * until it has set another. */
struct sig_config {
  struct bytes node;            /* this node's name, for welcome.node */
  const struct bytes *turn_uri; /* "stun:host:port", "turn:host:port?transport=udp", "turns:…" */
  size_t turn_uri_count;
  struct bytes turn_secret;   /* shared with turnd; empty: turn URIs are left out of iceServers */
  uint32_t turn_ttl_s;        /* life of a minted credential */
  const struct bytes *origin; /* allow-list, as sig_origin_is_allowed reads it */
  size_t origin_count;
  sig_auth_fn auth; /* NULL: auth=none, everything is allowed */
  void *auth_arg;
  bool asks; /* hellos are judged by who answers sig_effects.ask, and `auth` is not asked */
  /* Whether a name belongs to one member of a room at a time (name-taken). Off by default: two
   * people may have one name, and somebody whose network changed comes back before the old link is
   * dead. */
  bool unique_names;
  struct sig_limits limits;
};

struct sig; /* sig.h */

/* The core's handle for one connection; the edge's own handle for it is sig_link_setup.edge. */
struct sig_link;

/* The views need to live only for the call. */
struct sig_link_setup {
  struct addr client; /* who is counted and limited */
  enum sig_transport transport;
  struct bytes origin; /* the Origin header; empty: none was sent (no browser) */
  struct bytes host;   /* the Host header (or :authority), for same-origin */
  struct bytes token;  /* of "Authorization: Bearer"; hello.token wins over it */
  void *edge;          /* what the effects get */
};

/* What the application's backend is told of. */
enum sig_event_type {
  SIG_EVENT_ROOM_CREATED,
  SIG_EVENT_ROOM_ENDED,
  SIG_EVENT_MEMBER_JOINED,
  SIG_EVENT_MEMBER_LEFT,
  SIG_EVENT_COUNT
};

/* The views live until the effect returns. */
struct sig_event {
  enum sig_event_type type;
  struct bytes room;       /* its name as a JSON string */
  struct bytes peer;       /* of the member; empty with rooms */
  struct bytes name, meta; /* JSON, of a member that joined; else empty */
  enum sig_left reason;    /* why a member left */
  uint32_t members;        /* of the room, after that */
};

/* A token bucket as one number: when it will be full again, in microseconds. */
struct sig_bucket {
  uint64_t full_us;
};

/* A client of another protocol, as sig_guest_open fills it. */
struct sig_guest {
  struct sig_source *source;
  struct sig_bucket messages, bytes;
  bool is_in; /* counted like a session of its address */
};

/* What the core asks of the edge, with `arg` and the link's `edge`. Neither may call back into the
 * core: they only note what to do when the core has returned. */
struct sig_effects {
  void *arg;
  /* There is something for sig_next. Asked once, and again only after sig_next has said false. */
  void (*wake)(void *arg, void *edge);
  /* Write what sig_next still gives, then close with this code and reason (a static text of at most
   * 123 bytes), then say sig_link_gone. Asked at most once for a link. */
  void (*close)(void *arg, void *edge, uint16_t ws_code, const char *reason);
  /* Something has happened that the backend wants to know. NULL: it does not. */
  void (*event)(void *arg, const struct sig *sig, const struct sig_event *e);
  /* A hello to be judged, where sig_config.asks. 0: there will be an answer, by sig_answer, never
   * out of this call. Else there is no room for the question: the hello is refused. */
  int (*ask)(void *arg, const struct sig_question *q);
  /* Nobody waits for that answer any more. */
  void (*forget)(void *arg, uint64_t number);
};

/* One message to write, as two pieces that stand in one row: its own head and a body that other
 * receivers share. Copy both behind each other into the frame. */
struct sig_out {
  uint64_t seq;      /* 0: outside the outbox (pong, welcome, errors before a session) */
  struct bytes head; /* may be empty */
  struct bytes body; /* may not */
  /* With seq 0 only: the error that it is (SIG_ERROR_COUNT: none), and its retryAfter (0: none).
   * What is in the outbox is a message like any other. */
  enum sig_error error;
  uint32_t retry_s;
};

/* Why a link or a session was refused, for metrics. */
enum sig_refused {
  SIG_REFUSED_ORIGIN,
  SIG_REFUSED_ADDRESS_LINKS, /* limits.links_per_address */
  SIG_REFUSED_LINKS,         /* twice limits.sessions */
  SIG_REFUSED_UNAUTHORIZED,
  SIG_REFUSED_SESSIONS,         /* limits.sessions */
  SIG_REFUSED_ADDRESS_SESSIONS, /* limits.sessions_per_address */
  SIG_REFUSED_ASKING,           /* nobody said whether he may come in */
  SIG_REFUSED_DRAINING,
  SIG_REFUSED_MEMORY,
  SIG_REFUSED_COUNT
};

/* How long a message waited between the call that made it and the sig_next that gave it, as counts
 * below sig_latency_bound_us[i]; the last one is what is above them all. Ticks, so that a body
 * needs 32 bits for what a session may be away. */
enum { SIG_TICK_US = 25, SIG_LATENCY_BOUNDS = 14 };
extern const uint32_t sig_latency_bound_us[SIG_LATENCY_BOUNDS];

/* Everything that moves, for metrics. Plain numbers: one worker writes, the edge sums up. */
struct sig_counters {
  uint64_t links, sessions, sessions_linked, rooms, members; /* now */
  uint64_t links_by_transport[SIG_TRANSPORT_COUNT];          /* now */
  uint64_t outbox_messages, outbox_bytes;                    /* now, of all sessions */
  uint64_t links_opened, links_refused;
  uint64_t refused[SIG_REFUSED_COUNT]; /* links and hellos */
  uint64_t sessions_opened, sessions_resumed, sessions_taken_over;
  uint64_t sessions_left[SIG_LEFT_COUNT]; /* ended, by reason */
  uint64_t messages_in, bytes_in;         /* from clients, refused ones included */
  uint64_t messages_out, bytes_out;       /* handed to links by sig_next */
  /* Of messages with a seq, by the transport that took them; one that is handed out again after a
   * resume counts again. */
  uint64_t latency[SIG_TRANSPORT_COUNT][SIG_LATENCY_BOUNDS + 1];
  uint64_t latency_ticks[SIG_TRANSPORT_COUNT]; /* their sum */
  uint64_t deliveries;                         /* signal and broadcast, into outboxes */
  uint64_t duplicates;                         /* ids that were seen before */
  uint64_t errors[SIG_ERROR_COUNT];            /* sent, by code */
  uint64_t no_memory; /* messages refused and sessions ended for want of it */
};

/* What takes a walk over all sessions to know. */
enum { SIG_DEPTHS = 6 };
struct sig_survey {
  uint64_t by_transport[SIG_TRANSPORT_COUNT]; /* sessions, by who reads them now */
  uint64_t away;                              /* nobody */
  uint64_t by_depth[SIG_DEPTHS + 1];          /* by messages in the outbox, up to sig_depth[i] */
  uint64_t deepest_messages, deepest_bytes;   /* of one session */
};
extern const uint32_t sig_depth[SIG_DEPTHS];

#endif
