/* See measure.h: the sockets and the clock of core/behaviour. */
#include "peer-demo/native/measure.h"

#include <poll.h>
#include <unistd.h>

#include "base/err.h"
#include "net/clock.h"
#include "net/sockaddr.h"

enum { DATAGRAM_SIZE = 2048, SOCKETS_MAX = 64 };

int measure_open(struct measure *m, const struct addr *server, struct net_error *e)
{
  struct addr from = net_sockaddr_toward(server);
  *m = (struct measure){.fd = {-1, -1, -1}};
  if (net_random_init(&m->random) != 0) {
    net_error_set(e, "the kernel gives no randomness");
    return -ERR_IO;
  }
  m->setup = (struct behaviour_setup){.server = *server, .random = &m->random.random};
  if (from.family == ADDR_NONE) {
    char text[ADDR_TEXT_SIZE];
    net_error_set(e, "there is no route to %s", addr_format_ip(server, text));
    return -ERR_UNREACHABLE;
  }
  for (int i = 0; i < BEHAVIOUR_SOCKETS; i++) {
    const struct net_bind bind = {.type = SOCK_DGRAM, .at = &from};
    m->fd[i] = net_bind(&bind, e);
    if (m->fd[i] < 0)
      return m->fd[i];
    m->setup.local[i] = net_sockaddr_local(m->fd[i]);
  }
  return 0;
}

void measure_close(struct measure *m)
{
  for (int i = 0; i < BEHAVIOUR_SOCKETS; i++) {
    if (m->fd[i] >= 0)
      close(m->fd[i]);
    m->fd[i] = -1;
  }
  net_random_fini(&m->random);
}

/* A datagram that the kernel does not take is one that was lost on its way: it is sent again. */
static void send_due(struct measure *m)
{
  struct behaviour_datagram d;
  while (behaviour_next(&m->run, net_clock_ms(), &d)) {
    struct sockaddr_storage to;
    socklen_t len = net_sockaddr_put(&to, &d.to);
    (void)sendto(m->fd[d.socket], d.at, d.len, MSG_NOSIGNAL, (struct sockaddr *)&to, len);
  }
}

static void receive(struct measure *m, unsigned socket)
{
  uint8_t data[DATAGRAM_SIZE];
  struct sockaddr_storage from;
  socklen_t from_len = sizeof from;
  ssize_t len =
      recvfrom(m->fd[socket], data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
  if (len <= 0)
    return;
  const struct addr sender = net_sockaddr_get(&from);
  behaviour_input(&m->run, socket, &sender, (struct bytes){data, (size_t)len}, net_clock_ms());
}

/* Sends what is due everywhere; when something is due next, UINT64_MAX: all are done. */
static uint64_t send_all(struct measure *m, size_t count)
{
  uint64_t soonest = UINT64_MAX;
  for (size_t i = 0; i < count; i++) {
    send_due(&m[i]);
    uint64_t due = behaviour_next_ms(&m[i].run);
    soonest = due < soonest ? due : soonest;
  }
  return soonest;
}

static void receive_all(struct measure *m, size_t count, uint64_t until_ms)
{
  struct pollfd at[SOCKETS_MAX];
  size_t sockets = count * BEHAVIOUR_SOCKETS;
  for (size_t i = 0; i < sockets; i++)
    at[i] =
        (struct pollfd){.fd = m[i / BEHAVIOUR_SOCKETS].fd[i % BEHAVIOUR_SOCKETS], .events = POLLIN};
  uint64_t now = net_clock_ms();
  int ready = poll(at, sockets, until_ms > now ? (int)(until_ms - now) : 0);
  for (size_t i = 0; ready > 0 && i < sockets; i++) {
    if (at[i].revents != 0)
      receive(&m[i / BEHAVIOUR_SOCKETS], (unsigned)(i % BEHAVIOUR_SOCKETS));
  }
}

void measure_run(struct measure *m, size_t count)
{
  for (size_t i = 0; i < count; i++)
    behaviour_begin(&m[i].run, &m[i].setup, net_clock_ms());
  for (uint64_t due = send_all(m, count); due != UINT64_MAX; due = send_all(m, count))
    receive_all(m, count, due);
  for (size_t i = 0; i < count; i++)
    m[i].found = m[i].run.found;
}
