/* See report.h. */
#include "bench/load/report.h"

#include <inttypes.h>
#include <stdio.h>

#include "bench/load/flood.h"

/* What the rate asked for. */
static uint64_t offered(const struct load_result *r)
{
  return r->sent + r->refused + r->queued;
}

static bool is_much(uint64_t count, uint64_t all)
{
  return count > 0 && count * 1000 >= all * LOAD_LOST_PER_MILLE;
}

const char *load_wrong(const struct load_result *r)
{
  const uint64_t all = offered(r);
  if (r->damaged)
    return "damaged";
  if (r->misrouted)
    return "misrouted";
  if (r->duplicates)
    return "duplicates";
  if (r->closed)
    return "closed";
  if (r->flood.leaked)
    return "leaked";
  if (r->generator_was_the_limit || r->flood.too_slow)
    return "generator-limit";
  /* A stream takes no more because the server does not: what is missing stands in front of it. */
  if (load_transport_is_stream(r->transport) && is_much(r->queued + r->refused, all))
    return "queued";
  if (is_much(all - r->received, all) || all == 0)
    return "loss";
  if (r->drain_ns > LOAD_QUEUED_NS)
    return "queued";
  return NULL;
}

static void print_word(const char *name, const char *word)
{
  if (word != NULL)
    printf(",\"%s\":\"%s\"", name, word);
  else
    printf(",\"%s\":null", name);
}

static double per(uint64_t value, uint64_t count)
{
  return count ? (double)value / (double)count : 0;
}

double load_flood_ns(const struct load_result *r, const struct load_result *alone)
{
  if (alone->elapsed_ns == 0 || r->flood.sent == 0)
    return 0;
  const double share = (double)r->elapsed_ns / (double)alone->elapsed_ns;
  const double more = (double)r->server_ns - (double)alone->server_ns * share;
  return more > 0 ? more / (double)r->flood.sent : 0;
}

static void print_latency(const struct load_histogram *h)
{
  printf("\"latency_ns\":{\"p50\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64
         ",\"most\":%" PRIu64 "}",
         load_histogram_at(h, 0.5), load_histogram_at(h, 0.99), load_histogram_at(h, 0.999),
         h->most);
}

static void print_flood(const struct load_facts *f, const struct load_result *r)
{
  const struct load_result *a = f->alone;
  printf(",\"flood\":{\"kind\":\"%s\",\"rate\":%" PRIu64 ",\"sent\":%" PRIu64
         ",\"refused\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"leaked\":%" PRIu64
         ",\"server_ns_per_packet\":%.1f",
         load_flood_name(f->setup->flood), f->setup->flood_rate, r->flood.sent, r->flood.refused,
         r->flood.answered, r->flood.leaked, load_flood_ns(r, a));
  printf(",\"alone\":{\"sent\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"received\":%" PRIu64
         ",\"server_ns\":%" PRIu64 ",",
         a->sent, a->refused, a->received, a->server_ns);
  print_latency(&a->latency);
  printf("}}");
}

static void print_json(const struct load_facts *f, const struct load_result *r)
{
  const struct load_trial *t = f->trial;
  const struct load_birth *birth = f->birth;
  printf("{\"transport\":\"%s\",\"rate\":%" PRIu64 ",\"size\":%u,\"burst\":%u,\"sent\":%" PRIu64
         ",\"refused\":%" PRIu64 ",\"queued\":%" PRIu64 ",\"closed\":%" PRIu64
         ",\"received\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"reordered\":%" PRIu64
         ",\"damaged\":%" PRIu64 ",\"misrouted\":%" PRIu64 ",\"elapsed_ns\":%" PRIu64
         ",\"server_ns\":%" PRIu64 ",\"drain_ns\":%" PRIu64,
         load_transport_name(r->transport), t->rate, t->size, t->burst, r->sent, r->refused,
         r->queued, r->closed, r->received, r->duplicates, r->reordered, r->damaged, r->misrouted,
         r->elapsed_ns, r->server_ns, r->drain_ns);
  printf(",\"server_ns_per_packet\":%.1f,", per(r->server_ns, r->received));
  print_latency(&r->latency);
  if (birth != NULL)
    printf(",\"allocations\":%u,\"setup_ns\":%" PRIu64 ",\"setup_server_ns\":%" PRIu64
           ",\"setup_memory\":%" PRIu64 ",\"setup_resent\":%" PRIu64,
           f->setup->allocations, birth->elapsed_ns, birth->cpu_ns, birth->memory, birth->resent);
  if (f->alone != NULL)
    print_flood(f, r);
  print_word("bound", r->bound);
  print_word("wrong", load_wrong(r));
  printf("}\n");
}

