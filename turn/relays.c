/* The side of the peers: one socket for each relayed address, in a table whose index is the core's
 * handle. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "net/sockaddr.h"
#include "turn/worker_private.h"

/* ---- the table ---- */

static int grow(struct turnd_relays *t)
{
  size_t cap = t->cap == 0 ? 64 : t->cap * 2;
  int *larger_free = realloc(t->free, cap * sizeof(*t->free));
  if (larger_free == NULL)
    return -ERR_NOMEM;
  t->free = larger_free;
  struct turnd_relay **larger = realloc(t->slot, cap * sizeof(*t->slot));
  if (larger == NULL)
    return -ERR_NOMEM;
  t->slot = larger;
  for (size_t i = cap; i > t->cap; i--) {
    t->slot[i - 1] = NULL;
    t->free[t->free_count++] = (int)(i - 1);
  }
  t->cap = cap;
  return 0;
}

static struct turnd_relay *find(const struct turnd_worker *w, turn_relay relay)
{
  return relay >= 0 && (size_t)relay < w->relays.cap ? w->relays.slot[relay] : NULL;
}

static void release(struct turnd_worker *w, struct turnd_relay *r)
{
  w->relays.slot[r->index] = NULL;
  w->relays.free[w->relays.free_count++] = r->index;
  free(r);
}

/* ---- addresses ---- */

/* Clients know our relay by its external address. What one of them sends to another through it must
 * not depend on the NAT in front of us sending it back: it is taken for the local address on the
 * way out, and for the external one on the way in. */
struct addr turnd__to_local(const struct turn_config *c, const struct addr *peer)
{
  struct addr a = *peer;
  for (size_t i = 0; i < c->relay_count; i++)
    if (addr_equal_ip(&c->relay[i].external, peer)) {
      a = c->relay[i].local;
      a.port = peer->port;
    }
  return a;
}

struct addr turnd__to_external(const struct turn_config *c, const struct addr *peer)
{
  struct addr a = *peer;
  bool relayed = peer->port >= c->min_port && peer->port <= c->max_port;
  for (size_t i = 0; relayed && i < c->relay_count; i++)
    if (c->relay[i].external.family != ADDR_NONE && addr_equal_ip(&c->relay[i].local, peer)) {
      a = c->relay[i].external;
      a.port = peer->port;
    }
  return a;
}

/* ---- in and out ---- */

/* What the network says of datagrams that this relay sent (RFC 8656 section 11.5). */
static void relay_errors(struct turnd_relay *r, struct net_udp *u, uint64_t now_ms)
{
  struct turnd_worker *w = r->worker;
  int index = r->index;
  size_t count = net_udp_receive_errors(w->batch, u);
  struct net_udp_error *error = net_udp_batch_errors(w->batch);
  for (size_t i = 0; i < count; i++) {
    const struct turn_icmp e = {
        .peer = turnd__to_external(&w->settings->core, &error[i].to),
        .type = error[i].type,
        .code = error[i].code,
        .mtu = error[i].mtu,
    };
    turn_peer_error(w->turn, index, &e, &error[i].d, now_ms);
  }
}

size_t turnd__relay_take(struct turnd_relay *r, struct net_udp *u, uint32_t events, uint64_t now_ms)
{
  struct turnd_worker *w = r->worker;
  int index = r->index;
  if ((events & EPOLLERR) != 0)
    relay_errors(r, u, now_ms);
  const size_t count = net_udp_receive_runs(w->batch, u);
  struct net_udp_msg *msg = net_udp_batch_messages(w->batch);
  w->loop.busy |= net_udp_batch_came(w->batch) >= TURND_PLENTY;
  /* The core may close this very relay inside the batch. */
  for (size_t i = 0; i < count && find(w, index) == r; i++) {
    struct addr peer = turnd__to_external(&w->settings->core, &msg[i].from);
    struct net_udp_msg *part = &msg[i];
    const struct dgram_run run = {part->d.at, part->d.len, part->each, 0};
    if (run.each != 0 && turn_peer_run(w->turn, index, &peer, &run, now_ms))
      continue;
    const size_t parts = run.each != 0 ? net_udp_cut(w->batch, part, &part) : 1;
    for (size_t k = 0; k < parts && find(w, index) == r; k++)
      turn_peer_input(w->turn, index, &peer, &part[k].d, now_ms);
  }
  return find(w, index) == r ? count : 0;
}

static void relay_ready(struct net_watch *watch, uint32_t events, uint64_t now_ms)
{
  struct net_udp *u = CONTAINER_OF(watch, struct net_udp, watch);
  (void)turnd__relay_take(CONTAINER_OF(u, struct turnd_relay, udp), u, events, now_ms);
}

void turnd__to_peer(void *arg, turn_relay relay, const struct addr *peer, struct dgram *d,
                    bool dont_fragment)
{
  struct turnd_worker *w = arg;
  struct turnd_relay *r = find(w, relay);
  if (r == NULL || r->tcp)
    return;
  struct addr to = turnd__to_local(&w->settings->core, peer);
  net_udp_send(w->batch, turnd__direct_to(r, &to), NULL, &to, (struct bytes){d->at, d->len},
               NET_UDP_IN_PLACE | (dont_fragment ? NET_UDP_DONT_FRAGMENT : 0));
}

