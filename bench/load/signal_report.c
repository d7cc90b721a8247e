/* See signal_report.h. */
#include "bench/load/signal_report.h"

#include <inttypes.h>
#include <stdio.h>

/* What is on its way so long after the end stood in a queue; who polls asks later. */
static const uint64_t QUEUED_NS = 1000ull * 1000 * 1000;

const char *load_signal_wrong(const struct load_signal_setup *s, const struct load_signal_trial *t,
                              const struct load_signal_result *r)
{
  const struct load_signal_counts *n = &r->counts;
  const uint64_t polled_ns = s->transport == LOAD_POLL ? (uint64_t)s->poll_ms * 1000000 : 0;
  if (n->damaged)
    return "damaged";
  if (n->misrouted)
    return "misrouted";
  if (n->duplicates)
    return "duplicates";
  if (n->reordered)
    return "reordered";
  if (n->closed)
    return "closed";
  if (n->refused)
    return "refused";
  if (r->lost || (t->work == LOAD_WORK_RELAY && n->sent == 0))
    return "loss";
  if (t->work == LOAD_WORK_CHURN && n->left == 0)
    return "loss";
  if (r->generator_was_the_limit)
    return "generator-limit";
  return r->drain_ns > QUEUED_NS + polled_ns ? "queued" : NULL;
}

static double per(uint64_t value, uint64_t count)
{
  return count ? (double)value / (double)count : 0;
}

static double per_second(uint64_t count, const struct load_signal_result *r)
{
  return per(count, r->elapsed_ns) * 1e9;
}

static void print_word(const char *name, const char *word)
{
  if (word != NULL && *word)
    printf(",\"%s\":\"%s\"", name, word);
  else
    printf(",\"%s\":null", name);
}

static void print_latency(const struct load_histogram *h)
{
  printf(",\"latency_ns\":{\"count\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p99\":%" PRIu64
         ",\"p999\":%" PRIu64 ",\"most\":%" PRIu64 "}",
         h->count, load_histogram_at(h, 0.5), load_histogram_at(h, 0.99),
         load_histogram_at(h, 0.999), h->most);
}

static void print_counts(const struct load_signal_result *r)
{
  const struct load_signal_counts *n = &r->counts;
  printf(",\"sent\":%" PRIu64 ",\"received\":%" PRIu64 ",\"lost\":%" PRIu64
         ",\"duplicates\":%" PRIu64 ",\"reordered\":%" PRIu64 ",\"damaged\":%" PRIu64
         ",\"misrouted\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"closed\":%" PRIu64
         ",\"entered\":%" PRIu64 ",\"left\":%" PRIu64,
         n->sent, n->received, r->lost, n->duplicates, n->reordered, n->damaged, n->misrouted,
         n->refused, n->closed, n->entered, n->left);
  printf(",\"slow\":{\"sent\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"closed\":%" PRIu64 "}",
         n->slow_sent, n->slow_refused, n->slow_closed);
}

/* A server's own words may hold what JSON has to escape. */
static void print_trouble(const char *text)
{
  printf(",\"trouble\":\"");
  for (; *text; text++)
    printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
  printf("\"");
}

static void print_json(const struct load_signal_setup *s, const struct load_signal_trial *t,
                       const struct load_signal_result *r)
{
  const struct load_wire *w = &r->wire;
  printf(
      "{\"work\":\"%s\",\"protocol\":\"%s\",\"transport\":\"%s\",\"clients\":%u,\"rate\":%" PRIu64
      ",\"elapsed_ns\":%" PRIu64 ",\"server_ns\":%" PRIu64 ",\"steady_server_ns\":%" PRIu64
      ",\"generator_ns\":%" PRIu64 ",\"drain_ns\":%" PRIu64 ",\"memory\":%" PRIu64
      ",\"heartbeats\":%" PRIu64,
      load_work_name(t->work), s->protocol == LOAD_PEERJS ? "peerjs" : "viaduct",
      load_signal_transport_name(s->transport), s->clients, t->rate, r->elapsed_ns, r->server_ns,
      r->steady_server_ns, r->own_ns, r->drain_ns, r->memory, r->heartbeats);
  print_counts(r);
  printf(",\"wire\":{\"bytes_out\":%" PRIu64 ",\"bytes_in\":%" PRIu64 ",\"packets_out\":%" PRIu64
         ",\"packets_in\":%" PRIu64 ",\"requests\":%" PRIu64 "}",
         w->bytes_out, w->bytes_in, w->packets_out, w->packets_in, w->requests);
  printf(",\"setup_ns\":%" PRIu64 ",\"setup_server_ns\":%" PRIu64 ",\"setup_memory\":%" PRIu64,
         r->birth.elapsed_ns, r->birth.server_ns, r->birth.memory);
  print_latency(&r->latency);
  print_trouble(r->trouble);
  print_word("wrong", load_signal_wrong(s, t, r));
  printf("}\n");
}

