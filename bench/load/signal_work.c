/* See signal_work.h. */
#include "bench/load/signal_work.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "bench/load/proc.h"
#include "bench/load/signal_client.h"

enum { SECOND_NS = 1000 * 1000 * 1000, TURN_NS = 20 * 1000 * 1000, SETTLE_NS = 500 * 1000 * 1000 };
enum { OF_A_CALL = 7, AT_ONCE = 256 };

struct pacer {
  double per_ns;
  uint64_t began_ns, done;
};

struct work {
  struct load_signal_engine *g;
  const struct load_signal_trial *t;
  struct load_signal_result *r;
  struct pacer message, slow, poll, heartbeat;
  uint64_t random;
};

const char *load_work_name(enum load_work w)
{
  static const char *const names[] = {"relay", "idle", "churn"};
  return names[w];
}

static uint64_t own_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static struct pacer pacer_of(double per_s, uint64_t now_ns)
{
  return (struct pacer){.per_ns = per_s / SECOND_NS, .began_ns = now_ns};
}

/* How many are due; a few at a time, so that what comes is heard in between. */
static uint64_t due(const struct pacer *p, uint64_t now_ns)
{
  const uint64_t all = (uint64_t)((double)(now_ns - p->began_ns) * p->per_ns);
  const uint64_t count = all > p->done ? all - p->done : 0;
  return count < AT_ONCE ? count : AT_ONCE;
}

static uint64_t next_ns(const struct pacer *p)
{
  if (p->per_ns <= 0)
    return UINT64_MAX;
  return p->began_ns + (uint64_t)((double)(p->done + 1) / p->per_ns) + 1;
}

static uint32_t random_below(struct work *w, uint32_t end)
{
  w->random ^= w->random << 13;
  w->random ^= w->random >> 7;
  w->random ^= w->random << 17;
  return (uint32_t)((w->random >> 16) % end);
}

/* To the client `to`, by its partner. */
static void send_to(struct work *w, uint32_t to)
{
  struct load_signal_engine *g = w->g;
  struct load_signal_client *from = &g->client[to ^ 1];
  const uint64_t sequence = g->client[to].account.sent;
  if (from->state != LOAD_CLIENT_IN)
    return;
  if (!w->t->call)
    load_say_note(g, from, w->t->size, "CANDIDATE");
  else if (sequence % OF_A_CALL == 0)
    load_say_note(g, from, LOAD_CALL_LARGE, to % 2 ? "OFFER" : "ANSWER");
  else
    load_say_note(g, from, LOAD_CALL_SMALL, "CANDIDATE");
}

static void fill_windows(struct work *w)
{
  struct load_signal_engine *g = w->g;
  const uint32_t count = g->hungry_count;
  g->hungry_count = 0;
  for (uint32_t i = 0; i < count; i++) {
    struct load_signal_client *c = &g->client[g->hungry[i]];
    c->is_hungry = false;
    while (c->on_way < w->t->window && g->client[g->hungry[i] ^ 1].state == LOAD_CLIENT_IN)
      send_to(w, g->hungry[i]);
  }
}

static void open_windows(struct work *w)
{
  struct load_signal_engine *g = w->g;
  g->waiting_most = w->t->window / 2 + 1;
  for (uint32_t i = 2 * g->setup.slow; i < g->client_count; i++) {
    g->client[i].is_hungry = true;
    g->hungry[g->hungry_count++] = i;
  }
}

static void send_due(struct work *w)
{
  struct load_signal_engine *g = w->g;
  const uint32_t first = 2 * g->setup.slow;
  g->now_ns = load_now_ns();
  for (uint64_t n = due(&w->message, g->now_ns); n > 0; n--, w->message.done++)
    send_to(w, first + random_below(w, g->client_count - first));
  for (uint64_t n = due(&w->slow, g->now_ns); n > 0; n--, w->slow.done++) {
    const uint32_t pair = (uint32_t)(w->slow.done % g->setup.slow);
    if (g->client[2 * pair].state == LOAD_CLIENT_IN)
      load_say_note(g, &g->client[2 * pair], LOAD_SLOW_SIZE, "OFFER");
  }
}

