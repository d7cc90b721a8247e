/* The floor that a relay in user space is measured against: the least that a process with a socket
 * for each flow has to do. A batch in (recvmmsg, UDP_GRO), a few bytes off or on, a batch out
 * (sendmmsg, UDP_SEGMENT). No users, no permissions, no timers, no counters: it believes whatever
 * it gets, so it must never listen to anybody but viaduct-load. IPv4 only; clients are told apart
 * by their port alone. It says yes to the requests that viaduct-load sends to begin with, which is
 * all the TURN that it speaks. With an interface, the kernel forwards in its place what comes in
 * there for a channel (tx.bpf.c). Started by bench/run; never installed. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/floor/tx.h"
#include "stun/core/decode.h"
#include "stun/core/encode.h"

enum {
  SLOTS = 64, /* reads at a time, as in net/udp.h */
  SLOTS_LEAST = 16,
  HEADROOM = 64,
  PAYLOAD = 65536,
  STRIDE = HEADROOM + PAYLOAD,
  SEGMENTS = 64, /* the kernel cuts no more apart */
  SEGMENTED_MOST = 65000,
  SEGMENT_MOST = 1452, /* and none that an Ethernet would have to fragment */
  CHANNEL_HEADER = 4,
  DATA_HEADER = 36, /* an indication's: header, XOR-PEER-ADDRESS of IPv4, the head of DATA */
  EVENTS = 128,
  PORTS = 65536,
  BUFFER = 4 * 1024 * 1024
};

/* What was read at once and goes out in the same order: one datagram, or several of one length. */
struct item {
  struct item *next; /* to the same socket */
  const struct sockaddr_in *to;
  uint8_t *at;               /* behind what was taken off, or at what was put on */
  size_t len, segment;       /* of all; of each but the last: what comes in between counts */
  size_t off, on;            /* bytes that each datagram loses, or gets */
  uint8_t last[DATA_HEADER]; /* what a shorter last one gets */
};

struct out {
  struct item *first, *last;
  struct out *pending; /* the next socket that has output */
  bool is_pending;
  int fd;
};

struct flow {
  struct out out; /* the relay's socket; -1: closed */
  struct sockaddr_in client, peer, relayed;
  uint8_t header[DATA_HEADER]; /* what a packet of the peer gets; the lengths are put in */
  size_t header_len;
};

static struct {
  struct out front;
  int epoll;
  struct out *pending;
  struct flow *flow[PORTS]; /* by the client's port */
  uint8_t *slots;
  size_t slot_next;
  struct item item[SLOTS];
  struct sockaddr_in name[SLOTS];
  struct sockaddr_in self; /* of the front */
} f = {.front.fd = -1};

static void give_up(const char *what)
{
  fprintf(stderr, "bench-forward: %s: %s\n", what, strerror(errno));
  exit(1); /* this is a program of one file: nothing stands above */
}

/* ---- out ---- */

/* Messages for one sendmmsg. */
static struct {
  struct mmsghdr header[SLOTS * 2];
  struct iovec iov[SLOTS * SEGMENTS * 2];
  union {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
  } control[SLOTS * 2];
  size_t count, iov_count;
  size_t segments, segment, bytes; /* of the message that still grows */
} m;

static void close_message(void)
{
  if (m.segments < 2)
    return;
  struct msghdr *h = &m.header[m.count - 1].msg_hdr;
  h->msg_control = &m.control[m.count - 1];
  h->msg_controllen = sizeof(m.control[0]);
  struct cmsghdr *c = CMSG_FIRSTHDR(h);
  const uint16_t size = (uint16_t)m.segment;
  *c = (struct cmsghdr){
      .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof(size))};
  memcpy(CMSG_DATA(c), &size, sizeof(size));
}

static void send_messages(int fd)
{
  close_message();
  if (m.count > 0)
    (void)sendmmsg(fd, m.header, (unsigned)m.count, MSG_DONTWAIT); /* what is full loses */
  m.count = m.iov_count = m.segments = 0;
}

/* `len` bytes in one or two parts that m.iov ends with. */
static void add_datagram(int fd, const struct sockaddr_in *to, size_t len, size_t parts)
{
  struct msghdr *h = m.count ? &m.header[m.count - 1].msg_hdr : NULL;
  const bool grows = h != NULL && h->msg_name == to && len <= m.segment &&
                     m.segment <= SEGMENT_MOST && m.bytes == m.segments * m.segment &&
                     m.segments < SEGMENTS && m.bytes + len <= SEGMENTED_MOST;
  if (grows) {
    h->msg_iovlen += parts;
  } else {
    if (m.count == sizeof(m.header) / sizeof(m.header[0])) {
      struct iovec mine[2];
      m.iov_count -= parts;
      memcpy(mine, &m.iov[m.iov_count], parts * sizeof(mine[0]));
      send_messages(fd);
      memcpy(m.iov, mine, parts * sizeof(mine[0]));
      m.iov_count = parts;
    }
    close_message();
    m.header[m.count++].msg_hdr = (struct msghdr){.msg_name = (void *)(uintptr_t)to,
                                                  .msg_namelen = sizeof(*to),
                                                  .msg_iov = &m.iov[m.iov_count - parts],
                                                  .msg_iovlen = parts};
    m.segments = m.bytes = 0;
    m.segment = len;
  }
  m.segments++;
  m.bytes += len;
}