static void print_text_latency(const char *name, const struct load_histogram *h)
{
  printf("%-10s p50 %.3f ms, p99 %.3f ms, p99.9 %.3f ms, most %.3f ms\n", name,
         (double)load_histogram_at(h, 0.5) / 1e6, (double)load_histogram_at(h, 0.99) / 1e6,
         (double)load_histogram_at(h, 0.999) / 1e6, (double)h->most / 1e6);
}

static void print_text_relay(const struct load_signal_setup *s, const struct load_signal_result *r)
{
  const struct load_signal_counts *n = &r->counts;
  printf("sent       %" PRIu64 " in %.2f s, %.0f a second\n", n->sent, (double)r->elapsed_ns / 1e9,
         per_second(n->sent, r));
  printf("arrived    %" PRIu64 ", %" PRIu64 " lost; %" PRIu64 " duplicates, %" PRIu64
         " out of order, %" PRIu64 " damaged, %" PRIu64 " misrouted\n",
         n->received, r->lost, n->duplicates, n->reordered, n->damaged, n->misrouted);
  print_text_latency("latency", &r->latency);
  if (r->server_ns)
    printf("server     %.1f us of CPU for each message that arrived\n",
           per(r->server_ns, n->received) / 1e3);
  if (s->slow)
    printf("slow       %u read nothing and were sent %" PRIu64
           " of 16 KB: the server grew by %.1f MB, "
           "ended %" PRIu64 " of them and gave back %" PRIu64 " messages\n",
           s->slow, n->slow_sent, (double)r->memory / 1e6, n->slow_closed, n->slow_refused);
}

static void print_text_work(const struct load_signal_setup *s, const struct load_signal_trial *t,
                            const struct load_signal_result *r)
{
  if (t->work == LOAD_WORK_RELAY) {
    print_text_relay(s, r);
  } else if (t->work == LOAD_WORK_CHURN) {
    printf("came, left %" PRIu64 " in %.2f s, %.0f a second, server %.1f us of CPU each\n",
           r->counts.left, (double)r->elapsed_ns / 1e9, per_second(r->counts.left, r),
           per(r->steady_server_ns, r->counts.left) / 1e3);
    print_text_latency("coming in", &r->latency);
  } else {
    printf("heartbeats %" PRIu64 ", server %.1f us of CPU each\n", r->heartbeats,
           per(r->steady_server_ns, r->heartbeats) / 1e3);
  }
}

static void print_text(const struct load_signal_setup *s, const struct load_signal_trial *t,
                       const struct load_signal_result *r)
{
  const struct load_wire *w = &r->wire;
  const char *wrong = load_signal_wrong(s, t, r);
  if (t->work != LOAD_WORK_CHURN)
    printf("set up     %u clients in %.3f s (%.0f a second), server %.1f us and %.0f bytes each\n",
           s->clients, (double)r->birth.elapsed_ns / 1e9,
           per(s->clients, r->birth.elapsed_ns) * 1e9, per(r->birth.server_ns, s->clients) / 1e3,
           per(r->birth.memory, s->clients));
  print_text_work(s, t, r);
  printf(
      "wire       %.0f bytes and %.1f packets out, %.0f bytes and %.1f packets in, %.1f requests a "
      "second\n",
      per_second(w->bytes_out, r), per_second(w->packets_out, r), per_second(w->bytes_in, r),
      per_second(w->packets_in, r), per_second(w->requests, r));
  printf("generator  %.0f%% of a core%s\n", 100 * per(r->own_ns, r->elapsed_ns),
         r->generator_was_the_limit ? ": it was the limit" : "");
  if (r->counts.refused)
    printf("refused    %" PRIu64 ", the first: %s\n", r->counts.refused, r->trouble);
  if (r->counts.closed)
    printf("closed     %" PRIu64 " connections, by the server\n", r->counts.closed);
  if (wrong != NULL)
    printf("not good   %s\n", wrong);
}

bool load_signal_report(const struct load_signal_setup *s, const struct load_signal_trial *t,
                        const struct load_signal_result *r, bool json)
{
  if (json)
    print_json(s, t, r);
  else
    print_text(s, t, r);
  return fflush(stdout) == 0;
}
