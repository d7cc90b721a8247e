/* What moved for each listener, transport and realm. An allocation has its row from the beginning,
 * so that the hot path counts there and nowhere else; the sums are made when somebody looks. */
#include <string.h>

#include "turn/core/internal.h"

static bool is_row(const struct turn_traffic *row, const struct turn_flow *flow, struct bytes realm)
{
  return row->listener == flow->listener && row->transport == flow->transport &&
         bytes_equal((struct bytes){row->realm, row->realm_len}, realm);
}

/* The last row is kept for whoever finds none: realms of a database can be many. */
static struct turn_traffic *row_of(const struct turn_allocation *a)
{
  struct turn *t = a->turn;
  const struct bytes realm = turn__realm(a)->name;
  for (size_t i = 0; i < t->traffic_count; i++)
    if (is_row(&t->traffic[i], &a->flow, realm))
      return &t->traffic[i];
  if (t->traffic_count == TURN_TRAFFIC_MAX)
    return &t->traffic[TURN_TRAFFIC_MAX - 1];
  struct turn_traffic *row = &t->traffic[t->traffic_count++];
  if (t->traffic_count == TURN_TRAFFIC_MAX) {
    row->listener = UINT16_MAX;
    return row;
  }
  row->listener = a->flow.listener;
  row->transport = (uint8_t)a->flow.transport;
  row->realm_len = (uint8_t)realm.len;
  if (realm.len)
    memcpy(row->realm, realm.at, realm.len);
  return row;
}

void turn__traffic_enter(struct turn_allocation *a)
{
  a->traffic = row_of(a);
  a->traffic->sessions++;
  a->traffic->sessions_created++;
}

void turn__traffic_leave(struct turn_allocation *a)
{
  a->traffic->sessions--;
}

void turn__traffic_follow(struct turn_allocation *a)
{
  a->traffic->sessions--;
  a->traffic = row_of(a);
  a->traffic->sessions++;
}

size_t turn_traffic(const struct turn *t, const struct turn_traffic **out)
{
  *out = t->traffic;
  return t->traffic_count;
}

const struct turn_counters *turn_counters(struct turn *t)
{
  struct turn_counters *c = &t->shown;
  *c = t->counters;
  for (size_t i = 0; i < t->traffic_count; i++) {
    const struct turn_traffic *row = &t->traffic[i];
    c->from_client_packets += row->from_client_packets;
    c->from_client_bytes += row->from_client_bytes;
    c->from_peer_packets += row->from_peer_packets;
    c->from_peer_bytes += row->from_peer_bytes;
  }
  return c;
}
