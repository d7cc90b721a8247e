/* Parcels between workers; see steer.h.
 *
 *   has the client ──INPUT(message)──▶ has the allocation     has the client ◀──OUTPUT── has it
 *   has the client ◀──HOLD, RELEASE── has the allocation      has the client ──GONE──▶   has it
 *   has the client ◀──END── has the allocation
 *   has an allocation ──INSIDE(payload)──▶ has the one that it is for
 *
 * The home says by HOLD that a flow has an allocation there, before the answer that tells the
 * client so; from then on all that the flow brings goes to the home, until RELEASE.
 */
#include "turn/steer.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/clock.h"
#include "turn/directory.h"
#include "turn/worker_private.h"

enum {
  TAG_SHIFT = 56,
  PLAIN_LEN = 1536 /* what a parcel that is used again may carry: a datagram on Ethernet */
};

_Static_assert(TURND_THREADS_MAX <= 64, "a bit for each worker");

enum parcel_kind { INPUT, OUTPUT, HOLD, RELEASE, END, GONE, INSIDE };

struct parcel {
  struct list link;
  enum parcel_kind kind;
  uint32_t from;
  struct turn_flow flow;                /* with the tag of the worker that has the client */
  struct addr relayed_to, relayed_from; /* INSIDE, in place of `flow` */
  bool relayed;                         /* OUTPUT: payload, no response */
  bool plain;                           /* it has PLAIN_LEN bytes of room, and is used again */
  size_t len;
  uint8_t storage[]; /* DGRAM_HEADROOM, `len` bytes, DGRAM_TAILROOM */
};

struct guest {
  struct hash_node by_flow;
  struct turn_flow flow; /* untagged */
  uint32_t home;
  uint32_t count; /* HOLDs without their RELEASE */
};

/* ---- the tag ---- */

static struct turn_flow tagged(const struct turnd_worker *w, const struct turn_flow *flow)
{
  struct turn_flow f = *flow;
  if (!turnd__is_foreign(flow))
    f.link |= (uint64_t)(w->index + 1) << TAG_SHIFT;
  return f;
}

static struct turn_flow untagged(const struct turn_flow *flow)
{
  struct turn_flow f = *flow;
  f.link &= ((uint64_t)1 << TAG_SHIFT) - 1;
  return f;
}

static uint32_t client_of(const struct turn_flow *flow)
{
  return (uint32_t)(flow->link >> TAG_SHIFT) - 1;
}

/* ---- parcels ---- */

int turnd__steer_init(struct turnd_worker *w)
{
  struct turnd_steer *s = &w->steer;
  list_init(&s->inbox);
  list_init(&s->returned);
  list_init(&s->spare);
  list_init(&s->spent);
  for (size_t i = 0; i < TURND_THREADS_MAX; i++)
    list_init(&s->outbox[i].parcels);
  if (pthread_mutex_init(&s->lock, NULL) != 0)
    return -ERR_IO;
  s->key = (struct hash_key){random_u64(&w->random.random), random_u64(&w->random.random)};
  hash_table_init(&s->guests, &w->mem);
  s->ready = true;
  return 0;
}

static struct parcel *first_of(struct list *l)
{
  struct parcel *p = CONTAINER_OF(l->next, struct parcel, link);
  list_remove(&p->link);
  return p;
}

static void free_all(struct list *l)
{
  while (!list_is_empty(l))
    free(first_of(l));
}

/* One that has been used before, or NULL. */
static struct parcel *spare(struct turnd_steer *s)
{
  if (s->spare_count == 0) {
    pthread_mutex_lock(&s->lock);
    list_append(&s->spare, &s->returned);
    s->spare_count = s->returned_count;
    s->returned_count = 0;
    pthread_mutex_unlock(&s->lock);
  }
  if (s->spare_count == 0)
    return NULL;
  s->spare_count--;
  return first_of(&s->spare);
}

/* A copy of the message, with room before and behind it. NULL: no memory. */
static struct parcel *parcel_new(struct turnd_worker *w, enum parcel_kind kind,
                                 struct bytes message)
{
  const bool plain = message.len > 0 && message.len <= PLAIN_LEN;
  struct parcel *p = plain ? spare(&w->steer) : NULL;
  if (p == NULL)
    p = malloc(sizeof(*p) + DGRAM_HEADROOM + (plain ? PLAIN_LEN : message.len) + DGRAM_TAILROOM);
  if (p == NULL)
    return NULL;
  p->kind = kind;
  p->from = w->index;
  p->plain = plain;
  p->len = message.len;
  if (message.len > 0)
    memcpy(p->storage + DGRAM_HEADROOM, message.at, message.len);
  return p;
}

