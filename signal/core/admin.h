/* What the application's own backend may see and do (docs/server-api.md), and what it is told.
 * Nobody is asked who he is here: the edge has done that. Called by signal/backend/. */
#ifndef VIADUCT_SIGNAL_CORE_ADMIN_H
#define VIADUCT_SIGNAL_CORE_ADMIN_H

#include "signal/core/sig.h"

/* What `from` says in a message of the backend. No member is called so: the ids of peers are
 * base64url, which has no '@'. */
#define SIG_ADMIN_FROM "@server"

enum { SIG_ADMIN_PROSE = 256 };

/* How a request went. */
struct sig_admin_result {
  enum sig_error error;        /* SIG_ERROR_COUNT: done */
  char prose[SIG_ADMIN_PROSE]; /* what was wrong, and the mend; empty where it was done */
  uint64_t count;              /* outboxes that it is in; members that were put out */
};

/* All views here live until the next call that may change something. */
struct sig_room_view {
  uint64_t serial;   /* where a list goes on: rooms stand in the order in which they began */
  struct bytes name; /* as it is */
  struct bytes json; /* as a JSON string, with its quotes */
  uint32_t members;
};

struct sig_member_view {
  uint64_t order; /* where a list goes on: members stand in the order in which they came */
  struct bytes peer;
  struct bytes name, meta; /* JSON */
  bool connected;          /* has a link now, or polls */
};

/* Rooms behind `after` (0: from the first), at most `max`: how many there are in `out`. */
size_t sig_admin_rooms(const struct sig *s, uint64_t after, struct sig_room_view *out, size_t max);
/* -ERR_MISSING. */
int sig_admin_room(const struct sig *s, struct bytes name, struct sig_room_view *out);
/* Its members likewise; none where there is no such room. */
size_t sig_admin_members(const struct sig *s, struct bytes room, uint64_t after,
                         struct sig_member_view *out, size_t max);

/* A message of the protocol, `signal` or `broadcast`, from SIG_ADMIN_FROM. It is in all outboxes
 * that it is for, or in none; `id` is not looked at. */
void sig_admin_message(struct sig *s, struct bytes text, uint64_t now_ms,
                       struct sig_admin_result *out);
/* Puts one member out of the room, as `kick` does. */
void sig_admin_kick(struct sig *s, struct bytes room, struct bytes peer, uint64_t now_ms,
                    struct sig_admin_result *out);
/* Puts everybody out of the room, which ends with the last of them. Each is told of himself. */
void sig_admin_close(struct sig *s, struct bytes room, uint64_t now_ms,
                     struct sig_admin_result *out);
/* The value of iceServers with credentials for `name`, of at most SIG_ICE_NAME bytes, that are good
 * for ttl_s. */
void sig_admin_ice_put(const struct sig *s, struct bytes name, uint32_t ttl_s, uint64_t now_ms,
                       struct buf *out);
/* How large that may get. */
size_t sig_admin_ice_size(const struct sig *s, struct bytes name);

/* An event as the members of a JSON object, without its braces: "type":"member-joined",… */
void sig_event_put(const struct sig_event *e, struct buf *out);
size_t sig_event_size(const struct sig_event *e);

#endif
