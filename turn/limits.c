/* See limits.h. */
#include "turn/limits.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>

#include "turn/worker.h"

enum {
  OWN = 256, /* listeners, loops, mailboxes, logs, databases, and what is kept */
  KEPT = 64  /* a page of metrics in each hand, control-socket, files of a reload */
};

/* Of all families: an allocation may have one relay socket of each (RFC 8656 section 6). */
static uint64_t relay_sockets(const struct turnd_settings *s)
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
  const uint64_t sockets = relay_sockets(s);
  const bool streams = !o->no_tcp || (s->tls != NULL && !o->no_tls);
  const uint64_t clients = sockets < TURND_CONNECTIONS_MAX ? sockets : TURND_CONNECTIONS_MAX;
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