static bool has_room(const struct turnd_steer *s, size_t count, size_t len)
{
  return s->inbox_count + count <= TURND_PARCELS_MAX && s->inbox_len + len <= TURND_PARCELS_BYTES;
}

/* Under the lock. */
static void put(struct turnd_steer *s, struct parcel *p)
{
  list_push_back(&s->inbox, &p->link);
  s->inbox_count++;
  s->inbox_len += p->len;
}

/* What is no message is bounded by the allocations, or the messages, that it is about. -ERR_NOMEM,
 * -ERR_FULL. */
static int post(struct turnd_worker *w, uint32_t to, const struct parcel *head,
                struct bytes message)
{
  if (to >= w->count || atomic_load(&w->stopping))
    return -ERR_FULL;
  struct parcel *p = parcel_new(w, head->kind, message);
  if (p == NULL)
    return -ERR_NOMEM;
  p->flow = head->flow;
  p->relayed = head->relayed;
  struct turnd_steer *s = &w->all[to]->steer;
  pthread_mutex_lock(&s->lock);
  bool full = (p->kind == INPUT || p->kind == OUTPUT) && !has_room(s, 1, p->len);
  bool first = s->inbox_count == 0;
  if (!full)
    put(s, p);
  pthread_mutex_unlock(&s->lock);
  if (full)
    list_push_back(&w->steer.spent, &p->link);
  else if (first)
    turnd__wake(w->all[to]);
  return full ? -ERR_FULL : 0;
}

static int post_message(struct turnd_worker *w, uint32_t to, const struct parcel *head,
                        struct bytes message)
{
  int r = post(w, to, head, message);
  if (r == 0)
    w->steer.counters.forwarded++;
  else
    w->steer.counters.dropped++;
  return r;
}

static void post_word(struct turnd_worker *w, uint32_t to, enum parcel_kind kind,
                      const struct turn_flow *flow)
{
  const struct parcel head = {.kind = kind, .flow = *flow};
  if (post(w, to, &head, (struct bytes){NULL, 0}) != 0 && !atomic_load(&w->stopping))
    log_event(w->log, LOG_LEVEL_WARN, "client-lost-between-threads",
              LOG_ADDR("client", &flow->client), LOG_TEXT("why", err_text(-ERR_NOMEM)));
}

/* ---- the worker that has the client ---- */

static uint64_t hash_of(const struct turnd_steer *s, const struct turn_flow *flow)
{
  uint8_t key[2 * sizeof(struct addr) + 1];
  memcpy(key, &flow->client, sizeof(struct addr));
  memcpy(key + sizeof(struct addr), &flow->server, sizeof(struct addr));
  key[sizeof(key) - 1] = (uint8_t)flow->transport;
  return hash_bytes(&s->key, key, sizeof(key));
}

static struct guest *find(const struct turnd_steer *s, const struct turn_flow *flow)
{
  struct hash_node *n = hash_table_first(&s->guests, hash_of(s, flow));
  for (; n != NULL; n = hash_table_next(n)) {
    struct guest *g = CONTAINER_OF(n, struct guest, by_flow);
    if (g->flow.transport == flow->transport && addr_equal(&g->flow.client, &flow->client) &&
        addr_equal(&g->flow.server, &flow->server))
      return g;
  }
  return NULL;
}

static void guest_free(struct turnd_steer *s, struct guest *g)
{
  hash_table_remove(&s->guests, &g->by_flow);
  free(g);
}

int turnd__forward(void *arg, uint32_t share, const struct turn_flow *flow, const struct dgram *d)
{
  struct turnd_worker *w = arg;
  const struct parcel head = {.kind = INPUT, .flow = tagged(w, flow)};
  return post_message(w, share, &head, (struct bytes){d->at, d->len});
}

bool turnd__steer_input(struct turnd_worker *w, const struct turn_flow *flow, const struct dgram *d)
{
  const struct guest *g = find(&w->steer, flow);
  if (g == NULL)
    return false;
  (void)turnd__forward(w, g->home, flow, d); /* counted */
  return true;
}

void turnd__steer_gone(struct turnd_worker *w, const struct turn_flow *flow)
{
  struct guest *g = w->steer.guests.count > 0 ? find(&w->steer, flow) : NULL;
  if (g == NULL)
    return;
  const struct turn_flow f = tagged(w, flow);
  post_word(w, g->home, GONE, &f);
  guest_free(&w->steer, g);
}

/* -ERR_*: the client cannot be reached from its home. */
static int take_hold(struct turnd_worker *w, const struct turn_flow *flow, uint32_t home)
{
  struct turnd_steer *s = &w->steer;
  struct guest *g = find(s, flow);
  if (!turnd__client_is_there(w, flow))
    return -ERR_MISSING;
  if (g == NULL) {
    g = s->guests.count < TURND_GUESTS_MAX ? calloc(1, sizeof(*g)) : NULL;
    if (g == NULL)
      return -ERR_NOMEM;
    g->flow = *flow;
    if (hash_table_insert(&s->guests, &g->by_flow, hash_of(s, flow)) != 0) {
      free(g);
      return -ERR_NOMEM;
    }
  }
  g->home = home;
  g->count++;
  turnd__hold(w, flow, true);
  return 0;
}

