/* Datagrams out: queued for each socket, one sendmmsg for each socket at the flush. */
#include <errno.h>
#include <string.h>

#include "net/udp_batch.h"

static void put_control(struct msghdr *header, union net_udp_control *control,
                        const struct addr *from)
{
  memset(control, 0, sizeof(*control));
  header->msg_control = control;
  header->msg_controllen = sizeof(*control);
  struct cmsghdr *c = CMSG_FIRSTHDR(header);
  if (from->family == ADDR_V4) {
    struct in_pktinfo info = {0};
    memcpy(&info.ipi_spec_dst, from->ip, 4);
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof(info));
    memcpy(CMSG_DATA(c), &info, sizeof(info));
    header->msg_controllen = CMSG_SPACE(sizeof(info));
  } else {
    struct in6_pktinfo info = {.ipi6_ifindex = from->scope};
    memcpy(&info.ipi6_addr, from->ip, 16);
    c->cmsg_level = IPPROTO_IPV6;
    c->cmsg_type = IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof(info));
    memcpy(CMSG_DATA(c), &info, sizeof(info));
    header->msg_controllen = CMSG_SPACE(sizeof(info));
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

/* Sends `count` prepared headers. What the kernel refuses is counted and passed over, one by one; a
 * full buffer drops the rest, since nothing here waits. A socket that wants errors reports what
 * ICMP said of an earlier datagram at the next send, whatever that is, and then no more: what
 * failed is tried once again, so that one peer that is gone costs no other peer a datagram. */
static void send_run(struct net_udp_batch *b, const struct net_udp *u, unsigned count)
{
  unsigned at = 0, again = u->want_errors ? 0 : count;
  while (at < count) {
    int n = sendmmsg(u->watch.fd, b->header + at, count - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
      for (unsigned i = at; i < at + (unsigned)n; i++)
        b->counters.sent_bytes += b->header[i].msg_len;
      b->counters.sent_packets += (unsigned)n;
      at += (unsigned)n;
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) {
      b->counters.send_buffer_full += count - at;
      return;
    } else if (again <= at) {
      again = at + 1;
    } else {
      b->counters.send_failed++;
      at++;
    }
  }
}

void net__udp_flush_socket(struct net_udp_batch *b, struct net_udp *u)
{
  unsigned count = 0;
  bool dont_fragment = u->dont_fragment;
  for (uint16_t i = u->out_head; i != 0; i = b->out[i - 1].next) {
    struct net_udp_out *out = &b->out[i - 1];
    if (count > 0 && out->dont_fragment != dont_fragment) {
      set_dont_fragment(u, dont_fragment);
      send_run(b, u, count);
      count = 0;
    }
    dont_fragment = out->dont_fragment;
    struct msghdr *header = &b->header[count].msg_hdr;
    *header = (struct msghdr){
        .msg_name = &b->name[count],
        .msg_namelen = net_sockaddr_put(&b->name[count], &out->to),
        .msg_iov = &out->iov,
        .msg_iovlen = 1,
    };
    if (out->from.family != ADDR_NONE)
      put_control(header, &b->control[count], &out->from);
    count++;
  }
  if (count > 0) {
    set_dont_fragment(u, dont_fragment);
    send_run(b, u, count);
  }
  u->out_head = u->out_tail = 0;
  list_remove(&u->pending);
}

void net_udp_flush(struct net_udp_batch *b)
{
  while (!list_is_empty(&b->pending))
    net__udp_flush_socket(b, CONTAINER_OF(b->pending.next, struct net_udp, pending));
  b->out_count = 0;
  b->copies_len = 0;
}

void net_udp_send(struct net_udp_batch *b, struct net_udp *u, const struct addr *from,
                  const struct addr *to, struct bytes payload, unsigned how)
{
  bool copy = (how & NET_UDP_IN_PLACE) == 0;
  /* "The destination cannot be written to" in a form that the kernel would take for something else:
   * another family than the socket's, or port 0. */
  if (to->family != u->local.family || to->port == 0 || payload.len > NET_UDP_PAYLOAD) {
    b->counters.send_failed++;
    return;
  }
  if (b->out_count == NET_UDP_OUT || (copy && payload.len > NET_UDP_COPY - b->copies_len))
    net_udp_flush(b);
  const uint8_t *at = payload.at;
  if (copy && payload.len > 0) {
    at = memcpy(b->copies + b->copies_len, payload.at, payload.len);
    b->copies_len += payload.len;
  }
  uint16_t index = b->out_count++;
  b->out[index] = (struct net_udp_out){
      .from = from != NULL && u->want_local ? *from : (struct addr){.family = ADDR_NONE},
      .to = *to,
      .iov = {.iov_base = (void *)(uintptr_t)at, .iov_len = payload.len},
      .dont_fragment = (how & NET_UDP_DONT_FRAGMENT) != 0,
  };
  if (u->out_tail != 0)
    b->out[u->out_tail - 1].next = (uint16_t)(index + 1);
  else
    u->out_head = (uint16_t)(index + 1);
  u->out_tail = (uint16_t)(index + 1);
  if (list_is_empty(&u->pending))
    list_push_back(&b->pending, &u->pending);
}
