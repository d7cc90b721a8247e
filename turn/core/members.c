/* The permissions and channels of an allocation: small sorted arrays, the first two rows inside the
 * allocation. permit.c and channel.c fill them, relay.c asks them for every packet: two binary
 * searches over a few rows that lie together.
 */
#include <string.h>

#include "base/err.h"
#include "turn/core/internal.h"

void turn__members_init(struct turn_allocation *a)
{
  a->permissions.row = a->permissions.first;
  a->permissions.cap = TURN__MEMBERS_INLINE;
  a->channels.row = a->channels.first;
  a->channels.by_number = a->channels.first_order;
  a->channels.by_peer = a->channels.first_order + TURN__MEMBERS_INLINE;
  a->channels.cap = TURN__MEMBERS_INLINE;
}

/* Rows, then the two orders. */
static size_t channels_size(size_t cap)
{
  return cap * (sizeof(struct turn_channel) + 2 * sizeof(uint16_t));
}

void turn__members_fini(struct turn_allocation *a)
{
  struct mem *mem = a->turn->mem;
  if (a->permissions.row != a->permissions.first)
    mem_free(mem, a->permissions.row, a->permissions.cap * sizeof(*a->permissions.row));
  if (a->channels.row != a->channels.first)
    mem_free(mem, a->channels.row, channels_size(a->channels.cap));
}

/* How many rows there shall be for `want`: doubled, within the limits. 0: too many. */
static size_t grown(size_t cap, size_t want, uint32_t most)
{
  const size_t limit = most == 0 || most > TURN__MEMBERS_MAX ? TURN__MEMBERS_MAX : most;
  if (want > limit)
    return 0;
  while (cap < want)
    cap *= 2;
  return cap;
}

static int compare_ip(const struct turn_permission *p, const struct addr *a)
{
  if (p->family != a->family)
    return p->family < a->family ? -1 : 1;
  return memcmp(p->ip, a->ip, sizeof(p->ip));
}

