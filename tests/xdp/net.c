/* The namespace, by unshare and iproute2. */
#include "tests/xdp/net.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool net_ip(const char *arguments)
{
  char command[512];
  snprintf(command, sizeof(command), "PATH=$PATH:/usr/sbin:/sbin ip %s", arguments);
  return system(command) == 0;
}

bool net_set(const char *path, const char *value)
{
  char whole[256];
  snprintf(whole, sizeof(whole), "/proc/sys/net/%s", path);
  const int fd = open(whole, O_WRONLY | O_CLOEXEC);
  const bool done = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
  if (fd >= 0)
    close(fd);
  return done;
}

static bool skip(const char *why)
{
  fprintf(stderr,
          "SKIPPED: %s (%s): the kernel program is NOT tested here. It needs root, or CAP_BPF, "
          "CAP_NET_ADMIN and CAP_SYS_ADMIN, and a kernel with BPF and veth.\n",
          why, strerror(errno));
  return false;
}

bool net_begin(void)
{
  if (unshare(CLONE_NEWNET))
    return skip("no network namespace");
  /* "return XDP_PASS", the shortest program that there is. */
  const struct bpf_insn pass[] = {{.code = 0xB7, .imm = 2}, {.code = 0x95}};
  const int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "probe", "GPL", pass, 2, NULL);
  if (fd < 0)
    return skip("no XDP program can be loaded");
  close(fd);
  if (!net_ip("link set lo up") || !net_ip("link add probe type veth peer name eborp") ||
      !net_ip("link del probe"))
    return skip("no veth");
  return true;
}