bool turnd__to_peer_run(void *arg, turn_relay relay, const struct addr *peer, struct dgram_run run)
{
  struct turnd_worker *w = arg;
  struct turnd_relay *r = find(w, relay);
  if (r == NULL || r->tcp)
    return false;
  const struct addr to = turnd__to_local(&w->settings->core, peer);
  const struct net_udp_run out = {.at = run.at, .len = run.len, .each = run.each, .skip = run.skip};
  return net_udp_send_run(w->batch, turnd__direct_to(r, &to), NULL, &to, &out);
}

/* ---- open and close ---- */

/* Room in the table, and a relay that is not in it yet. */
static int relay_new(struct turnd_worker *w, struct turnd_relay **out)
{
  int r = w->relays.free_count == 0 ? grow(&w->relays) : 0;
  *out = r == 0 ? calloc(1, sizeof(**out)) : NULL;
  if (*out == NULL)
    return -ERR_NOMEM;
  (*out)->worker = w;
  return 0;
}

static void put(struct turnd_relay *r, turn_relay *out)
{
  struct turnd_relays *t = &r->worker->relays;
  r->index = t->free[--t->free_count];
  t->slot[r->index] = r;
  *out = r->index;
}

int turnd__relay_open(void *arg, const struct addr *at, turn_relay *out)
{
  struct turnd_worker *w = arg;
  struct turnd_relay *r;
  int error = relay_new(w, &r);
  if (error != 0)
    return error;
  const struct net_udp_setup s = {
      .at = *at, .want_errors = true, .aggregate = true, .below = w->below};
  error = net_udp_open(&r->udp, &s, NULL);
  if (error != 0) {
    free(r);
    return error;
  }
  r->udp.watch.ready = relay_ready;
  error = net_loop_attach(&w->loop, &r->udp.watch);
  if (error != 0) {
    net_udp_close(&r->udp, w->batch);
    free(r);
    return error;
  }
  put(r, out);
  return 0;
}

static void accept_ready(struct net_watch *watch, uint32_t events, uint64_t now_ms)
{
  (void)events;
  turnd__peer_accept(CONTAINER_OF(watch, struct turnd_relay, listen), now_ms);
}

/* Bound without SO_REUSEPORT, so that a port of another program's is noticed; the option comes
 * behind, and lets connections of our own leave from here. */
static int open_listener(const struct turnd_worker *w, const struct addr *at)
{
  const int on = 1;
  const struct net_bind bind = {.type = SOCK_STREAM, .at = at, .below = w->below};
  int fd = net_bind(&bind, NULL);
  if (fd < 0)
    return fd;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0 && listen(fd, SOMAXCONN) == 0)
    return fd;
  int error = net_error_from_errno(errno);
  close(fd);
  return error;
}

int turnd__relay_listen(void *arg, const struct addr *at, turn_relay *out)
{
  struct turnd_worker *w = arg;
  struct turnd_relay *r;
  int error = relay_new(w, &r);
  if (error != 0)
    return error;
  int fd = open_listener(w, at);
  r->tcp = true;
  r->at = *at;
  r->listen = (struct net_watch){.fd = fd, .events = EPOLLIN, .ready = accept_ready};
  error = fd < 0 ? fd : net_loop_attach(&w->loop, &r->listen);
  if (error != 0) {
    if (fd >= 0)
      close(fd);
    free(r);
    return error;
  }
  put(r, out);
  return 0;
}

bool turnd__relay_address(const struct turnd_worker *w, turn_relay relay, struct addr *out)
{
  const struct turnd_relay *r = find(w, relay);
  if (r == NULL || !r->tcp)
    return false;
  *out = r->at;
  return true;
}

bool turnd__relay_socket(const struct turnd_worker *w, turn_relay relay, struct addr *out)
{
  const struct turnd_relay *r = find(w, relay);
  if (r == NULL || r->tcp || r->udp.watch.fd < 0)
    return false;
  *out = r->udp.local;
  return true;
}

void turnd__relays_resume(struct turnd_worker *w)
{
  for (size_t i = 0; i < w->relays.cap; i++)
    if (w->relays.slot[i] != NULL && w->relays.slot[i]->tcp)
      (void)net_loop_change(&w->loop, &w->relays.slot[i]->listen, EPOLLIN);
}

void turnd__relay_close(void *arg, turn_relay relay)
{
  struct turnd_worker *w = arg;
  struct turnd_relay *r = find(w, relay);
  if (r == NULL)
    return;
  turnd__direct_close(r);
  net_loop_detach(&w->loop, r->tcp ? &r->listen : &r->udp.watch);
  if (r->tcp)
    close(r->listen.fd);
  else
    net_udp_close(&r->udp, w->batch);
  release(w, r);
}

void turnd__relays_fini(struct turnd_worker *w)
{
  for (size_t i = 0; i < w->relays.cap; i++)
    if (w->relays.slot[i] != NULL)
      turnd__relay_close(w, (turn_relay)i);
  free(w->relays.slot);
  free(w->relays.free);
  w->relays = (struct turnd_relays){0};
}
