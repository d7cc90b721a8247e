/* A row's owner never changes, so only its numbers are atomic. */
#include "turn/traffic.h"

#include <string.h>

static void take_numbers(const struct turn_traffic *row, uint64_t out[TURND_TRAFFIC_NUMBERS])
{
  const uint64_t number[TURND_TRAFFIC_NUMBERS] = {
      row->sessions,          row->sessions_created,  row->from_client_packets,
      row->from_client_bytes, row->from_peer_packets, row->from_peer_bytes,
  };
  memcpy(out, number, sizeof(number));
}

void turnd_traffic_publish(struct turnd_traffic *p, const struct turn *t)
{
  const struct turn_traffic *row;
  size_t count = turn_traffic(t, &row);
  size_t known = atomic_load_explicit(&p->count, memory_order_relaxed);
  for (size_t i = 0; i < count; i++) {
    uint64_t number[TURND_TRAFFIC_NUMBERS];
    if (i >= known)
      p->row[i] = row[i];
    take_numbers(&row[i], number);
    for (size_t k = 0; k < TURND_TRAFFIC_NUMBERS; k++)
      atomic_store_explicit(&p->number[i][k], number[k], memory_order_relaxed);
  }
  if (count > known)
    atomic_store_explicit(&p->count, count, memory_order_release);
}

static bool is_same(const struct turn_traffic *a, const struct turn_traffic *b)
{
  return a->listener == b->listener && a->transport == b->transport &&
         a->realm_len == b->realm_len && memcmp(a->realm, b->realm, a->realm_len) == 0;
}

/* The row of `sum` for this one; the last is for those that find none, as in the core. */
static struct turn_traffic *place(struct turn_traffic sum[TURN_TRAFFIC_MAX], size_t *count,
                                  const struct turn_traffic *row)
{
  for (size_t i = 0; i < *count; i++)
    if (is_same(&sum[i], row))
      return &sum[i];
  if (*count == TURN_TRAFFIC_MAX)
    return &sum[TURN_TRAFFIC_MAX - 1];
  struct turn_traffic *own = &sum[(*count)++];
  *own = (struct turn_traffic){.listener = UINT16_MAX};
  if (*count < TURN_TRAFFIC_MAX) {
    own->listener = row->listener;
    own->transport = row->transport;
    own->realm_len = row->realm_len;
    memcpy(own->realm, row->realm, sizeof(own->realm));
  }
  return own;
}

void turnd_traffic_add(const struct turnd_traffic *p, struct turn_traffic sum[TURN_TRAFFIC_MAX],
                       size_t *count)
{
  size_t known = atomic_load_explicit(&p->count, memory_order_acquire);
  for (size_t i = 0; i < known; i++) {
    struct turn_traffic *row = place(sum, count, &p->row[i]);
    uint64_t *to[TURND_TRAFFIC_NUMBERS] = {
        &row->sessions,          &row->sessions_created,  &row->from_client_packets,
        &row->from_client_bytes, &row->from_peer_packets, &row->from_peer_bytes,
    };
    for (size_t k = 0; k < TURND_TRAFFIC_NUMBERS; k++)
      *to[k] += atomic_load_explicit(&p->number[i][k], memory_order_relaxed);
  }
}
