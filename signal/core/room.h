/* What rooms do for the other files of this folder (room.c), and what of it the backend is told
 * (admin.c). Private to this folder. */
#ifndef VIADUCT_SIGNAL_CORE_ROOM_H
#define VIADUCT_SIGNAL_CORE_ROOM_H

#include "signal/core/core.h"

/* Messages of clients. */
void sig__join(struct sig *s, struct sig_link *link, const struct sig_message *m);
void sig__leave(struct sig *s, struct sig_link *link, const struct sig_message *m);
void sig__signal(struct sig *s, struct sig_link *link, const struct sig_message *m);
void sig__broadcast(struct sig *s, struct sig_link *link, const struct sig_message *m);
void sig__kick(struct sig *s, struct sig_link *link, const struct sig_message *m);
const char *sig__left_text(enum sig_left why);
/* NULL: nobody is in it. */
struct sig_room *sig__room_find(const struct sig *s, struct bytes name);
struct sig_member *sig__room_peer(const struct sig *s, const struct sig_room *room,
                                  struct bytes peer);
/* Slots for one message in every outbox of the room, so that sig__room_share loses nothing
 * half-way.
 */
int sig__room_reserve(struct sig *s, struct sig_room *room);
/* Into the outbox of everyone in the room but `from`, which may be NULL, like `count`. */
void sig__room_share(struct sig *s, struct sig_room *room, const struct sig_session *from,
                     struct sig_msg *m, uint64_t *count);
/* SIG_SIGNAL or SIG_BROADCAST as its receivers get it. Returns owned; NULL: no memory. */
struct sig_msg *sig__relayed(struct sig *s, const struct sig_room *room, struct bytes from,
                             enum sig_type type, struct bytes data);
/* Frees the member, and the room with its last one. */
void sig__member_leave(struct sig *s, struct sig_member *member, enum sig_left why);
/* Everybody out; none is told of the others. Frees the room. */
void sig__room_close(struct sig *s, struct sig_room *room);
void sig__leave_all(struct sig *s, struct sig_session *session, enum sig_left why);

/* admin.c: events, for the backend. The member is in its room already, or not any more. */
void sig__note_joined(struct sig *s, const struct sig_member *member);
void sig__note_left(struct sig *s, const struct sig_member *member, enum sig_left why);

#endif
