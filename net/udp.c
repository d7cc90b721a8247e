/* UDP sockets, and datagrams in. */
#include "net/udp.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/udp_batch.h"

static void prepare(struct net_udp_batch *b)
{
  for (size_t i = 0; i < NET_UDP_BATCH; i++) {
    b->in_iov[i] = (struct iovec){
        .iov_base = b->slots + i * NET_UDP_STRIDE + DGRAM_HEADROOM,
        .iov_len = NET_UDP_PAYLOAD,
    };
    b->in[i].msg_hdr = (struct msghdr){
        .msg_name = &b->in_name[i],
        .msg_namelen = sizeof(b->in_name[i]),
        .msg_iov = &b->in_iov[i],
        .msg_iovlen = 1,
        .msg_control = &b->in_control[i],
        .msg_controllen = sizeof(b->in_control[i]),
    };
  }
}

int net_udp_batch_new(struct net_udp_batch **out)
{
  struct net_udp_batch *b = calloc(1, sizeof(*b));
  /* Not zeroed: the kernel gives a page when a datagram first reaches it. */
  uint8_t *slots = malloc((size_t)NET_UDP_BATCH * NET_UDP_STRIDE);
  uint8_t *apart = malloc(NET_UDP_APART);
  uint8_t *copies = malloc(NET_UDP_COPY);
  if (b == NULL || slots == NULL || apart == NULL || copies == NULL) {
    free(b);
    free(slots);
    free(apart);
    free(copies);
    return -ERR_NOMEM;
  }
  b->slots = slots;
  b->apart = apart;
  b->copies = copies;
  list_init(&b->pending);
  prepare(b);
  *out = b;
  return 0;
}

void net_udp_batch_free(struct net_udp_batch *b)
{
  if (b == NULL)
    return;
  free(b->slots);
  free(b->apart);
  free(b->copies);
  free(b);
}

struct net_udp_msg *net_udp_batch_messages(struct net_udp_batch *b)
{
  return b->msg;
}

size_t net_udp_batch_came(const struct net_udp_batch *b)
{
  return b->came;
}

struct net_udp_counters *net_udp_batch_counters(struct net_udp_batch *b)
{
  return &b->counters;
}

static int set_options(int fd, const struct net_udp_setup *s)
{
  const int on = 1;
  if (s->want_local && s->at.family == ADDR_V4 &&
      setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) != 0)
    return -1;
  if (s->want_local && s->at.family == ADDR_V6 &&
      setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) != 0)
    return -1;
  if (s->want_errors && net__udp_want_errors(fd, s->at.family) != 0)
    return -1;
  /* A wish, too: a kernel before 5.0 hands over one by one. */
  if (s->aggregate)
    (void)setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on));
  /* Both are wishes: the kernel caps them at net.core.rmem_max and wmem_max. */
  const int receive = (int)s->receive_buffer, send = (int)s->send_buffer;
  if (receive > 0)
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof(receive));
  if (send > 0)
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send, sizeof(send));
  /* RFC 8656 section 14.1: datagrams that carry no DONT-FRAGMENT may be fragmented, and a router's
   * "packet too big" must not make the kernel refuse what comes next. */
  const int may_fragment = IP_PMTUDISC_DONT;
  if (s->at.family == ADDR_V4 &&
      setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &may_fragment, sizeof(may_fragment)) != 0)
    return -1;
  return 0;
}

int net_udp_open(struct net_udp *u, const struct net_udp_setup *s, struct net_error *e)
{
  const struct net_bind bind = {
      .type = SOCK_DGRAM,
      .at = &s->at,
      .reuse_port = s->reuse_port,
      .beside = s->beside,
      .below = s->below,
      .program = s->program,
      .mend = s->mend,
  };
  int fd = net_bind(&bind, e);
  if (fd < 0)
    return fd;
  if (set_options(fd, s) != 0) {
    int error_number = errno;
    net_error_set(e, "cannot prepare a UDP socket: %s", strerror(error_number));
    close(fd);
    return net_error_from_errno(error_number);
  }
  *u = (struct net_udp){
      .watch = {.fd = fd, .events = EPOLLIN},
      .local = net_sockaddr_local(fd),
      .want_local = s->want_local,
      .want_errors = s->want_errors,
      .aggregate = s->aggregate,
      .crowded = s->crowded,
      .ask = s->crowded ? NET_UDP_BATCH : NET_UDP_ASK_FIRST,
  };
  list_init(&u->pending);
  return 0;
}

