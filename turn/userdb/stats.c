/* A queue, a thread, and a pipeline of commands for each batch of events. */
#include "turn/userdb/stats.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "net/clock.h"
#include "turn/userdb/redis_link.h"

enum {
  BATCH = 64, /* events whose commands are sent before their answers are read */
  KEY_MAX = 1024,
  TEXT_MAX = 160,
  GRACE_S = 60, /* a status outlives its allocation by this much where nobody deletes it */
  RETRY_LEAST_MS = 500,
  RETRY_MOST_MS = 8000
};

/* An event with its own bytes. */
struct event {
  struct event *next;
  struct turn_event e; /* its views point into `text` */
  uint8_t text[];
};

struct userdb_stats {
  struct userdb_redis_link link;
  struct log *log;
  uint64_t retry_ms, wait_ms;
  bool away;
  struct event *batch; /* taken from the queue, not yet sent */

  pthread_t thread;
  bool running;
  pthread_mutex_t lock; /* of the four below */
  pthread_cond_t wake;
  struct event *first, **last;
  size_t count;
  bool stopping;
};

/* ---- events ---- */

static void event_free(struct event *e)
{
  free(e);
}

int userdb_stats_put(struct userdb_stats *s, const struct turn_event *e)
{
  struct event *copy = malloc(sizeof(*copy) + e->realm.len + e->username.len);
  if (copy == NULL)
    return -ERR_NOMEM;
  copy->next = NULL;
  copy->e = *e;
  copy->e.realm.at = copy->text;
  copy->e.username.at = copy->text + e->realm.len;
  if (e->realm.len > 0)
    memcpy(copy->text, e->realm.at, e->realm.len);
  if (e->username.len > 0)
    memcpy(copy->text + e->realm.len, e->username.at, e->username.len);
  int r = -ERR_FULL;
  pthread_mutex_lock(&s->lock);
  if (s->count < USERDB_EVENTS_MAX) {
    *s->last = copy;
    s->last = &copy->next;
    s->count++;
    r = 0;
    pthread_cond_signal(&s->wake);
  }
  pthread_mutex_unlock(&s->lock);
  if (r != 0)
    event_free(copy);
  return r;
}

/* ---- commands ---- */

struct commands {
  struct userdb_stats *s;
  size_t count; /* queued so far */
  struct net_error *e;
};

static int queue(struct commands *c, const struct bytes *argument, size_t count)
{
  const int r = userdb_redis_queue(&c->s->link, argument, count, c->e);
  c->count += r == 0;
  return r;
}

/* The key "turn/realm/<realm>/user/<name>/allocation/<id>/<what>", as coturn writes it. */
static struct bytes key_of(const struct turn_event *e, const char *what, uint8_t out[KEY_MAX])
{
  char id[32];
  struct buf b;
  buf_init(&b, out, KEY_MAX);
  buf_put_text(&b, "turn/realm/");
  buf_put(&b, e->realm.at, e->realm.len);
  buf_put_text(&b, "/user/");
  buf_put(&b, e->username.at, e->username.len);
  snprintf(id, sizeof(id), "/allocation/%018" PRIu64 "/", e->session);
  buf_put_text(&b, id);
  buf_put_text(&b, what);
  return (struct bytes){out, b.len}; /* the longest names fit */
}

static int publish(struct commands *c, const struct turn_event *e, const char *what,
                   const char *text)
{
  uint8_t key[KEY_MAX];
  const struct bytes command[] = {bytes_of("PUBLISH"), key_of(e, what, key), bytes_of(text)};
  return queue(c, command, 3);
}

/* Received from one side, sent to it. */
static int publish_traffic(struct commands *c, const struct turn_event *e, const char *what,
                           const struct turn_payload *t)
{
  char text[TEXT_MAX], peer[32];
  snprintf(text, sizeof(text),
           "rcvp=%" PRIu64 ", rcvb=%" PRIu64 ", sentp=%" PRIu64 ", sentb=%" PRIu64,
           t->from_client_packets, t->from_client_bytes, t->from_peer_packets, t->from_peer_bytes);
  const int r = publish(c, e, what, text);
  if (r != 0)
    return r;
  snprintf(text, sizeof(text),
           "rcvp=%" PRIu64 ", rcvb=%" PRIu64 ", sentp=%" PRIu64 ", sentb=%" PRIu64,
           t->from_peer_packets, t->from_peer_bytes, t->from_client_packets, t->from_client_bytes);
  snprintf(peer, sizeof(peer), "%s/peer", what);
  return publish(c, e, peer, text);
}

static int set_status(struct commands *c, const struct turn_event *e)
{
  uint8_t key[KEY_MAX];
  char text[TEXT_MAX], seconds[16];
  snprintf(text, sizeof(text), "%s lifetime=%" PRIu32,
           e->kind == TURN_EVENT_NEW ? "new" : "refreshed", e->lifetime_s);
  snprintf(seconds, sizeof(seconds), "%" PRIu64, (uint64_t)e->lifetime_s + GRACE_S);
  const struct bytes set[] = {bytes_of("SET"), key_of(e, "status", key), bytes_of(text),
                              bytes_of("EX"), bytes_of(seconds)};
  const int r = queue(c, set, 5);
  return r != 0 ? r : publish(c, e, "status", text);
}

static int end_status(struct commands *c, const struct turn_event *e)
{
  uint8_t key[KEY_MAX];
  const struct bytes del[] = {bytes_of("DEL"), key_of(e, "status", key)};
  int r = queue(c, del, 2);
  if (r == 0)
    r = publish_traffic(c, e, "traffic", &e->traffic);
  if (r == 0)
    r = publish(c, e, "status", "deleted");
  return r != 0 ? r : publish_traffic(c, e, "total_traffic", &e->total);
}

