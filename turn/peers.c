/* The TCP connections with peers: from a relayed address to a peer, or from a peer to it. Which of
 * them may be is the core's business (turn/core/connect.c). */
#include "turn/peers.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "net/sockaddr.h"
#include "net/tcp.h"
#include "turn/worker_private.h"

enum {
  ACCEPTS = 64,    /* from one listener before the others have their turn */
  RESUME_MS = 250, /* without descriptors, until accepting is tried again */
  UNSENT = 128 * 1024
};

/* ---- the table ---- */

static uint64_t id_hash(uint32_t id)
{
  return id * UINT64_C(0x9E3779B97F4A7C15); /* random already, and ours */
}

struct turnd_peer *turnd__peer_find(struct turnd_worker *w, uint32_t id)
{
  struct hash_node *n = hash_table_first(&w->peers.by_id, id_hash(id));
  for (; n != NULL; n = hash_table_next(n)) {
    struct turnd_peer *p = CONTAINER_OF(n, struct turnd_peer, by_id);
    if (p->id == id)
      return p;
  }
  return NULL;
}

static void peer_ready(struct net_watch *watch, uint32_t events, uint64_t now_ms);

struct turnd_peer *turnd__peer_new(struct turnd_worker *w, int fd, uint32_t id)
{
  const int on = 1, unsent = UNSENT;
  struct turnd_peer *p = w->peers.count < w->peers.limit ? calloc(1, sizeof(*p)) : NULL;
  if (p == NULL || hash_table_insert(&w->peers.by_id, &p->by_id, id_hash(id)) != 0) {
    free(p);
    close(fd);
    return NULL;
  }
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
  p->watch = (struct net_watch){.fd = fd, .ready = peer_ready};
  p->worker = w;
  p->id = id;
  timer_init(&p->pause, turnd__peer_rested);
  timer_init(&p->report, turnd__peer_report);
  list_push_back(&w->peers.all, &p->all);
  w->peers.count++;
  return p;
}

int turnd__peer_watch(struct turnd_peer *p, uint32_t events)
{
  struct net_loop *loop = &p->worker->loop;
  if (p->watched)
    return net_loop_change(loop, &p->watch, events);
  p->watch.events = events;
  int r = net_loop_attach(loop, &p->watch);
  p->watched = r == 0;
  return r;
}

static void unwatch(struct turnd_peer *p)
{
  if (p->watched)
    net_loop_detach(&p->worker->loop, &p->watch);
  p->watched = false;
}

void turnd__peer_free(struct turnd_peer *p)
{
  struct turnd_worker *w = p->worker;
  struct net_conn *client = p->client;
  unwatch(p);
  wheel_cancel(&w->wheel, &p->pause);
  wheel_cancel(&w->wheel, &p->report);
  if (p->watch.fd >= 0)
    close(p->watch.fd);
  if (client != NULL) {
    client->taken_by = NULL;
    net_conn_close(client, w->loop.now_ms);
  }
  turnd__pipe_fini(&p->to_peer);
  turnd__pipe_fini(&p->to_client);
  turnd__letter_free(p->farewell);
  hash_table_remove(&w->peers.by_id, &p->by_id);
  list_remove(&p->all);
  w->peers.count--;
  free(p);
}

void turnd__peer_over(struct turnd_peer *p, uint64_t now_ms)
{
  struct turnd_worker *w = p->worker;
  struct turnd_letter *letter = p->farewell;
  uint32_t id = p->id, other = p->other;
  bool borrowed = p->borrowed;
  p->farewell = NULL;
  if (borrowed) {
    letter->from_client_bytes = p->from_client_bytes;
    letter->from_peer_bytes = p->from_peer_bytes;
  }
  turnd__peer_free(p);
  if (borrowed) {
    letter->kind = TURND_LETTER_GONE;
    letter->id = id;
    turnd__letter_post(w, other, letter);
  } else {
    turnd__letter_free(letter);
    turn_peer_gone(w->turn, id, now_ms);
  }
}

