/* The thread of a worker: its loop, its mail, its figures. */
#include "turn/worker.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "net/aead.h"
#include "net/mem.h"
#include "turn/limits.h"
#include "turn/query.h"
#include "turn/worker_private.h"

/* ---- the loop ---- */

static void publish(struct turnd_worker *w)
{
  struct turnd_counters now = {
      .turn = *turn_counters(w->turn),
      .udp = *net_udp_batch_counters(w->batch),
      .tcp = *net_tcp_counters(w->tcp),
      .find = w->finder.counters,
      .events_dropped = w->events_dropped,
      .steer = w->steer.counters,
      .carry = w->carry.counters,
      .rounds = w->loop.rounds,
  };
  if (w->dtls != NULL)
    now.dtls = *net_dtls_counters(w->dtls);
  uint64_t row[TURND_COUNTERS];
  memcpy(row, &now, sizeof(row));
  for (size_t i = 0; i < TURND_COUNTERS; i++)
    atomic_store_explicit(&w->published[i], row[i], memory_order_relaxed);
  turnd_traffic_publish(&w->traffic, w->turn);
}

void turnd_worker_add_traffic(const struct turnd_worker *w,
                              struct turn_traffic sum[TURN_TRAFFIC_MAX], size_t *count)
{
  turnd_traffic_add(&w->traffic, sum, count);
}

void turnd_worker_add_counters(const struct turnd_worker *w, struct turnd_counters *sum)
{
  uint64_t row[TURND_COUNTERS];
  memcpy(row, sum, sizeof(row));
  for (size_t i = 0; i < TURND_COUNTERS; i++)
    row[i] += atomic_load_explicit(&w->published[i], memory_order_relaxed);
  memcpy(sum, row, sizeof(row));
}

static uint64_t next_ms(void *arg)
{
  const struct turnd_worker *w = arg;
  uint64_t turn_ms = turn_next_ms(w->turn), wheel_ms = wheel_next_ms(&w->wheel);
  return turn_ms < wheel_ms ? turn_ms : wheel_ms;
}

/* Once, when the last session of a worker that drains has gone. */
static void report_drained(struct turnd_worker *w)
{
  const struct net_mail mail = {.kind = TURND_REPORT_DRAINED, .load = w};
  if (turn_counters(w->turn)->allocations == 0 && net_mailbox_post(w->report, mail) == 0) {
    w->draining = false;
    w->drained = true;
  }
}

static uint32_t rest_us(struct turnd_worker *w, uint64_t now_ms)
{
  const struct turnd_options *o = &w->settings->options;
  const uint64_t always_us = o->relay_coalesce_us, streams_us = o->stream_coalesce_us;
  const bool rests = turnd_pace_rests(&w->pace, now_ms);
  return (uint32_t)(rests && streams_us > always_us ? streams_us : always_us);
}

static void tick(void *arg, uint64_t now_ms)
{
  struct turnd_worker *w = arg;
  turn_tick(w->turn, now_ms);
  wheel_run(&w->wheel, now_ms);
  turnd__flush(w);
  publish(w);
  if (w->draining)
    report_drained(w);
  w->loop.coalesce_us = rest_us(w, now_ms);
}

static void take_settings(struct turnd_worker *w, struct turnd_settings *settings)
{
  struct turnd_settings *before = w->settings;
  w->settings = settings;
  turn_set_config(w->turn, &settings->core);
  turnd__clients_renew(w);
  turnd__carry_bindings(w);
  turnd_settings_leave(before);
}

static void begin_drain(struct turnd_worker *w)
{
  turn_drain(w->turn);
  w->draining = !w->drained;
}

static void mail_ready(struct net_watch *watch, uint32_t events, uint64_t now_ms)
{
  (void)events;
  struct turnd_worker *w = CONTAINER_OF(watch, struct turnd_worker, mail);
  struct net_mail mail;
  while (net_mailbox_take(&w->mailbox, &mail))
    if (mail.kind == TURND_MAIL_SETTINGS)
      take_settings(w, mail.load);
    else if (mail.kind == TURND_MAIL_USER)
      turnd__user_found(w, mail.load);
    else if (mail.kind == TURND_MAIL_DRAIN)
      begin_drain(w);
    else if (mail.kind == TURND_MAIL_QUERY) {
      turnd__carry_collect(w);
      turnd_query_answer(mail.load, w->index, w->turn, w->loop.now_ms);
    }
  turnd__steer_take(w, now_ms);
  turnd__letters_take(w, now_ms);
  if (atomic_load(&w->stopping))
    net_loop_stop(&w->loop);
}