static void add_item(int fd, struct item *i)
{
  uint8_t *at = i->at;
  /* The first one's header stands before it; the others borrow it. */
  m.iov[m.iov_count++] =
      (struct iovec){at, (i->len < i->segment ? i->len : i->segment) - i->off + i->on};
  add_datagram(fd, i->to, m.iov[m.iov_count - 1].iov_len, 1);
  uint8_t *in = at + i->on - i->off + i->segment; /* where the second came in */
  for (size_t done = i->segment; done < i->len; done += i->segment, in += i->segment) {
    const size_t n = i->len - done < i->segment ? i->len - done : i->segment;
    if (n <= i->off)
      continue;
    if (i->on)
      m.iov[m.iov_count++] = (struct iovec){n == i->segment ? at : i->last, i->on};
    m.iov[m.iov_count++] = (struct iovec){in + i->off, n - i->off};
    add_datagram(fd, i->to, n - i->off + i->on, i->on ? 2 : 1);
  }
}

static void flush(void)
{
  for (struct out *o = f.pending; o != NULL; o = o->pending) {
    for (struct item *i = o->first; i != NULL; i = i->next)
      add_item(o->fd, i);
    send_messages(o->fd);
    o->first = o->last = NULL;
    o->is_pending = false;
  }
  f.pending = NULL;
  f.slot_next = 0;
}

static void queue(struct out *o, struct item *i)
{
  i->next = NULL;
  if (o->last != NULL)
    o->last->next = i;
  else
    o->first = i;
  o->last = i;
  if (o->is_pending)
    return;
  o->is_pending = true;
  o->pending = f.pending;
  f.pending = o;
}

/* ---- the requests of viaduct-load ---- */

static int open_socket(struct sockaddr_in *at, void *watch)
{
  const int on = 1, size = BUFFER,
            fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  socklen_t len = sizeof(*at);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
  if (fd < 0 || bind(fd, (struct sockaddr *)at, sizeof(*at)) != 0 ||
      getsockname(fd, (struct sockaddr *)at, &len) != 0 ||
      setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) != 0 ||
      epoll_ctl(f.epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    give_up("cannot open a socket");
  if (watch == NULL) { /* all clients share it; a wish */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
  }
  return fd;
}

static struct addr addr_of(const struct sockaddr_in *s)
{
  return addr_from_ip((const uint8_t *)&s->sin_addr, 4, ntohs(s->sin_port));
}

static struct flow *open_flow(const struct sockaddr_in *client)
{
  struct flow *w = calloc(1, sizeof(*w));
  if (w == NULL)
    give_up("no memory");
  w->client = *client;
  w->relayed = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = f.self.sin_addr};
  w->out.fd = open_socket(&w->relayed, w);
  return w;
}

/* What stands before the payload of a Data indication from this peer. */
static void set_peer(struct flow *w, const struct addr *peer)
{
  static const uint8_t txid[STUN_TXID_LEN] = {0};
  struct stun_encoder e;
  w->peer = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(peer->port)};
  memcpy(&w->peer.sin_addr, peer->ip, 4);
  stun_begin(&e, w->header, sizeof(w->header), STUN_INDICATION, STUN_DATA, txid);
  stun_put_addr(&e, STUN_ATTR_XOR_PEER_ADDRESS, peer);
  const size_t len = (size_t)stun_end(&e);
  store_be16(w->header + len, stun_attr_row(STUN_ATTR_DATA)->code);
  w->header_len = len + 4;
}

static void answer(struct flow **w, const struct stun_view *v, const struct sockaddr_in *client)
{
  uint8_t out[128];
  uint32_t channel = 0;
  struct stun_encoder e;
  struct addr peer;
  if (v->method == STUN_ALLOCATE && *w == NULL)
    *w = open_flow(client);
  if (*w != NULL && stun_get_addr(v, STUN_ATTR_XOR_PEER_ADDRESS, &peer) == 0)
    set_peer(*w, &peer);
  if (*w != NULL && stun_get_uint(v, STUN_ATTR_CHANNEL_NUMBER, &channel)) {
    store_be16((*w)->header, (uint16_t)channel);
    (*w)->header_len = CHANNEL_HEADER;
    floor_tx_put(ntohs(client->sin_port), ntohs((*w)->relayed.sin_port), ntohs((*w)->peer.sin_port),
                 (uint16_t)channel);
  }
  stun_begin_response(&e, out, sizeof(out), STUN_SUCCESS, v);
  const struct addr mapped = addr_of(client);
  stun_put_addr(&e, STUN_ATTR_XOR_MAPPED_ADDRESS, &mapped);
  if (v->method == STUN_ALLOCATE) {
    const struct addr relayed = addr_of(&(*w)->relayed);
    stun_put_addr(&e, STUN_ATTR_XOR_RELAYED_ADDRESS, &relayed);
  }
  const int len = stun_end(&e);
  (void)sendto(f.front.fd, out, len > 0 ? (size_t)len : 0, 0, (const struct sockaddr *)client,
               sizeof(*client));
  if (v->method != STUN_REFRESH || *w == NULL)
    return;
  /* What this batch still has for it is lost. The flow stays: this round may have its event. */
  close((*w)->out.fd);
  (*w)->out.fd = -1;
  *w = NULL;
}

