/* Looks a bound socket's inode up in /proc/net and then its process. Best effort: everything here
 * may be gone or forbidden while we look. */
#include "net/holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TCP_STATE_LISTEN = 0x0A };

/* The inode of the first socket in `table` that is bound to that port (and listens, for TCP); 0:
 * none. Which local address it has is not compared: a wildcard blocks every address. */
static unsigned long find_inode(const char *table, int type, uint16_t port)
{
  FILE *f = fopen(table, "re");
  if (f == NULL)
    return 0;
  char line[512];
  unsigned long found = 0;
  while (found == 0 && fgets(line, sizeof(line), f) != NULL) {
    unsigned local_port, state;
    unsigned long inode;
    if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %lu",
               &local_port, &state, &inode) != 3)
      continue;
    if (local_port == port && (type == SOCK_DGRAM || state == TCP_STATE_LISTEN))
      found = inode;
  }
  fclose(f);
  return found;
}

static bool process_has(const char *pid, const char *socket_name)
{
  char path[64];
  snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
  DIR *d = opendir(path);
  if (d == NULL)
    return false;
  bool found = false;
  struct dirent *entry;
  while (!found && (entry = readdir(d)) != NULL) {
    char target[64];
    ssize_t n = readlinkat(dirfd(d), entry->d_name, target, sizeof(target) - 1);
    if (n <= 0)
      continue;
    target[n] = 0;
    found = strcmp(target, socket_name) == 0;
  }
  closedir(d);
  return found;
}

static void name_process(const char *pid, char out[NET_HOLDER_SIZE])
{
  char path[64], name[32] = "a program";
  snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
  FILE *f = fopen(path, "re");
  if (f != NULL) {
    if (fgets(name, sizeof(name), f) != NULL)
      name[strcspn(name, "\n")] = 0;
    fclose(f);
  }
  snprintf(out, NET_HOLDER_SIZE, "%s (pid %.20s)", name, pid);
}

void net_holder_find(int type, const struct addr *at, char out[NET_HOLDER_SIZE])
{
  out[0] = 0;
  const char *table4 = type == SOCK_DGRAM ? "/proc/net/udp" : "/proc/net/tcp";
  const char *table6 = type == SOCK_DGRAM ? "/proc/net/udp6" : "/proc/net/tcp6";
  unsigned long inode = find_inode(at->family == ADDR_V6 ? table6 : table4, type, at->port);
  if (inode == 0) /* a dual-stack socket of another program holds IPv4 ports too */
    inode = find_inode(at->family == ADDR_V6 ? table4 : table6, type, at->port);
  if (inode == 0)
    return;
  char socket_name[64];
  snprintf(socket_name, sizeof(socket_name), "socket:[%lu]", inode);
  DIR *d = opendir("/proc");
  if (d == NULL)
    return;
  struct dirent *entry;
  while (out[0] == 0 && (entry = readdir(d)) != NULL) {
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
        process_has(entry->d_name, socket_name))
      name_process(entry->d_name, out);
  }
  closedir(d);
}
