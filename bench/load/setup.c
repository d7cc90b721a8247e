/* Allocations, so many at a time, each request sent again until it is answered (RFC 8489 6.2.1). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/err.h"
#include "bench/load/engine_priv.h"
#include "bench/load/flood.h"
#include "bench/load/proc.h"
#include "net/clock.h"
#include "net/sockaddr.h"

enum {
  UNDER_WAY = 64,
  RESEND_MS = 500,
  TRIES_MAX = 7,
  PATIENCE_MS = 10 * 1000, /* for a connection, and for an answer where nothing is sent again */
  FAREWELL_MS = 200,
  WAIT_MS = 20
};

/* What turnd and coturn do with many requests without credentials from one address. */
#define LIMITED                                                                                    \
  " It may challenge only so many a second from one address: raise its unauthorized-ratelimit-rps"

struct birth {
  struct load_engine *g;
  uint32_t begun, ready;
  uint64_t resent;
  struct net_error *e;
  struct load_flow *reading;
};

/* RFC 8489 6.2.2: over TCP and TLS the client sends a request once. */
static void ask(struct birth *b, struct load_flow *f)
{
  uint8_t request[LOAD_REQUEST_MAX];
  const size_t len = load_client_request(&f->client, request);
  const struct load_burst burst = {.at = request, .len = len, .count = 1};
  const bool once = load_transport_is_stream(b->g->setup.way.transport);
  b->resent += f->client.tries++ > 0;
  if (once)
    f->client.tries = TRIES_MAX;
  f->due_ms = net_clock_ms() + (once ? PATIENCE_MS : RESEND_MS);
  (void)load_link_send(&f->link, &burst); /* what is not sent is sent again */
  load_link_flush(&f->link);
}

/* Behind the challenge in a call, the peer is the other one's relayed address. */
static bool has_peer(struct birth *b, struct load_flow *f)
{
  const struct load_engine *g = b->g;
  if (g->setup.direction != LOAD_CALL)
    return true;
  const struct load_flow *other = &g->flow[(size_t)(f - g->flow) ^ 1];
  if (other->client.relayed.family == ADDR_NONE)
    return false;
  f->client.peer = other->client.relayed;
  return true;
}

static void go_on(struct birth *b, struct load_flow *f)
{
  if (f->client.step == LOAD_READY)
    b->ready++;
  else if (f->client.step < LOAD_PERMIT || has_peer(b, f))
    ask(b, f);
  else
    f->due_ms = UINT64_MAX; /* the other one wakes it */
}

static void take(void *arg, struct bytes datagram, uint64_t now_ns)
{
  (void)now_ns;
  struct birth *b = arg;
  struct load_flow *f = b->reading;
  if (!load_client_take(&f->client, datagram))
    return;
  go_on(b, f);
  if (b->g->setup.direction == LOAD_CALL && f->client.step == LOAD_PERMIT) {
    struct load_flow *other = &b->g->flow[(size_t)(f - b->g->flow) ^ 1];
    if (other->due_ms == UINT64_MAX)
      go_on(b, other);
  }
}

int load__settle(struct load_engine *g, struct load_flow *f)
{
  struct load_link *l = &f->link;
  struct epoll_event event = {.events = load_link_events(l), .data.u32 = (uint32_t)(f - g->flow)};
  if (l->state == LOAD_LINK_CLOSED) {
    load_link_close(l);
    return 0;
  }
  if (event.events == l->watched)
    return 0;
  const int how = l->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  l->watched = event.events;
  return epoll_ctl(g->epoll, how, l->fd, &event);
}

