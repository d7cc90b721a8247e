/* Messages for peers that are not there: they wait peerjs-expire-timeout from the first one of a
 * sender on, then the sender is told so, once for each peer: EXPIRE. A peer that comes meanwhile
 * gets them in the order in which they were sent. */
#include <string.h>

#include "signal/peerjs/core/core.h"

static uint64_t hash_of_pair(const struct peerjs_link *from, uint64_t to_hash)
{
  return from->by_id.hash * 0x9E3779B97F4A7C15u + to_hash;
}

static struct bytes queue_dst(const struct peerjs_queue *q)
{
  return (struct bytes){q->dst, q->dst_len};
}

static struct peerjs_queue *find_queue(const struct peerjs *p, struct bytes dst, uint64_t hash)
{
  for (struct hash_node *n = hash_table_first(&p->queues, hash); n != NULL;
       n = hash_table_next(n)) {
    struct peerjs_queue *q = CONTAINER_OF(n, struct peerjs_queue, by_dst);
    if (bytes_equal(queue_dst(q), dst)) {
      return q;
    }
  }
  return NULL;
}

static struct peerjs_pair *find_pair(const struct peerjs *p, struct bytes src,
                                     const struct peerjs_queue *q, uint64_t hash)
{
  for (struct hash_node *n = hash_table_first(&p->pairs, hash); n != NULL; n = hash_table_next(n)) {
    struct peerjs_pair *pair = CONTAINER_OF(n, struct peerjs_pair, by_pair);
    if (pair->queue == q && bytes_equal((struct bytes){pair->src, pair->src_len}, src)) {
      return pair;
    }
  }
  return NULL;
}

/* The message waits no more; the caller has it now. */
static void unqueue(struct peerjs *p, struct peerjs_queue *q, struct peerjs_msg *m)
{
  list_remove(&m->node);
  list_remove(&m->in_pair);
  q->count--;
  q->bytes -= m->len;
  p->counters.waiting_messages--;
  p->counters.waiting_bytes -= m->len + PEERJS_OVERHEAD;
}

static void pair_free(struct peerjs *p, struct peerjs_pair *pair)
{
  wheel_cancel(&p->wheel, &pair->timer);
  hash_table_remove(&p->pairs, &pair->by_pair);
  list_remove(&pair->in_queue);
  peerjs__msg_free(p, pair->expire);
  mem_free(p->mem, pair, sizeof(*pair) + pair->src_len);
}

static void queue_free_if_empty(struct peerjs *p, struct peerjs_queue *q)
{
  if (list_is_empty(&q->pairs)) {
    hash_table_remove(&p->queues, &q->by_dst);
    mem_free(p->mem, q, sizeof(*q) + q->dst_len);
  }
}

static void drop_messages(struct peerjs *p, struct peerjs_pair *pair)
{
  while (!list_is_empty(&pair->messages)) {
    struct peerjs_msg *m = CONTAINER_OF(pair->messages.next, struct peerjs_msg, in_pair);
    unqueue(p, pair->queue, m);
    peerjs__msg_free(p, m);
  }
}

/* Takes `m`. */
static void tell_expired(struct peerjs *p, struct bytes src, struct peerjs_msg *m)
{
  struct peerjs_link *link = peerjs__find(p, src, peerjs__hash(p, src));
  p->counters.expired++;
  if (link == NULL || !peerjs__push(p, link, m)) {
    peerjs__msg_free(p, m);
  }
}

static void pair_expire(struct peerjs *p, struct peerjs_pair *pair)
{
  struct peerjs_queue *q = pair->queue;
  struct peerjs_msg *m = pair->expire;
  pair->expire = NULL;
  drop_messages(p, pair);
  tell_expired(p, (struct bytes){pair->src, pair->src_len}, m);
  pair_free(p, pair);
  queue_free_if_empty(p, q);
}

static void on_timer(struct timer *t, uint64_t now_ms)
{
  struct peerjs_pair *pair = CONTAINER_OF(t, struct peerjs_pair, timer);
  (void)now_ms;
  pair_expire(pair->peerjs, pair);
}

static struct peerjs_queue *queue_new(struct peerjs *p, struct bytes dst, uint64_t hash)
{
  struct peerjs_queue *q = mem_new(p->mem, sizeof(*q) + dst.len);
  if (q == NULL) {
    return NULL;
  }
  list_init(&q->messages);
  list_init(&q->pairs);
  q->dst_len = (uint16_t)dst.len;
  memcpy(q->dst, dst.at, dst.len);
  if (hash_table_insert(&p->queues, &q->by_dst, hash) != 0) {
    mem_free(p->mem, q, sizeof(*q) + dst.len);
    return NULL;
  }
  return q;
}

/* {"type":"EXPIRE","src":the absent one,"dst":who waits for him} */
static struct peerjs_msg *expire_new(struct peerjs *p, const struct peerjs_link *from,
                                     const struct peerjs_message *to)
{
  return peerjs__msg_new(p, PEERJS_EXPIRE, to->dst_json, peerjs__src(from), (struct bytes){0});
}

