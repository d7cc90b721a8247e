/* See signal_engine.h. */
#include "bench/load/signal_engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/load/proc.h"
#include "bench/load/signal_client.h"
#include "bench/load/wire.h"

enum { EVENTS = 256, READ_SIZE = 256 * 1024, DEAF_BUFFER = 4096, SOURCES_IN_A_ROW = 250 };
enum { TURN_NS = 20 * 1000 * 1000 };
static const uint64_t PATIENCE_NS = 20ull * 1000 * 1000 * 1000;

const char *load_signal_transport_name(enum load_signal_transport t)
{
  static const char *const names[] = {"websocket", "sse", "longpoll", "poll"};
  return names[t];
}

uint32_t load__index(const struct load_signal_engine *g, const struct load_signal_client *c)
{
  return (uint32_t)(c - g->client);
}

struct load_signal_client *load__partner(struct load_signal_engine *g,
                                         const struct load_signal_client *c)
{
  return &g->client[load__index(g, c) ^ 1];
}

void load__dirty(struct load_signal_engine *g, struct load_signal_client *c)
{
  if (c->is_dirty)
    return;
  c->is_dirty = true;
  g->dirty[g->dirty_count++] = load__index(g, c);
}

static void close_both(struct load_signal_engine *g, struct load_signal_client *c)
{
  for (int i = 0; i < 2; i++) {
    load_pipe_count(&c->pipe[i], &g->wire);
    load_pipe_close(&c->pipe[i]);
  }
  load_queue_fini(&c->batch);
  c->batch_count = 0;
  c->is_posting = c->is_asking = c->is_streaming = false;
  c->state = LOAD_CLIENT_OUT;
}

void load__lost(struct load_signal_engine *g, struct load_signal_client *c)
{
  const enum load_client_state state = c->state;
  close_both(g, c);
  if (state > LOAD_CLIENT_OUT && state < LOAD_CLIENT_IN)
    g->coming--;
  if (state == LOAD_CLIENT_LEAVING) {
    g->counts.left++;
    if (g->comes_back && load_signal_connect(g, load__index(g, c), NULL) != 0)
      g->counts.closed++;
  } else if (c->is_deaf) {
    g->counts.slow_closed++;
  } else if (state != LOAD_CLIENT_OUT && !g->is_closing) {
    g->counts.closed++;
  }
}

/* Edge-triggered, so that nothing has to be asked of the kernel again. */
static int watch(struct load_signal_engine *g, const struct load_signal_client *c,
                 enum load_pipe_kind kind)
{
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                          .data.u64 = (uint64_t)load__index(g, c) << 1 | kind};
  return epoll_ctl(g->epoll, EPOLL_CTL_ADD, c->pipe[kind].fd, &e);
}

static int open_pipe(struct load_signal_engine *g, struct load_signal_client *c,
                     enum load_pipe_kind kind, struct net_error *e)
{
  const uint32_t at = g->setup.sources ? load__index(g, c) % g->setup.sources : 0;
  const struct addr from = addr_v4(127, 0, (uint8_t)(1 + at / SOURCES_IN_A_ROW),
                                   (uint8_t)(1 + at % SOURCES_IN_A_ROW), 0);
  const struct load_pipe_setup s = {.server = g->setup.server,
                                    .from = g->setup.sources ? &from : NULL,
                                    .receive_buffer = c->is_deaf ? DEAF_BUFFER : 0};
  if (load_pipe_open(&c->pipe[kind], &s, e) != 0)
    return -1;
  if (watch(g, c, kind) == 0)
    return 0;
  net_error_set(e, "epoll refuses a connection: %s", strerror(errno));
  load_pipe_close(&c->pipe[kind]);
  return -1;
}

void load__open_reader(struct load_signal_engine *g, struct load_signal_client *c)
{
  if (open_pipe(g, c, LOAD_PIPE_READER, NULL) != 0)
    load__lost(g, c);
  else
    load_ask(g, c);
}

int load_signal_connect(struct load_signal_engine *g, uint32_t at, struct net_error *e)
{
  struct load_signal_client *c = &g->client[at];
  if (open_pipe(g, c, LOAD_PIPE_MAIN, e) != 0)
    return -1;
  c->life++;
  c->began_ns = g->now_ns;
  c->seq = c->acked = 0;
  c->state = g->setup.transport == LOAD_WEBSOCKET ? LOAD_CLIENT_UPGRADING : LOAD_CLIENT_OPENING;
  g->coming++;
  load_say_first(g, c);
  return 0;
}