/* ---- in ---- */

static size_t segment_of(struct msghdr *h, size_t len)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c))
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      int size;
      memcpy(&size, CMSG_DATA(c), sizeof(size));
      return size > 0 && (size_t)size < len ? (size_t)size : len;
    }
  return len;
}

static void put_lengths(uint8_t *header, size_t header_len, size_t len)
{
  store_be16(header + header_len - 2, (uint16_t)len);
  if (header_len == DATA_HEADER) /* payloads that are no multiple of four are not for the floor */
    store_be16(header + 2, (uint16_t)(DATA_HEADER - STUN_HEADER_LEN + len));
}

/* From the peer to the client. */
static void wrap(struct flow *w, struct item *i)
{
  i->to = &w->client;
  i->on = w->header_len;
  i->off = 0;
  i->at -= i->on;
  memcpy(i->at, w->header, i->on);
  put_lengths(i->at, i->on, i->segment);
  if (i->len % i->segment != 0) {
    memcpy(i->last, w->header, i->on);
    put_lengths(i->last, i->on, i->len % i->segment);
  }
  queue(&f.front, i);
}

/* From the client to the peer, or a request. */
static void unwrap(struct item *i, const struct sockaddr_in *client)
{
  struct flow **w = &f.flow[ntohs(client->sin_port)];
  struct stun_view v;
  i->on = 0;
  i->off = i->at[0] >= 0x40 ? CHANNEL_HEADER : DATA_HEADER;
  if (i->at[0] < 0x40 && i->at[1] != (0x10 | STUN_SEND)) {
    if (stun_decode(i->at, i->len, &v) == 0 && v.class == STUN_REQUEST)
      answer(w, &v, client);
    return;
  }
  if (*w == NULL || i->segment <= i->off)
    return;
  i->to = &(*w)->peer;
  i->at += i->off;
  queue(&(*w)->out, i);
}

static void receive(struct flow *w)
{
  static struct mmsghdr header[SLOTS];
  static struct iovec iov[SLOTS];
  static union {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(int))];
  } control[SLOTS];
  if (SLOTS - f.slot_next < SLOTS_LEAST)
    flush();
  const size_t first = f.slot_next, count = SLOTS - first;
  for (size_t i = 0; i < count; i++) {
    iov[i] = (struct iovec){f.slots + (first + i) * STRIDE + HEADROOM, PAYLOAD};
    header[i].msg_hdr = (struct msghdr){.msg_name = w == NULL ? &f.name[first + i] : NULL,
                                        .msg_namelen = w == NULL ? sizeof(f.name[0]) : 0,
                                        .msg_iov = &iov[i],
                                        .msg_iovlen = 1,
                                        .msg_control = &control[i],
                                        .msg_controllen = sizeof(control[i])};
  }
  const int n =
      recvmmsg(w != NULL ? w->out.fd : f.front.fd, header, (unsigned)count, MSG_DONTWAIT, NULL);
  for (int k = 0; k < n; k++) {
    struct item *i = &f.item[first + (size_t)k];
    i->at = iov[k].iov_base;
    i->len = header[k].msg_len;
    i->segment = segment_of(&header[k].msg_hdr, i->len);
    if (i->len < CHANNEL_HEADER)
      continue;
    if (w != NULL)
      wrap(w, i);
    else
      unwrap(i, &f.name[first + (size_t)k]);
  }
  f.slot_next += n > 0 ? (size_t)n : 0;
}

static void forward(void)
{
  for (;;) {
    struct epoll_event event[EVENTS];
    const int n = epoll_wait(f.epoll, event, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      struct flow *w = event[i].data.ptr;
      if (w == NULL || w->out.fd >= 0)
        receive(w);
    }
    flush();
  }
}

int main(int argc, char **argv)
{
  struct addr at;
  if (argc < 2 || argc > 3 || addr_parse(bytes_of(argv[1]), &at) != 0 || at.family != ADDR_V4) {
    fprintf(stderr,
            "usage: bench-forward IPV4-ADDRESS:PORT [INTERFACE]\n"
            "       bench-forward IPV4-ADDRESS INTERFACE    the other end of a veth pair\n");
    return 2;
  }
  const char *why = argc > 2 ? floor_tx_open(argv[2], at.port) : NULL;
  if (why != NULL) {
    fprintf(stderr, "bench-forward: %s\n", why);
    return 1;
  }
  f.slots = malloc((size_t)SLOTS * STRIDE);
  f.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (f.slots == NULL || f.epoll < 0)
    give_up("cannot begin");
  f.self = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(at.port)};
  memcpy(&f.self.sin_addr, at.ip, 4);
  f.front.fd = open_socket(&f.self, NULL);
  forward();
}
