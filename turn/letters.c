/* Where several workers share the listeners, a ConnectionBind may reach another one than that of
 * its allocation. The message goes there, is answered there, and comes back with the peer's socket:
 * the client's connection, TLS and all, stays where it is.
 *
 *   asks ──ASK(message)──▶ has the allocation          asks ◀──CLOSE── (the allocation ends)
 *   asks ◀──ANSWER(response, socket)── has it          asks ──GONE──▶  (the connection ends)
 *                                                      asks ──CARRIED──▶ (bytes, now and then)
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/clock.h"
#include "net/tcp.h"
#include "turn/peers.h"
#include "turn/worker_private.h"

int turnd__inbox_init(struct turnd_inbox *box)
{
  list_init(&box->letters);
  return pthread_mutex_init(&box->lock, NULL) == 0 ? 0 : -ERR_IO;
}

static struct turnd_letter *take(struct turnd_inbox *box)
{
  struct turnd_letter *l = NULL;
  pthread_mutex_lock(&box->lock);
  if (!list_is_empty(&box->letters)) {
    l = CONTAINER_OF(box->letters.next, struct turnd_letter, link);
    list_remove(&l->link);
  }
  pthread_mutex_unlock(&box->lock);
  return l;
}

void turnd__inbox_fini(struct turnd_inbox *box)
{
  if (box->letters.next == NULL)
    return;
  struct turnd_letter *l;
  while ((l = take(box)) != NULL)
    turnd__letter_free(l);
  pthread_mutex_destroy(&box->lock);
}

struct turnd_letter *turnd__letter_new(struct turnd_worker *w, enum turnd_letter_kind kind,
                                       size_t len)
{
  struct turnd_letter *l = calloc(1, sizeof(*l) + len);
  if (l == NULL)
    return NULL;
  list_init(&l->link);
  l->kind = kind;
  l->from = w->index;
  l->fd = -1;
  l->len = len;
  return l;
}

void turnd__letter_free(struct turnd_letter *l)
{
  if (l != NULL && l->fd >= 0)
    close(l->fd);
  free(l);
}

void turnd__letter_post(struct turnd_worker *w, uint32_t to, struct turnd_letter *l)
{
  /* At the end nobody reads any more, and the other worker may be gone. */
  if (atomic_load(&w->stopping)) {
    turnd__letter_free(l);
    return;
  }
  struct turnd_worker *other = w->all[to];
  pthread_mutex_lock(&other->inbox.lock);
  bool first = list_is_empty(&other->inbox.letters);
  list_push_back(&other->inbox.letters, &l->link);
  pthread_mutex_unlock(&other->inbox.lock);
  if (first) /* it reads until there is none; a wake for each would crowd out its other mail */
    turnd__wake(other);
}

/* ---- the worker that asks ---- */

int turnd__elsewhere(void *arg, uint32_t share, const struct turn_flow *client,
                     struct bytes message)
{
  struct turnd_worker *w = arg;
  struct net_conn *c = net_tcp_find(w->tcp, client->link);
  struct turnd_letter *l = c != NULL ? turnd__letter_new(w, TURND_LETTER_ASK, message.len) : NULL;
  if (l == NULL)
    return -ERR_NOMEM;
  l->flow = *client;
  memcpy(l->message, message.at, message.len);
  net_conn_hold(c); /* what comes behind it is for whom the answer says */
  turnd__letter_post(w, share, l);
  return 0;
}

/* Nobody waits for it here any more. */
static void send_back(struct turnd_worker *w, struct turnd_letter *l, uint32_t to)
{
  close(l->fd);
  l->fd = -1;
  l->kind = TURND_LETTER_GONE;
  l->from = w->index;
  turnd__letter_post(w, to, l);
}

/* Keeps `l` for its end. */
static void borrow(struct turnd_worker *w, struct turnd_letter *l, struct net_conn *c,
                   uint64_t now_ms)
{
  uint32_t home = l->from;
  int fd = dup(l->fd); /* turnd__peer_new takes it, whatever happens */
  struct turnd_peer *p = fd >= 0 ? turnd__peer_new(w, fd, l->id) : NULL;
  if (p == NULL) {
    send_back(w, l, home);
    net_conn_close(c, now_ms);
    return;
  }
  close(l->fd);
  l->fd = -1;
  l->from = w->index;
  p->farewell = l;
  p->borrowed = true;
  p->bps = l->bps;
  p->other = home;
  turnd__splice(p, c);
  turnd__peer_ready_joined(p, now_ms);
}

