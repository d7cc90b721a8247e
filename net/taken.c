/* See taken.h. In a file of its own: the kernel's header, which knows the field, and the C
 * library's do not go together. */
#include "net/taken.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

uint64_t net_taken_len(int fd)
{
  struct tcp_info info = {0};
  socklen_t size = sizeof(info);
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_acked : 0;
}
