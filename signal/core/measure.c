/* What is measured for metrics: how long messages wait, and what takes a walk over all sessions.
 * Called by sig.c, and by the edge for a page of metrics. */
#include "signal/core/core.h"

const uint32_t sig_latency_bound_us[SIG_LATENCY_BOUNDS] = {
    100,   250,    500,    1000,    2500,    5000,     10000,
    50000, 100000, 500000, 1000000, 5000000, 15000000, 60000000,
};

const uint32_t sig_depth[SIG_DEPTHS] = {0, 4, 16, 64, 256, 1024};

void sig_set_tick(struct sig *s, uint32_t tick)
{
  s->first->tick = tick;
}

/* Nearly all are in the first of them: nothing is faster than to look one by one. */
void sig__measure(struct sig *s, enum sig_transport transport, const struct sig_msg *m)
{
  uint32_t age = s->first->tick - m->tick; /* wraps as the ticks do */
  size_t i = 0;
  while (i < SIG_LATENCY_BOUNDS && age > sig_latency_bound_us[i] / SIG_TICK_US) {
    i++;
  }
  s->counters.latency[transport][i]++;
  s->counters.latency_ticks[transport] += age;
}

static void survey_one(const struct sig_session *session, struct sig_survey *out)
{
  const struct sig_outbox *o = &session->outbox;
  size_t i = 0;
  while (i < SIG_DEPTHS && o->count > sig_depth[i]) {
    i++;
  }
  out->by_depth[i]++;
  out->deepest_messages = o->count > out->deepest_messages ? o->count : out->deepest_messages;
  out->deepest_bytes = o->bytes > out->deepest_bytes ? o->bytes : out->deepest_bytes;
  if (session->link != NULL) {
    out->by_transport[session->link->transport]++;
  } else {
    out->away++;
  }
}

void sig_survey(const struct sig *s, struct sig_survey *out)
{
  for (size_t i = 0; i < s->sessions.bucket_count; i++) {
    for (const struct hash_node *n = s->sessions.bucket[i]; n != NULL; n = n->next) {
      survey_one(CONTAINER_OF(n, const struct sig_session, by_id), out);
    }
  }
}