static void poll_due(struct work *w)
{
  struct load_signal_engine *g = w->g;
  for (uint64_t n = due(&w->poll, g->now_ns); n > 0; n--, w->poll.done++) {
    struct load_signal_client *c = &g->client[w->poll.done % g->client_count];
    if (c->state == LOAD_CLIENT_IN && !c->is_asking)
      load_ask(g, c);
  }
  for (uint64_t n = due(&w->heartbeat, g->now_ns); n > 0; n--, w->heartbeat.done++) {
    struct load_signal_client *c = &g->client[w->heartbeat.done % g->client_count];
    if (c->state == LOAD_CLIENT_IN) {
      load_say_heartbeat(g, c);
      w->r->heartbeats++;
    }
  }
}

static uint64_t least(uint64_t a, uint64_t b)
{
  return a < b ? a : b;
}

static void turn(struct work *w, uint64_t end_ns)
{
  uint64_t until_ns = least(end_ns, w->g->now_ns + TURN_NS);
  until_ns = least(until_ns, least(next_ns(&w->message), next_ns(&w->slow)));
  until_ns = least(until_ns, least(next_ns(&w->poll), next_ns(&w->heartbeat)));
  load_signal_turn(w->g, until_ns > w->g->now_ns ? until_ns - w->g->now_ns : 0);
}

static void go_on(struct work *w, uint64_t end_ns)
{
  while (w->g->now_ns < end_ns) {
    send_due(w);
    fill_windows(w);
    poll_due(w);
    turn(w, end_ns);
  }
}

static uint64_t missing(const struct load_signal_engine *g)
{
  const struct load_signal_counts *n = &g->counts;
  return n->sent > n->received ? n->sent - n->received : 0;
}

/* Polls go on, and what was on its way comes, unless nothing does for a while. */
static void drain(struct work *w)
{
  struct load_signal_engine *g = w->g;
  const uint64_t began_ns = g->now_ns;
  const uint64_t patience_ns = 2ull * SECOND_NS + 2ull * g->setup.poll_ms * 1000000;
  w->message.per_ns = w->slow.per_ns = w->heartbeat.per_ns = 0;
  g->waiting_most = 0;
  g->last_ns = began_ns;
  while (missing(g) > 0 && g->now_ns < g->last_ns + patience_ns) {
    poll_due(w);
    turn(w, g->now_ns + TURN_NS);
  }
  w->r->drain_ns = g->last_ns - began_ns;
}

static void wait_for(struct work *w, uint64_t ns)
{
  for (uint64_t end_ns = w->g->now_ns + ns; w->g->now_ns < end_ns;)
    turn(w, end_ns);
}

static uint64_t grew(uint64_t before, uint64_t now)
{
  return now > before ? now - before : 0;
}

static struct load_wire wire_now(const struct load_signal_engine *g)
{
  struct load_wire w = g->wire;
  load_signal_count_packets(g, &w);
  return w;
}

static struct load_wire wire_since(const struct load_wire *before, const struct load_wire *now)
{
  return (struct load_wire){.bytes_out = now->bytes_out - before->bytes_out,
                            .bytes_in = now->bytes_in - before->bytes_in,
                            .packets_out = now->packets_out - before->packets_out,
                            .packets_in = now->packets_in - before->packets_in,
                            .requests = now->requests - before->requests};
}

static void begin(struct work *w)
{
  struct load_signal_engine *g = w->g;
  const struct load_signal_trial *t = w->t;
  const uint64_t now_ns = g->now_ns = load_now_ns();
  const uint32_t n = g->client_count;
  if (t->work == LOAD_WORK_RELAY && t->rate > 0)
    w->message = pacer_of((double)t->rate, now_ns);
  else if (t->work == LOAD_WORK_RELAY)
    open_windows(w);
  if (g->setup.slow > 0)
    w->slow = pacer_of((double)t->slow_rate, now_ns);
  if (g->setup.transport == LOAD_POLL)
    w->poll = pacer_of(n * 1000.0 / g->setup.poll_ms, now_ns);
  if (t->work == LOAD_WORK_IDLE && t->heartbeat_ms > 0)
    w->heartbeat = pacer_of(n * 1000.0 / t->heartbeat_ms, now_ns);
}

