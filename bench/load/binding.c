/* See binding.h. From one socket: a request's transaction id says when it was made. */
#include "bench/load/binding.h"

#include <string.h>
#include <unistd.h>

#include "bench/load/proc.h"

enum {
  UNANSWERED_MAX = 512, /* without a rate: as many may be under way */
  POLL_NS = 20 * 1000,
  QUIET_NS = 200 * 1000 * 1000
};

struct asking {
  struct load_result *r;
  struct load_link link;
  uint64_t last_ns;
};

static void take(void *arg, struct bytes datagram, uint64_t now_ns)
{
  struct asking *a = arg;
  struct stun_view v;
  a->last_ns = now_ns;
  if (stun_decode(datagram.at, datagram.len, &v) != 0 || v.class != STUN_SUCCESS ||
      !stun_has(&v, STUN_ATTR_XOR_MAPPED_ADDRESS)) {
    a->r->damaged++;
    return;
  }
  a->r->received++;
  load_histogram_add(&a->r->latency, now_ns - load_be64(stun_txid(&v)));
}

static void ask(struct asking *a, const struct load_trial *t, uint64_t now_ns)
{
  uint8_t bytes[LOAD_BURST_MAX][STUN_HEADER_LEN];
  for (uint32_t i = 0; i < t->burst; i++) {
    uint8_t txid[STUN_TXID_LEN];
    struct stun_encoder e;
    store_be64(txid, now_ns);
    store_be32(txid + 8, (uint32_t)a->r->sent + i);
    stun_begin(&e, bytes[i], STUN_HEADER_LEN, STUN_REQUEST, STUN_BINDING, txid);
    (void)stun_end(&e); /* a header always fits */
  }
  const struct load_burst b = {
      .at = bytes[0], .len = STUN_HEADER_LEN, .count = t->burst, .segment = t->segment};
  const size_t sent = load_link_send(&a->link, &b);
  a->r->sent += sent;
  a->r->refused += t->burst - sent;
}

static bool may_ask(const struct asking *a, const struct load_trial *t, uint64_t since_ns)
{
  const struct load_result *r = a->r;
  if (t->rate == 0)
    return r->sent - r->received < UNANSWERED_MAX;
  return (double)(r->sent + r->refused + t->burst) <= (double)since_ns * (double)t->rate / 1e9;
}

static void look(struct asking *a)
{
  load_link_flush(&a->link);
  (void)load_link_receive(&a->link, 4, take, a);
}

static uint64_t ask_all(struct asking *a, const struct load_trial *t)
{
  const uint64_t began_ns = load_now_ns(), end_ns = began_ns + (uint64_t)t->ms * 1000000;
  uint64_t now_ns, polled_ns = 0;
  while ((now_ns = load_now_ns()) < end_ns && a->link.state == LOAD_LINK_OPEN) {
    const bool due = may_ask(a, t, now_ns - began_ns);
    if (due)
      ask(a, t, now_ns);
    if (!due || now_ns - polled_ns >= POLL_NS) {
      look(a);
      polled_ns = now_ns;
    }
  }
  a->r->elapsed_ns = now_ns - began_ns;
  return now_ns;
}

int load_binding(const struct load_setup *s, const struct load_trial *t, struct load_result *r,
                 struct net_error *e)
{
  *r = (struct load_result){.transport = s->way.transport};
  struct asking a = {.r = r};
  if (load_link_connect(&a.link, &s->way, e) != 0)
    return -1;
  const uint64_t cpu_ns = load_proc_cpu_ns(s->pid), ended_ns = ask_all(&a, t);
  r->generator_was_the_limit =
      t->rate != 0 && (double)(r->sent + (a.link.stream != NULL ? r->refused : 0)) <
                          0.98 * (double)t->rate * t->ms / 1e3;
  load_link_flush(&a.link);
  r->queued = load_link_queued(&a.link) / STUN_HEADER_LEN;
  r->sent -= r->queued;
  a.last_ns = ended_ns;
  for (uint64_t now_ns = ended_ns; now_ns < a.last_ns + QUIET_NS; now_ns = load_now_ns()) {
    look(&a);
    r->drain_ns = a.last_ns - ended_ns;
  }
  r->closed = a.link.state == LOAD_LINK_CLOSED;
  r->server_ns = load_proc_cpu_ns(s->pid) - cpu_ns;
  load_link_close(&a.link);
  return 0;
}