static void take_answer(struct turnd_worker *w, struct turnd_letter *l, uint64_t now_ms)
{
  struct net_conn *c = net_tcp_find(w->tcp, l->flow.link);
  bool sent = c != NULL && l->answer_len > 0 &&
              net_conn_send(c, (struct bytes){l->answer, l->answer_len}, false) == 0;
  if (sent && l->fd >= 0) {
    borrow(w, l, c, now_ms);
    return;
  }
  if (sent)
    net_conn_resume(c, now_ms);
  else if (c != NULL)
    net_conn_close(c, now_ms);
  if (l->fd >= 0)
    send_back(w, l, l->from);
  else
    turnd__letter_free(l);
}

void turnd__peer_report(struct timer *t, uint64_t now_ms)
{
  struct turnd_peer *p = CONTAINER_OF(t, struct turnd_peer, report);
  struct turnd_worker *w = p->worker;
  struct turnd_letter *l = turnd__letter_new(w, TURND_LETTER_CARRIED, 0);
  if (l == NULL) {
    wheel_arm(&w->wheel, t, now_ms + TURND_REPORT_MS);
    return;
  }
  l->id = p->id;
  l->from_client_bytes = p->from_client_bytes;
  l->from_peer_bytes = p->from_peer_bytes;
  p->from_client_bytes = 0;
  p->from_peer_bytes = 0;
  turnd__letter_post(w, p->other, l);
}

/* ---- the worker that has the allocation ---- */

static void take_ask(struct turnd_worker *w, struct turnd_letter *l, uint64_t now_ms)
{
  uint32_t asker = l->from;
  struct dgram d = {.storage = l->message, .cap = l->len, .at = l->message, .len = l->len};
  w->asked = l;
  turn_client_input(w->turn, &l->flow, &d, now_ms, net_clock_wall_ms() / 1000);
  w->asked = NULL;
  /* Credentials that are not those of the allocation, and that a database would have to be asked
   * for, are not worth the wait: there is no answer, and the connection ends. */
  w->finder.question = 0;
  l->kind = TURND_LETTER_ANSWER;
  l->from = w->index;
  turnd__letter_post(w, asker, l);
}

void turnd__letter_answer(struct turnd_letter *l, struct bytes response)
{
  if (response.len > sizeof(l->answer))
    return;
  memcpy(l->answer, response.at, response.len);
  l->answer_len = response.len;
}

static void read_letter(struct turnd_worker *w, struct turnd_letter *l, uint64_t now_ms)
{
  struct turnd_peer *p = NULL;
  switch (l->kind) {
  case TURND_LETTER_ASK:
    take_ask(w, l, now_ms);
    return;
  case TURND_LETTER_ANSWER:
    take_answer(w, l, now_ms);
    return;
  case TURND_LETTER_CLOSE:
    p = turnd__peer_find(w, l->id);
    if (p != NULL && p->borrowed) {
      turn_peer_carried(w->turn, p->id, p->from_client_bytes, p->from_peer_bytes);
      turnd__peer_free(p);
    }
    break;
  case TURND_LETTER_CARRIED:
    turn_peer_carried(w->turn, l->id, l->from_client_bytes, l->from_peer_bytes);
    break;
  case TURND_LETTER_GONE:
  default:
    turn_peer_carried(w->turn, l->id, l->from_client_bytes, l->from_peer_bytes);
    p = turnd__peer_find(w, l->id);
    if (p != NULL && p->state == TURND_PEER_LENT)
      turnd__peer_over(p, now_ms);
    break;
  }
  turnd__letter_free(l);
}

void turnd__letters_take(struct turnd_worker *w, uint64_t now_ms)
{
  struct turnd_letter *l;
  while ((l = take(&w->inbox)) != NULL)
    read_letter(w, l, now_ms);
  turnd__flush(w);
}