/* The server's next step, or ours to it. */
static int step(struct birth *b, struct load_flow *f)
{
  const bool was_open = f->link.state == LOAD_LINK_OPEN;
  if (was_open) {
    b->reading = f;
    load_link_flush(&f->link);
    (void)load_link_receive(&f->link, 1, take, b);
  } else if (f->link.state != LOAD_LINK_CLOSED) {
    const int status = load_link_go_on(&f->link, b->e);
    if (status != 0 && status != -ERR_MORE)
      return -1;
    if (status == 0)
      ask(b, f);
  }
  if (f->link.state == LOAD_LINK_CLOSED) {
    net_error_set(b->e, "allocation %u: the server has closed the connection",
                  (uint32_t)(f - b->g->flow) + 1);
    return -1;
  }
  if (load__settle(b->g, f) == 0)
    return 0;
  net_error_set(b->e, "viaduct-load cannot watch its sockets: %s", strerror(errno));
  return -1;
}

static int begin(struct birth *b)
{
  struct load_engine *g = b->g;
  const uint32_t i = b->begun;
  struct load_flow *f = &g->flow[i];
  load_client_init(&f->client, g->setup.username, g->setup.password, (uint64_t)i + 1);
  f->client.channel = !g->setup.indications;
  f->client.ipv6 = g->setup.peer.family == ADDR_V6;
  f->client.peer = g->peer;
  f->due_ms = net_clock_ms() + PATIENCE_MS;
  if (load_link_open(&f->link, &g->setup.way, b->e) != 0)
    return -1;
  b->begun++;
  if (f->link.state == LOAD_LINK_OPEN)
    ask(b, f);
  return step(b, f);
}

static const char *step_name(enum load_step step)
{
  static const char *const names[] = {"the first Allocate", "Allocate", "CreatePermission",
                                      "ChannelBind"};
  return step <= LOAD_BIND ? names[step] : "?";
}

/* -1: one of them has failed. */
static int look_after(struct birth *b)
{
  const uint64_t now_ms = net_clock_ms();
  for (uint32_t i = 0; i < b->begun; i++) {
    struct load_flow *f = &b->g->flow[i];
    const struct load_client *c = &f->client;
    if (c->step == LOAD_FAILED) {
      net_error_set(b->e, "allocation %u: %s was answered with %d", i + 1,
                    step_name(c->step_failed), c->code);
      return -1;
    }
    if (f->link.state == LOAD_LINK_HANDSHAKE && step(b, f) != 0) /* DTLS sends again */
      return -1;
    if (c->step == LOAD_READY || f->due_ms > now_ms)
      continue;
    if (f->link.state != LOAD_LINK_OPEN) {
      net_error_set(b->e, "allocation %u: no connection over %s within 10 s", i + 1,
                    load_transport_name(b->g->setup.way.transport));
      return -1;
    }
    if (c->tries >= TRIES_MAX) {
      net_error_set(b->e, "allocation %u: no answer to %s; is there a TURN server?%s", i + 1,
                    step_name(c->step), c->step == LOAD_CHALLENGE && i > 0 ? LIMITED : "");
      return -1;
    }
    ask(b, f);
  }
  return 0;
}

static int make_all(struct birth *b)
{
  struct load_engine *g = b->g;
  uint64_t looked_ms = net_clock_ms();
  while (b->ready < g->flow_count) {
    while (b->begun < g->flow_count && b->begun - b->ready < UNDER_WAY)
      if (begin(b) != 0)
        return -1;
    struct epoll_event event[LOAD_EVENTS];
    const int n = epoll_wait(g->epoll, event, LOAD_EVENTS, WAIT_MS);
    for (int i = 0; i < n; i++)
      if (step(b, &g->flow[event[i].data.u32]) != 0)
        return -1;
    if (net_clock_ms() - looked_ms < WAIT_MS)
      continue;
    looked_ms = net_clock_ms();
    if (look_after(b) != 0)
      return -1;
  }
  return 0;
}

