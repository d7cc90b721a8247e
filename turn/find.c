/* find_user, and what waits for it. A datagram that finds no room to wait is lost, as datagrams
 * are: its client sends it again. A connection has no other way to hear of it than its end. */
#include "turn/find.h"

#include <string.h>

#include "base/err.h"
#include "net/clock.h"
#include "turn/worker_private.h"

static bool is_stream(const struct turn_flow *flow)
{
  return flow->transport == TURN_TCP || flow->transport == TURN_TLS;
}

/* ---- asking ---- */

/* IPv6: by /64, which is what one customer gets at the least. */
static uint64_t asker_of(const struct turnd_finder *f, const struct turn_flow *flow)
{
  return hash_bytes(&f->cache.hash_key, flow->client.ip, flow->client.family == ADDR_V6 ? 8 : 4);
}

static int ask(struct turnd_worker *w, const struct turn_flow *flow, struct bytes realm,
               struct bytes name)
{
  struct turnd_finder *f = &w->finder;
  struct userdb_question *q = userdb_question_new(realm, name);
  const struct userdb_asked asked = {realm, name, asker_of(f, flow)};
  int r =
      q != NULL ? userdb_cache_ask(&f->cache, &asked, w->loop.now_ms, &f->question) : -ERR_NOMEM;
  if (r == 0) {
    q->back = &w->mailbox;
    q->kind = TURND_MAIL_USER;
    r = userdb_ask(f->userdb, q);
    if (r == 0) {
      f->counters.asked++;
      return -ERR_AGAIN;
    }
    (void)userdb_cache_answer(&f->cache, realm, name, -ERR_IO, NULL, w->loop.now_ms);
  }
  userdb_question_free(q);
  if (r == -ERR_RANGE)
    return -ERR_MISSING; /* longer than any name there */
  f->counters.refused++;
  f->question = TURND_NO_ROOM;
  return -ERR_AGAIN;
}

int turnd__find_user(void *arg, const struct turn_flow *flow, struct bytes realm, struct bytes name,
                     struct turn_user *out)
{
  struct turnd_worker *w = arg;
  struct turnd_finder *f = &w->finder;
  if (f->userdb == NULL)
    return -ERR_MISSING;
  struct turn_user user = {.name = name, .has_key = true};
  int r = userdb_cache_find(&f->cache, realm, name, w->loop.now_ms, user.key, &f->question);
  if (r == -ERR_DROP)
    r = ask(w, flow, realm, name);
  if (r == 0)
    *out = user;
  bytes_wipe(&user, sizeof(user));
  return r;
}

/* ---- waiting ---- */

static void give_up(struct turnd_worker *w, const struct turn_flow *flow)
{
  if (!is_stream(flow))
    return;
  if (turnd__is_foreign(flow)) {
    turnd__steer_end(w, flow);
    return;
  }
  struct net_conn *c = net_tcp_find(w->tcp, flow->link);
  if (c != NULL)
    net_conn_end(c);
}

static void park(struct turnd_worker *w, const struct turn_flow *flow, const struct dgram *d,
                 uint64_t question)
{
  struct turnd_finder *f = &w->finder;
  const uint64_t now_ms = w->loop.now_ms;
  if (question == TURND_NO_ROOM) {
    give_up(w, flow);
  } else if (userdb_park_put(&f->park, flow, d, question, now_ms) != 0) {
    f->counters.full++;
    give_up(w, flow);
  } else if (!timer_is_armed(&f->late)) {
    wheel_arm(&w->wheel, &f->late, now_ms + USERDB_PARKED_MS);
  }
}

void turnd__park(struct turnd_worker *w, const struct turn_flow *flow, const struct dgram *d)
{
  const uint64_t question = w->finder.question;
  w->finder.question = 0;
  park(w, flow, d, question);
}

bool turnd__park_behind(struct turnd_worker *w, const struct turn_flow *flow, const struct dgram *d)
{
  if (!userdb_park_has(&w->finder.park, flow))
    return false;
  park(w, flow, d, 0);
  return true;
}

void turnd__park_forget(struct turnd_worker *w, const struct turn_flow *flow)
{
  userdb_park_forget(&w->finder.park, flow);
}

static void late(struct timer *t, uint64_t now_ms)
{
  struct turnd_finder *f = CONTAINER_OF(t, struct turnd_finder, late);
  struct turnd_worker *w = CONTAINER_OF(f, struct turnd_worker, finder);
  struct userdb_parked *m;
  while ((m = userdb_park_late(&f->park, now_ms)) != NULL) {
    const struct turn_flow flow = m->flow;
    f->counters.late++;
    userdb_park_free(&f->park, m);
    give_up(w, &flow);
  }
  if (f->park.count > 0)
    wheel_arm(&w->wheel, &f->late,
              CONTAINER_OF(f->park.all.next, struct userdb_parked, link)->due_ms);
}

/* ---- the answer ---- */

/* Whether that was all; otherwise the message waits for another question. */
static bool feed(struct turnd_worker *w, struct userdb_parked *m)
{
  struct turnd_finder *f = &w->finder;
  if (!turnd__client_is_there(w, &m->flow))
    return true;
  m->question = 0;
  m->fed = true;
  turn_client_input(w->turn, &m->flow, &m->d, w->loop.now_ms, net_clock_wall_ms() / 1000);
  m->fed = false;
  m->question = f->question;
  f->question = 0;
  if (m->question == TURND_NO_ROOM) {
    m->question = 0;
    give_up(w, &m->flow);
  }
  return m->question == 0;
}

void turnd__user_found(struct turnd_worker *w, struct userdb_question *q)
{
  struct turnd_finder *f = &w->finder;
  struct userdb_parked *m;
  const uint64_t question =
      userdb_cache_answer(&f->cache, userdb_question_realm(q), userdb_question_name(q), q->verdict,
                          q->key, w->loop.now_ms);
  userdb_question_free(q);
  if (question == 0)
    return;
  while ((m = userdb_park_next(&f->park, question)) != NULL)
    if (feed(w, m)) {
      m->fed = true; /* what was sent in place points at its bytes until it is gone */
      turnd__flush(w);
      userdb_park_free(&f->park, m);
    }
}

/* ---- its life ---- */

void turnd__finder_init(struct turnd_worker *w, struct userdb *userdb)
{
  struct turnd_finder *f = &w->finder;
  const struct hash_key key = {random_u64(&w->random.random), random_u64(&w->random.random)};
  f->userdb = userdb;
  userdb_cache_init(&f->cache, &w->mem, key);
  userdb_park_init(&f->park, &w->mem);
  timer_init(&f->late, late);
}

void turnd__finder_fini(struct turnd_worker *w)
{
  struct turnd_finder *f = &w->finder;
  if (f->cache.mem == NULL)
    return; /* never begun */
  wheel_cancel(&w->wheel, &f->late);
  userdb_park_fini(&f->park);
  userdb_cache_fini(&f->cache);
}
