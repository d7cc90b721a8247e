/* See limits.h. */
#include "turn/limits.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

#include "turn/worker.h"

enum {
  PORTS_PER_THREAD = 64,
  OWN = 256, /* listeners, loops, mailboxes, logs, databases, and what is kept */
  KEPT = 64  /* a page of metrics in each hand, control-socket, files of a reload */
};

/* Of all families: an allocation may have one of each (RFC 8656 section 6). */
static uint64_t relayed_addresses(const struct turnd_settings *s)
{
  const struct turn_config *c = &s->core;
  bool has[2] = {false, false};
  for (size_t i = 0; i < c->relay_count; i++)
    has[c->relay[i].local.family == ADDR_V6 ? 1 : 0] = true;
  const uint64_t families = (uint64_t)has[0] + (uint64_t)has[1];
  /* The ports of a family are counted once, whatever the number of its addresses. */
  const uint64_t ports = (uint64_t)(c->max_port - c->min_port + 1) * families;
  const uint64_t quota = (uint64_t)c->total_quota * families;
  return quota == 0 || ports < quota ? ports : quota;
}

uint64_t turnd_descriptors_wanted(const struct turnd_settings *s)
{
  const struct turnd_options *o = &s->options;
  const uint64_t relayed = relayed_addresses(s);
  const uint64_t sockets = s->core.relay_virtual ? 0 : relayed;
  const bool streams = !o->no_tcp || (s->tls != NULL && !o->no_tls);
  const uint64_t clients = relayed < TURND_CONNECTIONS_MAX ? relayed : TURND_CONNECTIONS_MAX;
  return sockets + (streams ? clients : 0) + OWN;
}

uint64_t turnd_descriptors_most(void)
{
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max == RLIM_INFINITY)
    return UINT64_MAX;
  return limit.rlim_max;
}

int turnd_descriptors_for_clients(void)
{
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
    return INT_MAX;
  const int most = (int)limit.rlim_cur;
  return most - (most / 8 < KEPT ? most / 8 : KEPT);
}

void turnd_descriptors_raise(const struct turnd_settings *s, struct log *log)
{
  const uint64_t wanted = turnd_descriptors_wanted(s);
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
    return;
  char mend[256];
  snprintf(mend, sizeof(mend),
           "raise it to %" PRIu64 " (systemd: LimitNOFILE=%" PRIu64 "; shell: ulimit -n %" PRIu64
           "; docker run --ulimit nofile=%" PRIu64 "), or lower total-quota",
           wanted, wanted, wanted, wanted);
  log_event(log, LOG_LEVEL_WARN, "descriptor-limit", LOG_UINT("limit", limit.rlim_cur),
            LOG_UINT("wanted", wanted), LOG_TEXT("then", "an Allocate beyond it gets 508"),
            LOG_TEXT("mend", mend));
}

/* The cores that this process may use, be it by a container's leave. */
static size_t core_count(void)
{
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
}

size_t turnd_threads(const struct turnd_settings *s)
{
  const size_t most = ((size_t)s->core.max_port - s->core.min_port + 1) / PORTS_PER_THREAD;
  uint64_t count;
  if (parse_uint(bytes_of(s->options.relay_threads), TURND_THREADS_MAX, &count) != 0) {
    count = core_count();
    if (count > most)
      count = most;
    if (count > TURND_THREADS_MAX)
      count = TURND_THREADS_MAX;
  }
  return count == 0 ? 1 : (size_t)count;
}
