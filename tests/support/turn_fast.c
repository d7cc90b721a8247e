/* The edge's part in what is carried without the core: a table in place of the kernel's maps. The
 * core has told it the truth when it holds, at any time, what the core would let through itself. */
#include "tests/support/turn_world.h"
#include "turn/core/internal.h"

/* 0: no room. */
static uint32_t join(struct world *w, const struct turn_fast *f)
{
  if (*f->group == 0) {
    size_t i = 0;
    while (i < WORLD_FAST && w->fast_group[i].count)
      i++;
    if (i == WORLD_FAST)
      return 0;
    w->fast_group[i] =
        (struct world_fast_group){.bps = f->bps, .paid_ns = {f->paid_ns[0], f->paid_ns[1]}};
    *f->group = (uint32_t)i + 1;
  }
  w->fast_group[*f->group - 1].count++;
  return *f->group;
}

static void leave(struct world *w, const struct turn_fast *f)
{
  struct world_fast_group *g = &w->fast_group[*f->group - 1];
  if (--g->count)
    return;
  f->paid_ns[0] = g->paid_ns[0];
  f->paid_ns[1] = g->paid_ns[1];
  *f->group = 0;
}

static uint32_t add(struct world *w, const struct turn_fast *f)
{
  size_t i = 0;
  if (w->fast_count >= w->fast_most || w->fast_count == WORLD_FAST)
    return 0;
  while (w->fast[i].used)
    i++;
  const uint32_t group = join(w, f);
  if (!group)
    return 0;
  w->fast[i] = (struct world_fast){.used = true, .group = group};
  w->fast_count++;
  return (uint32_t)i + 1;
}

void world_fast(void *arg, const struct turn_fast *f)
{
  struct world *w = arg;
  const bool ends = f->until_ms == 0;
  if (*f->slot == 0 && !ends)
    *f->slot = add(w, f);
  if (*f->slot == 0)
    return;
  struct world_fast *row = &w->fast[*f->slot - 1];
  if (*f->slot > WORLD_FAST || !row->used || row->group != *f->group) {
    w->broken = "the note of another channel";
    return;
  }
  if (!ends) {
    row->flow = *f->flow;
    row->relay = f->relay;
    row->peer = *f->peer;
    row->relayed = *f->relayed;
    row->inside = f->inside;
    row->number = f->number;
    row->until_ms = f->until_ms;
    return;
  }
  turn_fast_carried(w->turn, f->relay, &w->carried);
  row->used = false;
  w->fast_count--;
  leave(w, f);
  *f->slot = 0;
}

bool world_fast_takes(void *arg, uint32_t group, unsigned way, size_t len, uint64_t now_ms)
{
  struct world *w = arg;
  if (group == 0 || group > WORLD_FAST || w->fast_group[group - 1].count == 0) {
    w->broken = "the note of an allocation that nobody carries for";
    return false;
  }
  struct world_fast_group *g = &w->fast_group[group - 1];
  return turn_fast_takes(&g->paid_ns[way], g->bps, len, now_ms * 1000000);
}

/* What went on to a peer, or would have without max_bps. */
static uint64_t passed_up(struct world *w)
{
  const struct turn_counters *c = turn_counters(w->turn);
  return c->from_client_packets + c->dropped_over_limit;
}

static bool is_live(const struct world *w, const struct world_fast *row)
{
  return row->used && w->now_ms < row->until_ms;
}

/* To another allocation of this server. */
static bool is_inside(const struct world *w, const struct addr *peer)
{
  return turn__is_relay_ip(w->turn->config, peer);
}

static bool has_no_socket(const struct world *w, const struct turn_flow *flow, uint16_t number)
{
  const struct turn_allocation *a = turn__find(w->turn, flow);
  const struct turn_channel *c = a ? turn__channel_by_number(a, number, w->now_ms) : NULL;
  return c && a->leg[turn__family_index(c->peer.family)].socket.relay == TURN__NO_SOCKET;
}

struct world_forecast world_forecast_client(struct world *w, const struct turn_flow *flow,
                                            const uint8_t *p, size_t len)
{
  struct world_forecast f = {.up = true, .first = w->output_count};
  /* Who moves (RFC 8016) may come to his channel with this very datagram. */
  f.asked = flow->transport == TURN_UDP && len >= 4 && p[0] / 16 == 4 &&
            len - 4 >= load_be16(p + 2) && !turn__mobility_find(w->turn, flow) &&
            !has_no_socket(w, flow, load_be16(p));
  for (size_t i = 0, left = w->fast_count; left && f.asked; i++) {
    const struct world_fast *row = &w->fast[i];
    left -= row->used;
    f.told = f.told ||
             (is_live(w, row) && row->number == load_be16(p) && turn__flow_equal(&row->flow, flow));
  }
  f.before = passed_up(w);
  return f;
}