/* The first row that is not below the address. */
static size_t permission_place(const struct turn_permissions *p, const struct addr *a)
{
  size_t low = 0, high = p->count;
  while (low < high) {
    const size_t mid = (low + high) / 2;
    if (compare_ip(&p->row[mid], a) < 0)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

bool turn__is_permitted(const struct turn_allocation *a, const struct addr *peer, uint64_t now_ms)
{
  const struct turn_permissions *p = &a->permissions;
  const size_t at = permission_place(p, peer);
  return at < p->count && compare_ip(&p->row[at], peer) == 0 && now_ms < p->row[at].due_ms;
}

uint64_t turn__permitted_until(const struct turn_allocation *a, const struct addr *peer)
{
  const struct turn_permissions *p = &a->permissions;
  const size_t at = permission_place(p, peer);
  return at < p->count && compare_ip(&p->row[at], peer) == 0 ? p->row[at].due_ms : 0;
}

int turn__permission_reserve(struct turn_allocation *a, size_t more, uint32_t most)
{
  struct turn_permissions *p = &a->permissions;
  struct mem *mem = a->turn->mem;
  const size_t cap = grown(p->cap, p->count + more, most);
  if (cap == 0)
    return -ERR_FULL;
  if (cap == p->cap)
    return 0;
  struct turn_permission *row = mem_new(mem, cap * sizeof(*row));
  if (!row)
    return -ERR_NOMEM;
  memcpy(row, p->row, p->count * sizeof(*row));
  if (p->row != p->first)
    mem_free(mem, p->row, p->cap * sizeof(*row));
  p->row = row;
  p->cap = (uint16_t)cap;
  return 0;
}

void turn__permission_put(struct turn_allocation *a, const struct addr *peer, uint64_t due_ms)
{
  struct turn_permissions *p = &a->permissions;
  const size_t at = permission_place(p, peer);
  struct turn_permission *row = &p->row[at];
  if (at == p->count || compare_ip(row, peer) != 0) {
    memmove(row + 1, row, (p->count - at) * sizeof(*row));
    p->count++;
    row->family = peer->family;
    memcpy(row->ip, peer->ip, sizeof(row->ip));
  }
  row->due_ms = due_ms;
}

static int compare_peer(const struct turn_channel *c, const struct addr *a)
{
  if (c->peer.family != a->family)
    return c->peer.family < a->family ? -1 : 1;
  const int order = memcmp(c->peer.ip, a->ip, sizeof(c->peer.ip));
  return order ? order : (int)c->peer.port - (int)a->port;
}

static size_t peer_place(const struct turn_channels *c, const struct addr *peer)
{
  size_t low = 0, high = c->count;
  while (low < high) {
    const size_t mid = (low + high) / 2;
    if (compare_peer(&c->row[c->by_peer[mid]], peer) < 0)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

size_t turn__channels_at(const struct turn_channels *c, const struct addr *ip)
{
  struct addr lowest = *ip;
  lowest.port = 0;
  return peer_place(c, &lowest);
}

static size_t number_place(const struct turn_channels *c, uint16_t number)
{
  size_t low = 0, high = c->count;
  while (low < high) {
    const size_t mid = (low + high) / 2;
    if (c->row[c->by_number[mid]].number < number)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

static struct turn_channel *channel_of_number(const struct turn_channels *c, uint16_t number)
{
  const size_t at = number_place(c, number);
  if (at == c->count || c->row[c->by_number[at]].number != number)
    return NULL;
  return &c->row[c->by_number[at]];
}

const struct turn_channel *turn__channel_by_number(const struct turn_allocation *a, uint16_t number,
                                                   uint64_t now_ms)
{
  const struct turn_channel *row = channel_of_number(&a->channels, number);
  return row && now_ms < row->due_ms ? row : NULL;
}

const struct turn_channel *turn__channel_by_peer(const struct turn_allocation *a,
                                                 const struct addr *peer, uint64_t now_ms)
{
  const struct turn_channels *c = &a->channels;
  const size_t at = peer_place(c, peer);
  if (at == c->count)
    return NULL;
  const struct turn_channel *row = &c->row[c->by_peer[at]];
  return compare_peer(row, peer) == 0 && now_ms < row->due_ms ? row : NULL;
}

int turn__channel_reserve(struct turn_allocation *a, uint32_t most)
{
  struct turn_channels *c = &a->channels;
  struct mem *mem = a->turn->mem;
  const size_t cap = grown(c->cap, c->count + 1u, most);
  if (cap == 0)
    return -ERR_FULL;
  if (cap == c->cap)
    return 0;
  struct turn_channel *row = mem_new(mem, channels_size(cap));
  if (!row)
    return -ERR_NOMEM;
  uint16_t *by_number = (uint16_t *)(void *)(row + cap);
  uint16_t *by_peer = by_number + cap;
  memcpy(row, c->row, c->count * sizeof(*row));
  memcpy(by_number, c->by_number, c->count * sizeof(*by_number));
  memcpy(by_peer, c->by_peer, c->count * sizeof(*by_peer));
  if (c->row != c->first)
    mem_free(mem, c->row, channels_size(c->cap));
  c->row = row;
  c->by_number = by_number;
  c->by_peer = by_peer;
  c->cap = (uint16_t)cap;
  return 0;
}

static void insert_order(uint16_t *order, size_t count, size_t at, size_t row)
{
  memmove(order + at + 1, order + at, (count - at) * sizeof(*order));
  order[at] = (uint16_t)row;
}

static void channel_append(struct turn_channels *c, const struct turn_channel *channel)
{
  insert_order(c->by_number, c->count, number_place(c, channel->number), c->count);
  insert_order(c->by_peer, c->count, peer_place(c, &channel->peer), c->count);
  c->row[c->count++] = *channel;
}

void turn__channel_put(struct turn_allocation *a, uint16_t number, const struct addr *peer,
                       uint64_t due_ms)
{
  struct turn_channel *bound = channel_of_number(&a->channels, number);
  if (bound) {
    bound->due_ms = due_ms;
    return;
  }
  channel_append(&a->channels,
                 &(struct turn_channel){.due_ms = due_ms, .peer = *peer, .number = number});
}

/* Keeps what lives beyond `now_ms` and is not of `family`. The orders are made anew only when
 * something went. */
static void keep(struct turn_allocation *a, uint64_t now_ms, uint8_t family)
{
  struct turn_permissions *p = &a->permissions;
  uint16_t kept = 0;
  for (uint16_t i = 0; i < p->count; i++)
    if (p->row[i].due_ms > now_ms && p->row[i].family != family)
      p->row[kept++] = p->row[i];
  p->count = kept;

  struct turn_channels *c = &a->channels;
  bool dead = false;
  const uint16_t count = c->count;
  for (uint16_t i = 0; i < count; i++)
    if (c->row[i].due_ms <= now_ms || c->row[i].peer.family == family)
      dead = true;
  if (!dead)
    return;
  c->count = 0;
  for (uint16_t i = 0; i < count; i++) {
    struct turn_channel row = c->row[i];
    if (row.due_ms > now_ms && row.peer.family != family)
      channel_append(c, &row);
    else
      turn__fast_end(a, &row);
  }
}

void turn__members_purge(struct turn_allocation *a, uint64_t now_ms)
{
  keep(a, now_ms, ADDR_NONE);
}

void turn__members_drop_family(struct turn_allocation *a, uint8_t family)
{
  keep(a, 0, family);
}