static void print_text_latency(const char *name, const struct load_histogram *h)
{
  printf("%-10s p50 %.1f us, p99 %.1f us, p99.9 %.1f us, most %.1f us\n", name,
         (double)load_histogram_at(h, 0.5) / 1e3, (double)load_histogram_at(h, 0.99) / 1e3,
         (double)load_histogram_at(h, 0.999) / 1e3, (double)h->most / 1e3);
}

static void print_text_flood(const struct load_facts *f, const struct load_result *r)
{
  const struct load_result *a = f->alone;
  printf("flood      %" PRIu64 " of %s (%" PRIu64 " found no room here), %" PRIu64
         " answered, %" PRIu64 " leaked, server %.0f ns of CPU each\n",
         r->flood.sent, load_flood_name(f->setup->flood), r->flood.refused, r->flood.answered,
         r->flood.leaked, load_flood_ns(r, a));
  printf("alone      %.3f%% lost before the flood\n", 100 * (1 - per(a->received, offered(a))));
  print_text_latency("", &a->latency);
}

static void print_text(const struct load_facts *f, const struct load_result *r)
{
  const struct load_birth *birth = f->birth;
  const uint64_t all = offered(r);
  const char *wrong = load_wrong(r);
  const uint32_t allocations = f->setup->allocations;
  if (birth != NULL)
    printf("set up     %u allocations in %.3f s (%.0f a second), server %.1f us and %.0f bytes "
           "each\n",
           allocations, (double)birth->elapsed_ns / 1e9,
           (double)allocations / ((double)birth->elapsed_ns / 1e9),
           per(birth->cpu_ns, allocations) / 1e3, per(birth->memory, allocations));
  printf("sent       %" PRIu64 " in %.2f s, %.0f a second\n", all, (double)r->elapsed_ns / 1e9,
         (double)all / ((double)r->elapsed_ns / 1e9));
  printf("arrived    %" PRIu64 ", %.3f%% lost; %" PRIu64 " duplicates, %" PRIu64
         " out of order, %" PRIu64 " damaged, %" PRIu64 " misrouted\n",
         r->received, 100 * (1 - per(r->received, all)), r->duplicates, r->reordered, r->damaged,
         r->misrouted);
  if (r->queued || r->refused)
    printf("queued     %" PRIu64 " had not left the generator at the end, %" PRIu64
           " found no room there\n",
           r->queued, r->refused);
  if (r->closed)
    printf("closed     %" PRIu64 " connections, by the server\n", r->closed);
  print_text_latency("latency", &r->latency);
  if (r->server_ns)
    printf("server     %.0f ns of CPU for each packet that arrived\n",
           per(r->server_ns, r->received));
  if (f->alone != NULL)
    print_text_flood(f, r);
  if (r->bound != NULL)
    printf("bound      %s in the trial above this rate\n", r->bound);
  if (wrong != NULL)
    printf("not good   %s\n", wrong);
}

bool load_report(const struct load_facts *f, const struct load_result *r, bool json)
{
  if (json)
    print_json(f, r);
  else
    print_text(f, r);
  return fflush(stdout) == 0;
}