static struct peerjs_pair *pair_new(struct peerjs *p, const struct peerjs_link *from,
                                    const struct peerjs_message *to, uint64_t hash)
{
  struct bytes src = peerjs__id(from);
  struct peerjs_pair *pair = mem_new(p->mem, sizeof(*pair) + src.len);
  if (pair == NULL) {
    return NULL;
  }
  pair->peerjs = p;
  pair->src_len = (uint16_t)src.len;
  memcpy(pair->src, src.at, src.len);
  list_init(&pair->messages);
  list_init(&pair->in_queue);
  timer_init(&pair->timer, on_timer);
  pair->expire = expire_new(p, from, to);
  if (pair->expire == NULL || hash_table_insert(&p->pairs, &pair->by_pair, hash) != 0) {
    peerjs__msg_free(p, pair->expire);
    mem_free(p->mem, pair, sizeof(*pair) + src.len);
    return NULL;
  }
  return pair;
}

static bool has_room(const struct peerjs *p, const struct peerjs_queue *q, size_t len)
{
  const struct peerjs_config *c = p->config;
  if (p->counters.waiting_bytes + len + PEERJS_OVERHEAD > c->waiting_bytes) {
    return false;
  }
  uint32_t count = q != NULL ? q->count : 0;
  uint64_t bytes = q != NULL ? q->bytes : 0;
  return (c->outbox_messages == 0 || count < c->outbox_messages) &&
         (c->outbox_bytes == 0 || bytes + len <= c->outbox_bytes);
}

/* It cannot wait, so that the rest of what this client says to that one would arrive with a gap, if
 * it did: all of it expires now. */
static int give_up(struct peerjs *p, struct peerjs_link *from, const struct peerjs_message *to,
                   struct peerjs_pair *pair, struct peerjs_msg *m)
{
  if (pair != NULL) {
    pair_expire(p, pair);
  } else {
    struct peerjs_msg *expire = expire_new(p, from, to);
    if (expire == NULL) {
      return -ERR_NOMEM;
    }
    tell_expired(p, peerjs__id(from), expire);
  }
  peerjs__msg_free(p, m);
  return 0;
}

int peerjs__wait(struct peerjs *p, struct peerjs_link *from, const struct peerjs_message *to,
                 uint64_t to_hash, struct peerjs_msg *m, uint64_t now_ms)
{
  uint64_t hash = hash_of_pair(from, to_hash);
  struct peerjs_queue *q = find_queue(p, to->dst, to_hash);
  struct peerjs_pair *pair = q != NULL ? find_pair(p, peerjs__id(from), q, hash) : NULL;
  if (!has_room(p, q, m->len) || to->dst.len > PEERJS_ID_SIZE || to->dst.len == 0) {
    return give_up(p, from, to, pair, m);
  }
  if (q == NULL) {
    q = queue_new(p, to->dst, to_hash);
  }
  if (q == NULL) {
    return -ERR_NOMEM;
  }
  if (pair == NULL) {
    pair = pair_new(p, from, to, hash);
    if (pair == NULL) {
      queue_free_if_empty(p, q);
      return -ERR_NOMEM;
    }
    pair->queue = q;
    list_push_back(&q->pairs, &pair->in_queue);
    wheel_arm(&p->wheel, &pair->timer, now_ms + p->config->expire_ms);
  }
  list_push_back(&q->messages, &m->node);
  list_push_back(&pair->messages, &m->in_pair);
  q->count++;
  q->bytes += m->len;
  p->counters.waiting_messages++;
  p->counters.waiting_bytes += m->len + PEERJS_OVERHEAD;
  p->counters.queued++;
  return 0;
}

void peerjs__wait_over(struct peerjs *p, struct peerjs_link *link)
{
  struct peerjs_queue *q = find_queue(p, peerjs__id(link), link->by_id.hash);
  if (q == NULL) {
    return;
  }
  while (!list_is_empty(&q->messages)) {
    struct peerjs_msg *m = CONTAINER_OF(q->messages.next, struct peerjs_msg, node);
    unqueue(p, q, m);
    list_push_back(&link->outbox.messages, &m->node);
    link->outbox.count++;
    link->outbox.bytes += m->len;
    p->counters.outbox_messages++;
    p->counters.outbox_bytes += m->len;
    p->counters.relayed++;
  }
  while (!list_is_empty(&q->pairs)) {
    pair_free(p, CONTAINER_OF(q->pairs.next, struct peerjs_pair, in_queue));
  }
  queue_free_if_empty(p, q);
}

void peerjs__wait_fini(struct peerjs *p)
{
  for (size_t i = 0; i < p->pairs.bucket_count; i++) {
    while (p->pairs.bucket[i] != NULL) {
      struct peerjs_pair *pair = CONTAINER_OF(p->pairs.bucket[i], struct peerjs_pair, by_pair);
      struct peerjs_queue *q = pair->queue;
      drop_messages(p, pair);
      pair_free(p, pair);
      queue_free_if_empty(p, q);
    }
  }
}