static bool is_limit(const struct work *w, uint64_t own)
{
  const struct load_signal_result *r = w->r;
  const uint64_t rate = w->t->rate;
  if (w->t->work == LOAD_WORK_IDLE)
    return (double)w->heartbeat.done < 0.98 * w->heartbeat.per_ns * (double)r->elapsed_ns;
  if (w->t->work == LOAD_WORK_RELAY && rate > 0)
    return (double)r->counts.sent < 0.98 * (double)rate * (double)r->elapsed_ns / 1e9 - 1;
  /* As much as it goes: then the server has to be the busier one. */
  return (double)own > 0.9 * (double)r->elapsed_ns && r->steady_server_ns < own;
}

static void measure(struct work *w)
{
  struct load_signal_engine *g = w->g;
  struct load_signal_result *r = w->r;
  const int pid = g->setup.pid;
  const uint64_t cpu_ns = load_proc_cpu_ns(pid), resident = load_proc_resident(pid);
  const uint64_t mine_ns = own_ns();
  const struct load_wire before = wire_now(g);
  begin(w);
  const uint64_t began_ns = g->now_ns;
  go_on(w, began_ns + (uint64_t)w->t->ms * 1000000);
  const struct load_wire after = wire_now(g);
  r->elapsed_ns = g->now_ns - began_ns;
  r->steady_server_ns = grew(cpu_ns, load_proc_cpu_ns(pid));
  r->wire = wire_since(&before, &after);
  r->counts = g->counts; /* for the rate of those that left */
  const uint64_t own = own_ns() - mine_ns;
  r->memory = grew(resident, load_proc_resident(pid));
  g->comes_back = false;
  r->generator_was_the_limit = is_limit(w, own);
  if (w->t->work == LOAD_WORK_RELAY) {
    drain(w);
    r->counts = g->counts;
  }
  r->server_ns = grew(cpu_ns, load_proc_cpu_ns(pid));
  r->own_ns = own;
  r->lost = w->t->work == LOAD_WORK_RELAY ? missing(g) : 0;
}

static int come_and_go(struct load_signal_engine *g, struct net_error *e)
{
  g->comes_back = true;
  for (uint32_t i = 0; i < g->client_count; i++)
    if (load_signal_connect(g, i, e) != 0)
      return -1;
  return 0;
}

static int come_in(struct work *w, struct net_error *e)
{
  struct load_signal_engine *g = w->g;
  const int pid = g->setup.pid;
  const uint64_t cpu_ns = load_proc_cpu_ns(pid), resident = load_proc_resident(pid);
  const uint64_t began_ns = g->now_ns;
  if (load_signal_enter(g, e) != 0)
    return -1;
  w->r->birth = (struct load_signal_birth){.elapsed_ns = g->now_ns - began_ns,
                                           .server_ns = grew(cpu_ns, load_proc_cpu_ns(pid))};
  wait_for(w, SETTLE_NS);
  w->r->birth.memory = grew(resident, load_proc_resident(pid));
  return 0;
}

int load_signal_work(const struct load_signal_setup *s, const struct load_signal_trial *t,
                     struct load_signal_result *r, struct net_error *e)
{
  *r = (struct load_signal_result){0};
  struct load_signal_engine *g = load_signal_new(s, e);
  struct work w = {.g = g, .t = t, .r = r, .random = 0x9e3779b97f4a7c15u};
  if (g == NULL)
    return -1;
  (void)prctl(PR_SET_TIMERSLACK, 1); /* waits end when they are to */
  const bool in = (t->work == LOAD_WORK_CHURN ? come_and_go(g, e) : come_in(&w, e)) == 0;
  if (in) {
    measure(&w);
    r->latency = t->work == LOAD_WORK_CHURN ? g->entering : g->latency;
    memcpy(r->trouble, g->trouble, sizeof(r->trouble));
  }
  g->is_closing = true;
  load_signal_free(g);
  return in ? 0 : -1;
}