/* ---- what its socket says ---- */

static void connected(struct turnd_peer *p, uint64_t now_ms)
{
  struct turnd_worker *w = p->worker;
  uint32_t id = p->id;
  int error_number = 0;
  socklen_t len = sizeof(error_number);
  bool success = getsockopt(p->watch.fd, SOL_SOCKET, SO_ERROR, &error_number, &len) == 0 &&
                 error_number == 0 && turnd__peer_watch(p, 0) == 0;
  if (success)
    p->state = TURND_PEER_WAITING;
  else
    turnd__peer_free(p);
  turn_peer_connected(w->turn, id, success, now_ms);
  turnd__flush(w);
}

static void peer_ready(struct net_watch *watch, uint32_t events, uint64_t now_ms)
{
  (void)events;
  struct turnd_peer *p = CONTAINER_OF(watch, struct turnd_peer, watch);
  struct turnd_worker *w = p->worker;
  if (p->state == TURND_PEER_CONNECTING)
    connected(p, now_ms);
  else if (p->state == TURND_PEER_JOINED)
    turnd__peer_ready_joined(p, now_ms);
  else /* nothing was asked for: it is broken */
    turnd__peer_over(p, now_ms);
  turnd__flush(w);
}

/* ---- out ---- */

/* SO_REUSEPORT lets it leave from the port that listens; see turnd__relay_listen. */
static int connect_from(const struct addr *local, const struct addr *peer, int below)
{
  struct sockaddr_storage s;
  const struct net_bind bind = {
      .type = SOCK_STREAM, .at = local, .reuse_port = true, .below = below};
  socklen_t len = net_sockaddr_put(&s, peer);
  int fd = net_bind(&bind, NULL);
  if (fd < 0)
    return fd;
  if (connect(fd, (const struct sockaddr *)&s, len) == 0 || errno == EINPROGRESS)
    return fd;
  int error = net_error_from_errno(errno);
  close(fd);
  return error;
}

int turnd__peer_connect(void *arg, turn_relay relay, const struct addr *peer, uint32_t id)
{
  struct turnd_worker *w = arg;
  struct addr local, to;
  if (!turnd__relay_address(w, relay, &local))
    return -ERR_MISSING;
  if (w->peers.count >= w->peers.limit)
    return -ERR_FULL;
  to = turnd__to_local(&w->settings->core, peer);
  int fd = connect_from(&local, &to, w->below);
  if (fd < 0)
    return fd;
  struct turnd_peer *p = turnd__peer_new(w, fd, id);
  if (p == NULL)
    return -ERR_NOMEM;
  p->state = TURND_PEER_CONNECTING;
  int r = turnd__peer_watch(p, EPOLLOUT);
  if (r != 0)
    turnd__peer_free(p);
  return r;
}

/* ---- in ---- */

static void resume_accepting(struct timer *timer, uint64_t now_ms)
{
  (void)now_ms;
  struct turnd_peers *peers = CONTAINER_OF(timer, struct turnd_peers, resume);
  turnd__relays_resume(CONTAINER_OF(peers, struct turnd_worker, peers));
}

static void take_in(struct turnd_relay *r, int fd, const struct addr *from, uint64_t now_ms)
{
  struct turnd_worker *w = r->worker;
  struct addr peer = turnd__to_external(&w->settings->core, from);
  uint32_t id =
      w->peers.count < w->peers.limit ? turn_peer_attempt(w->turn, r->index, &peer, now_ms) : 0;
  if (id == 0) {
    close(fd);
    return;
  }
  struct turnd_peer *p = turnd__peer_new(w, fd, id);
  if (p != NULL) {
    p->state = TURND_PEER_WAITING;
    if (turnd__peer_watch(p, 0) != 0)
      turnd__peer_over(p, now_ms);
  } else {
    turn_peer_gone(w->turn, id, now_ms);
  }
}