/* All that waits is heard; what is not whole stays. False: the connection is no good any more. */
static bool hear(struct load_signal_engine *g, struct load_signal_client *c,
                 enum load_pipe_kind kind, struct bytes in)
{
  struct load_pipe *p = &c->pipe[kind];
  const bool had_rest = p->in.len > 0;
  if (had_rest && !load_queue_put(&p->in, in))
    return false;
  if (had_rest)
    in = load_queue_view(&p->in);
  const int used = load_hear(g, c, kind, in);
  if (used < 0)
    return false;
  if (c->state == LOAD_CLIENT_OUT || p->fd < 0)
    return true;
  if (had_rest) {
    load_queue_drop(&p->in, (size_t)used);
    return true;
  }
  const struct bytes rest = {in.at + used, in.len - (size_t)used};
  return rest.len == 0 || load_queue_put(&p->in, rest);
}

/* `ends`: behind what waits stands the end, of which nothing more will be told. */
static void read_pipe(struct load_signal_engine *g, struct load_signal_client *c,
                      enum load_pipe_kind kind, bool ends)
{
  static uint8_t bytes[READ_SIZE]; /* one thread */
  const uint32_t life = c->life;
  ssize_t n;
  do {
    if (c->is_deaf && c->state == LOAD_CLIENT_IN)
      return;
    n = recv(c->pipe[kind].fd, bytes, sizeof(bytes), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    g->now_ns = load_now_ns();
    if (n > 0)
      g->wire.bytes_in += (uint64_t)n;
    if (n <= 0 || !hear(g, c, kind, (struct bytes){bytes, (size_t)n})) {
      load__lost(g, c);
      return;
    }
    /* It may have gone, and even be back, over another connection. */
  } while ((n == READ_SIZE || ends) && c->life == life && c->state != LOAD_CLIENT_OUT);
}

static bool connects(struct load_signal_engine *g, struct load_pipe *p)
{
  int error_number = 0;
  socklen_t len = sizeof(error_number);
  (void)getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error_number, &len);
  if (error_number == 0) {
    p->is_connected = true;
    return true;
  }
  if (g->trouble[0] == 0)
    snprintf(g->trouble, sizeof(g->trouble), "%s", strerror(error_number));
  return false;
}

