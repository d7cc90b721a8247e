/* Listeners, and the set of connections of one thread. */
#include "net/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/mem.h"
#include "net/tcp_private.h"

static uint64_t hash_id(const struct net_tcp *t, uint64_t id)
{
  return hash_bytes(&t->setup.hash_key, &id, sizeof(id));
}

static void pause_accepting(struct net_listener *l, int error)
{
  struct net_tcp *t = l->tcp;
  if (t->setup.events.paused != NULL)
    t->setup.events.paused(t->setup.events.arg, error);
  t->counters.accept_paused++;
  l->paused = true;
  (void)net_loop_change(t->setup.loop, &l->watch, 0);
  wheel_arm(t->setup.wheel, &t->resume, t->setup.loop->now_ms + NET_TCP_RESUME_MS);
}

static void resume_accepting(struct timer *timer, uint64_t now_ms)
{
  (void)now_ms;
  struct net_tcp *t = CONTAINER_OF(timer, struct net_tcp, resume);
  for (struct list *at = t->listeners.next; at != &t->listeners; at = at->next) {
    struct net_listener *l = CONTAINER_OF(at, struct net_listener, all);
    l->paused = false;
    (void)net_loop_change(t->setup.loop, &l->watch, EPOLLIN);
  }
}

int net_tcp_new(const struct net_tcp_setup *s, struct net_tcp **out)
{
  struct net_tcp *t = calloc(1, sizeof(*t));
  size_t input_cap = NET_TCP_REJOIN + NET_TCP_INPUT;
  uint8_t *input = malloc(input_cap), *gather = malloc(NET_TCP_GATHER);
  if (t == NULL || input == NULL || gather == NULL) {
    free(t);
    free(input);
    free(gather);
    return -ERR_NOMEM;
  }
  t->setup = *s;
  t->mem = net_mem();
  t->input = input;
  t->input_cap = input_cap;
  t->gather = gather;
  list_init(&t->listeners);
  list_init(&t->all);
  list_init(&t->dirty);
  hash_table_init(&t->by_id, &t->mem);
  timer_init(&t->resume, resume_accepting);
  *out = t;
  return 0;
}

void net_tcp_free(struct net_tcp *t)
{
  if (t == NULL)
    return;
  uint64_t now_ms = t->setup.loop->now_ms;
  while (!list_is_empty(&t->all))
    net__conn_free(CONTAINER_OF(t->all.next, struct net_conn, all), now_ms);
  wheel_cancel(t->setup.wheel, &t->resume);
  hash_table_fini(&t->by_id);
  free(t->input);
  free(t->gather);
  free(t);
}

static void set_options(int fd)
{
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  /* What the kernel holds unsent for a slow reader is bounded too. */
  const int low = 128 * 1024;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof(low));
}

static int conn_new(struct net_listener *l, int fd, const struct addr *peer)
{
  struct net_tcp *t = l->tcp;
  struct net_conn *c = calloc(1, sizeof(*c));
  if (c == NULL)
    return -ERR_NOMEM;
  uint64_t now_ms = t->setup.loop->now_ms;
  c->watch = (struct net_watch){.fd = fd, .events = EPOLLIN, .ready = net__conn_ready};
  c->tcp = t;
  c->id = ++t->last_id;
  c->peer = *peer;
  c->local = net_sockaddr_local(fd);
  c->tag = l->tag;
  c->stream = l->stream;
  c->stream_config = l->stream_config;
  c->handshaken = l->stream->handshake == NULL;
  c->input_ms = c->unused_ms = now_ms;
  list_init(&c->dirty);
  timer_init(&c->deadline, net__conn_deadline);
  int r = hash_table_insert(&t->by_id, &c->by_id, hash_id(t, c->id));
  if (r == 0) {
    r = net_loop_attach(t->setup.loop, &c->watch);
    if (r != 0)
      hash_table_remove(&t->by_id, &c->by_id);
  }
  if (r != 0) {
    free(c);
    return r;
  }
  set_options(fd);
  list_push_back(&t->all, &c->all);
  t->counters.accepted++;
  t->counters.connections++;
  net__conn_arm(c);
  return 0;
}