void turnd__wake(struct turnd_worker *w)
{
  /* A mailbox that is full wakes the thread up as well. */
  (void)net_mailbox_post(&w->mailbox, (struct net_mail){.kind = TURND_MAIL_WAKE});
}

uint64_t turnd_worker_rounds(const struct turnd_worker *w)
{
  const size_t at = offsetof(struct turnd_counters, rounds) / sizeof(uint64_t);
  return atomic_load_explicit(&w->published[at], memory_order_relaxed);
}

void turnd_worker_poke(struct turnd_worker *w)
{
  turnd__wake(w);
}

/* The process has to end with it: the main thread hears of it, however much waits there already. */
static void report_death(struct turnd_worker *w, int why)
{
  const struct net_mail mail = {TURND_REPORT_DIED, w};
  const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
  log_event(w->log, LOG_LEVEL_ERROR, "worker-died", LOG_UINT("worker", w->index),
            LOG_TEXT("why", err_text(why)));
  while (net_mailbox_post(w->report, mail) != 0 && !atomic_load(&w->stopping))
    (void)nanosleep(&moment, NULL);
}

static void *run(void *arg)
{
  struct turnd_worker *w = arg;
  const struct net_loop_hooks hooks = {.arg = w, .next_ms = next_ms, .tick = tick};
  const int r = net_loop_run(&w->loop, &hooks);
  if (!atomic_load(&w->stopping))
    report_death(w, r);
  return NULL;
}

/* ---- its life ---- */

static int open_edge(struct turnd_worker *w)
{
  int r = net_random_init(&w->random);
  if (r == 0)
    r = net_loop_open(&w->loop);
  if (r != 0)
    return r;
  wheel_init(&w->wheel, w->loop.now_ms);
  r = net_udp_batch_new(&w->batch);
  if (r == 0)
    r = turnd__clients_init(w);
  if (r == 0)
    r = turnd__peers_init(w);
  if (r == 0)
    r = turnd__inbox_init(&w->inbox);
  if (r == 0)
    r = net_mailbox_open(&w->mailbox);
  if (r == 0)
    r = turnd__steer_init(w);
  if (r != 0)
    return r;
  w->mail = (struct net_watch){.fd = w->mailbox.fd, .events = EPOLLIN, .ready = mail_ready};
  return net_loop_attach(&w->loop, &w->mail);
}

static void event(void *arg, const struct turn_event *e)
{
  struct turnd_worker *w = arg;
  if (userdb_stats_put(w->stats, e) != 0)
    w->events_dropped++;
}

static int open_token(void *arg, const struct turn_sealed *box, uint8_t *out)
{
  (void)arg;
  const struct net_aead a = {
      .key = box->key, .nonce = box->nonce, .associated = box->associated, .sealed = box->sealed};
  return net_aead_open(&a, out);
}

static int open_core(struct turnd_worker *w)
{
  w->effects = (struct turn_effects){
      .arg = w,
      .to_client = turnd__to_client,
      .to_peer = turnd__to_peer,
      .to_client_run = turnd__to_client_run,
      .to_peer_run = turnd__to_peer_run,
      .reply = turnd__reply,
      .relay_open = turnd__relay_open,
      .relay_close = turnd__relay_close,
      .hold = turnd__hold,
      .forward = turnd__forward,
      .inside = turnd__inside,
      .relayed = w->directory != NULL ? turnd__relayed : NULL,
      .relay_listen = turnd__relay_listen,
      .peer_connect = turnd__peer_connect,
      .peer_close = turnd__peer_close,
      .peer_join = turnd__peer_join,
      .elsewhere = turnd__elsewhere,
      .find_user = turnd__find_user,
      .event = w->stats != NULL ? event : NULL,
      .aead_open = open_token,
  };
  const struct turn_setup s = {
      .config = &w->settings->core,
      .effects = &w->effects,
      .mem = &w->mem,
      .random = &w->random.random,
      .log = w->log,
      .ledger = w->ledger,
      .now_ms = w->loop.now_ms,
      .share_index = w->index,
      .share_count = w->count,
  };
  return turn_new(&s, &w->turn);
}

