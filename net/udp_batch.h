/* What udp.c (in) and udp_out.c (out) share: the buffers of one thread. Private to them. */
#ifndef VIADUCT_NET_UDP_BATCH_H
#define VIADUCT_NET_UDP_BATCH_H

#include <netinet/in.h>
#include <sys/uio.h>

#include "net/udp.h"

enum {
  /* An odd number of cache lines, so that the first bytes of all buffers do not fall into one set
   * of the cache. */
  NET_UDP_STRIDE = DGRAM_HEADROOM + NET_UDP_PAYLOAD + 3 * 64,
  /* An address, and the length of the segments. */
  NET_UDP_CONTROL = CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)),
  NET_UDP_SLOTS_LEAST = 16, /* fewer are not worth a system call */
  NET_UDP_IOVS = NET_UDP_OUT + 8 * 2 * NET_UDP_SEGMENTS,
  NET_UDP_ASK_FIRST = 8, /* of a new socket */
  NET_UDP_PATIENCE = 4,  /* full reads of one datagram before two are asked for */
  NET_UDP_MESSAGES = NET_UDP_BATCH * 2 * NET_UDP_SEGMENTS,
  /* What is behind the first of each aggregated read moves here, to have a headroom of its own. */
  NET_UDP_APART = NET_UDP_BATCH * NET_UDP_PAYLOAD + NET_UDP_MESSAGES * (DGRAM_HEADROOM + 16)
};

union net_udp_control {
  struct cmsghdr align;
  uint8_t bytes[NET_UDP_CONTROL];
};

struct net_udp_out {
  struct addr from, to; /* from: ADDR_NONE where the socket is bound to one address */
  struct iovec iov;
  bool dont_fragment;
  bool has_head;
  uint16_t each, skip; /* of a run; 0: one datagram */
  uint8_t head[NET_UDP_HEAD], last_head[NET_UDP_HEAD];
  uint16_t next; /* of the same socket: index + 1, 0: the last */
};

struct net_udp_batch {
  uint8_t *slots; /* NET_UDP_BATCH of NET_UDP_STRIDE bytes */
  uint8_t *apart; /* NET_UDP_APART bytes */
  size_t apart_len;
  size_t slot_next; /* the first slot that no queued output points into */
  struct net_udp_msg msg[NET_UDP_MESSAGES];
  size_t msg_count, came;
  struct net_udp_error error[NET_UDP_ERRORS];

  struct net_udp_out out[NET_UDP_OUT];
  uint16_t out_count;
  struct list pending; /* sockets with output */
  uint8_t *copies;     /* NET_UDP_COPY bytes */
  size_t copies_len;
  void (*release)(void *arg); /* net_udp_keep */
  void *release_arg;

  /* For reading, one for each slot: made once, and what the kernel changes is put back. */
  struct mmsghdr in[NET_UDP_BATCH];
  struct iovec in_iov[NET_UDP_BATCH];
  struct sockaddr_storage in_name[NET_UDP_BATCH];
  union net_udp_control in_control[NET_UDP_BATCH];

  /* For sending. */
  struct mmsghdr header[NET_UDP_OUT];
  uint8_t step[NET_UDP_OUT]; /* pieces that make one datagram */
  struct iovec iov[NET_UDP_IOVS];
  struct sockaddr_storage name[NET_UDP_OUT];
  union net_udp_control control[NET_UDP_OUT];

  struct net_udp_counters counters;
};

/* udp_error.c: asks the kernel to keep them. 0 or -1. */
int net__udp_want_errors(int fd, uint8_t family);
/* Sends what one socket has queued, and empties its list. */
void net__udp_flush_socket(struct net_udp_batch *b, struct net_udp *u);

#endif