/* Only bind asks for it, so it is on for no longer. For that moment, some 10 us, whoever runs on
 * this very machine and tries over and over could get in beside us. */
static int allow_beside(int fd, bool on)
{
  const int flag = on;
  return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &flag, sizeof(flag));
}

static int aim(struct net_udp *u, const struct addr *peer)
{
  struct sockaddr_storage s;
  const socklen_t len = net_sockaddr_put(&s, peer);
  if (connect(u->watch.fd, (const struct sockaddr *)&s, len) != 0)
    return net_error_from_errno(errno);
  u->connected = true;
  return 0;
}

int net_udp_open_beside(struct net_udp *u, const struct net_udp *at, const struct addr *peer,
                        int below)
{
  const struct net_udp_setup s = {
      .at = at->local,
      .want_errors = at->want_errors,
      .aggregate = at->aggregate,
      .beside = true,
      .below = below,
  };
  int r = allow_beside(at->watch.fd, true) == 0 ? net_udp_open(u, &s, NULL) : -ERR_IO;
  (void)allow_beside(at->watch.fd, false);
  if (r != 0)
    return r;
  r = allow_beside(u->watch.fd, false) == 0 ? aim(u, peer) : -ERR_IO;
  if (r != 0) {
    close(u->watch.fd);
    u->watch.fd = -1;
  }
  return r;
}

int net_udp_aim(struct net_udp *u, struct net_udp_batch *b, const struct addr *peer)
{
  net__udp_flush_socket(b, u);
  return aim(u, peer);
}

void net_udp_close(struct net_udp *u, struct net_udp_batch *b)
{
  if (u->watch.fd < 0)
    return;
  net__udp_flush_socket(b, u);
  close(u->watch.fd);
  u->watch.fd = -1;
}

/* The address that a datagram was sent to, from the control message of a wildcard socket. */
static struct addr local_of(const struct net_udp *u, struct msghdr *header)
{
  struct addr local = u->local;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof(info));
      return addr_from_ip((const uint8_t *)&info.ipi_addr, 4, u->local.port);
    }
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof(info));
      local = addr_from_ip((const uint8_t *)&info.ipi6_addr, 16, u->local.port);
      if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
        local.scope = info.ipi6_ifindex;
      return local;
    }
  }
  return local;
}

/* Up to `count` reads into the slots from b->slot_next on. One alone is cheaper as a message of its
 * own. An error that waits on a socket (an ICMP message that the kernel keeps for us) is reported
 * once and then gone, so the read is tried again, but never without an end. */
static size_t receive_some(struct net_udp_batch *b, int fd, size_t count)
{
  struct mmsghdr *in = b->in + b->slot_next;
  for (int tries = 0; tries < 8; tries++) {
    ssize_t n = count == 1 ? recvmsg(fd, &in->msg_hdr, MSG_DONTWAIT)
                           : recvmmsg(fd, in, (unsigned)count, MSG_DONTWAIT, NULL);
    if (n >= 0 && count == 1) {
      in->msg_len = (unsigned)n;
      return 1;
    }
    if (n >= 0)
      return (size_t)n;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      return 0;
    if (errno != EINTR)
      b->counters.receive_failed++;
  }
  return 0;
}

/* How many to ask for next time. Asking for one more than there are costs a read that finds
 * nothing, which for a socket that gets one datagram at a time is a quarter of its reading; asking
 * for less costs a round of the loop, since the socket is still readable then. So what was asked
 * for follows what came, and a socket of single datagrams is tried with two now and then. Not where
 * many send: answers of one round leave together, which saves more than the look in vain costs. */
static void learn(struct net_udp *u, size_t asked, size_t came)
{
  if (u->crowded)
    return;
  if (came < asked) {
    const size_t less = came > asked / 2 ? came : asked / 2;
    u->ask = (uint8_t)(less > 0 ? less : 1);
    u->full = 0;
  } else if (asked > 1 || ++u->full == NET_UDP_PATIENCE) {
    u->ask = (uint8_t)(asked * 2 < NET_UDP_BATCH ? asked * 2 : NET_UDP_BATCH);
    u->full = 0;
  }
}

/* The length of each datagram in an aggregated read but the last, which may be shorter. */
static size_t segment_of(struct msghdr *header, size_t len)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c))
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      int size;
      memcpy(&size, CMSG_DATA(c), sizeof(size));
      return size > 0 ? (size_t)size : len;
    }
  return len;
}