/* accept(2): errors of the network that wait on a new connection are to be treated like EAGAIN;
 * only a lack of descriptors or memory concerns us all. */
static bool is_shortage(int error_number)
{
  return error_number == EMFILE || error_number == ENFILE || error_number == ENOBUFS ||
         error_number == ENOMEM;
}

static void listener_ready(struct net_watch *w, uint32_t events, uint64_t now_ms)
{
  (void)events;
  (void)now_ms;
  struct net_listener *l = CONTAINER_OF(w, struct net_listener, watch);
  struct net_tcp *t = l->tcp;
  const int below = t->setup.limits.below;
  bool is_short = net_descriptors_are_short(w->fd, below);
  for (int i = 0; i < NET_TCP_ACCEPTS; i++) {
    if (is_short) {
      pause_accepting(l, -ERR_DESCRIPTORS);
      return;
    }
    struct sockaddr_storage s = {0};
    socklen_t len = sizeof(s);
    int fd = accept4(w->fd, (struct sockaddr *)&s, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && is_shortage(errno)) {
      pause_accepting(l, net_error_from_errno(errno));
      return;
    }
    if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (fd < 0)
      continue;
    is_short = below > 0 && fd + 1 >= below;
    struct addr peer = net_sockaddr_get(&s);
    if (t->counters.connections >= t->setup.limits.connections || conn_new(l, fd, &peer) != 0) {
      t->counters.refused++;
      close(fd);
    }
  }
}

/* 0, or errno. */
static int adopt(struct net_tcp *t, const struct net_listen *s, int fd, struct net_listener *out)
{
  int error_number = 0;
  *out = (struct net_listener){
      .watch = {.fd = fd, .events = EPOLLIN, .ready = listener_ready},
      .tcp = t,
      .stream = s->stream != NULL ? s->stream : &net_stream_plain,
      .stream_config = s->stream_config,
      .tag = s->tag,
  };
  /* Two sockets may be bound to one port and only one of them may listen: listen can say "in use"
   * too. */
  if (listen(fd, SOMAXCONN) != 0)
    error_number = errno;
  else if (net_loop_attach(t->setup.loop, &out->watch) != 0)
    error_number = ENOMEM;
  if (error_number != 0) {
    close(fd);
    out->watch.fd = -1;
    return error_number;
  }
  out->local = net_sockaddr_local(fd);
  list_push_back(&t->listeners, &out->all);
  return 0;
}

int net_tcp_listen(struct net_tcp *t, const struct net_listen *s, struct net_listener *out,
                   struct net_error *e)
{
  const struct net_bind bind = {
      .type = SOCK_STREAM,
      .at = &s->at,
      .reuse_port = s->reuse_port,
      .program = s->program,
      .mend = s->mend,
  };
  int fd = net_bind(&bind, e);
  if (fd < 0)
    return fd;
  int error_number = adopt(t, s, fd, out);
  if (error_number == 0)
    return 0;
  net_bind_explain(&bind, error_number, e);
  return net_error_from_errno(error_number);
}

int net_tcp_listen_at(struct net_tcp *t, const struct net_listen *s, int fd,
                      struct net_listener *out)
{
  int error_number = adopt(t, s, fd, out);
  return error_number == 0 ? 0 : net_error_from_errno(error_number);
}

void net_listener_close(struct net_listener *l)
{
  if (l->watch.fd < 0)
    return;
  net_loop_detach(l->tcp->setup.loop, &l->watch);
  list_remove(&l->all);
  close(l->watch.fd);
  l->watch.fd = -1;
}

struct net_conn *net_tcp_find(struct net_tcp *t, uint64_t id)
{
  for (struct hash_node *n = hash_table_first(&t->by_id, hash_id(t, id)); n != NULL;
       n = hash_table_next(n)) {
    struct net_conn *c = CONTAINER_OF(n, struct net_conn, by_id);
    if (c->id == id)
      return c;
  }
  return NULL;
}

const struct net_tcp_counters *net_tcp_counters(const struct net_tcp *t)
{
  return &t->counters;
}