static void take_release(struct turnd_worker *w, const struct turn_flow *flow)
{
  struct guest *g = find(&w->steer, flow);
  if (g == NULL)
    return; /* the connection is gone */
  turnd__hold(w, flow, false);
  if (--g->count == 0)
    guest_free(&w->steer, g);
}

static void take_end(struct turnd_worker *w, const struct turn_flow *flow)
{
  struct net_conn *c = w->tcp != NULL ? net_tcp_find(w->tcp, flow->link) : NULL;
  if (c != NULL)
    net_conn_end(c);
}

/* ---- the worker that has the allocation ---- */

void turnd__steer_output(struct turnd_worker *w, const struct turn_flow *flow, struct bytes message,
                         bool relayed)
{
  /* All workers have the same UDP listeners. A response takes the way of the HOLD before it. */
  if (flow->transport == TURN_UDP && relayed) {
    const struct turn_flow f = untagged(flow);
    turnd__client_send(w, &f, message, relayed);
    return;
  }
  const struct parcel head = {.kind = OUTPUT, .flow = *flow, .relayed = relayed};
  (void)post_message(w, client_of(flow), &head, message);
}

void turnd__steer_hold(struct turnd_worker *w, const struct turn_flow *flow, bool on)
{
  post_word(w, client_of(flow), on ? HOLD : RELEASE, flow);
}

void turnd__steer_end(struct turnd_worker *w, const struct turn_flow *flow)
{
  post_word(w, client_of(flow), END, flow);
}

static struct dgram dgram_of(struct parcel *p)
{
  return (struct dgram){.storage = p->storage,
                        .cap = DGRAM_HEADROOM + p->len + DGRAM_TAILROOM,
                        .at = p->storage + DGRAM_HEADROOM,
                        .len = p->len};
}

static void take_input(struct turnd_worker *w, struct parcel *p, uint64_t now_ms)
{
  struct dgram d = dgram_of(p);
  bool stream = p->flow.transport == TURN_TCP || p->flow.transport == TURN_TLS;
  if (stream && w->finder.park.count > 0 && turnd__park_behind(w, &p->flow, &d))
    return;
  turn_client_input(w->turn, &p->flow, &d, now_ms, net_clock_wall_ms() / 1000);
  if (w->finder.question != 0)
    turnd__park(w, &p->flow, &d);
}

static void take_inside(struct turnd_worker *w, struct parcel *p, uint64_t now_ms)
{
  struct dgram d = dgram_of(p);
  turn_inside_input(w->turn, &p->relayed_to, &p->relayed_from, &d, now_ms);
}

static void take(struct turnd_worker *w, struct parcel *p, uint64_t now_ms)
{
  if (p->kind == INSIDE) {
    take_inside(w, p, now_ms);
    return;
  }
  const struct turn_flow f = untagged(&p->flow);
  const struct bytes message = {p->storage + DGRAM_HEADROOM, p->len};
  switch (p->kind) {
  case INPUT:
    take_input(w, p, now_ms);
    return;
  case OUTPUT:
    turnd__client_send(w, &f, message, p->relayed && p->flow.transport != TURN_UDP);
    return;
  case HOLD:
    if (take_hold(w, &f, p->from) != 0)
      post_word(w, p->from, GONE, &p->flow);
    return;
  case RELEASE:
    take_release(w, &f);
    return;
  case END:
    take_end(w, &f);
    return;
  case GONE:
  case INSIDE:
  default:
    turnd__park_forget(w, &p->flow);
    turn_client_gone(w->turn, &p->flow);
  }
}

/* What is sent in place points at the parcels until the flush. */
static void take_all(struct turnd_worker *w, struct list *all, uint64_t now_ms)
{
  while (!list_is_empty(all)) {
    struct parcel *p = first_of(all);
    take(w, p, now_ms);
    list_push_back(&w->steer.spent, &p->link);
  }
}

void turnd__steer_take(struct turnd_worker *w, uint64_t now_ms)
{
  struct turnd_steer *s = &w->steer;
  struct list all;
  list_init(&all);
  pthread_mutex_lock(&s->lock);
  list_append(&all, &s->inbox);
  s->inbox_count = s->inbox_len = 0;
  pthread_mutex_unlock(&s->lock);
  if (list_is_empty(&all))
    return;
  take_all(w, &all, now_ms);
  turnd__flush(w);
}