static void on_event(struct load_signal_engine *g, const struct epoll_event *e)
{
  struct load_signal_client *c = &g->client[e->data.u64 >> 1];
  const enum load_pipe_kind kind = e->data.u64 & 1;
  struct load_pipe *p = &c->pipe[kind];
  if (p->fd < 0)
    return;
  if (!p->is_connected && !(e->events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
    return;
  if ((!p->is_connected && !connects(g, p)) || (c->is_deaf && e->events & EPOLLRDHUP) ||
      (e->events & EPOLLOUT && load_pipe_flush(p, &g->wire) != 0)) {
    load__lost(g, c);
    return;
  }
  if (e->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
    read_pipe(g, c, kind, e->events & (EPOLLRDHUP | EPOLLHUP));
}

static void flush_all(struct load_signal_engine *g)
{
  const bool posts = g->setup.transport != LOAD_WEBSOCKET;
  const uint32_t count = g->dirty_count;
  for (uint32_t i = 0; i < count; i++) {
    struct load_signal_client *c = &g->client[g->dirty[i]];
    if (posts && c->state != LOAD_CLIENT_OUT)
      load_post(g, c);
    c->is_dirty = false;
    if (c->state == LOAD_CLIENT_OUT)
      continue;
    if (load_pipe_flush(&c->pipe[LOAD_PIPE_MAIN], &g->wire) != 0 ||
        load_pipe_flush(&c->pipe[LOAD_PIPE_READER], &g->wire) != 0)
      load__lost(g, c);
  }
  /* Who came back meanwhile has something to say again. */
  g->dirty_count -= count;
  memmove(g->dirty, g->dirty + count, g->dirty_count * sizeof(*g->dirty));
}

static void ack_all(struct load_signal_engine *g)
{
  while (g->ack_count > 0 && g->ack[g->ack_first].due_ns <= g->now_ns) {
    struct load_signal_client *c = &g->client[g->ack[g->ack_first].client];
    g->ack_first = (g->ack_first + 1) % g->client_count;
    g->ack_count--;
    c->is_waiting_ack = false;
    if (c->state == LOAD_CLIENT_IN && c->seq > c->acked)
      load_say_ack(g, c);
  }
}

void load_signal_turn(struct load_signal_engine *g, uint64_t timeout_ns)
{
  struct epoll_event event[EVENTS];
  ack_all(g);
  flush_all(g);
  if (g->ack_count > 0 && g->ack[g->ack_first].due_ns < g->now_ns + timeout_ns)
    timeout_ns = g->ack[g->ack_first].due_ns - g->now_ns;
  const struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                                   .tv_nsec = (long)(timeout_ns % 1000000000)};
  const int n = epoll_pwait2(g->epoll, event, EVENTS, &timeout, NULL);
  g->now_ns = load_now_ns();
  for (int i = 0; i < n; i++)
    on_event(g, &event[i]);
  flush_all(g);
}

void load_signal_count_packets(const struct load_signal_engine *g, struct load_wire *w)
{
  for (uint32_t i = 0; i < g->client_count; i++)
    for (int k = 0; k < 2; k++)
      load_pipe_count(&g->client[i].pipe[k], w);
}

static bool allocate(struct load_signal_engine *g)
{
  const uint32_t n = g->client_count;
  g->client = calloc(n, sizeof(*g->client));
  g->dirty = calloc(2 * (size_t)n, sizeof(*g->dirty));
  g->hungry = calloc(n, sizeof(*g->hungry));
  g->ack = calloc(n, sizeof(*g->ack));
  if (g->client == NULL || g->dirty == NULL || g->hungry == NULL || g->ack == NULL)
    return false;
  for (uint32_t i = 0; i < n; i++) {
    load_pipe_init(&g->client[i].pipe[0]);
    load_pipe_init(&g->client[i].pipe[1]);
    g->client[i].is_deaf = i % 2 && i / 2 < g->setup.slow;
  }
  return true;
}

struct load_signal_engine *load_signal_new(const struct load_signal_setup *s, struct net_error *e)
{
  const unsigned pipes = s->transport == LOAD_WEBSOCKET ? 1 : 2;
  if (load_make_room(s->clients * pipes, e) != 0)
    return NULL;
  struct load_signal_engine *g = calloc(1, sizeof(*g));
  if (g == NULL) {
    net_error_set(e, "out of memory");
    return NULL;
  }
  *g = (struct load_signal_engine){.setup = *s,
                                   .client_count = s->clients,
                                   .run = (uint32_t)getpid(),
                                   .now_ns = load_now_ns(),
                                   .epoll = epoll_create1(EPOLL_CLOEXEC)};
  if (g->epoll >= 0 && allocate(g))
    return g;
  net_error_set(e, g->epoll < 0 ? "no epoll: raise the limit of open files (ulimit -n)"
                                : "out of memory");
  load_signal_free(g);
  return NULL;
}

void load_signal_free(struct load_signal_engine *g)
{
  if (g == NULL)
    return;
  for (uint32_t i = 0; g->client != NULL && i < g->client_count; i++) {
    load_pipe_close(&g->client[i].pipe[0]);
    load_pipe_close(&g->client[i].pipe[1]);
    load_queue_fini(&g->client[i].batch);
  }
  if (g->epoll >= 0)
    close(g->epoll);
  free(g->client);
  free(g->dirty);
  free(g->hungry);
  free(g->ack);
  free(g);
}

static int explain(const struct load_signal_engine *g, struct net_error *e)
{
  const struct load_signal_counts *n = &g->counts;
  if (g->trouble[0] != 0)
    net_error_set(e, "clients do not come in; the server says: %s", g->trouble);
  else if (n->closed > 0)
    net_error_set(e, "clients do not come in: the server closes their connections");
  else
    net_error_set(e,
                  "clients do not come in: %llu of %u did within the time; is this the right "
                  "--protocol, and the path of the URL?",
                  (unsigned long long)n->entered, g->client_count);
  return -1;
}

int load_signal_enter(struct load_signal_engine *g, struct net_error *e)
{
  uint32_t next = 0;
  uint64_t seen = 0, seen_ns = load_now_ns();
  while (g->counts.entered < g->client_count) {
    while (next < g->client_count && g->coming < g->setup.at_a_time)
      if (load_signal_connect(g, next++, e) != 0)
        return -1;
    load_signal_turn(g, TURN_NS);
    if (g->counts.entered > seen) {
      seen = g->counts.entered;
      seen_ns = g->now_ns;
    }
    if (g->counts.closed > 0 || g->counts.refused > 0 || g->now_ns > seen_ns + PATIENCE_NS)
      return explain(g, e);
  }
  return 0;
}