/* The next place of b->apart, aligned as a slot is; NULL: there is none left, which no kernel so
 * far can bring about. */
static uint8_t *take_apart(struct net_udp_batch *b, const uint8_t *at, size_t len)
{
  const size_t size = (DGRAM_HEADROOM + len + DGRAM_TAILROOM + 7) & ~(size_t)7;
  uint8_t *storage = b->apart + b->apart_len;
  if (size > NET_UDP_APART - b->apart_len)
    return NULL;
  memcpy(storage + DGRAM_HEADROOM, at, len);
  b->apart_len += size;
  return storage;
}

/* What was read into slot `i`, whole. */
static struct net_udp_msg whole(struct net_udp_batch *b, const struct net_udp *u, size_t i)
{
  struct msghdr *header = &b->in[i].msg_hdr;
  const size_t len = b->in[i].msg_len;
  const size_t segment = u->aggregate ? segment_of(header, len) : len;
  uint8_t *storage = b->slots + i * NET_UDP_STRIDE;
  return (struct net_udp_msg){
      .d = {.storage = storage,
            .cap = DGRAM_HEADROOM + NET_UDP_PAYLOAD + DGRAM_TAILROOM,
            .at = storage + DGRAM_HEADROOM,
            .len = len},
      .from = net_sockaddr_get(&b->in_name[i]),
      .local = u->want_local ? local_of(u, header) : u->local,
      .each = segment < len ? segment : 0,
  };
}

/* Into `out`, which has room for b->msg + NET_UDP_MESSAGES - out. The first stays where it is. */
static size_t cut(struct net_udp_batch *b, const struct net_udp_msg *m, struct net_udp_msg *out)
{
  const size_t len = m->d.len, each = m->each != 0 ? m->each : len;
  struct net_udp_msg *next = out, *end = b->msg + NET_UDP_MESSAGES;
  if (next == end)
    return 0;
  *next = *m;
  next->d.len = each;
  next->each = 0;
  const struct net_udp_msg first = *next++;
  for (size_t done = each; done < len && next < end; done += each) {
    const size_t n = len - done < each ? len - done : each;
    uint8_t *storage = take_apart(b, first.d.at + done, n);
    if (storage == NULL)
      break;
    *next = first;
    next++->d = (struct dgram){.storage = storage,
                               .cap = DGRAM_HEADROOM + n + DGRAM_TAILROOM,
                               .at = storage + DGRAM_HEADROOM,
                               .len = n};
  }
  return (size_t)(next - out);
}

size_t net_udp_cut(struct net_udp_batch *b, const struct net_udp_msg *m, struct net_udp_msg **out)
{
  *out = b->msg + b->msg_count;
  return cut(b, m, *out);
}

static size_t receive(struct net_udp_batch *b, struct net_udp *u, bool runs)
{
  if (NET_UDP_BATCH - b->slot_next < NET_UDP_SLOTS_LEAST)
    net_udp_flush(b);
  if (list_is_empty(&b->pending) && b->release == NULL)
    b->slot_next = b->apart_len = 0;
  const size_t room = NET_UDP_BATCH - b->slot_next;
  const size_t asked = u->ask < room ? u->ask : room;
  const size_t n = receive_some(b, u->watch.fd, asked);
  learn(u, asked, n);
  b->msg_count = b->came = 0;
  for (size_t i = b->slot_next; i < b->slot_next + n; i++) {
    const struct net_udp_msg m = whole(b, u, i);
    b->counters.received_bytes += m.d.len;
    b->came += m.each != 0 ? (m.d.len + m.each - 1) / m.each : 1;
    if (runs)
      b->msg[b->msg_count++] = m;
    else
      b->msg_count += cut(b, &m, b->msg + b->msg_count);
    b->in[i].msg_hdr.msg_namelen = sizeof(b->in_name[i]);
    b->in[i].msg_hdr.msg_controllen = sizeof(b->in_control[i]);
  }
  b->slot_next += n;
  b->counters.received_packets += b->came;
  return b->msg_count;
}

size_t net_udp_receive_runs(struct net_udp_batch *b, struct net_udp *u)
{
  return receive(b, u, true);
}

size_t net_udp_receive(struct net_udp_batch *b, struct net_udp *u)
{
  net_udp_flush(b);
  return receive(b, u, false);
}