struct world_forecast world_forecast_peer(struct world *w, turn_relay relay,
                                          const struct addr *peer)
{
  struct world_forecast f = {.asked = !is_inside(w, peer), .first = w->output_count};
  for (size_t i = 0, left = w->fast_count; left; i++) {
    const struct world_fast *row = &w->fast[i];
    left -= row->used;
    f.told = f.told || (is_live(w, row) && row->relay == relay && addr_equal(&row->peer, peer));
  }
  f.before = turn_counters(w->turn)->dropped_over_limit;
  return f;
}

/* A peer's datagram goes on as ChannelData when its channel was told, and only then over UDP. */
static bool is_as_told_down(struct world *w, const struct world_forecast *f)
{
  const struct world_output *o = w->output_count > f->first ? &w->output[f->first] : NULL;
  const bool channel = o && o->kind == WORLD_TO_CLIENT && o->at[0] / 16 == 4;
  if (turn_counters(w->turn)->dropped_over_limit != f->before)
    return true;
  return f->told ? channel : !channel || o->flow.transport != TURN_UDP;
}

void world_forecast_check(struct world *w, const struct world_forecast *f)
{
  if (!f->asked || w->fast_most < WORLD_FAST)
    return;
  if (f->up ? f->told != (passed_up(w) != f->before) : !is_as_told_down(w, f))
    w->broken = "a channel that does not do what was told of it";
}

size_t world_fast_live(const struct world *w)
{
  size_t live = 0;
  for (size_t i = 0; i < WORLD_FAST; i++)
    live += is_live(w, &w->fast[i]);
  return live;
}

/* As turn__channel_data asks, until when it is so. 0: datagrams do not pass, or by no socket. */
static uint64_t passes_until(const struct world *w, struct turn_allocation *a,
                             const struct turn_channel *c)
{
  const struct turn_leg *leg = turn__leg(a, c->peer.family, w->now_ms);
  if (a->flow.transport != TURN_UDP || turn__find(w->turn, &a->flow) != a || !leg ||
      turn__channel_by_number(a, c->number, w->now_ms) != c ||
      !turn__is_permitted(a, &c->peer, w->now_ms) || leg->socket.relay == TURN__NO_SOCKET)
    return 0;
  uint64_t until_ms = c->due_ms < leg->expiry.due_ms ? c->due_ms : leg->expiry.due_ms;
  for (size_t i = 0; i < a->permissions.count; i++) {
    const struct turn_permission *p = &a->permissions.row[i];
    const struct addr ip = addr_from_ip(p->ip, p->family == ADDR_V6 ? 16 : 4, c->peer.port);
    if (addr_equal(&ip, &c->peer) && p->due_ms < until_ms)
      until_ms = p->due_ms;
  }
  return until_ms;
}

/* The number of channels of `a` that somebody carries. */
static size_t check_allocation(struct world *w, struct turn_allocation *a)
{
  size_t carried = 0;
  for (size_t i = 0; i < a->channels.count; i++) {
    const struct turn_channel *c = &a->channels.row[i];
    const uint64_t until_ms = passes_until(w, a, c);
    const struct world_fast *row = c->fast ? &w->fast[c->fast - 1] : NULL;
    carried += row != NULL;
    if (!row && until_ms && w->fast_most == WORLD_FAST &&
        a->channels.count <= TURN_FAST_CHANNELS_MAX)
      w->broken = "no word of a channel that carries";
    if (!row)
      continue;
    if (!row->used || (w->now_ms < row->until_ms ? row->until_ms : 0) != until_ms)
      w->broken = "another end of a channel than its own";
    if (row->relay != a->leg[turn__family_index(c->peer.family)].socket.relay ||
        row->number != c->number || !addr_equal(&row->peer, &c->peer) ||
        row->inside != is_inside(w, &c->peer) ||
        !addr_equal(&row->relayed, &a->leg[turn__family_index(c->peer.family)].socket.relayed) ||
        !turn__flow_equal(&row->flow, &a->flow))
      w->broken = "other ends of a channel than its own";
  }
  return carried;
}

void world_fast_check(struct world *w)
{
  size_t carried = 0;
  for (struct list *l = w->turn->allocations.next; l != &w->turn->allocations; l = l->next)
    carried += check_allocation(w, CONTAINER_OF(l, struct turn_allocation, link));
  if (carried != w->fast_count)
    w->broken = "channels to be carried that are no more";
}
