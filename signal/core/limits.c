/* Who may send how much: token buckets for each session and each address, and the ids that a
 * session has used. Called by sig.c before anything is parsed. */
#include <string.h>

#include "signal/core/core.h"

/* A bucket holds what comes in so many seconds: the candidates of a call arrive all at once. */
enum { BURST_S = 2 };

/* Half a site is one customer: RFC 6177 gives each at least a /64. */
enum { V6_PREFIX_BYTES = 8 };

struct addr sig_source_address(const struct addr *client)
{
  struct addr a = addr_unmap(*client);
  a.port = 0;
  if (a.family == ADDR_V6 && !addr_is_loopback(&a)) {
    memset(a.ip + V6_PREFIX_BYTES, 0, sizeof(a.ip) - V6_PREFIX_BYTES);
  }
  return a;
}

static void source_expired(struct timer *t, uint64_t now_ms)
{
  (void)now_ms;
  struct sig_source *source = CONTAINER_OF(t, struct sig_source, timer);
  sig__source_free(source->sig, source);
}

int sig__source_get(struct sig *s, const struct addr *client, struct sig_source **out)
{
  struct addr a = sig_source_address(client);
  uint64_t hash = hash_bytes(&s->first->hash_key, &a, sizeof(a));
  for (struct hash_node *n = hash_table_first(&s->first->sources, hash); n != NULL;
       n = hash_table_next(n)) {
    struct sig_source *source = CONTAINER_OF(n, struct sig_source, node);
    if (addr_equal(&source->address, &a)) {
      *out = source;
      return 0;
    }
  }
  struct sig_source *source = mem_new(s->mem, sizeof(*source));
  if (source == NULL) {
    return -ERR_NOMEM;
  }
  source->sig = s->first;
  source->address = a;
  timer_init(&source->timer, source_expired);
  if (hash_table_insert(&s->first->sources, &source->node, hash) != 0) {
    mem_free(s->mem, source, sizeof(*source));
    return -ERR_NOMEM;
  }
  *out = source;
  return 0;
}

void sig__source_free(struct sig *s, struct sig_source *source)
{
  wheel_cancel(&s->first->wheel, &source->timer);
  hash_table_remove(&s->first->sources, &source->node);
  mem_free(s->mem, source, sizeof(*source));
}

void sig__source_settle(struct sig *s, struct sig_source *source, uint64_t now_ms)
{
  if (source->links != 0 || source->sessions != 0) {
    wheel_cancel(&s->first->wheel, &source->timer);
    return;
  }
  /* It stays until its buckets are full: hanging up must not refill them. */
  uint64_t full_us = source->messages.full_us > source->bytes.full_us ? source->messages.full_us
                                                                      : source->bytes.full_us;
  uint64_t full_ms = full_us / 1000 + 1;
  if (full_ms <= now_ms + 1) {
    sig__source_free(s, source);
    return;
  }
  wheel_arm(&s->first->wheel, &source->timer, full_ms);
}

struct draw {
  struct sig_bucket *bucket;
  uint64_t cost, rate, burst; /* rate 0: unlimited */
};

/* How long until it can be taken, in microseconds; 0 is now. */
static uint64_t bucket_wait_us(const struct draw *d, uint64_t now_us)
{
  if (d->rate == 0 || d->bucket->full_us <= now_us) {
    return 0;
  }
  uint64_t after_us = d->bucket->full_us - now_us + d->cost * 1000000 / d->rate;
  uint64_t burst_us = d->burst * 1000000 / d->rate;
  return after_us > burst_us ? after_us - burst_us : 0;
}

static void bucket_take(const struct draw *d, uint64_t now_us)
{
  if (d->rate == 0) {
    return;
  }
  uint64_t from_us = d->bucket->full_us > now_us ? d->bucket->full_us : now_us;
  d->bucket->full_us = from_us + d->cost * 1000000 / d->rate;
}

/* A bucket of bytes must hold at least one message of the largest size, or that would never pass.
 */
static uint64_t byte_burst(const struct sig_limits *limits, uint32_t rate)
{
  uint64_t burst = (uint64_t)rate * BURST_S;
  return burst > limits->message_size ? burst : limits->message_size;
}

uint32_t sig__buckets_take(struct sig *s, struct sig_source *source, const struct sig_own *own,
                           size_t len, uint64_t now_ms)
{
  const struct sig_limits *l = &s->config->limits;
  struct draw draw[4] = {
      {&source->messages, 1, l->address_message_rate, (uint64_t)l->address_message_rate * BURST_S},
      {&source->bytes, len, l->address_byte_rate, byte_burst(l, l->address_byte_rate)},
  };
  size_t count = 2;
  if (own != NULL) {
    draw[count++] =
        (struct draw){own->messages, 1, own->message_rate, (uint64_t)own->message_rate * BURST_S};
    draw[count++] = (struct draw){own->bytes, len, own->byte_rate, byte_burst(l, own->byte_rate)};
  }
  uint64_t now_us = now_ms * 1000, wait_us = 0;
  for (size_t i = 0; i < count; i++) {
    uint64_t wait = bucket_wait_us(&draw[i], now_us);
    wait_us = wait > wait_us ? wait : wait_us;
  }
  if (wait_us > 0) {
    uint64_t wait_s = (wait_us + 999999) / 1000000;
    return wait_s > UINT32_MAX ? UINT32_MAX : (uint32_t)wait_s;
  }
  for (size_t i = 0; i < count; i++) {
    bucket_take(&draw[i], now_us);
  }
  return 0;
}

uint32_t sig__limits_take(struct sig *s, struct sig_link *link, size_t len, uint64_t now_ms)
{
  struct sig_session *session = link->session;
  if (session == NULL) {
    return sig__buckets_take(s, link->source, NULL, len, now_ms);
  }
  const struct sig_limits *l = &s->config->limits;
  const struct sig_own own = {&session->message_rate, &session->byte_rate,
                              sig__limit(session->grant.message_rate, l->message_rate),
                              sig__limit(session->grant.byte_rate, l->byte_rate)};
  return sig__buckets_take(s, link->source, &own, len, now_ms);
}

bool sig__seen(struct sig *s, const struct sig_session *session, struct bytes id)
{
  if (session->seen == NULL) {
    return false;
  }
  /* 64 keyed bits stand for the id: two of 128 meet by chance once in 10^17. */
  uint64_t hash = hash_bytes(&s->hash_key, id.at, id.len);
  uint32_t count = session->seen_next < SIG_SEEN ? session->seen_next : SIG_SEEN;
  for (uint32_t i = 0; i < count; i++) {
    if (session->seen[i] == hash) {
      return true;
    }
  }
  return false;
}

int sig__seen_reserve(struct sig *s, struct sig_session *session)
{
  if (session->seen == NULL) {
    session->seen = mem_new(s->mem, SIG_SEEN * sizeof(*session->seen));
  }
  return session->seen == NULL ? -ERR_NOMEM : 0;
}

void sig__seen_add(struct sig *s, struct sig_session *session, struct bytes id)
{
  session->seen[session->seen_next % SIG_SEEN] = hash_bytes(&s->hash_key, id.at, id.len);
  session->seen_next++;
  /* Kept from wrapping to where it would say that the ring is not full yet. */
  if (session->seen_next == 2 * SIG_SEEN) {
    session->seen_next = SIG_SEEN;
  }
}