static bool is_shortage(int error_number)
{
  return error_number == EMFILE || error_number == ENFILE || error_number == ENOBUFS ||
         error_number == ENOMEM;
}

void turnd__peer_accept(struct turnd_relay *r, uint64_t now_ms)
{
  struct turnd_worker *w = r->worker;
  bool is_short = net_descriptors_are_short(r->listen.fd, w->below);
  for (int i = 0; i < ACCEPTS; i++) {
    struct sockaddr_storage s = {0};
    socklen_t len = sizeof(s);
    int fd = is_short
                 ? -1
                 : accept4(r->listen.fd, (struct sockaddr *)&s, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (is_short || (fd < 0 && is_shortage(errno))) {
      (void)net_loop_change(&w->loop, &r->listen, 0);
      wheel_arm(&w->wheel, &w->peers.resume, now_ms + RESUME_MS);
      break;
    }
    if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      break;
    is_short = fd + 1 >= w->below;
    struct addr from = net_sockaddr_get(&s);
    if (fd >= 0)
      take_in(r, fd, &from, now_ms);
  }
  turnd__flush(w);
}

/* ---- the core's word ---- */

void turnd__peer_close(void *arg, uint32_t id)
{
  struct turnd_worker *w = arg;
  struct turnd_peer *p = turnd__peer_find(w, id);
  if (p == NULL)
    return;
  if (p->state == TURND_PEER_LENT) {
    struct turnd_letter *letter = p->farewell;
    p->farewell = NULL;
    letter->kind = TURND_LETTER_CLOSE;
    letter->id = id;
    turnd__letter_post(w, p->other, letter);
  }
  turnd__peer_free(p);
}

/* To the worker that asked: it has the client's connection. */
static int lend(struct turnd_peer *p)
{
  struct turnd_worker *w = p->worker;
  p->farewell = turnd__letter_new(w, TURND_LETTER_CLOSE, 0);
  if (p->farewell == NULL)
    return -ERR_NOMEM;
  unwatch(p);
  w->asked->fd = p->watch.fd;
  w->asked->id = p->id;
  w->asked->bps = turn_peer_limit(w->turn, p->id);
  p->watch.fd = -1;
  p->other = w->asked->from;
  p->state = TURND_PEER_LENT;
  return 0;
}

int turnd__peer_join(void *arg, uint32_t id, const struct turn_flow *client)
{
  struct turnd_worker *w = arg;
  struct turnd_peer *p = turnd__peer_find(w, id);
  if (p == NULL || p->state != TURND_PEER_WAITING)
    return -ERR_MISSING;
  if (w->asked != NULL)
    return lend(p);
  struct net_conn *c = net_tcp_find(w->tcp, client->link);
  if (c == NULL || c->taken_by != NULL)
    return -ERR_MISSING;
  p->bps = turn_peer_limit(w->turn, id);
  turnd__splice(p, c);
  return 0;
}

/* ---- its life ---- */

int turnd__peers_init(struct turnd_worker *w)
{
  w->peers.limit = TURND_PEERS_MAX / w->count;
  w->peers.scratch = malloc(TURND_SCRATCH);
  hash_table_init(&w->peers.by_id, &w->mem);
  list_init(&w->peers.all);
  timer_init(&w->peers.resume, resume_accepting);
  return w->peers.scratch != NULL ? 0 : -ERR_NOMEM;
}

void turnd__peers_fini(struct turnd_worker *w)
{
  if (w->peers.limit == 0)
    return;
  while (!list_is_empty(&w->peers.all))
    turnd__peer_free(CONTAINER_OF(w->peers.all.next, struct turnd_peer, all));
  wheel_cancel(&w->wheel, &w->peers.resume);
  hash_table_fini(&w->peers.by_id);
  free(w->peers.scratch);
  w->peers = (struct turnd_peers){0};
}
