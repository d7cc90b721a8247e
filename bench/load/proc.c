/* See proc.h. */
#include "bench/load/proc.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* schedstat counts in nanoseconds, where stat has ticks of 10 ms. */
static uint64_t thread_ns(int pid, const char *thread)
{
  char path[64];
  uint64_t ns = 0;
  snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", pid, thread);
  FILE *f = fopen(path, "re");
  if (f == NULL)
    return 0;
  if (fscanf(f, "%" SCNu64, &ns) != 1)
    ns = 0;
  fclose(f);
  return ns;
}

uint64_t load_proc_cpu_ns(int pid)
{
  char path[32];
  uint64_t ns = 0;
  snprintf(path, sizeof(path), "/proc/%d/task", pid);
  DIR *d = pid > 0 ? opendir(path) : NULL;
  if (d == NULL)
    return 0;
  for (struct dirent *e; (e = readdir(d)) != NULL;)
    if (e->d_name[0] != '.')
      ns += thread_ns(pid, e->d_name);
  closedir(d);
  return ns;
}

uint64_t load_proc_resident(int pid)
{
  char path[32];
  uint64_t size, resident = 0;
  snprintf(path, sizeof(path), "/proc/%d/statm", pid);
  FILE *f = pid > 0 ? fopen(path, "re") : NULL;
  if (f == NULL)
    return 0;
  if (fscanf(f, "%" SCNu64 " %" SCNu64, &size, &resident) != 2)
    resident = 0;
  fclose(f);
  return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t load_now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
