/* See wire.h. */
#include "bench/load/wire.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <errno.h>

#include "base/err.h"
#include "bench/load/proc.h"
#include "net/sockaddr.h"

enum { SOCKET_BUFFER = 4 * 1024 * 1024, BATCH = 32, SLOT = 65536, DESCRIPTORS = 32 };

static size_t send_cut(const struct load_burst *b, struct sockaddr_storage *name,
                       socklen_t name_len)
{
  struct iovec iov = {.iov_base = (void *)(uintptr_t)b->at, .iov_len = b->len * b->count};
  union {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
  } control = {.bytes = {0}};
  struct msghdr m = {.msg_name = name_len ? name : NULL,
                     .msg_namelen = name_len,
                     .msg_iov = &iov,
                     .msg_iovlen = 1,
                     .msg_control = &control,
                     .msg_controllen = sizeof(control)};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  const uint16_t size = (uint16_t)b->len;
  *c = (struct cmsghdr){
      .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof(size))};
  memcpy(CMSG_DATA(c), &size, sizeof(size));
  return sendmsg(b->fd, &m, MSG_DONTWAIT) < 0 ? 0 : b->count;
}

size_t load_send(const struct load_burst *b)
{
  struct sockaddr_storage name;
  struct mmsghdr header[LOAD_BURST_MAX];
  struct iovec iov[LOAD_BURST_MAX];
  const socklen_t name_len = b->to != NULL ? net_sockaddr_put(&name, b->to) : 0;
  if (b->segment && b->count > 1)
    return send_cut(b, &name, name_len);
  for (size_t i = 0; i < b->count; i++) {
    iov[i] = (struct iovec){(void *)(uintptr_t)(b->at + i * b->len), b->len};
    header[i].msg_hdr = (struct msghdr){.msg_name = name_len ? &name : NULL,
                                        .msg_namelen = name_len,
                                        .msg_iov = &iov[i],
                                        .msg_iovlen = 1};
  }
  const int sent = sendmmsg(b->fd, header, (unsigned)b->count, MSG_DONTWAIT);
  return sent < 0 ? 0 : (size_t)sent;
}

int load_make_room(unsigned sockets, struct net_error *e)
{
  const rlim_t needed = (rlim_t)sockets + DESCRIPTORS;
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
    return 0;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max >= needed)
    return 0;
  net_error_set(e,
                "%u sockets need a limit of %llu open files and the hard limit is %llu: raise it "
                "(ulimit -Hn, LimitNOFILE=), or take fewer --allocations",
                sockets, (unsigned long long)needed, (unsigned long long)limit.rlim_max);
  return -1;
}

int load_open(const struct addr *at, const struct addr *to, bool aggregate, struct net_error *e)
{
  const struct net_bind bind = {.type = SOCK_DGRAM, .at = at, .program = "viaduct-load"};
  const int fd = net_bind(&bind, e), size = SOCKET_BUFFER, on = 1;
  struct sockaddr_storage name;
  if (fd < 0)
    return fd;
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* a wish */
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
  if ((aggregate && setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) != 0) ||
      (to != NULL && connect(fd, (struct sockaddr *)&name, net_sockaddr_put(&name, to)) != 0)) {
    const int error_number = errno;
    net_error_set(e, "viaduct-load cannot prepare a socket: %s", strerror(error_number));
    close(fd);
    return net_error_from_errno(error_number);
  }
  return fd;
}

/* What the kernel put together is cut again. */
static size_t segment_of(struct msghdr *m, size_t len)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c))
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      int size;
      memcpy(&size, CMSG_DATA(c), sizeof(size));
      return size > 0 ? (size_t)size : len;
    }
  return len;
}

static size_t take(struct msghdr *m, size_t len, load_receive_fn each, void *arg, uint64_t now_ns)
{
  const uint8_t *at = m->msg_iov->iov_base;
  const size_t segment = segment_of(m, len);
  size_t count = 0;
  for (size_t done = 0; done < len; done += segment, count++)
    each(arg, (struct bytes){at + done, len - done < segment ? len - done : segment}, now_ns);
  return count;
}

size_t load_receive(int fd, unsigned most, load_receive_fn each, void *arg)
{
  static uint8_t slot[BATCH][SLOT]; /* one thread */
  struct mmsghdr header[BATCH];
  struct iovec iov[BATCH];
  union {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(int))];
  } control[BATCH];
  size_t total = 0;
  for (unsigned round = 0; round < most; round++) {
    for (size_t i = 0; i < BATCH; i++) {
      iov[i] = (struct iovec){slot[i], SLOT};
      header[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i],
                                          .msg_iovlen = 1,
                                          .msg_control = &control[i],
                                          .msg_controllen = sizeof(control[i])};
    }
    const int n = recvmmsg(fd, header, BATCH, MSG_DONTWAIT, NULL);
    if (n <= 0)
      break;
    const uint64_t now_ns = load_now_ns();
    for (int i = 0; i < n; i++)
      total += take(&header[i].msg_hdr, header[i].msg_len, each, arg, now_ns);
    if (n < BATCH)
      break;
  }
  return total;
}