static int open_all(struct load_engine *g, struct net_error *e)
{
  if (load_make_room(g->setup.allocations + 1, e) != 0)
    return -1;
  g->flow = calloc(g->setup.allocations, sizeof(*g->flow));
  g->dirty = calloc(g->setup.allocations, sizeof(*g->dirty));
  g->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (g->flow == NULL || g->dirty == NULL || g->epoll < 0) {
    net_error_set(e, "viaduct-load has no memory for %u allocations", g->setup.allocations);
    return -1;
  }
  g->flow_count = g->setup.allocations;
  for (uint32_t i = 0; i < g->flow_count; i++)
    g->flow[i].link = (struct load_link){.fd = -1, .state = LOAD_LINK_CLOSED};
  g->peer_fd = load_open(&g->setup.peer, NULL, g->setup.way.aggregate, e);
  if (g->peer_fd >= 0)
    g->peer = net_sockaddr_local(g->peer_fd);
  return g->peer_fd < 0 ? -1 : 0;
}

struct load_engine *load_engine_new(const struct load_setup *s, struct load_birth *birth,
                                    struct net_error *e)
{
  struct load_engine *g = calloc(1, sizeof(*g));
  if (g == NULL) {
    net_error_set(e, "viaduct-load has no memory");
    return NULL;
  }
  g->setup = *s;
  g->peer_fd = g->epoll = -1;
  /* The flood first: what is not allowed is said before anything is asked for, and its client does
   * not count in what setting up takes. */
  if (s->flood != LOAD_FLOOD_NONE && (g->flood = load_flood_new(&g->setup, e)) == NULL) {
    load_engine_free(g);
    return NULL;
  }
  struct birth b = {.g = g, .e = e};
  const uint64_t memory = load_proc_resident(s->pid), cpu_ns = load_proc_cpu_ns(s->pid);
  const uint64_t began_ns = load_now_ns();
  if (open_all(g, e) != 0 || make_all(&b) != 0) {
    load_engine_free(g);
    return NULL;
  }
  const uint64_t grown = load_proc_resident(s->pid);
  *birth = (struct load_birth){
      .elapsed_ns = load_now_ns() - began_ns,
      .cpu_ns = load_proc_cpu_ns(s->pid) - cpu_ns,
      .memory = grown > memory ? grown - memory : 0,
      .resent = b.resent,
  };
  return g;
}

static void heed(void *arg, struct bytes datagram, uint64_t now_ns)
{
  (void)now_ns;
  uint32_t *answers = arg;
  *answers += datagram.len > 0 && datagram.at[0] < 0x40;
}

/* The allocations of these flows end: some at a time, and each lot answered or waited for a moment,
 * so that no server's socket overflows and keeps the others until their lifetime is over. */
static void say_farewell(struct load_engine *g, uint32_t first, uint32_t end, bool *answers_come)
{
  uint32_t asked = 0, answered = 0;
  for (uint32_t i = first; i < end; i++) {
    struct load_flow *f = &g->flow[i];
    uint8_t request[LOAD_REQUEST_MAX];
    if (f->link.state != LOAD_LINK_OPEN)
      continue;
    const size_t len = load_client_farewell(&f->client, request);
    const struct load_burst burst = {.at = request, .len = len, .count = 1};
    asked += load_link_send(&f->link, &burst) == 1;
    load_link_flush(&f->link);
  }
  const uint64_t until_ms = net_clock_ms() + FAREWELL_MS;
  while (*answers_come && answered < asked && net_clock_ms() < until_ms)
    for (uint32_t i = first; i < end; i++)
      (void)load_link_receive(&g->flow[i].link, 1, heed, &answered);
  *answers_come = *answers_come && answered >= asked;
}

void load_engine_free(struct load_engine *g)
{
  bool answers_come = true;
  if (g == NULL)
    return;
  load_flood_free(g->flood);
  for (uint32_t i = 0; i < g->flow_count; i += UNDER_WAY) {
    const uint32_t end = g->flow_count - i < UNDER_WAY ? g->flow_count : i + UNDER_WAY;
    say_farewell(g, i, end, &answers_come);
    for (uint32_t j = i; j < end; j++)
      load_link_close(&g->flow[j].link);
  }
  if (g->peer_fd >= 0)
    close(g->peer_fd);
  if (g->epoll >= 0)
    close(g->epoll);
  free(g->dirty);
  free(g->flow);
  free(g);
}
