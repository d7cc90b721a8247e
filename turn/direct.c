/* A relay socket sends to whomever it may, so for each datagram the kernel looks the route up, and
 * again where the socket of a peer is. Nearly all that one allocation relays goes to one peer, as
 * soon as ICE has made its choice: for that one a second socket is opened at the same port, and
 * connected. The relay socket stays as it is, so that nobody else is kept out, and costs nothing
 * more. */
#include <stdlib.h>

#include "turn/worker_private.h"

enum {
  AFTER = 32,     /* as many in a row pay for opening one */
  OLDER_READS = 8 /* full reads take all that a receive buffer of the usual size holds */
};

static void direct_ready(struct net_watch *watch, uint32_t events, uint64_t now_ms)
{
  struct net_udp *u = CONTAINER_OF(watch, struct net_udp, watch);
  struct turnd_direct *d = CONTAINER_OF(u, struct turnd_direct, udp);
  struct turnd_relay *r = d->relay;
  if (d->older > 0) {
    /* The core may close the relay meanwhile, and this socket with it. What is readable here is
     * still so in the next round. Others go on sending to the relay socket, so its being empty is
     * not waited for. */
    const uint8_t left = d->older - 1;
    d->older = 0;
    r->udp.ask = NET_UDP_BATCH;
    if (turnd__relay_take(r, &r->udp, 0, now_ms) > 0)
      d->older = left;
    return;
  }
  (void)turnd__relay_take(r, u, events, now_ms);
}

static struct turnd_direct *direct_new(struct turnd_relay *r, const struct addr *peer)
{
  struct turnd_worker *w = r->worker;
  struct turnd_direct *d = calloc(1, sizeof(*d));
  /* Descriptors are for clients and relays first. */
  if (d == NULL || net_udp_open_beside(&d->udp, &r->udp, peer, w->below / 2) != 0) {
    free(d);
    return NULL;
  }
  d->relay = r;
  d->udp.watch.ready = direct_ready;
  if (net_loop_attach(&w->loop, &d->udp.watch) != 0) {
    net_udp_close(&d->udp, w->batch);
    free(d);
    return NULL;
  }
  return d;
}

static void aim(struct turnd_relay *r, const struct addr *peer)
{
  r->streak = 0;
  if (r->direct == NULL)
    r->direct = direct_new(r, peer);
  else if (net_udp_aim(&r->direct->udp, r->worker->batch, peer) != 0)
    return;
  r->no_direct = r->direct == NULL;
  if (r->no_direct)
    return;
  r->direct->peer = *peer;
  r->direct->older = OLDER_READS;
}

/* Two peers with one mark share a streak, which harms nothing. */
static uint32_t mark_of(const struct addr *peer)
{
  uint32_t sum = peer->port;
  for (size_t i = 0; i < sizeof(peer->ip); i++)
    sum = sum * 31 + peer->ip[i];
  return sum;
}

struct net_udp *turnd__direct_to(struct turnd_relay *r, const struct addr *peer)
{
  if (r->direct != NULL && addr_equal(&r->direct->peer, peer)) {
    r->streak = 0;
    return &r->direct->udp;
  }
  if (r->no_direct)
    return &r->udp;
  const uint32_t mark = mark_of(peer);
  r->streak = r->mark == mark ? (uint8_t)(r->streak + 1) : 0;
  r->mark = mark;
  if (r->streak >= AFTER)
    aim(r, peer);
  return r->direct != NULL && addr_equal(&r->direct->peer, peer) ? &r->direct->udp : &r->udp;
}

void turnd__direct_close(struct turnd_relay *r)
{
  if (r->direct == NULL)
    return;
  net_loop_detach(&r->worker->loop, &r->direct->udp.watch);
  net_udp_close(&r->direct->udp, r->worker->batch);
  free(r->direct);
  r->direct = NULL;
}