static int send_event(struct commands *c, const struct turn_event *e)
{
  switch (e->kind) {
  case TURN_EVENT_NEW:
  case TURN_EVENT_REFRESHED:
    return set_status(c, e);
  case TURN_EVENT_TRAFFIC:
    return publish_traffic(c, e, "traffic", &e->traffic);
  case TURN_EVENT_DELETED:
  default:
    return end_status(c, e);
  }
}

/* ---- the thread ---- */

static void note_away(struct userdb_stats *s, const char *why)
{
  if (!s->away)
    log_event(s->log, LOG_LEVEL_ERROR, "statsdb-away", LOG_TEXT("why", why),
              LOG_TEXT("now", "events wait, and are dropped when there are too many"));
  s->wait_ms = !s->away                         ? RETRY_LEAST_MS
               : s->wait_ms * 2 < RETRY_MOST_MS ? s->wait_ms * 2
                                                : RETRY_MOST_MS;
  s->away = true;
  s->retry_ms = net_clock_ms() + s->wait_ms;
}

static void note_back(struct userdb_stats *s)
{
  if (s->away)
    log_event(s->log, LOG_LEVEL_INFO, "statsdb-back", LOG_TEXT("database", "redis"));
  s->away = false;
}

/* One batch; what could not be sent is tried again, from its beginning. */
static void send_batch(struct userdb_stats *s)
{
  struct net_error e = {{0}};
  struct commands c = {.s = s, .e = &e};
  struct event *end = s->batch;
  int r = 0;
  for (size_t i = 0; i < BATCH && end != NULL && r == 0; i++, end = end->next)
    r = send_event(&c, &end->e);
  if (r == 0)
    r = userdb_redis_finish(&s->link, c.count, &e);
  if (r != 0) {
    note_away(s, e.text);
    return;
  }
  note_back(s);
  while (s->batch != end) {
    struct event *next = s->batch->next;
    event_free(s->batch);
    s->batch = next;
  }
}

static struct timespec until(uint64_t ms)
{
  return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
}

/* Waits for events, or while Redis is away for the next try. False: stop. */
static bool wait_for_work(struct userdb_stats *s)
{
  pthread_mutex_lock(&s->lock);
  if (s->away) {
    const struct timespec due = until(s->retry_ms);
    while (!s->stopping && net_clock_ms() < s->retry_ms)
      (void)pthread_cond_timedwait(&s->wake, &s->lock, &due);
  }
  while (!s->stopping && s->batch == NULL && s->first == NULL)
    (void)pthread_cond_wait(&s->wake, &s->lock);
  if (s->batch == NULL) {
    s->batch = s->first;
    s->first = NULL;
    s->last = &s->first;
    s->count = 0;
  }
  const bool go_on = !s->stopping;
  pthread_mutex_unlock(&s->lock);
  return go_on;
}

static void forget(struct event *e)
{
  for (struct event *next; e != NULL; e = next) {
    next = e->next;
    event_free(e);
  }
}

static void *run(void *arg)
{
  struct userdb_stats *s = arg;
  while (wait_for_work(s))
    send_batch(s);
  /* The last ones, of the sessions that ended with the server. */
  const uint64_t end_ms = net_clock_ms() + 1000 * USERDB_REDIS_ANSWER_S;
  do {
    while (s->batch != NULL && !s->away && net_clock_ms() < end_ms)
      send_batch(s);
    if (s->batch != NULL)
      break;
    (void)wait_for_work(s);
  } while (s->batch != NULL);
  return NULL;
}

/* ---- its life ---- */

static int init_lock(struct userdb_stats *s)
{
  pthread_condattr_t attr;
  if (pthread_condattr_init(&attr) != 0)
    return -ERR_NOMEM;
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* as net_clock_ms */
  int r = pthread_cond_init(&s->wake, &attr) == 0 ? 0 : -ERR_NOMEM;
  pthread_condattr_destroy(&attr);
  if (r == 0 && pthread_mutex_init(&s->lock, NULL) != 0) {
    pthread_cond_destroy(&s->wake);
    r = -ERR_NOMEM;
  }
  return r;
}

static void stats_free(struct userdb_stats *s)
{
  userdb_redis_disconnect(&s->link);
  forget(s->batch);
  forget(s->first);
  pthread_cond_destroy(&s->wake);
  pthread_mutex_destroy(&s->lock);
  bytes_wipe(s, sizeof(*s));
  free(s);
}

int userdb_stats_new(const struct userdb_address *address, struct log *log,
                     struct userdb_stats **out)
{
  struct userdb_stats *s = calloc(1, sizeof(*s));
  if (s == NULL)
    return -ERR_NOMEM;
  s->link = (struct userdb_redis_link){.what = "redis-statsdb", .address = *address};
  s->log = log;
  s->last = &s->first;
  if (init_lock(s) != 0) {
    free(s);
    return -ERR_NOMEM;
  }
  *out = s;
  return 0;
}

int userdb_stats_start(struct userdb_stats *s)
{
  if (pthread_create(&s->thread, NULL, run, s) != 0)
    return -ERR_IO;
  s->running = true;
  return 0;
}

void userdb_stats_free(struct userdb_stats *s)
{
  if (s == NULL)
    return;
  pthread_mutex_lock(&s->lock);
  s->stopping = true;
  pthread_cond_signal(&s->wake);
  pthread_mutex_unlock(&s->lock);
  if (s->running)
    pthread_join(s->thread, NULL);
  stats_free(s);
}
