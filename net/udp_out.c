/* Datagrams out: queued for each socket, one sendmmsg for each socket at the flush. Neighbours that
 * go to one place in equal lengths are one message of it, which the kernel cuts again. */
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include "net/udp_batch.h"

enum {
  /* Longer datagrams would be fragmented on an Ethernet, and the kernel does not cut those. */
  SEGMENT_MOST = 1452,
  /* The kernel puts no more than one datagram's bytes on their way at once. */
  SEGMENTS_BYTES_MOST = 65000
};

static void add_control(struct msghdr *header, int level, int type, const void *value, size_t len)
{
  struct cmsghdr *c =
      (struct cmsghdr *)(void *)((uint8_t *)header->msg_control + header->msg_controllen);
  c->cmsg_level = level;
  c->cmsg_type = type;
  c->cmsg_len = CMSG_LEN(len);
  memcpy(CMSG_DATA(c), value, len);
  header->msg_controllen += CMSG_SPACE(len);
}

static void put_from(struct msghdr *header, const struct addr *from)
{
  if (from->family == ADDR_V4) {
    struct in_pktinfo info = {0};
    memcpy(&info.ipi_spec_dst, from->ip, 4);
    add_control(header, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
  } else {
    struct in6_pktinfo info = {.ipi6_ifindex = from->scope};
    memcpy(&info.ipi6_addr, from->ip, 16);
    add_control(header, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
  }
}

/* RFC 8656 section 14.1: "If the DONT-FRAGMENT attribute was present, the server sets the DF bit".
 * Probing mode: DF is set, and what the kernel believes of the path is not asked. It belongs to the
 * socket, not to a datagram, so it is switched where it changes. */
static void set_dont_fragment(struct net_udp *u, bool on)
{
  if (u->dont_fragment == on)
    return;
  int r;
  if (u->local.family == ADDR_V6) {
    const int flag = on;
    r = setsockopt(u->watch.fd, IPPROTO_IPV6, IPV6_DONTFRAG, &flag, sizeof(flag));
  } else {
    const int mode = on ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT;
    r = setsockopt(u->watch.fd, IPPROTO_IP, IP_MTU_DISCOVER, &mode, sizeof(mode));
  }
  if (r == 0)
    u->dont_fragment = on;
}

/* What one message could not be sent as is sent as the datagrams that it is made of. */
static void send_apart(struct net_udp_batch *b, const struct net_udp *u, const struct msghdr *whole,
                       size_t step)
{
  for (size_t i = 0; i < whole->msg_iovlen; i += step) {
    struct msghdr one = *whole;
    one.msg_iov = whole->msg_iov + i;
    one.msg_iovlen = step;
    one.msg_controllen -= CMSG_SPACE(sizeof(uint16_t)); /* the length of the segments stands last */
    ssize_t n;
    do
      n = sendmsg(u->watch.fd, &one, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0) {
      b->counters.sent_bytes += (size_t)n;
      b->counters.sent_packets++;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
      b->counters.send_buffer_full++;
    } else {
      b->counters.send_failed++;
    }
  }
}

static void count_sent(struct net_udp_batch *b, unsigned first, unsigned count)
{
  for (unsigned i = first; i < first + count; i++) {
    b->counters.sent_bytes += b->header[i].msg_len;
    b->counters.sent_packets += b->header[i].msg_hdr.msg_iovlen / b->step[i];
  }
}

static void count_full(struct net_udp_batch *b, unsigned first, unsigned count)
{
  for (unsigned i = first; i < count; i++)
    b->counters.send_buffer_full += b->header[i].msg_hdr.msg_iovlen / b->step[i];
}

/* As sendmmsg; one message alone is cheaper as what it is. */
static int send_some(int fd, struct mmsghdr *header, unsigned count)
{
  const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  if (count > 1)
    return sendmmsg(fd, header, count, flags);
  const struct msghdr *m = &header->msg_hdr;
  const ssize_t n = m->msg_control != NULL || m->msg_iovlen != 1
                        ? sendmsg(fd, m, flags)
                        : sendto(fd, m->msg_iov->iov_base, m->msg_iov->iov_len, flags, m->msg_name,
                                 m->msg_namelen);
  if (n < 0)
    return -1;
  header->msg_len = (unsigned)n;
  return 1;
}

/* Sends `count` prepared headers. What the kernel refuses is counted and passed over, one by one; a
 * full buffer drops the rest, since nothing here waits. A socket that wants errors reports what
 * ICMP said of an earlier datagram at the next send, whatever that is, and then no more: what
 * failed is tried once again, so that one peer that is gone costs no other peer a datagram. */
static void send_run(struct net_udp_batch *b, const struct net_udp *u, unsigned count)
{
  unsigned at = 0, again = u->want_errors ? 0 : count;
  while (at < count) {
    int n = send_some(u->watch.fd, b->header + at, count - at);
    if (n > 0) {
      count_sent(b, at, (unsigned)n);
      at += (unsigned)n;
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) {
      count_full(b, at, count);
      return;
    } else if (again <= at) {
      again = at + 1;
    } else if (b->header[at].msg_hdr.msg_iovlen > b->step[at]) {
      send_apart(b, u, &b->header[at].msg_hdr, b->step[at]);
      at++;
    } else {
      b->counters.send_failed++;
      at++;
    }
  }
}

/* What the messages that are prepared at present amount to. */
struct run {
  unsigned headers, iovs;
  const struct net_udp_out *first; /* of the last header */
  size_t bytes;                    /* in it */
  bool closed;                     /* nothing may be added to it */
  bool dont_fragment;
};

/* UDP_SEGMENT cuts at equal lengths; only the last piece may be shorter. */
static bool may_join(const struct run *r, const struct net_udp_out *out)
{
  const struct net_udp_out *first = r->first;
  return r->headers > 0 && !r->closed && out->each == 0 && out->iov.iov_len > 0 &&
         out->iov.iov_len <= first->iov.iov_len && first->iov.iov_len <= SEGMENT_MOST &&
         r->bytes + out->iov.iov_len <= SEGMENTS_BYTES_MOST && addr_equal(&first->to, &out->to) &&
         addr_equal(&first->from, &out->from);
}

/* How long each datagram of a run is when it leaves. */
static size_t run_segment(const struct net_udp_out *out)
{
  return (size_t)out->each - out->skip + (out->has_head ? NET_UDP_HEAD : 0);
}

static size_t run_count(const struct net_udp_out *out)
{
  return (out->iov.iov_len + out->each - 1) / out->each;
}

static void close_header(struct net_udp_batch *b, const struct run *r)
{
  if (r->headers == 0)
    return;
  struct msghdr *header = &b->header[r->headers - 1].msg_hdr;
  const struct net_udp_out *first = r->first;
  const uint16_t segment = (uint16_t)(first->each != 0 ? run_segment(first) : first->iov.iov_len);
  if (header->msg_iovlen > b->step[r->headers - 1])
    add_control(header, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
  if (header->msg_controllen == 0)
    header->msg_control = NULL;
}

static void add_header(struct net_udp_batch *b, const struct net_udp *u, struct run *r,
                       const struct net_udp_out *out)
{
  close_header(b, r);
  struct msghdr *header = &b->header[r->headers].msg_hdr;
  *header = (struct msghdr){
      .msg_name = u->connected ? NULL : &b->name[r->headers],
      .msg_namelen = u->connected ? 0 : net_sockaddr_put(&b->name[r->headers], &out->to),
      .msg_iov = &b->iov[r->iovs],
      .msg_control = &b->control[r->headers],
  };
  if (out->from.family != ADDR_NONE)
    put_from(header, &out->from);
  b->step[r->headers++] = out->has_head ? 2 : 1;
  r->first = out;
  r->bytes = 0;
  r->closed = false;
}

static void add_run(struct net_udp_batch *b, struct run *r, struct net_udp_out *out)
{
  uint8_t *at = out->iov.iov_base, *const end = at + out->iov.iov_len;
  struct iovec *const begin = b->iov + r->iovs, *iov = begin;
  for (; at < end; at += out->each) {
    const bool last = (size_t)(end - at) <= out->each;
    const size_t len = last ? (size_t)(end - at) : out->each;
    if (out->has_head)
      *iov++ = (struct iovec){last ? out->last_head : out->head, NET_UDP_HEAD};
    *iov++ = (struct iovec){at + out->skip, len - out->skip};
  }
  r->iovs += (unsigned)(iov - begin);
  b->header[r->headers - 1].msg_hdr.msg_iovlen = (size_t)(iov - begin);
  r->closed = true;
}

static void add(struct net_udp_batch *b, const struct net_udp *u, struct run *r,
                struct net_udp_out *out)
{
  if (!may_join(r, out))
    add_header(b, u, r, out);
  if (out->each != 0) {
    add_run(b, r, out);
    return;
  }
  struct msghdr *header = &b->header[r->headers - 1].msg_hdr;
  b->iov[r->iovs++] = out->iov;
  header->msg_iovlen++;
  r->bytes += out->iov.iov_len;
  r->closed = out->iov.iov_len < r->first->iov.iov_len || header->msg_iovlen == NET_UDP_SEGMENTS;
}

static void send_and_begin(struct net_udp_batch *b, struct net_udp *u, struct run *r)
{
  if (r->headers > 0) {
    close_header(b, r);
    set_dont_fragment(u, r->dont_fragment);
    send_run(b, u, r->headers);
  }
  *r = (struct run){.headers = 0};
}

void net__udp_flush_socket(struct net_udp_batch *b, struct net_udp *u)
{
  struct run r = {.headers = 0};
  for (uint16_t i = u->out_head; i != 0; i = b->out[i - 1].next) {
    struct net_udp_out *out = &b->out[i - 1];
    const size_t pieces = out->each != 0 ? 2 * run_count(out) : 1;
    if (out->dont_fragment != r.dont_fragment || r.iovs + pieces > NET_UDP_IOVS)
      send_and_begin(b, u, &r);
    r.dont_fragment = out->dont_fragment;
    add(b, u, &r, out);
  }
  send_and_begin(b, u, &r);
  u->out_head = u->out_tail = 0;
  list_remove(&u->pending);
}

static void flush_queue(struct net_udp_batch *b)
{
  while (!list_is_empty(&b->pending))
    net__udp_flush_socket(b, CONTAINER_OF(b->pending.next, struct net_udp, pending));
  b->out_count = 0;
  b->copies_len = 0;
}

void net_udp_flush(struct net_udp_batch *b)
{
  flush_queue(b);
  if (b->release == NULL)
    return;
  void (*release)(void *arg) = b->release;
  b->release = NULL;
  release(b->release_arg);
}

void net_udp_keep(struct net_udp_batch *b, void (*release)(void *arg), void *arg)
{
  b->release = release;
  b->release_arg = arg;
}

/* "The destination cannot be written to" in a form that the kernel would take for something else:
 * another family than the socket's, or port 0. */
static bool may_be_sent(const struct net_udp *u, const struct addr *to)
{
  return to->family == u->local.family && to->port != 0;
}

/* The next one of this socket's output. There is room. */
static struct net_udp_out *queue(struct net_udp_batch *b, struct net_udp *u)
{
  const uint16_t index = b->out_count++;
  if (u->out_tail != 0)
    b->out[u->out_tail - 1].next = (uint16_t)(index + 1);
  else
    u->out_head = (uint16_t)(index + 1);
  u->out_tail = (uint16_t)(index + 1);
  if (list_is_empty(&u->pending))
    list_push_back(&b->pending, &u->pending);
  return &b->out[index];
}

static struct addr from_of(const struct net_udp *u, const struct addr *from)
{
  return from != NULL && u->want_local ? *from : (struct addr){.family = ADDR_NONE};
}

void net_udp_send(struct net_udp_batch *b, struct net_udp *u, const struct addr *from,
                  const struct addr *to, struct bytes payload, unsigned how)
{
  bool copy = (how & NET_UDP_IN_PLACE) == 0;
  if (!may_be_sent(u, to) || payload.len > NET_UDP_PAYLOAD) {
    b->counters.send_failed++;
    return;
  }
  if (b->out_count == NET_UDP_OUT || (copy && payload.len > NET_UDP_COPY - b->copies_len))
    flush_queue(b);
  const uint8_t *at = payload.at;
  if (copy && payload.len > 0) {
    at = memcpy(b->copies + b->copies_len, payload.at, payload.len);
    b->copies_len += payload.len;
  }
  *queue(b, u) = (struct net_udp_out){
      .from = from_of(u, from),
      .to = *to,
      .iov = {.iov_base = (void *)(uintptr_t)at, .iov_len = payload.len},
      .dont_fragment = (how & NET_UDP_DONT_FRAGMENT) != 0,
  };
}

bool net_udp_send_run(struct net_udp_batch *b, struct net_udp *u, const struct addr *from,
                      const struct addr *to, const struct net_udp_run *run)
{
  const size_t last = (run->len - 1) % run->each + 1;
  struct net_udp_out out = {
      .from = from_of(u, from),
      .to = *to,
      .iov = {.iov_base = (void *)(uintptr_t)run->at, .iov_len = run->len},
      .has_head = run->has_head,
      .skip = (uint16_t)run->skip,
  };
  /* A piece without a byte is none for the kernel. */
  if (!may_be_sent(u, to) || run->each > SEGMENT_MOST || last <= run->skip)
    return false;
  out.each = (uint16_t)run->each;
  const size_t count = run_count(&out), segment = run_segment(&out);
  if (segment > SEGMENT_MOST || count > NET_UDP_SEGMENTS || count * segment > SEGMENTS_BYTES_MOST)
    return false;
  memcpy(out.head, run->head, sizeof(out.head));
  memcpy(out.last_head, run->last_head, sizeof(out.last_head));
  if (b->out_count == NET_UDP_OUT)
    flush_queue(b);
  *queue(b, u) = out;
  return true;
}