/* ---- from one allocation to another ---- */

void turnd__relayed(void *arg, const struct addr *relayed, bool on)
{
  const struct turnd_worker *w = arg;
  turnd_directory_set(w->directory, relayed, on);
}

/* Where there is no room it is lost, as in a socket's buffer that is full. By the sockets it would
 * get there before those that wait here, which is worse than a gap. */
int turnd__inside(void *arg, uint32_t share, const struct addr *relayed, const struct addr *from,
                  const struct dgram *d)
{
  struct turnd_worker *w = arg;
  struct turnd_steer *s = &w->steer;
  if (share != w->index && (w->directory == NULL || !turnd_directory_has(w->directory, relayed)))
    return -ERR_MISSING;
  struct turnd_outbox *out = &s->outbox[share];
  struct parcel *p = out->count < TURND_PARCELS_MAX && out->len < TURND_PARCELS_BYTES
                         ? parcel_new(w, INSIDE, (struct bytes){d->at, d->len})
                         : NULL;
  if (p == NULL) {
    s->counters.inside_dropped++;
    return 0;
  }
  p->relayed_to = *relayed;
  p->relayed_from = *from;
  list_push_back(&out->parcels, &p->link);
  out->count++;
  out->len += p->len;
  s->outgoing |= (uint64_t)1 << share;
  return 0;
}

static void hand_over(struct turnd_worker *w, uint32_t to, struct turnd_outbox *out)
{
  struct turnd_steer *s = &w->all[to]->steer;
  size_t lost = out->count;
  pthread_mutex_lock(&s->lock);
  const bool first = s->inbox_count == 0;
  if (has_room(s, out->count, out->len)) {
    list_append(&s->inbox, &out->parcels);
    s->inbox_count += out->count;
    s->inbox_len += out->len;
    lost = 0;
  }
  for (; lost > 0 && has_room(s, 1, PLAIN_LEN); lost--)
    put(s, first_of(&out->parcels));
  pthread_mutex_unlock(&s->lock);
  if (first && lost < out->count)
    turnd__wake(w->all[to]);
  w->steer.counters.inside_dropped += lost;
  list_append(&w->steer.spent, &out->parcels);
}

void turnd__steer_flush(struct turnd_worker *w)
{
  struct turnd_steer *s = &w->steer;
  while (s->outgoing != 0) {
    const uint32_t to = (uint32_t)__builtin_ctzll(s->outgoing);
    struct turnd_outbox *out = &s->outbox[to];
    s->outgoing &= s->outgoing - 1;
    if (to == w->index)
      take_all(w, &out->parcels, w->loop.now_ms);
    else if (!atomic_load(&w->stopping))
      hand_over(w, to, out);
    else
      list_append(&s->spent, &out->parcels);
    out->count = out->len = 0;
  }
}

/* Parcels go back to whom they come from, so that traffic in one direction asks for no memory
 * either. */
static void give_back(struct turnd_worker *w, uint32_t to, struct list *parcels, size_t count)
{
  struct turnd_steer *s = &w->all[to]->steer;
  pthread_mutex_lock(&s->lock);
  if (s->returned_count + count <= TURND_SPARE_MAX) {
    list_append(&s->returned, parcels);
    s->returned_count += count;
  }
  pthread_mutex_unlock(&s->lock);
  free_all(parcels);
}

void turnd__steer_settle(struct turnd_worker *w)
{
  struct turnd_steer *s = &w->steer;
  while (!list_is_empty(&s->spent)) {
    const uint32_t from = CONTAINER_OF(s->spent.next, struct parcel, link)->from;
    struct list back;
    size_t count = 0;
    list_init(&back);
    for (struct list *l = s->spent.next, *next; l != &s->spent; l = next) {
      struct parcel *p = CONTAINER_OF(l, struct parcel, link);
      next = l->next;
      if (p->from != from)
        continue;
      list_remove(l);
      if (!p->plain) {
        free(p);
        continue;
      }
      list_push_back(&back, l);
      count++;
    }
    give_back(w, from, &back, count);
  }
}

void turnd__steer_fini(struct turnd_worker *w)
{
  struct turnd_steer *s = &w->steer;
  if (!s->ready)
    return;
  free_all(&s->inbox);
  free_all(&s->returned);
  free_all(&s->spare);
  free_all(&s->spent);
  for (size_t i = 0; i < TURND_THREADS_MAX; i++)
    free_all(&s->outbox[i].parcels);
  for (size_t i = 0; i < s->guests.bucket_count; i++)
    while (s->guests.bucket[i] != NULL)
      guest_free(s, CONTAINER_OF(s->guests.bucket[i], struct guest, by_flow));
  hash_table_fini(&s->guests);
  pthread_mutex_destroy(&s->lock);
}
