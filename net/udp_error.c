/* What ICMP says of datagrams that left a socket: the kernel's error queue (IP_RECVERR). */
#include <errno.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h> /* struct timespec, which the next one wants */

#include <linux/errqueue.h>

#include "net/udp_batch.h"

/* The structure and, behind it, the address of who complained, which may be of either family. */
union error_control {
  struct cmsghdr align;
  uint8_t bytes[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in6)) +
                NET_UDP_CONTROL];
};

int net__udp_want_errors(int fd, uint8_t family)
{
  const int on = 1;
  return family == ADDR_V6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on))
                           : setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
}

enum { V4_UNREACHABLE = 3, V4_FRAGMENTATION_NEEDED = 4, V6_TOO_BIG = 2 };

/* What a router would say of a datagram that must not be fragmented and is too large for the first
 * link, or for what this machine has learned of the path. */
static void put_too_big(struct net_udp_error *out, bool v4)
{
  out->type = v4 ? V4_UNREACHABLE : V6_TOO_BIG;
  out->code = v4 ? V4_FRAGMENTATION_NEEDED : 0;
}

/* All else that this machine itself says came back from the send already. */
static bool read_error(struct msghdr *header, struct net_udp_error *out)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
    bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
    bool v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;
    struct sock_extended_err e;
    if ((!v4 && !v6) || c->cmsg_len < CMSG_LEN(sizeof(e)))
      continue;
    memcpy(&e, CMSG_DATA(c), sizeof(e));
    out->type = e.ee_type;
    out->code = e.ee_code;
    out->mtu = e.ee_info;
    if (e.ee_origin != SO_EE_ORIGIN_LOCAL)
      return e.ee_origin == SO_EE_ORIGIN_ICMP || e.ee_origin == SO_EE_ORIGIN_ICMP6;
    put_too_big(out, v4);
    return e.ee_errno == EMSGSIZE;
  }
  return false;
}

/* 1: one was read, but it is none for `out`. 0: there is none left. */
static int next_error(struct net_udp_batch *b, int fd, struct net_udp_error *out, bool *taken)
{
  struct sockaddr_storage to = {0};
  union error_control control;
  struct msghdr header = {
      .msg_name = &to,
      .msg_namelen = sizeof(to),
      .msg_control = &control,
      .msg_controllen = sizeof(control),
  };
  ssize_t n = recvmsg(fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT);
  if (n < 0)
    return errno == EINTR;
  b->counters.receive_failed++;
  *taken = read_error(&header, out);
  out->to = net_sockaddr_get(&to);
  *taken = *taken && out->to.family != ADDR_NONE;
  return 1;
}

size_t net_udp_receive_errors(struct net_udp_batch *b, struct net_udp *u)
{
  net_udp_flush(b);
  b->slot_next = NET_UDP_ERRORS; /* theirs are the first */
  b->apart_len = 0;
  size_t count = 0;
  for (size_t reads = 0; reads < NET_UDP_ERRORS; reads++) {
    struct net_udp_error e = {.type = 0};
    bool taken = false;
    if (next_error(b, u->watch.fd, &e, &taken) == 0)
      break;
    if (!taken)
      continue;
    uint8_t *storage = b->slots + count * NET_UDP_STRIDE;
    e.d = (struct dgram){.storage = storage,
                         .cap = DGRAM_HEADROOM + NET_UDP_PAYLOAD + DGRAM_TAILROOM,
                         .at = storage + DGRAM_HEADROOM};
    b->error[count++] = e;
  }
  return count;
}

struct net_udp_error *net_udp_batch_errors(struct net_udp_batch *b)
{
  return b->error;
}