int turnd_worker_new(const struct turnd_worker_setup *s, struct turnd_ports ports,
                     struct turnd_worker **out, struct net_error *e)
{
  struct turnd_worker *w = calloc(1, sizeof(*w));
  if (w == NULL)
    return -ERR_NOMEM;
  w->index = s->index;
  w->count = s->count;
  w->all = s->all;
  w->settings = s->settings;
  turnd_settings_share(w->settings);
  w->log = s->log;
  w->below = turnd_descriptors_for_clients();
  w->report = s->report;
  w->stats = s->stats;
  w->ledger = s->ledger;
  w->directory = s->directory;
  w->mem = net_mem();
  w->loop.epoll_fd = -1;
  w->mailbox.fd = -1;
  int r = open_edge(w);
  if (r == 0)
    turnd__finder_init(w, s->userdb);
  if (r == 0)
    r = open_core(w);
  if (r != 0)
    net_error_set(e, "a worker cannot start: %s", err_text(r));
  else
    r = turnd__listen(w, ports, e);
  if (r != 0) {
    turnd_worker_free(w);
    return r;
  }
  publish(w);
  *out = w;
  return 0;
}

struct turnd_ports turnd_worker_ports(const struct turnd_worker *w)
{
  return w->ports;
}

size_t turnd_worker_listeners(const struct turnd_worker *w, struct addr *out, size_t cap)
{
  size_t count = 0;
  for (size_t i = 0; i < w->udp_count && count < cap; i++)
    out[count++] = w->udp[i].udp.local;
  for (size_t i = 0; i < w->listener_count && count < cap; i++)
    out[count++] = w->listener[i].local;
  return count;
}

int turnd_worker_start(struct turnd_worker *w)
{
  if (pthread_create(&w->thread, NULL, run, w) != 0)
    return -ERR_IO;
  w->running = true;
  return 0;
}

int turnd_worker_reload(struct turnd_worker *w, struct turnd_settings *settings)
{
  turnd_settings_share(settings);
  int r = net_mailbox_post(&w->mailbox, (struct net_mail){TURND_MAIL_SETTINGS, settings});
  if (r != 0)
    turnd_settings_leave(settings);
  return r;
}

int turnd_worker_drain(struct turnd_worker *w)
{
  return net_mailbox_post(&w->mailbox, (struct net_mail){.kind = TURND_MAIL_DRAIN});
}

int turnd_worker_ask(struct turnd_worker *w, struct turnd_query *q)
{
  atomic_fetch_add(&q->references, 1);
  int r = net_mailbox_post(&w->mailbox, (struct net_mail){TURND_MAIL_QUERY, q});
  if (r != 0)
    turnd_query_leave(q);
  return r;
}

void turnd_worker_stop(struct turnd_worker *w)
{
  atomic_store(&w->stopping, true);
  if (!w->running)
    return;
  turnd__wake(w);
  pthread_join(w->thread, NULL);
  w->running = false;
}

void turnd_worker_free(struct turnd_worker *w)
{
  if (w == NULL)
    return;
  turnd_worker_stop(w);
  turnd__clients_fini(w); /* their allocations go with the connections */
  turn_free(w->turn);
  turnd__carry_fini(w);
  turnd__finder_fini(w);
  turnd__steer_fini(w);
  turnd__relays_fini(w);
  turnd__peers_fini(w);
  turnd__inbox_fini(&w->inbox);
  net_udp_batch_free(w->batch);
  struct net_mail mail;
  while (w->mailbox.fd >= 0 && net_mailbox_take(&w->mailbox, &mail))
    if (mail.kind == TURND_MAIL_SETTINGS)
      turnd_settings_leave(mail.load);
    else if (mail.kind == TURND_MAIL_USER)
      userdb_question_free(mail.load);
    else if (mail.kind == TURND_MAIL_QUERY)
      turnd_query_leave(mail.load);
  if (w->mailbox.fd >= 0)
    net_mailbox_close(&w->mailbox);
  net_loop_close(&w->loop);
  net_random_fini(&w->random);
  turnd_settings_leave(w->settings);
  free(w);
}
