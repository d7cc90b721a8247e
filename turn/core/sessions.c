/* What an operator does with sessions: sees them, ends them, lets no new ones come. The edge's
 * control.c asks for it, in each worker's thread. */
#include "turn/core/internal.h"

void turn_drain(struct turn *t)
{
  t->draining = true;
}

static struct turn_session session_of(const struct turn_allocation *a, uint64_t now_ms)
{
  struct turn_session s = {
      .id = a->session,
      .flow = &a->flow,
      .username = {a->username, a->username_len},
      .age_ms = now_ms - a->created_ms,
      .from_client_packets = a->from_client_packets,
      .from_client_bytes = a->from_client_bytes,
      .from_peer_packets = a->from_peer_packets,
      .from_peer_bytes = a->from_peer_bytes,
      .permissions = a->permissions.count,
      .channels = a->channels.count,
  };
  for (size_t i = 0; i < 2; i++) {
    const struct turn_leg *leg = &a->leg[i];
    if (!leg->open)
      continue;
    s.relayed[i] = &leg->socket.relayed;
    if (leg->expiry.due_ms > now_ms + s.left_ms)
      s.left_ms = leg->expiry.due_ms - now_ms;
  }
  return s;
}

void turn_show_sessions(const struct turn *t, uint64_t now_ms,
                        bool (*each)(void *arg, const struct turn_session *s), void *arg)
{
  for (const struct list *l = t->allocations.next; l != &t->allocations; l = l->next) {
    const struct turn_session s =
        session_of(CONTAINER_OF(l, const struct turn_allocation, link), now_ms);
    if (!each(arg, &s))
      return;
  }
}

static bool is_users(const struct turn_allocation *a, struct bytes user)
{
  const struct turn_account *who = a->share.account;
  if (!a->username)
    return false; /* without authentication nobody has a name */
  return bytes_equal((struct bytes){a->username, a->username_len}, user) ||
         (who && bytes_equal((struct bytes){who->name, who->name_len}, user));
}

size_t turn_end_sessions(struct turn *t, uint64_t id, struct bytes user)
{
  size_t ended = 0;
  for (struct list *l = t->allocations.next, *next; l != &t->allocations; l = next) {
    struct turn_allocation *a = CONTAINER_OF(l, struct turn_allocation, link);
    next = l->next;
    if (id ? a->session != id : !is_users(a, user))
      continue;
    turn__allocation_free(a, "operator");
    ended++;
  }
  return ended;
}
